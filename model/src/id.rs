//! Typed snowflake ids. An id is a non-zero 64-bit number that says what it names in its type, is a decimal string in
//! JSON, and is accepted as a string or an integer (discord.py sends integers).

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::num::NonZeroU64;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// What an id names. The markers have no values.
pub mod marker {
    macro_rules! markers {
        ($($name:ident),*) => { $(
            #[doc = concat!("Marks the id of one ", stringify!($name), ".")]
            #[derive(Debug, Clone, Copy)]
            pub enum $name {}
        )* };
    }
    markers!(Application, Channel, Guild, Message, Role, User);
}

pub type ApplicationId = Id<marker::Application>;
pub type ChannelId = Id<marker::Channel>;
pub type GuildId = Id<marker::Guild>;
pub type MessageId = Id<marker::Message>;
pub type RoleId = Id<marker::Role>;
pub type UserId = Id<marker::User>;

/// A snowflake that names one `T`.
pub struct Id<T> {
    value: NonZeroU64,
    marker: PhantomData<fn(T) -> T>,
}

impl<T> Id<T> {
    /// The id with this value, or `None` for zero.
    pub const fn new(value: u64) -> Option<Self> {
        match NonZeroU64::new(value) {
            Some(value) => Some(Self { value, marker: PhantomData }),
            None => None,
        }
    }

    pub const fn get(self) -> u64 {
        self.value.get()
    }

    /// The same number as the name of something else, for the places where the protocol says that two ids are equal
    /// (the everyone role has its guild's id, a bot its application's).
    pub const fn cast<U>(self) -> Id<U> {
        Id { value: self.value, marker: PhantomData }
    }

    /// When the id was made, in milliseconds of the Unix epoch.
    pub const fn created_at_ms(self) -> u64 {
        crate::snowflake::timestamp_ms(self.get())
    }
}

/// The text or number is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a snowflake: expected a decimal number from 1 to 18446744073709551615")]
pub struct InvalidId(String);

impl<T> FromStr for Id<T> {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let value = if digits { text.parse().ok() } else { None };
        value.and_then(Self::new).ok_or_else(|| InvalidId(text.chars().take(40).collect()))
    }
}

impl<T> TryFrom<u64> for Id<T> {
    type Error = InvalidId;

    fn try_from(value: u64) -> Result<Self, InvalidId> {
        Self::new(value).ok_or_else(|| InvalidId("0".into()))
    }
}

impl<T> From<Id<T>> for u64 {
    fn from(id: Id<T>) -> u64 {
        id.get()
    }
}

impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Id<T> {}

impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T> Eq for Id<T> {}

impl<T> PartialOrd for Id<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Id<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.value.cmp(&other.value)
    }
}

impl<T> Hash for Id<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.get());
    }
}

impl<T> fmt::Display for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<T> fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<T> Serialize for Id<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, T> Deserialize<'de> for Id<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(IdVisitor(PhantomData))
    }
}

struct IdVisitor<T>(PhantomData<fn() -> T>);

impl<T> de::Visitor<'_> for IdVisitor<T> {
    type Value = Id<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a snowflake as a string or an integer")
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Id<T>, E> {
        Id::try_from(value).map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Id<T>, E> {
        u64::try_from(value).ok().and_then(Id::new).ok_or_else(|| E::custom(InvalidId(value.to_string())))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Id<T>, E> {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_a_string_and_integers_are_accepted() {
        let id: UserId = serde_json::from_str("\"1573868970921033728\"").unwrap();
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"1573868970921033728\"");
        assert_eq!(serde_json::from_str::<UserId>("1573868970921033728").unwrap(), id);
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in ["0", "\"0\"", "\"\"", "\"+5\"", "-1", "1.5", "null", "\"18446744073709551616\""] {
            assert!(serde_json::from_str::<UserId>(text).is_err(), "{text} was accepted");
        }
    }
}
