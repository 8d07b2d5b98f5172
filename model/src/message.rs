//! Messages. A stored message names users by id; what clients see is rendered with the users as they are now.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::emoji::Emoji;
use crate::{ChannelId, ChannelKind, GuildId, Member, MessageId, RoleId, Timestamp, User, UserId};

/// What the protocol calls the message's type; others are not made here.
pub const TYPE_DEFAULT: u8 = 0;
/// A message that answers another.
pub const TYPE_REPLY: u8 = 19;

/// A message as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub id: MessageId,
    pub channel_id: ChannelId,
    pub guild_id: Option<GuildId>,
    pub author_id: UserId,
    pub kind: u8,
    pub content: String,
    pub edited_at: Option<Timestamp>,
    pub tts: bool,
    pub mention_everyone: bool,
    pub mentions: Vec<UserId>,
    pub mention_roles: Vec<RoleId>,
    /// A JSON array, checked when it was received; empty text for none.
    pub embeds_json: String,
    /// Likewise.
    pub components_json: String,
    pub flags: u32,
    pub pinned: bool,
    pub nonce: Option<Nonce>,
    pub reference: Option<MessageReference>,
    pub reactions: Vec<ReactionCount>,
}

/// What a client gave to recognise its own message by: a string or an integer, echoed as it came.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub enum Nonce {
    Text(String),
    Number(i64),
}

/// The message that this one answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageReference {
    pub message_id: MessageId,
    pub channel_id: ChannelId,
    pub guild_id: Option<GuildId>,
}

/// How many users reacted with one emoji, oldest emoji first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReactionCount {
    pub emoji: Emoji,
    pub count: u32,
}

/// A message with everything that its JSON shows.
#[derive(Debug, Clone, Copy)]
pub struct MessageObject<'a> {
    pub message: &'a Message,
    pub author: &'a User,
    /// The mentioned users, as far as they are known.
    pub mentions: &'a [User],
    /// Present in gateway events of guilds only.
    pub member: Option<&'a Member>,
    /// Whose reactions are marked as `me`: emoji that the reader used.
    pub reacted: &'a [Emoji],
    /// The answered message, if this is an answer and it still exists.
    pub referenced: Option<&'a MessageObject<'a>>,
    /// Leaves out content, embeds, attachments and components (no MESSAGE_CONTENT intent).
    pub strip_content: bool,
    /// Adds `guild_id` and `member`, or the `channel_type` of a private channel: gateway events have them, REST answers do not.
    pub in_event: bool,
}

impl Serialize for MessageObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let message = self.message;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &message.id)?;
        map.serialize_entry("channel_id", &message.channel_id)?;
        map.serialize_entry("type", &message.kind)?;
        map.serialize_entry("author", self.author)?;
        map.serialize_entry("timestamp", &Timestamp::from_ms(message.id.created_at_ms()))?;
        map.serialize_entry("edited_timestamp", &message.edited_at)?;
        map.serialize_entry("content", if self.strip_content { "" } else { &message.content })?;
        map.serialize_entry("embeds", raw(&message.embeds_json, self.strip_content))?;
        map.serialize_entry("components", raw(&message.components_json, self.strip_content))?;
        map.serialize_entry("attachments", &[(); 0])?;
        map.serialize_entry("tts", &message.tts)?;
        map.serialize_entry("mention_everyone", &message.mention_everyone)?;
        map.serialize_entry("mentions", self.mentions)?;
        map.serialize_entry("mention_roles", &message.mention_roles)?;
        map.serialize_entry("pinned", &message.pinned)?;
        map.serialize_entry("flags", &message.flags)?;
        if let Some(nonce) = &message.nonce {
            map.serialize_entry("nonce", nonce)?;
        }
        self.write_reactions(&mut map)?;
        self.write_reference(&mut map)?;
        if self.in_event {
            match message.guild_id {
                Some(guild_id) => map.serialize_entry("guild_id", &guild_id)?,
                // Without it discord.js does not know what channel this is.
                None => map.serialize_entry("channel_type", &ChannelKind::Direct.number())?,
            }
            if let Some(member) = self.member {
                map.serialize_entry("member", &member.without_user())?;
            }
        }
        map.end()
    }
}

impl MessageObject<'_> {
    fn write_reactions<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        if self.message.reactions.is_empty() {
            return Ok(());
        }
        let reactions: Vec<_> =
            self.message.reactions.iter().map(|reaction| self.reaction(reaction)).collect();
        map.serialize_entry("reactions", &reactions)
    }

    fn reaction<'b>(&self, reaction: &'b ReactionCount) -> ReactionJson<'b> {
        ReactionJson {
            emoji: &reaction.emoji,
            count: reaction.count,
            count_details: CountDetails { burst: 0, normal: reaction.count },
            burst_colors: [],
            me_burst: false,
            me: self.reacted.contains(&reaction.emoji),
        }
    }

    fn write_reference<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let Some(reference) = &self.message.reference else { return Ok(()) };
        map.serialize_entry(
            "message_reference",
            &ReferenceJson {
                kind: 0,
                message_id: reference.message_id,
                channel_id: reference.channel_id,
                guild_id: reference.guild_id,
            },
        )?;
        map.serialize_entry("referenced_message", &self.referenced)
    }
}

fn raw(json: &str, strip: bool) -> &RawValue {
    let json = if strip || json.is_empty() { "[]" } else { json };
    serde_json::from_str(json).unwrap_or_else(|_| serde_json::from_str("[]").expect("an empty array is JSON"))
}

#[derive(Serialize)]
struct ReactionJson<'a> {
    emoji: &'a Emoji,
    count: u32,
    count_details: CountDetails,
    burst_colors: [(); 0],
    me_burst: bool,
    me: bool,
}

#[derive(Serialize)]
struct CountDetails {
    burst: u32,
    normal: u32,
}

#[derive(Serialize)]
struct ReferenceJson {
    #[serde(rename = "type")]
    kind: u8,
    message_id: MessageId,
    channel_id: ChannelId,
    #[serde(skip_serializing_if = "Option::is_none")]
    guild_id: Option<GuildId>,
}
