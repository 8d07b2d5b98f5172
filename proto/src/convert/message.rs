//! Messages and their parts.

use model::Message;
use model::emoji::Emoji;
use model::message::{MessageReference, Nonce, ReactionCount};

use super::{Malformed, all, id, ids, numbers, optional_id, required, small, time, wire};
use crate::v1;

impl From<&Emoji> for v1::Emoji {
    fn from(emoji: &Emoji) -> Self {
        Self { id: emoji.id, name: emoji.name.clone() }
    }
}

impl From<v1::Emoji> for Emoji {
    fn from(emoji: v1::Emoji) -> Self {
        Self { id: emoji.id, name: emoji.name }
    }
}

impl From<&Nonce> for v1::Nonce {
    fn from(nonce: &Nonce) -> Self {
        let value = match nonce {
            Nonce::Text(text) => v1::nonce::Value::Text(text.clone()),
            Nonce::Number(number) => v1::nonce::Value::Number(*number),
        };
        Self { value: Some(value) }
    }
}

impl TryFrom<v1::Nonce> for Nonce {
    type Error = Malformed;

    fn try_from(nonce: v1::Nonce) -> Result<Self, Malformed> {
        Ok(match required("nonce.value", nonce.value)? {
            v1::nonce::Value::Text(text) => Self::Text(text),
            v1::nonce::Value::Number(number) => Self::Number(number),
        })
    }
}

impl From<&MessageReference> for v1::MessageReference {
    fn from(reference: &MessageReference) -> Self {
        Self {
            message_id: reference.message_id.get(),
            channel_id: reference.channel_id.get(),
            guild_id: reference.guild_id.map(u64::from),
        }
    }
}

impl TryFrom<v1::MessageReference> for MessageReference {
    type Error = Malformed;

    fn try_from(reference: v1::MessageReference) -> Result<Self, Malformed> {
        Ok(Self {
            message_id: id("reference.message_id", reference.message_id)?,
            channel_id: id("reference.channel_id", reference.channel_id)?,
            guild_id: optional_id(reference.guild_id),
        })
    }
}

impl From<&ReactionCount> for v1::ReactionCount {
    fn from(reaction: &ReactionCount) -> Self {
        Self { emoji: Some((&reaction.emoji).into()), count: reaction.count }
    }
}

impl TryFrom<v1::ReactionCount> for ReactionCount {
    type Error = Malformed;

    fn try_from(reaction: v1::ReactionCount) -> Result<Self, Malformed> {
        Ok(Self { emoji: required("reaction.emoji", reaction.emoji)?.into(), count: reaction.count })
    }
}

impl From<&Message> for v1::Message {
    fn from(message: &Message) -> Self {
        Self {
            id: message.id.get(),
            channel_id: message.channel_id.get(),
            guild_id: message.guild_id.map(u64::from),
            author_id: message.author_id.get(),
            kind: message.kind.into(),
            content: message.content.clone(),
            edited_at_ms: message.edited_at.map(model::Timestamp::ms),
            tts: message.tts,
            mention_everyone: message.mention_everyone,
            mentions: numbers(&message.mentions),
            mention_roles: numbers(&message.mention_roles),
            embeds_json: message.embeds_json.clone(),
            components_json: message.components_json.clone(),
            flags: message.flags,
            pinned: message.pinned,
            nonce: message.nonce.as_ref().map(Into::into),
            reference: message.reference.as_ref().map(Into::into),
            reactions: wire(&message.reactions),
        }
    }
}

impl TryFrom<v1::Message> for Message {
    type Error = Malformed;

    fn try_from(message: v1::Message) -> Result<Self, Malformed> {
        Ok(Self {
            id: id("message.id", message.id)?,
            channel_id: id("message.channel_id", message.channel_id)?,
            guild_id: optional_id(message.guild_id),
            author_id: id("message.author_id", message.author_id)?,
            kind: small("message.kind", message.kind)?,
            content: message.content,
            edited_at: time(message.edited_at_ms),
            tts: message.tts,
            mention_everyone: message.mention_everyone,
            mentions: ids("message.mentions", &message.mentions)?,
            mention_roles: ids("message.mention_roles", &message.mention_roles)?,
            embeds_json: message.embeds_json,
            components_json: message.components_json,
            flags: message.flags,
            pinned: message.pinned,
            nonce: message.nonce.map(TryInto::try_into).transpose()?,
            reference: message.reference.map(TryInto::try_into).transpose()?,
            reactions: all(message.reactions)?,
        })
    }
}
