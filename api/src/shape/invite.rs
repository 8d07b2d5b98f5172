//! Invites.

use model::{Channel, Guild, Invite, User};
use proto::{Malformed, v1};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::json;

/// How much of an invite is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// To whoever has the code.
    Public { with_counts: bool },
    /// To who manages it: with its uses.
    Metadata,
}

/// An invite with what it leads to.
pub(crate) struct InviteObject {
    invite: Invite,
    guild: Guild,
    channel: Channel,
    inviter: Option<User>,
    pub(crate) detail: Detail,
}

impl InviteObject {
    pub(crate) fn new(details: v1::InviteDetails, detail: Detail) -> Result<Self, Malformed> {
        let missing = |field| Malformed::new(field, "it is missing");
        Ok(Self {
            invite: details.invite.ok_or(missing("details.invite"))?.try_into()?,
            guild: details.guild.ok_or(missing("details.guild"))?.try_into()?,
            channel: details.channel.ok_or(missing("details.channel"))?.try_into()?,
            inviter: details.inviter.map(User::try_from).transpose()?,
            detail,
        })
    }
}

impl Serialize for InviteObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (invite, guild, channel) = (&self.invite, &self.guild, &self.channel);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", &0)?;
        map.serialize_entry("code", &invite.code)?;
        map.serialize_entry("guild_id", &guild.id)?;
        map.serialize_entry("guild", &partial_guild(guild))?;
        let kind = channel.kind.number();
        map.serialize_entry("channel", &json!({"id": channel.id, "name": channel.name, "type": kind}))?;
        if let Some(inviter) = &self.inviter {
            map.serialize_entry("inviter", inviter)?;
        }
        map.serialize_entry("expires_at", &invite.expires_at())?;
        match self.detail {
            Detail::Public { with_counts: false } => {}
            Detail::Public { with_counts: true } => {
                map.serialize_entry("approximate_member_count", &guild.member_count)?;
            }
            Detail::Metadata => {
                map.serialize_entry("uses", &invite.uses)?;
                map.serialize_entry("max_uses", &invite.max_uses)?;
                map.serialize_entry("max_age", &invite.max_age)?;
                map.serialize_entry("temporary", &invite.temporary)?;
                map.serialize_entry("created_at", &invite.created_at)?;
            }
        }
        map.end()
    }
}

/// A guild as somebody sees it who is not in it.
fn partial_guild(guild: &Guild) -> serde_json::Value {
    json!({
        "id": guild.id,
        "name": guild.name,
        "icon": guild.icon,
        "splash": null,
        "banner": null,
        "description": guild.description,
        "features": [],
        "verification_level": guild.verification_level,
        "vanity_url_code": null,
        "nsfw_level": 0,
        "premium_subscription_count": 0,
    })
}
