//! Users, guilds, roles, channels, members, invites.

use model::channel::ChannelKind;
use model::role::{RoleColors, RoleTags};
use model::{Channel, Guild, Invite, Member, Overwrite, OverwriteKind, Permissions, Role, Timestamp, User};

use super::{Malformed, all, id, ids, numbers, optional_id, required, small, time, wire};
use crate::v1;

impl From<&User> for v1::User {
    fn from(user: &User) -> Self {
        Self {
            id: user.id.get(),
            username: user.username.clone(),
            global_name: user.global_name.clone(),
            avatar: user.avatar.clone(),
            bot: user.bot,
            public_flags: user.public_flags,
            accent_color: user.accent_color,
        }
    }
}

impl TryFrom<v1::User> for User {
    type Error = Malformed;

    fn try_from(user: v1::User) -> Result<Self, Malformed> {
        Ok(Self {
            global_name: user.global_name,
            avatar: user.avatar,
            public_flags: user.public_flags,
            accent_color: user.accent_color,
            ..Self::new(id("user.id", user.id)?, user.username, user.bot)
        })
    }
}

impl From<&Guild> for v1::Guild {
    fn from(guild: &Guild) -> Self {
        Self {
            id: guild.id.get(),
            name: guild.name.clone(),
            icon: guild.icon.clone(),
            description: guild.description.clone(),
            owner_id: guild.owner_id.get(),
            afk_channel_id: guild.afk_channel_id.map(u64::from),
            afk_timeout: guild.afk_timeout,
            verification_level: guild.verification_level.into(),
            default_message_notifications: guild.default_message_notifications.into(),
            explicit_content_filter: guild.explicit_content_filter.into(),
            system_channel_id: guild.system_channel_id.map(u64::from),
            system_channel_flags: guild.system_channel_flags,
            rules_channel_id: guild.rules_channel_id.map(u64::from),
            preferred_locale: guild.preferred_locale.clone(),
            member_count: guild.member_count,
            revision: guild.revision,
        }
    }
}

impl TryFrom<v1::Guild> for Guild {
    type Error = Malformed;

    fn try_from(guild: v1::Guild) -> Result<Self, Malformed> {
        Ok(Self {
            id: id("guild.id", guild.id)?,
            name: guild.name,
            icon: guild.icon,
            description: guild.description,
            owner_id: id("guild.owner_id", guild.owner_id)?,
            afk_channel_id: optional_id(guild.afk_channel_id),
            afk_timeout: guild.afk_timeout,
            verification_level: small("guild.verification_level", guild.verification_level)?,
            default_message_notifications: small(
                "guild.default_message_notifications",
                guild.default_message_notifications,
            )?,
            explicit_content_filter: small("guild.explicit_content_filter", guild.explicit_content_filter)?,
            system_channel_id: optional_id(guild.system_channel_id),
            system_channel_flags: guild.system_channel_flags,
            rules_channel_id: optional_id(guild.rules_channel_id),
            preferred_locale: guild.preferred_locale,
            member_count: guild.member_count,
            revision: guild.revision,
        })
    }
}

impl From<&Role> for v1::Role {
    fn from(role: &Role) -> Self {
        Self {
            id: role.id.get(),
            name: role.name.clone(),
            color: role.color,
            hoist: role.hoist,
            icon: role.icon.clone(),
            unicode_emoji: role.unicode_emoji.clone(),
            position: role.position,
            permissions: role.permissions.bits(),
            managed: role.managed,
            mentionable: role.mentionable,
            bot_id: role.tags.bot_id.map(u64::from),
        }
    }
}

impl TryFrom<v1::Role> for Role {
    type Error = Malformed;

    fn try_from(role: v1::Role) -> Result<Self, Malformed> {
        Ok(Self {
            color: role.color,
            colors: RoleColors { primary_color: role.color, ..RoleColors::default() },
            hoist: role.hoist,
            icon: role.icon,
            unicode_emoji: role.unicode_emoji,
            position: role.position,
            managed: role.managed,
            mentionable: role.mentionable,
            tags: RoleTags { bot_id: optional_id(role.bot_id) },
            ..Self::new(id("role.id", role.id)?, role.name, Permissions::from_bits(role.permissions))
        })
    }
}

impl From<&Overwrite> for v1::Overwrite {
    fn from(overwrite: &Overwrite) -> Self {
        Self {
            id: overwrite.target.id(),
            kind: overwrite.target.number().into(),
            allow: overwrite.allow.bits(),
            deny: overwrite.deny.bits(),
        }
    }
}

impl TryFrom<v1::Overwrite> for Overwrite {
    type Error = Malformed;

