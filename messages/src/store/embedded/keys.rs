//! Every key that the message service persists in the embedded engine, and the values.
//!
//! All numbers are big-endian, so the order of bytes is the order of numbers.
//!
//! | table | key | value |
//! |---|---|---|
//! | `messages` | channel u64, ten-day bucket u32, id u64 ([`MessageKey`]) | version u8, `starling.v1.Message` |
//! | `reactions` | channel u64, message u64, emoji, user u64 ([`ReactionKey`]) | empty |
//! | `message_senders` | channel u64, user u64 ([`SenderKey`]) | id of the user's last message u64 |
//! | `message_lasts` | channel u64 ([`LastKey`]) | id of the channel's last message u64 |
//!
//! An emoji is 0, length u8 and its text, or 1 and its id u64: no emoji's bytes begin another's. The bucket follows from
//! the id and keeps its order, so a channel's messages lie in order of id; it is in the key because a partition of the
//! cluster's tables is (channel, bucket), and both forms share this shape.

use model::emoji::Emoji;
use model::{ChannelId, Message, MessageId, UserId};
use prost::Message as _;
use proto::v1;

use crate::store::StoreError;

pub const MESSAGES_TABLE: &str = "messages";
pub const REACTIONS_TABLE: &str = "reactions";
pub const SENDERS_TABLE: &str = "message_senders";
pub const LASTS_TABLE: &str = "message_lasts";

/// The version of message values that is written; the next one is read as well, without what it has added.
const VERSION: u8 = 1;
const VERSION_NEXT: u8 = VERSION + 1;
const BUCKET_MS: u64 = 10 * 86_400_000;

/// The ten-day bucket of an id.
pub fn bucket(id: u64) -> u32 {
    (model::snowflake::timestamp_ms(id) / BUCKET_MS) as u32
}

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageKey {
    pub channel: ChannelId,
    pub id: u64,
}

impl MessageKey {
    /// Before all messages of a channel.
    pub const fn first(channel: ChannelId) -> Self {
        Self { channel, id: 0 }
    }

    /// After all keys of a channel.
    pub fn end(channel: ChannelId) -> Vec<u8> {
        let mut key = Self { channel, id: u64::MAX }.encode();
        key.push(0);
        key
    }

    pub fn encode(self) -> Vec<u8> {
        let mut key = Vec::with_capacity(21);
        key.extend(self.channel.get().to_be_bytes());
        key.extend(bucket(self.id).to_be_bytes());
        key.extend(self.id.to_be_bytes());
        key
    }

    /// The key with these bytes; `None` if they are none.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let key = Self { channel: ChannelId::new(number(bytes.get(..8)?)?)?, id: number(bytes.get(12..)?)? };
        (key.encode() == bytes).then_some(key)
    }
}

/// One user's reaction.
#[derive(Debug, Clone, Copy)]
pub struct ReactionKey<'a> {
    pub channel: ChannelId,
    pub message: MessageId,
    pub emoji: &'a Emoji,
    pub user: UserId,
}

impl ReactionKey<'_> {
    /// Of all reactions to a message.
    pub fn message_prefix(channel: ChannelId, message: MessageId) -> Vec<u8> {
        [channel.get().to_be_bytes(), message.get().to_be_bytes()].concat()
    }

    /// Of all reactions with one emoji.
    pub fn emoji_prefix(channel: ChannelId, message: MessageId, emoji: &Emoji) -> Vec<u8> {
        [Self::message_prefix(channel, message), emoji_bytes(emoji)].concat()
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut key = Self::emoji_prefix(self.channel, self.message, self.emoji);
        key.extend(self.user.get().to_be_bytes());
        key
    }

    /// The user in a key.
    pub fn user_of(bytes: &[u8]) -> Result<UserId, StoreError> {
        let user = bytes.len().checked_sub(8).and_then(|at| number(&bytes[at..])).and_then(UserId::new);
        user.ok_or_else(|| corrupt(bytes, "a reaction without a user"))
    }
}

/// An emoji as keys have it; none begins another.
pub fn emoji_bytes(emoji: &Emoji) -> Vec<u8> {
    match emoji.id {
        Some(id) => [&[1], &id.to_be_bytes()[..]].concat(),
        None => {
            let text = emoji.name.as_bytes();
            let text = &text[..text.len().min(usize::from(u8::MAX))];
            [&[0, text.len() as u8], text].concat()
        }
    }
}

/// When a user last sent to a channel with slow mode.
#[derive(Debug, Clone, Copy)]
pub struct SenderKey {
    pub channel: ChannelId,
    pub user: UserId,
}

impl SenderKey {
    pub fn encode(self) -> Vec<u8> {
        [self.channel.get().to_be_bytes(), self.user.get().to_be_bytes()].concat()
    }
}

/// The newest message that a channel ever had.
#[derive(Debug, Clone, Copy)]
pub struct LastKey {
    pub channel: ChannelId,
}

impl LastKey {
    pub fn encode(self) -> [u8; 8] {
        self.channel.get().to_be_bytes()
    }
}

/// The value of a message row.
pub fn encode_message(message: &Message) -> Vec<u8> {
    let message = v1::Message::from(message);
    let mut value = Vec::with_capacity(1 + message.encoded_len());
    value.push(VERSION);
    message.encode(&mut value).expect("a vector takes any length");
    value
}

/// The message in a row.
pub fn decode_message(key: &[u8], value: &[u8]) -> Result<Message, StoreError> {
    let Some((VERSION..=VERSION_NEXT, value)) = value.split_first() else {
        return Err(corrupt(key, "its version is unknown here"));
    };
    let message = v1::Message::decode(value).map_err(|error| corrupt(key, error))?;
    Message::try_from(message).map_err(|error| corrupt(key, error))
}

/// The value of a row that is one number.
pub fn decode_number(key: &[u8], value: &[u8]) -> Result<u64, StoreError> {
    number(value).ok_or_else(|| corrupt(key, "its value is not eight bytes"))
}

fn number(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_be_bytes)
}

fn corrupt(key: &[u8], problem: impl ToString) -> StoreError {
    StoreError::Corrupt { key: key.to_vec(), problem: problem.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn message_keys_round_trip_and_sort_like_ids(channel in 1_u64.., first: u64, second: u64) {
            let channel = ChannelId::new(channel).unwrap();
            let (first, second) = (MessageKey { channel, id: first }, MessageKey { channel, id: second });
            prop_assert_eq!(MessageKey::decode(&first.encode()), Some(first));
            prop_assert_eq!(first.encode().cmp(&second.encode()), first.id.cmp(&second.id));
            prop_assert!(first.encode() < MessageKey::end(channel));
        }

        #[test]
        fn values_of_any_bytes_decode_or_fail(bytes: Vec<u8>) {
            let _ = decode_message(b"key", &bytes);
        }
    }

    #[test]
    fn no_emoji_begins_another() {
        let emoji = |id, name: &str| Emoji { id, name: name.into() };
        let all = [emoji(None, "👍"), emoji(None, "👍🏽"), emoji(Some(7), "a"), emoji(Some(8), "a")];
        let one = (ChannelId::new(1).unwrap(), MessageId::new(2).unwrap());
        for (index, first) in all.iter().enumerate() {
            for (other, second) in all.iter().enumerate() {
                let first = ReactionKey::emoji_prefix(one.0, one.1, first);
                let second = ReactionKey::emoji_prefix(one.0, one.1, second);
                assert_eq!(second.starts_with(&first), index == other);
            }
        }
    }
}
