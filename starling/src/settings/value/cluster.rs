//! Where the services of a cluster are, and how they know each other.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use proto::transport::remote::Targets;

use super::{Toml, Value, not_text, text};

/// Where to listen, if anywhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Listen(pub Option<SocketAddr>);

impl Value for Listen {
    fn read(value: Toml) -> Result<Self, String> {
        match &value {
            Toml::String(text) if text.is_empty() => Ok(Self(None)),
            _ => SocketAddr::read(value)
                .map(|address| Self(Some(address)))
                .map_err(|error| error + ", or nothing"),
        }
    }

    fn show(&self) -> Toml {
        Toml::String(self.0.map_or_else(String::new, |address| address.to_string()))
    }
}

/// A secret that several programs know. It is never shown.
#[derive(Clone, Default)]
pub struct SharedSecret(pub Option<proto::Secret>);

impl Value for SharedSecret {
    fn read(value: Toml) -> Result<Self, String> {
        // The value itself is not repeated: it may be a secret with a typing error.
        let Toml::String(text) = value else {
            return Err("the value is not allowed; expected a text".to_owned());
        };
        if text.is_empty() {
            return Ok(Self(None));
        }
        let secret =
            proto::Secret::new(&text).map_err(|error| format!("the value is not allowed: {error}"))?;
        Ok(Self(Some(secret)))
    }

    fn show(&self) -> Toml {
        Toml::String(if self.0.is_some() { "(secret)".to_owned() } else { String::new() })
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "SharedSecret(set)" } else { "SharedSecret(none)" })
    }
}

/// Where the replicas of a service are, if that is another process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replicas(pub Option<Targets>);

impl Replicas {
    /// How many are listed; nobody knows how many stand behind a name.
    pub fn listed(&self) -> usize {
        match &self.0 {
            Some(Targets::List(list)) => list.len(),
            Some(Targets::Dns { .. }) | None => 0,
        }
    }
}

impl Value for Replicas {
    fn read(value: Toml) -> Result<Self, String> {
        let list = match value {
            Toml::Array(items) => {
                let items =
                    items.into_iter().map(|item| text(item, TARGETS)).collect::<Result<Vec<_>, _>>()?;
                items.join(",")
            }
            other => text(other, TARGETS)?,
        };
        if list.is_empty() {
            return Ok(Self(None));
        }
        match list.parse() {
            Ok(targets) => Ok(Self(Some(targets))),
            Err(error) => Err(format!("{}: {error}", not_text(&list, TARGETS))),
        }
    }

    fn show(&self) -> Toml {
        Toml::String(self.0.as_ref().map_or_else(String::new, Targets::to_string))
    }
}

const TARGETS: &str =
    "dns:///HOST:PORT, or HOST:PORT separated by commas, in the file also an array of texts";

/// A file with certificates or a key, if there is one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PemFile(pub Option<PathBuf>);

impl Value for PemFile {
    fn read(value: Toml) -> Result<Self, String> {
        let path = text(value, "a path, or nothing")?;
        Ok(Self(Some(path).filter(|path| !path.is_empty()).map(PathBuf::from)))
    }

    fn show(&self) -> Toml {
        Toml::String(self.0.as_ref().map_or_else(String::new, |path| path.display().to_string()))
    }
}

/// The name in the certificates of servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerName(pub String);

impl Value for ServerName {
    fn read(value: Toml) -> Result<Self, String> {
        const ALLOWED: &str = "a host name, such as starling.internal";
        let name = text(value, ALLOWED)?;
        let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_legal) {
            return Err(not_text(&name, ALLOWED));
        }
        Ok(Self(name))
    }

    fn show(&self) -> Toml {
        Toml::String(self.0.clone())
    }
}
