//! Changes of what can be seen.

use model::view::{ChannelView, MemberView, ViewChange};
use model::{Permissions, Timestamp};

use super::object::channel_kind;
use super::{Malformed, all, id, ids, numbers, required, time, wire};
use crate::v1;
use crate::v1::view_change::Change;

impl From<&ChannelView> for v1::ChannelView {
    fn from(view: &ChannelView) -> Self {
        Self {
            kind: view.kind.number().into(),
            overwrites: wire(&view.overwrites),
            rate_limit_per_user: view.rate_limit_per_user,
        }
    }
}

impl TryFrom<v1::ChannelView> for ChannelView {
    type Error = Malformed;

    fn try_from(view: v1::ChannelView) -> Result<Self, Malformed> {
        Ok(Self {
            kind: channel_kind("channel_view.kind", view.kind)?,
            overwrites: all(view.overwrites)?,
            rate_limit_per_user: view.rate_limit_per_user,
        })
    }
}

impl From<&MemberView> for v1::MemberView {
    fn from(view: &MemberView) -> Self {
        Self { roles: numbers(&view.roles), timed_out_until_ms: view.timed_out_until.map(Timestamp::ms) }
    }
}

impl TryFrom<v1::MemberView> for MemberView {
    type Error = Malformed;

    fn try_from(view: v1::MemberView) -> Result<Self, Malformed> {
        Ok(Self {
            roles: ids("member_view.roles", &view.roles)?,
            timed_out_until: time(view.timed_out_until_ms),
        })
    }
}

impl From<&ViewChange> for v1::ViewChange {
    fn from(change: &ViewChange) -> Self {
        let change = match change {
            ViewChange::Owner { before, after } => {
                Change::Owner(v1::OwnerChange { before: before.get(), after: after.get() })
            }
            ViewChange::Role { id, before, after, mentionable } => Change::Role(v1::RoleChange {
                id: id.get(),
                before: before.map(Permissions::bits),
                after: after.map(Permissions::bits),
                mentionable: *mentionable,
            }),
            ViewChange::Channel { id, before, after } => Change::Channel(v1::ChannelChange {
                id: id.get(),
                before: before.as_ref().map(Into::into),
                after: after.as_ref().map(Into::into),
            }),
            ViewChange::Member { id, before, after } => Change::Member(v1::MemberChange {
                id: id.get(),
                before: before.as_ref().map(Into::into),
                after: after.as_ref().map(Into::into),
            }),
            ViewChange::Deleted => Change::Deleted(v1::Empty {}),
        };
        Self { change: Some(change) }
    }
}

impl TryFrom<v1::ViewChange> for ViewChange {
    type Error = Malformed;

    fn try_from(change: v1::ViewChange) -> Result<Self, Malformed> {
        Ok(match required("view.change", change.change)? {
            Change::Owner(owner) => Self::Owner {
                before: id("owner.before", owner.before)?,
                after: id("owner.after", owner.after)?,
            },
            Change::Role(role) => Self::Role {
                id: id("role.id", role.id)?,
                before: role.before.map(Permissions::from_bits),
                after: role.after.map(Permissions::from_bits),
                mentionable: role.mentionable,
            },
            Change::Channel(channel) => Self::Channel {
                id: id("channel.id", channel.id)?,
                before: channel.before.map(TryInto::try_into).transpose()?,
                after: channel.after.map(TryInto::try_into).transpose()?,
            },
            Change::Member(member) => Self::Member {
                id: id("member.id", member.id)?,
                before: member.before.map(TryInto::try_into).transpose()?,
                after: member.after.map(TryInto::try_into).transpose()?,
            },
            Change::Deleted(v1::Empty {}) => Self::Deleted,
        })
    }
}