    fn try_from(overwrite: v1::Overwrite) -> Result<Self, Malformed> {
        let target = match overwrite.kind {
            0 => OverwriteKind::Role(id("overwrite.id", overwrite.id)?),
            1 => OverwriteKind::Member(id("overwrite.id", overwrite.id)?),
            _ => return Err(Malformed::new("overwrite.kind", "expected 0 for a role or 1 for a member")),
        };
        let (allow, deny) = (Permissions::from_bits(overwrite.allow), Permissions::from_bits(overwrite.deny));
        Ok(Self { target, allow, deny })
    }
}

impl From<&Channel> for v1::Channel {
    fn from(channel: &Channel) -> Self {
        Self {
            id: channel.id.get(),
            kind: channel.kind.number().into(),
            guild_id: channel.guild_id.map(u64::from),
            name: channel.name.clone(),
            position: channel.position,
            parent_id: channel.parent_id.map(u64::from),
            topic: channel.topic.clone(),
            nsfw: channel.nsfw,
            rate_limit_per_user: channel.rate_limit_per_user,
            bitrate: channel.bitrate,
            user_limit: channel.user_limit,
            rtc_region: channel.rtc_region.clone(),
            overwrites: wire(&channel.overwrites),
            last_message_id: channel.last_message_id.map(u64::from),
            recipients: wire(&channel.recipients),
            revision: channel.revision,
        }
    }
}

impl TryFrom<v1::Channel> for Channel {
    type Error = Malformed;

    fn try_from(channel: v1::Channel) -> Result<Self, Malformed> {
        Ok(Self {
            id: id("channel.id", channel.id)?,
            kind: channel_kind("channel.kind", channel.kind)?,
            guild_id: optional_id(channel.guild_id),
            name: channel.name,
            position: channel.position,
            parent_id: optional_id(channel.parent_id),
            topic: channel.topic,
            nsfw: channel.nsfw,
            rate_limit_per_user: channel.rate_limit_per_user,
            bitrate: channel.bitrate,
            user_limit: channel.user_limit,
            rtc_region: channel.rtc_region,
            overwrites: all(channel.overwrites)?,
            last_message_id: optional_id(channel.last_message_id),
            recipients: all(channel.recipients)?,
            revision: channel.revision,
        })
    }
}

pub(super) fn channel_kind(field: &'static str, number: u32) -> Result<ChannelKind, Malformed> {
    ChannelKind::from_number(number).ok_or(Malformed::new(field, "no such channel type"))
}

impl From<&Member> for v1::Member {
    fn from(member: &Member) -> Self {
        Self {
            guild_id: member.guild_id.get(),
            user: Some((&member.user).into()),
            nick: member.nick.clone(),
            roles: numbers(&member.roles),
            joined_at_ms: member.joined_at.ms(),
            deaf: member.deaf,
            mute: member.mute,
            pending: member.pending,
            communication_disabled_until_ms: member.communication_disabled_until.map(Timestamp::ms),
            revision: member.revision,
        }
    }
}

impl TryFrom<v1::Member> for Member {
    type Error = Malformed;

    fn try_from(member: v1::Member) -> Result<Self, Malformed> {
        let user = required("member.user", member.user)?.try_into()?;
        let joined_at = Timestamp::from_ms(member.joined_at_ms);
        Ok(Self {
            nick: member.nick,
            roles: ids("member.roles", &member.roles)?,
            deaf: member.deaf,
            mute: member.mute,
            pending: member.pending,
            communication_disabled_until: time(member.communication_disabled_until_ms),
            revision: member.revision,
            ..Self::new(id("member.guild_id", member.guild_id)?, user, joined_at)
        })
    }
}

impl From<&Invite> for v1::Invite {
    fn from(invite: &Invite) -> Self {
        Self {
            code: invite.code.clone(),
            guild_id: invite.guild_id.get(),
            channel_id: invite.channel_id.get(),
            inviter_id: invite.inviter_id.get(),
            created_at_ms: invite.created_at.ms(),
            max_age_secs: invite.max_age,
            max_uses: invite.max_uses,
            uses: invite.uses,
            temporary: invite.temporary,
        }
    }
}

impl TryFrom<v1::Invite> for Invite {
    type Error = Malformed;

    fn try_from(invite: v1::Invite) -> Result<Self, Malformed> {
        Ok(Self {
            code: invite.code,
            guild_id: id("invite.guild_id", invite.guild_id)?,
            channel_id: id("invite.channel_id", invite.channel_id)?,
            inviter_id: id("invite.inviter_id", invite.inviter_id)?,
            created_at: Timestamp::from_ms(invite.created_at_ms),
            max_age: invite.max_age_secs,
            max_uses: invite.max_uses,
            uses: invite.uses,
            temporary: invite.temporary,
        })
    }
}
