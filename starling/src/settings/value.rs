//! The types of settings: each reads a value of the file, or the text of a flag or variable, and says what is allowed.

mod cassandra;
mod cluster;
mod compression;
mod list;
mod log;
mod secret;
mod servers;
mod url;

use std::net::SocketAddr;
use std::path::PathBuf;

use toml::Value as Toml;

pub use cassandra::{CassandraHosts, CassandraReplication, CassandraTls, Keyspace};
pub use cluster::{Listen, PemFile, Replicas, ServerName, SharedSecret};
pub use list::{Endpoint, Endpoints, Patterns, Words};
pub use log::{LogFilter, LogFormat};
pub use secret::Secret;
pub use servers::{Copies, Name, NatsUrls, Password, Prefix, RedisServer, RedisUrl};
pub use url::{CollectorUrl, HttpUrl, WsUrl};

/// A type of setting.
pub trait Value: Sized {
    /// Reads a value; one that comes from a flag or a variable is always a text.
    fn read(value: Toml) -> Result<Self, String>;
    /// As it would stand in the file; secrets are masked.
    fn show(&self) -> Toml;
}

/// Reads the text of a flag.
pub fn read_text<T: Value>(text: &str) -> Result<T, String> {
    T::read(Toml::String(text.to_owned()))
}

fn text(value: Toml, allowed: &str) -> Result<String, String> {
    match value {
        Toml::String(text) => Ok(text),
        other => Err(not(&other, allowed)),
    }
}

fn not(value: &Toml, allowed: &str) -> String {
    format!("{value} is not allowed; expected {allowed}")
}

fn not_text(text: &str, allowed: &str) -> String {
    not(&Toml::String(text.to_owned()), allowed)
}

impl Value for PathBuf {
    fn read(value: Toml) -> Result<Self, String> {
        let text = text(value, "a path")?;
        if text.is_empty() { Err(not_text(&text, "a path")) } else { Ok(text.into()) }
    }

    fn show(&self) -> Toml {
        Toml::String(self.display().to_string())
    }
}

impl Value for bool {
    fn read(value: Toml) -> Result<Self, String> {
        match &value {
            Toml::Boolean(flag) => Ok(*flag),
            Toml::String(text) if text == "true" => Ok(true),
            Toml::String(text) if text == "false" => Ok(false),
            _ => Err(not(&value, "true or false")),
        }
    }

    fn show(&self) -> Toml {
        Toml::Boolean(*self)
    }
}

impl Value for SocketAddr {
    fn read(value: Toml) -> Result<Self, String> {
        const ALLOWED: &str = "IP:PORT, such as 127.0.0.1:8080 or [::]:8080; port 0 takes a free one";
        let text = text(value, ALLOWED)?;
        text.parse().map_err(|_| not_text(&text, ALLOWED))
    }

    fn show(&self) -> Toml {
        Toml::String(self.to_string())
    }
}

/// A whole number in a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number<const MIN: u64, const MAX: u64>(u64);

impl<const MIN: u64, const MAX: u64> Number<MIN, MAX> {
    /// The number, moved into the range if it lies outside.
    pub const fn new(number: u64) -> Self {
        match number {
            _ if number < MIN => Self(MIN),
            _ if number > MAX => Self(MAX),
            _ => Self(number),
        }
    }

    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number as 16 bits; a range that is wider ends there.
    pub fn get_u16(self) -> u16 {
        u16::try_from(self.0).unwrap_or(u16::MAX)
    }

    /// The number as 32 bits; a range that is wider ends there.
    pub fn get_u32(self) -> u32 {
        u32::try_from(self.0).unwrap_or(u32::MAX)
    }
}

impl<const MIN: u64, const MAX: u64> Value for Number<MIN, MAX> {
    fn read(value: Toml) -> Result<Self, String> {
        let number = match &value {
            Toml::Integer(number) => u64::try_from(*number).ok(),
            Toml::String(text) => text.parse().ok(),
            _ => None,
        };
        let number = number.filter(|number| (MIN..=MAX).contains(number));
        number.map(Self).ok_or_else(|| not(&value, &format!("a whole number from {MIN} to {MAX}")))
    }

    fn show(&self) -> Toml {
        Toml::Integer(i64::try_from(self.0).unwrap_or(i64::MAX))
    }
}
