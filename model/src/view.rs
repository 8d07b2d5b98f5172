//! A guild reduced to what says who may see what: the view that gateways and the message service keep.
//!
//! Events carry the view-relevant part of an object before and after ([`ViewChange`]); applying them in the order of
//! the guild's revisions keeps a [`GuildView`] equal to the directory's. Objects older than what is there are ignored.

use std::collections::BTreeSet;

use crate::permissions::{self, Standing};
use crate::{
    Channel, ChannelId, ChannelKind, GuildId, Member, Overwrite, Permissions, Role, RoleId, SortedMap,
    Timestamp, UserId,
};

/// What of a channel matters for permissions and sending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelView {
    pub kind: ChannelKind,
    pub overwrites: Vec<Overwrite>,
    /// Slow mode in seconds.
    pub rate_limit_per_user: u32,
}

impl From<&Channel> for ChannelView {
    fn from(channel: &Channel) -> Self {
        Self {
            kind: channel.kind,
            overwrites: channel.overwrites.clone(),
            rate_limit_per_user: channel.rate_limit_per_user,
        }
    }
}

/// What of a member matters for permissions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MemberView {
    pub roles: Vec<RoleId>,
    pub timed_out_until: Option<Timestamp>,
}

impl From<&Member> for MemberView {
    fn from(member: &Member) -> Self {
        Self { roles: member.roles.clone(), timed_out_until: member.communication_disabled_until }
    }
}

/// A change of what can be seen. `None` before: made; `None` after: gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ViewChange {
    Owner {
        before: UserId,
        after: UserId,
    },
    Role {
        id: RoleId,
        before: Option<Permissions>,
        after: Option<Permissions>,
        /// Whether everybody may mention it afterwards.
        mentionable: bool,
    },
    Channel {
        id: ChannelId,
        before: Option<ChannelView>,
        after: Option<ChannelView>,
    },
    Member {
        id: UserId,
        before: Option<MemberView>,
        after: Option<MemberView>,
    },
    /// The guild is gone.
    Deleted,
}

/// A guild's roles and channels as far as permissions are concerned. Members are kept by whoever needs them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuildView {
    pub id: GuildId,
    pub owner_id: UserId,
    /// The highest revision that is in it.
    pub revision: u64,
    pub roles: SortedMap<RoleId, Permissions>,
    /// Those of the roles that everybody may mention.
    pub mentionable: BTreeSet<RoleId>,
    pub channels: SortedMap<ChannelId, ChannelView>,
}

impl GuildView {
    pub fn new(id: GuildId, owner_id: UserId, revision: u64, roles: &[Role], channels: &[Channel]) -> Self {
        Self {
            id,
            owner_id,
            revision,
            roles: roles.iter().map(|role| (role.id, role.permissions)).collect(),
            mentionable: roles.iter().filter(|role| role.mentionable).map(|role| role.id).collect(),
            channels: channels.iter().map(|channel| (channel.id, ChannelView::from(channel))).collect(),
        }
    }

    /// Takes a change with its revision, and says whether it was newer than what is there. Several events may share
    /// one revision: they are parts of one change, and all of them count.
    pub fn apply(&mut self, revision: u64, change: &ViewChange) -> bool {
        if revision < self.revision {
            return false;
        }
        self.revision = revision;
        match change {
            ViewChange::Owner { after, .. } => self.owner_id = *after,
            ViewChange::Role { id, after, mentionable, .. } => {
                self.mentionable.remove(id);
                match after {
                    Some(permissions) => drop(self.roles.insert(*id, *permissions)),
                    None => drop(self.roles.remove(id)),
                }
                self.mentionable.extend((*mentionable && after.is_some()).then_some(*id));
            }
            ViewChange::Channel { id, after: Some(channel), .. } => {
                self.channels.insert(*id, channel.clone());
            }
            ViewChange::Channel { id, after: None, .. } => {
                self.channels.remove(id);
            }
            ViewChange::Member { .. } | ViewChange::Deleted => {}
        }
        true
    }

    /// Permissions in the guild as a whole.
    pub fn base(&self, user_id: UserId, member: &MemberView, now: Timestamp) -> Permissions {
        permissions::base(self.standing(user_id, member, now), |role| self.roles.get(&role).copied())
    }

    /// Permissions in one channel; nothing in a channel that is not there.
    pub fn in_channel(
        &self,
        user_id: UserId,
        member: &MemberView,
        channel_id: ChannelId,
        now: Timestamp,
    ) -> Permissions {
        self.channels.get(&channel_id).map_or(Permissions::NONE, |channel| {
            let standing = self.standing(user_id, member, now);
            let permissions_of = |role| self.roles.get(&role).copied();
            permissions::in_channel(standing, permissions_of, channel.kind, &channel.overwrites)
        })
    }

    fn standing<'a>(&self, user_id: UserId, member: &'a MemberView, now: Timestamp) -> Standing<'a> {
        Standing {
            guild_id: self.id,
            user_id,
            is_owner: user_id == self.owner_id,
            roles: &member.roles,
            is_timed_out: member.timed_out_until.is_some_and(|end| now < end),
        }
    }
}
