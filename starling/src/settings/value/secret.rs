//! Keys.

use std::fmt;

use super::{Toml, Value};

/// A key of 32 bytes that is never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(pub Option<[u8; 32]>);

impl Value for Secret {
    fn read(value: Toml) -> Result<Self, String> {
        // The value itself is not repeated: it may be a secret with a typing error.
        const ALLOWED: &str = "the value is not allowed; expected 64 hex digits, or nothing";
        let Toml::String(text) = value else { return Err(ALLOWED.to_owned()) };
        if text.is_empty() {
            return Ok(Self(None));
        }
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(ALLOWED.to_owned());
        }
        let mut key = [0; 32];
        for (index, byte) in key.iter_mut().enumerate() {
            let digits = &text[index * 2..index * 2 + 2];
            *byte = u8::from_str_radix(digits, 16).expect("all of them are hex digits");
        }
        Ok(Self(Some(key)))
    }

    fn show(&self) -> Toml {
        Toml::String(if self.0.is_some() { "(secret)".to_owned() } else { String::new() })
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Secret(set)" } else { "Secret(none)" })
    }
}
