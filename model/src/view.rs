//! A guild reduced to what says who may see what: the view that gateways and the message service keep.
//!
//! Events carry the view-relevant part of an object before and after ([`ViewChange`]); applying them in the order of
//! the guild's revisions keeps a [`GuildView`] equal to the directory's. Objects older than what is there are ignored.

use std::collections::{BTreeMap, BTreeSet};

use crate::permissions::{self, Standing};
use crate::{
    Channel, ChannelId, ChannelKind, GuildId, Member, Overwrite, Permissions, Role, RoleId, Timestamp, UserId,
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
    pub roles: BTreeMap<RoleId, Permissions>,
    /// Those of the roles that everybody may mention.
    pub mentionable: BTreeSet<RoleId>,
    pub channels: BTreeMap<ChannelId, ChannelView>,
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

    /// Takes a change back, which must be the newest that is in it: who sees what is then as before it. The revision
    /// becomes the one before. Which roles everybody may mention is not kept right, as a change does not say it.
    pub fn revert(&mut self, revision: u64, change: &ViewChange) {
        self.revision = revision.saturating_sub(1);
        match change {
            ViewChange::Owner { before, .. } => self.owner_id = *before,
            ViewChange::Role { id, before: Some(permissions), .. } => {
                self.roles.insert(*id, *permissions);
            }
            ViewChange::Role { id, before: None, .. } => drop(self.roles.remove(id)),
            ViewChange::Channel { id, before: Some(channel), .. } => {
                self.channels.insert(*id, channel.clone());
            }
            ViewChange::Channel { id, before: None, .. } => drop(self.channels.remove(id)),
            ViewChange::Member { .. } | ViewChange::Deleted => {}
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_back_is_as_before() {
        let (guild, owner) = (GuildId::new(1).unwrap(), UserId::new(2).unwrap());
        let (role, channel) = (RoleId::new(3).unwrap(), ChannelId::new(4).unwrap());
        let shape =
            |slow| ChannelView { kind: ChannelKind::Text, overwrites: vec![], rate_limit_per_user: slow };
        let permissions = Some(Permissions::VIEW_CHANNEL);
        let role = |before, after| ViewChange::Role { id: role, before, after, mentionable: false };
        let channel = |before, after| ViewChange::Channel { id: channel, before, after };
        let changes = [
            role(None, permissions),
            channel(None, Some(shape(0))),
            ViewChange::Owner { before: owner, after: UserId::new(5).unwrap() },
            channel(Some(shape(0)), Some(shape(9))),
            role(permissions, Some(Permissions::NONE)),
            channel(Some(shape(9)), None),
            role(Some(Permissions::NONE), None),
        ];
        let mut view = GuildView::new(guild, owner, 1, &[], &[]);
        let mut before = Vec::new();
        for (revision, change) in (2..).zip(&changes) {
            before.push(view.clone());
            assert!(view.apply(revision, change));
        }
        for (revision, (change, before)) in
            (2_u64..).zip(changes.iter().zip(before)).collect::<Vec<_>>().into_iter().rev()
        {
            view.revert(revision, change);
            assert_eq!(view, before);
        }
    }
}
