//! Lists of words, patterns and voice servers.

use std::collections::BTreeMap;

use super::{Toml, Value, not_text, text};

/// The items of an array, or the parts of a text.
pub(super) fn list(value: Toml, separator: char, allowed: &str) -> Result<Vec<String>, String> {
    let items = match value {
        Toml::Array(items) => items.into_iter().map(|item| text(item, allowed)).collect::<Result<_, _>>()?,
        other => text(other, allowed)?.split(separator).map(str::to_owned).collect::<Vec<_>>(),
    };
    Ok(items.iter().map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect())
}

fn shown_list(items: &[String]) -> Toml {
    Toml::Array(items.iter().cloned().map(Toml::String).collect())
}

/// Words of the content filter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words(pub Vec<String>);

impl Value for Words {
    fn read(value: Toml) -> Result<Self, String> {
        Ok(Self(list(value, ',', "words separated by commas, in the file an array of texts")?))
    }

    fn show(&self) -> Toml {
        shown_list(&self.0)
    }
}

/// Patterns of the content filter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patterns(pub Vec<String>);

impl Value for Patterns {
    fn read(value: Toml) -> Result<Self, String> {
        let patterns =
            list(value, '\n', "regular expressions, one on each line, in the file an array of texts")?;
        for pattern in &patterns {
            regex::Regex::new(pattern).map_err(|error| format!("`{pattern}` is not allowed: {error}"))?;
        }
        Ok(Self(patterns))
    }

    fn show(&self) -> Toml {
        shown_list(&self.0)
    }
}

const ENDPOINT: &str = "HOST:PORT, such as voice.example:443";

pub(super) fn is_endpoint(text: &str) -> bool {
    let host_and_port = text.rsplit_once(':');
    host_and_port.is_some_and(|(host, port)| {
        let legal = |c: char| c.is_ascii_alphanumeric() || ".-_[]:".contains(c);
        !host.is_empty() && host.chars().all(legal) && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

/// A voice server, if there is one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoint(pub Option<String>);

impl Value for Endpoint {
    fn read(value: Toml) -> Result<Self, String> {
        let text = text(value, ENDPOINT)?;
        match text.as_str() {
            "" => Ok(Self(None)),
            endpoint if is_endpoint(endpoint) => Ok(Self(Some(text))),
            _ => Err(not_text(&text, ENDPOINT)),
        }
    }

    fn show(&self) -> Toml {
        Toml::String(self.0.clone().unwrap_or_default())
    }
}

/// Voice servers by region.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoints(pub BTreeMap<String, String>);

impl Value for Endpoints {
    fn read(value: Toml) -> Result<Self, String> {
        const ALLOWED: &str = "REGION=HOST:PORT, separated by commas, in the file a table of texts";
        let pairs: Vec<(String, String)> = match value {
            Toml::Table(table) => table
                .into_iter()
                .map(|(region, endpoint)| Ok((region, text(endpoint, ENDPOINT)?)))
                .collect::<Result<_, String>>()?,
            other => list(other, ',', ALLOWED)?
                .into_iter()
                .map(|pair| match pair.split_once('=') {
                    Some((region, endpoint)) => Ok((region.trim().to_owned(), endpoint.trim().to_owned())),
                    None => Err(not_text(&pair, ALLOWED)),
                })
                .collect::<Result<_, _>>()?,
        };
        match pairs.iter().find(|(region, endpoint)| region.is_empty() || !is_endpoint(endpoint)) {
            Some((region, endpoint)) => Err(not_text(&format!("{region}={endpoint}"), ALLOWED)),
            None => Ok(Self(pairs.into_iter().collect())),
        }
    }

    fn show(&self) -> Toml {
        let pairs = self.0.iter().map(|(region, endpoint)| (region.clone(), Toml::String(endpoint.clone())));
        Toml::Table(pairs.collect())
    }
}
