//! Channels and their permission overwrites.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::{ChannelId, GuildId, MessageId, Permissions, RoleId, User, UserId};

/// What a channel is for. Numbers are the protocol's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ChannelKind {
    Text = 0,
    Direct = 1,
    Voice = 2,
    Category = 4,
    Announcement = 5,
}

impl ChannelKind {
    pub const fn number(self) -> u8 {
        self as u8
    }

    pub const fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::Text,
            1 => Self::Direct,
            2 => Self::Voice,
            4 => Self::Category,
            5 => Self::Announcement,
            _ => return None,
        })
    }

    /// Whether messages can be sent to it.
    pub const fn has_messages(self) -> bool {
        !matches!(self, Self::Category)
    }
}

/// A channel of a guild, or a private one (then `guild_id` is `None` and `recipients` has the other users).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    pub id: ChannelId,
    pub kind: ChannelKind,
    pub guild_id: Option<GuildId>,
    pub name: String,
    pub position: u32,
    pub parent_id: Option<ChannelId>,
    pub topic: Option<String>,
    pub nsfw: bool,
    /// Slow mode: seconds that a user waits between two messages.
    pub rate_limit_per_user: u32,
    pub bitrate: u32,
    pub user_limit: u32,
    pub rtc_region: Option<String>,
    pub overwrites: Vec<Overwrite>,
    pub last_message_id: Option<MessageId>,
    pub recipients: Vec<User>,
    /// The guild's revision that made this state.
    pub revision: u64,
}

impl Channel {
    pub fn new(id: ChannelId, guild_id: GuildId, kind: ChannelKind, name: impl Into<String>) -> Self {
        Self {
            id,
            kind,
            guild_id: Some(guild_id),
            name: name.into(),
            position: 0,
            parent_id: None,
            topic: None,
            nsfw: false,
            rate_limit_per_user: 0,
            bitrate: 64_000,
            user_limit: 0,
            rtc_region: None,
            overwrites: Vec::new(),
            last_message_id: None,
            recipients: Vec::new(),
            revision: 0,
        }
    }

    /// The private channel with these users.
    pub fn private(id: ChannelId, recipients: Vec<User>) -> Self {
        // Of what only channels of guilds have nothing is shown.
        let blank = Self::new(id, id.cast(), ChannelKind::Direct, "");
        Self { guild_id: None, recipients, ..blank }
    }
}

impl Serialize for Channel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("type", &self.kind.number())?;
        map.serialize_entry("last_message_id", &self.last_message_id)?;
        map.serialize_entry("flags", &0)?;
        let Some(guild_id) = self.guild_id else {
            map.serialize_entry("recipients", &self.recipients)?;
            return map.end();
        };
        map.serialize_entry("guild_id", &guild_id)?;
        map.serialize_entry("name", &self.name)?;
        map.serialize_entry("position", &self.position)?;
        map.serialize_entry("parent_id", &self.parent_id)?;
        map.serialize_entry("permission_overwrites", &self.overwrites)?;
        map.serialize_entry("nsfw", &self.nsfw)?;
        if self.kind.has_messages() {
            map.serialize_entry("topic", &self.topic)?;
            map.serialize_entry("rate_limit_per_user", &self.rate_limit_per_user)?;
            map.serialize_entry("last_pin_timestamp", &None::<()>)?;
        }
        if self.kind == ChannelKind::Voice {
            map.serialize_entry("bitrate", &self.bitrate)?;
            map.serialize_entry("user_limit", &self.user_limit)?;
            map.serialize_entry("rtc_region", &self.rtc_region)?;
            map.serialize_entry("video_quality_mode", &1)?;
        }
        map.end()
    }
}

/// Whom an overwrite is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OverwriteKind {
    Role(RoleId),
    Member(UserId),
}

impl OverwriteKind {
    /// The protocol's number of the kind: 0 for a role, 1 for a member.
    pub const fn number(self) -> u8 {
        match self {
            Self::Role(_) => 0,
            Self::Member(_) => 1,
        }
    }

    pub const fn id(self) -> u64 {
        match self {
            Self::Role(id) => id.get(),
            Self::Member(id) => id.get(),
        }
    }
}

/// What a channel allows or denies one role or member beyond the guild's roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Overwrite {
    pub target: OverwriteKind,
    pub allow: Permissions,
    pub deny: Permissions,
}

impl Serialize for Overwrite {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("id", &self.target.id().to_string())?;
        map.serialize_entry("type", &self.target.number())?;
        map.serialize_entry("allow", &self.allow)?;
        map.serialize_entry("deny", &self.deny)?;
        map.end()
    }
}
