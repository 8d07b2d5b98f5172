//! Who may do what. Pure: a state, a member and a time give an answer or a precise refusal.
//!
//! Somebody's *rank* is their highest role. Nobody changes what stands as high as they do or higher; the owner stands
//! above everybody. Between roles the higher position wins, at the same position the older role.

use std::cmp::Reverse;

use model::permissions::{self, Standing};
use model::{Channel, Member, Permissions, Role, Timestamp, UserId};
use proto::Failure;

use crate::state::GuildState;

/// Somebody who asks for something in a guild.
pub(crate) struct Actor<'a> {
    state: &'a GuildState,
    pub(crate) member: Member,
    pub(crate) base: Permissions,
    now: Timestamp,
}

/// A height in the hierarchy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    Role(u32, Reverse<u64>),
    Owner,
}

impl Rank {
    pub(crate) fn of_role(role: &Role) -> Self {
        Self::Role(role.position, Reverse(role.id.get()))
    }

    pub(crate) fn of_member(state: &GuildState, member: &Member) -> Self {
        if member.user.id == state.guild.owner_id {
            return Self::Owner;
        }
        let everyone = Self::Role(0, Reverse(state.guild.id.get()));
        let roles = member.roles.iter().filter_map(|role| state.roles.get(role));
        roles.map(Self::of_role).max().map_or(everyone, |rank| rank.max(everyone))
    }
}

// === impl Actor ===

impl<'a> Actor<'a> {
    pub(crate) fn new(state: &'a GuildState, member: Member, now: Timestamp) -> Self {
        let member = state.clean(member);
        let base = permissions::base(standing(state, &member, now), |role| state.permissions_of(role));
        Self { state, member, base, now }
    }

    pub(crate) fn id(&self) -> UserId {
        self.member.user.id
    }

    pub(crate) fn is_owner(&self) -> bool {
        self.id() == self.state.guild.owner_id
    }

    pub(crate) fn is_administrator(&self) -> bool {
        self.base.contains(Permissions::ADMINISTRATOR)
    }

    pub(crate) fn in_channel(&self, channel: &Channel) -> Permissions {
        let standing = standing(self.state, &self.member, self.now);
        let permissions_of = |role| self.state.permissions_of(role);
        permissions::in_channel(standing, permissions_of, channel.kind, &channel.overwrites)
    }

    pub(crate) fn sees(&self, channel: &Channel) -> bool {
        self.in_channel(channel).contains(Permissions::VIEW_CHANNEL)
    }

    /// Refuses who lacks one of these in the guild.
    pub(crate) fn needs(&self, permissions: Permissions) -> Result<(), Failure> {
        if self.base.contains(permissions) { Ok(()) } else { Err(Failure::missing_permissions()) }
    }

    /// Refuses who may not see the channel, then who lacks one of these in it.
    pub(crate) fn needs_in(&self, channel: &Channel, permissions: Permissions) -> Result<(), Failure> {
        let held = self.in_channel(channel);
        if !held.contains(Permissions::VIEW_CHANNEL) {
            return Err(Failure::missing_access());
        }
        if held.contains(permissions) { Ok(()) } else { Err(Failure::missing_permissions()) }
    }

    pub(crate) fn needs_ownership(&self) -> Result<(), Failure> {
        if self.is_owner() { Ok(()) } else { Err(Failure::missing_permissions()) }
    }

    pub(crate) fn rank(&self) -> Rank {
        Rank::of_member(self.state, &self.member)
    }

    /// Refuses who does not stand above the role.
    pub(crate) fn outranks_role(&self, role: &Role) -> Result<(), Failure> {
        if self.rank() > Rank::of_role(role) { Ok(()) } else { Err(Failure::missing_permissions()) }
    }

    /// Refuses who does not stand above the member.
    pub(crate) fn outranks(&self, member: &Member) -> Result<(), Failure> {
        let above = self.rank() > Rank::of_member(self.state, member);
        if above { Ok(()) } else { Err(Failure::missing_permissions()) }
    }

    /// Refuses to hand out what one does not have.
    pub(crate) fn may_grant(&self, permissions: Permissions) -> Result<(), Failure> {
        self.needs(permissions)
    }
}

fn standing<'a>(state: &GuildState, member: &'a Member, now: Timestamp) -> Standing<'a> {
    Standing {
        guild_id: state.guild.id,
        user_id: member.user.id,
        is_owner: member.user.id == state.guild.owner_id,
        roles: &member.roles,
        is_timed_out: member.communication_disabled_until.is_some_and(|end| now < end),
    }
}
