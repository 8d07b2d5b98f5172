//! Where the servers of a cluster are, and how it proves to them who it is.

use std::fmt;

use http::Uri;

use super::list::list;
use super::{Toml, Value, not, not_text, text};

/// Servers of NATS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NatsUrls(pub Vec<String>);

impl Value for NatsUrls {
    fn read(value: Toml) -> Result<Self, String> {
        const ALLOWED: &str = "nats://HOST[:PORT] or tls://HOST[:PORT], separated by commas, in the file also an array of texts";
        let urls = list(value, ',', ALLOWED)?;
        for url in &urls {
            address(url, ["nats", "tls"], "nats_user and nats_password", ALLOWED)?;
        }
        Ok(Self(urls))
    }

    fn show(&self) -> Toml {
        Toml::String(self.0.join(","))
    }
}

/// A server of Redis, if there is one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RedisUrl(pub Option<RedisServer>);

/// Where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisServer {
    /// Without the brackets of an IPv6 address.
    pub host: String,
    pub port: u16,
    pub is_tls: bool,
}

impl Value for RedisUrl {
    fn read(value: Toml) -> Result<Self, String> {
        const ALLOWED: &str = "redis://HOST[:PORT] or, with TLS, rediss://HOST[:PORT], or nothing";
        let text = text(value, ALLOWED)?;
        if text.is_empty() {
            return Ok(Self(None));
        }
        let url = address(&text, ["redis", "rediss"], "redis_user and redis_password", ALLOWED)?;
        let host = url.host().unwrap_or_default();
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = bare.unwrap_or(host).to_owned();
        let is_tls = url.scheme_str() == Some("rediss");
        Ok(Self(Some(RedisServer { host, port: url.port_u16().unwrap_or(REDIS_PORT), is_tls })))
    }

    fn show(&self) -> Toml {
        let Some(RedisServer { host, port, is_tls }) = &self.0 else { return Toml::String(String::new()) };
        let scheme = if *is_tls { "rediss" } else { "redis" };
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        Toml::String(format!("{scheme}://{host}:{port}"))
    }
}

/// An address without a path. One with a password is refused and not repeated: addresses are shown.
fn address(text: &str, schemes: [&str; 2], instead: &str, allowed: &str) -> Result<Uri, String> {
    if text.contains('@') {
        return Err(format!("an address holds no password, as it is shown; use {instead}"));
    }
    let is_right = |url: &Uri| {
        url.scheme_str().is_some_and(|scheme| schemes.contains(&scheme))
            && url.host().is_some_and(|host| !host.is_empty())
            && url.path().trim_end_matches('/').is_empty()
            && url.query().is_none()
    };
    text.parse().ok().filter(is_right).ok_or_else(|| not_text(text, allowed))
}

/// What a user, or something of a server, is called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Name(pub Option<String>);

impl Value for Name {
    fn read(value: Toml) -> Result<Self, String> {
        let text = text(value, "a name, or nothing")?;
        Ok(Self(Some(text).filter(|text| !text.is_empty())))
    }

    fn show(&self) -> Toml {
        Toml::String(self.0.clone().unwrap_or_default())
    }
}

/// A password or token of a server. It is never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Password(pub Option<String>);

impl Value for Password {
    fn read(value: Toml) -> Result<Self, String> {
        // The value itself is not repeated.
        let Toml::String(text) = value else {
            return Err("the value is not allowed; expected a text".to_owned());
        };
        Ok(Self(Some(text).filter(|text| !text.is_empty())))
    }

    fn show(&self) -> Toml {
        Toml::String(if self.0.is_some() { "(secret)".to_owned() } else { String::new() })
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Password(set)" } else { "Password(none)" })
    }
}

/// What names on a shared server begin with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prefix(pub String);

impl Value for Prefix {
    fn read(value: Toml) -> Result<Self, String> {
        const ALLOWED: &str = "letters, digits, - and _";
        let text = text(value, ALLOWED)?;
        let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if text.bytes().all(is_legal) { Ok(Self(text)) } else { Err(not_text(&text, ALLOWED)) }
    }

    fn show(&self) -> Toml {
        Toml::String(self.0.clone())
    }
}

/// How many copies there are of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copies(pub u8);

impl Value for Copies {
    fn read(value: Toml) -> Result<Self, String> {
        let number = match &value {
            Toml::Integer(number) => u8::try_from(*number).ok(),
            Toml::String(text) => text.parse().ok(),
            _ => None,
        };
        let number = number.filter(|number| [1, 3, 5].contains(number));
        number.map(Self).ok_or_else(|| not(&value, "1, 3 or 5"))
    }

    fn show(&self) -> Toml {
        Toml::Integer(i64::from(self.0))
    }
}

const REDIS_PORT: u16 = 6379;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_redis_are_taken_apart_and_put_together() {
        for (text, host, port, is_tls, shown) in [
            ("redis://r", "r", 6379, false, "redis://r:6379"),
            ("rediss://r:1/", "r", 1, true, "rediss://r:1"),
            ("redis://[::1]:2", "::1", 2, false, "redis://[::1]:2"),
        ] {
            let read = RedisUrl::read(Toml::String(text.to_owned())).unwrap();
            assert_eq!(read.0, Some(RedisServer { host: host.to_owned(), port, is_tls }));
            assert_eq!(read.show(), Toml::String(shown.to_owned()));
        }
        for text in ["r:6379", "redis://", "redis://r/1", "redis://r?x=1", "http://r"] {
            assert!(RedisUrl::read(Toml::String(text.to_owned())).is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let password = Password(Some("hush".to_owned()));
        assert!(!format!("{password:?} {}", password.show()).contains("hush"));
        let error = NatsUrls::read(Toml::String("nats://u:hush@n".to_owned())).unwrap_err();
        assert!(!error.contains("hush"), "{error}");
    }
}
