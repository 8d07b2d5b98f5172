//! Emoji in reactions: a Unicode one by its text, a custom one by its id.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::limits;

/// An emoji as a reaction names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Emoji {
    /// `None` for a Unicode emoji.
    #[serde(serialize_with = "id_as_string")]
    pub id: Option<u64>,
    pub name: String,
}

fn id_as_string<S: serde::Serializer>(id: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    match id {
        Some(id) => serializer.collect_str(id),
        None => serializer.serialize_none(),
    }
}

/// The text names no emoji.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown emoji: expected a Unicode emoji or name:id")]
pub struct InvalidEmoji;

impl FromStr for Emoji {
    type Err = InvalidEmoji;

    fn from_str(text: &str) -> Result<Self, InvalidEmoji> {
        if let Some((name, id)) = text.rsplit_once(':') {
            let id = id.parse().ok().filter(|id| *id != 0).ok_or(InvalidEmoji)?;
            let valid = (2..=32).contains(&name.len())
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            return if valid { Ok(Self { id: Some(id), name: name.to_owned() }) } else { Err(InvalidEmoji) };
        }
        let plain_ascii = text.chars().all(|c| c.is_ascii() && !c.is_ascii_digit() && c != '#' && c != '*');
        let valid = !text.is_empty() && text.len() <= limits::EMOJI_BYTES_MAX && !plain_ascii;
        let printable = !text.chars().any(|c| c.is_control() || c.is_whitespace() || c.is_alphabetic());
        if valid && printable { Ok(Self { id: None, name: text.to_owned() }) } else { Err(InvalidEmoji) }
    }
}

impl fmt::Display for Emoji {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.id {
            Some(id) => write!(f, "{}:{id}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unicode_and_custom_emoji_are_told_from_other_text() {
        for good in ["👍", "❤️", "👩‍💻", "1️⃣", "blob_wave:1573868970921033728"] {
            assert_eq!(good.parse::<Emoji>().map(|emoji| emoji.to_string()).as_deref(), Ok(good), "{good}");
        }
        for bad in ["", "a", "hello", "x:1", "ab:0", "ab:x", "a b:1", "\u{7}", ":"] {
            assert!(bad.parse::<Emoji>().is_err(), "{bad} was accepted");
        }
    }
}
