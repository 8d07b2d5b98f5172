//! How the gateway compresses.

use gateway::Compressing;

use super::{Toml, Value, not_text, text};

impl Value for Compressing {
    fn read(value: Toml) -> Result<Self, String> {
        match text(value, ALLOWED)?.as_str() {
            "shared" => Ok(Self::Shared),
            "stream" => Ok(Self::Stream),
            other => Err(not_text(other, ALLOWED)),
        }
    }

    fn show(&self) -> Toml {
        let name = match self {
            Self::Shared => "shared",
            Self::Stream => "stream",
        };
        Toml::String(name.to_owned())
    }
}

const ALLOWED: &str = "shared or stream";
