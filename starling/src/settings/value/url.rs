//! Addresses that clients are told.

use super::{Toml, Value, not, not_text, text};

/// An address that clients are told; none when it follows from where the listener is bound.
fn url(value: Toml, schemes: [&str; 2], allowed: &str) -> Result<Option<String>, String> {
    let text = text(value, allowed)?;
    let url = text.trim_end_matches('/');
    if url.is_empty() {
        return Ok(None);
    }
    let parsed = url.parse::<http::Uri>().ok().filter(|url| {
        url.scheme_str().is_some_and(|scheme| schemes.contains(&scheme))
            && url.authority().is_some_and(|authority| !authority.host().is_empty())
            && url.query().is_none()
    });
    match parsed {
        Some(_) if !url.contains('#') => Ok(Some(url.to_owned())),
        _ => Err(not_text(&text, allowed)),
    }
}

/// `http://…` or `https://…`, without a path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpUrl(pub Option<String>);

impl Value for HttpUrl {
    fn read(value: Toml) -> Result<Self, String> {
        const ALLOWED: &str =
            "http://HOST[:PORT] or https://HOST[:PORT] without a path (`/api` is added), or nothing";
        let shown = value.clone();
        match url(value, ["http", "https"], ALLOWED)? {
            Some(url) if url.splitn(4, '/').count() > 3 => Err(not(&shown, ALLOWED)),
            url => Ok(Self(url)),
        }
    }

    fn show(&self) -> Toml {
        Toml::String(self.0.clone().unwrap_or_default())
    }
}

/// `http://…` of a collector of traces; none when there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CollectorUrl(pub Option<String>);

impl Value for CollectorUrl {
    fn read(value: Toml) -> Result<Self, String> {
        const ALLOWED: &str =
            "http://HOST[:PORT] of a collector nearby, which can send on with TLS, or nothing";
        Ok(Self(url(value, ["http", "http"], ALLOWED)?))
    }

    fn show(&self) -> Toml {
        Toml::String(self.0.clone().unwrap_or_default())
    }
}

/// `ws://…` or `wss://…`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WsUrl(pub Option<String>);

impl Value for WsUrl {
    fn read(value: Toml) -> Result<Self, String> {
        const ALLOWED: &str = "ws://HOST[:PORT][/PATH] or wss://HOST[:PORT][/PATH], or nothing";
        Ok(Self(url(value, ["ws", "wss"], ALLOWED)?))
    }

    fn show(&self) -> Toml {
        Toml::String(self.0.clone().unwrap_or_default())
    }
}
