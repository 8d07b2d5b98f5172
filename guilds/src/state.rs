//! The committed state of a guild as its actor holds it: guild, roles, channels. Members are rows.

use std::collections::BTreeMap;

use model::{Channel, ChannelId, Guild, Member, Permissions, Role, RoleId};
use proto::convert::wire;
use proto::failure::{Failure, code};
use proto::v1;

use crate::store::{GuildRows, Write};

#[derive(Debug, Clone)]
pub(crate) struct GuildState {
    pub(crate) guild: Guild,
    pub(crate) roles: BTreeMap<RoleId, Role>,
    pub(crate) channels: BTreeMap<ChannelId, Channel>,
    /// The guild was deleted: nothing is left to change.
    pub(crate) is_gone: bool,
}

impl From<GuildRows> for GuildState {
    fn from(rows: GuildRows) -> Self {
        Self {
            guild: rows.guild,
            roles: rows.roles.into_iter().map(|role| (role.id, role)).collect(),
            channels: rows.channels.into_iter().map(|channel| (channel.id, channel)).collect(),
            is_gone: false,
        }
    }
}

impl GuildState {
    /// Takes over what was committed.
    pub(crate) fn apply(&mut self, write: &Write) {
        match write {
            Write::PutGuild(guild) => self.guild = guild.clone(),
            Write::DeleteGuild(_) => self.is_gone = true,
            Write::PutRole(_, role) => {
                self.roles.insert(role.id, role.clone());
            }
            Write::DeleteRole(_, role) => {
                self.roles.remove(role);
            }
            Write::PutChannel(channel) => {
                self.channels.insert(channel.id, channel.clone());
            }
            Write::DeleteChannel(_, channel) => {
                self.channels.remove(channel);
            }
            _ => {}
        }
    }

    pub(crate) fn role(&self, id: RoleId) -> Result<&Role, Failure> {
        self.roles.get(&id).ok_or_else(|| Failure::unknown(code::UNKNOWN_ROLE, "Role"))
    }

    pub(crate) fn channel(&self, id: ChannelId) -> Result<&Channel, Failure> {
        self.channels.get(&id).ok_or_else(unknown_channel)
    }

    pub(crate) fn permissions_of(&self, role: RoleId) -> Option<Permissions> {
        self.roles.get(&role).map(|role| role.permissions)
    }

    /// Whether this is the role that everybody has.
    pub(crate) fn is_everyone(&self, role: RoleId) -> bool {
        role == self.guild.id.cast()
    }

    /// The member without roles that are gone: deleting a role does not touch the members who had it.
    pub(crate) fn clean(&self, mut member: Member) -> Member {
        member.roles.retain(|role| self.roles.contains_key(role));
        member
    }

    pub(crate) fn rows(&self) -> GuildRows {
        GuildRows {
            guild: self.guild.clone(),
            roles: self.roles.values().cloned().collect(),
            channels: self.channels.values().cloned().collect(),
        }
    }

    /// The guild as callers get it, with those channels that `sees` lets through.
    pub(crate) fn details(&self, sees: impl Fn(&Channel) -> bool) -> v1::GuildDetails {
        v1::GuildDetails {
            guild: Some((&self.guild).into()),
            roles: self.roles.values().map(Into::into).collect(),
            channels: self.channels.values().filter(|channel| sees(channel)).map(Into::into).collect(),
        }
    }
}

pub(crate) fn unknown_channel() -> Failure {
    Failure::unknown(code::UNKNOWN_CHANNEL, "Channel")
}

pub(crate) fn unknown_guild() -> Failure {
    Failure::unknown(code::UNKNOWN_GUILD, "Guild")
}

pub(crate) fn unknown_member() -> Failure {
    Failure::unknown(code::UNKNOWN_MEMBER, "Member")
}

pub(crate) fn unknown_user() -> Failure {
    Failure::unknown(code::UNKNOWN_USER, "User")
}

/// Members for an answer.
pub(crate) fn members_reply(members: &[Member]) -> v1::MembersReply {
    v1::MembersReply { members: wire(members) }
}
