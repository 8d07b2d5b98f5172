//! Guilds: the communities that channels, roles and members belong to.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::{ChannelId, GuildId, Role, UserId};

/// A guild without its channels, roles and members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guild {
    pub id: GuildId,
    pub name: String,
    pub icon: Option<String>,
    pub description: Option<String>,
    pub owner_id: UserId,
    pub afk_channel_id: Option<ChannelId>,
    /// Seconds: 60, 300, 900, 1800 or 3600. JDA takes no other.
    pub afk_timeout: u32,
    pub verification_level: u8,
    pub default_message_notifications: u8,
    pub explicit_content_filter: u8,
    pub system_channel_id: Option<ChannelId>,
    pub system_channel_flags: u32,
    pub rules_channel_id: Option<ChannelId>,
    pub preferred_locale: String,
    pub member_count: u64,
    /// Raised by every change of the guild and of what belongs to it.
    pub revision: u64,
}

impl Guild {
    pub fn new(id: GuildId, name: impl Into<String>, owner_id: UserId) -> Self {
        Self {
            id,
            name: name.into(),
            icon: None,
            description: None,
            owner_id,
            afk_channel_id: None,
            afk_timeout: 300,
            verification_level: 0,
            default_message_notifications: 0,
            explicit_content_filter: 0,
            system_channel_id: None,
            system_channel_flags: 0,
            rules_channel_id: None,
            preferred_locale: "en-US".into(),
            member_count: 0,
            revision: 0,
        }
    }
}

/// A guild object of the protocol: the guild with its roles. GUILD_UPDATE, and what REST answers.
#[derive(Debug, Clone, Copy)]
pub struct GuildObject<'a> {
    pub guild: &'a Guild,
    pub roles: &'a [Role],
}

impl GuildObject<'_> {
    /// Writes the fields into a map that may hold others (GUILD_CREATE has more).
    pub fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let guild = self.guild;
        map.serialize_entry("id", &guild.id)?;
        map.serialize_entry("name", &guild.name)?;
        map.serialize_entry("icon", &guild.icon)?;
        map.serialize_entry("splash", &None::<()>)?;
        map.serialize_entry("discovery_splash", &None::<()>)?;
        map.serialize_entry("banner", &None::<()>)?;
        map.serialize_entry("description", &guild.description)?;
        map.serialize_entry("owner_id", &guild.owner_id)?;
        map.serialize_entry("region", "automatic")?;
        map.serialize_entry("afk_channel_id", &guild.afk_channel_id)?;
        map.serialize_entry("afk_timeout", &guild.afk_timeout)?;
        map.serialize_entry("verification_level", &guild.verification_level)?;
        map.serialize_entry("default_message_notifications", &guild.default_message_notifications)?;
        map.serialize_entry("explicit_content_filter", &guild.explicit_content_filter)?;
        map.serialize_entry("roles", self.roles)?;
        map.serialize_entry("emojis", &[(); 0])?;
        map.serialize_entry("stickers", &[(); 0])?;
        map.serialize_entry("features", &[(); 0])?;
        map.serialize_entry("mfa_level", &0)?;
        map.serialize_entry("application_id", &None::<()>)?;
        map.serialize_entry("system_channel_id", &guild.system_channel_id)?;
        map.serialize_entry("system_channel_flags", &guild.system_channel_flags)?;
        map.serialize_entry("rules_channel_id", &guild.rules_channel_id)?;
        map.serialize_entry("public_updates_channel_id", &None::<()>)?;
        map.serialize_entry("safety_alerts_channel_id", &None::<()>)?;
        map.serialize_entry("max_presences", &None::<()>)?;
        map.serialize_entry("max_members", &crate::limits::GUILD_MEMBERS_MAX)?;
        map.serialize_entry("vanity_url_code", &None::<()>)?;
        map.serialize_entry("premium_tier", &0)?;
        map.serialize_entry("premium_subscription_count", &0)?;
        map.serialize_entry("preferred_locale", &guild.preferred_locale)?;
        map.serialize_entry("nsfw", &false)?;
        map.serialize_entry("nsfw_level", &0)?;
        map.serialize_entry("premium_progress_bar_enabled", &false)
    }
}

impl Serialize for GuildObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.write(&mut map)?;
        map.end()
    }
}
