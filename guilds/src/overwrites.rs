//! Permission overwrites of a channel. Whoever changes them needs MANAGE_ROLES there, and touches only bits that they
//! have themselves: in the guild, so that who closes a channel can open it again, or in the channel or its category.
//! MANAGE_ROLES itself is for administrators, as it would let its holder hand out all the rest, and for whom an overwrite
//! of the channel gives it: those hand out all the rest.

use async_trait::async_trait;
use model::limits::OVERWRITES_MAX;
use model::{Channel, ChannelId, Overwrite, OverwriteKind, Permissions};
use proto::convert::{all, id};
use proto::failure::{FailureKind, code};
use proto::{Failure, v1};

use crate::channels::put_with_overwrites;
use crate::command::{Change, Command};
use crate::rules::Actor;
use crate::state::GuildState;

#[async_trait]
impl Command for v1::SetOverwriteRequest {
    type Reply = ();

    async fn run(self, at: &mut Change<'_>) -> Result<(), Failure> {
        let actor = at.actor_in_channel(id("actor_id", self.actor_id)?).await?;
        let mut channel = channel_of(at, &actor, self.channel_id)?;
        let overwrite: Overwrite = self.overwrite.unwrap_or_default().try_into()?;
        match overwrite.target {
            OverwriteKind::Role(role) => drop(at.state.role(role)?.id),
            OverwriteKind::Member(user) => drop(at.existing_member(user).await?),
        }
        let before = channel.overwrites.iter().position(|other| other.target == overwrite.target);
        let held = grantable(&actor, at.state, &channel);
        may_change(held, before.map(|index| channel.overwrites[index]), Some(overwrite))?;
        match before {
            Some(index) => channel.overwrites[index] = overwrite,
            None => channel.overwrites.push(overwrite),
        }
        check_count(&channel)?;
        put_with_overwrites(at, channel)?;
        Ok(())
    }
}

#[async_trait]
impl Command for v1::DeleteOverwriteRequest {
    type Reply = ();

    async fn run(self, at: &mut Change<'_>) -> Result<(), Failure> {
        let actor = at.actor_in_channel(id("actor_id", self.actor_id)?).await?;
        let mut channel = channel_of(at, &actor, self.channel_id)?;
        let index = channel.overwrites.iter().position(|other| other.target.id() == self.overwrite_id);
        let index = index.ok_or_else(|| Failure::unknown(code::UNKNOWN_OVERWRITE, "Permission Overwrite"))?;
        may_change(grantable(&actor, at.state, &channel), Some(channel.overwrites[index]), None)?;
        channel.overwrites.remove(index);
        put_with_overwrites(at, channel)?;
        Ok(())
    }
}

fn channel_of(at: &Change<'_>, actor: &Actor<'_>, number: u64) -> Result<Channel, Failure> {
    let channel_id: ChannelId = id("channel_id", number)?;
    let channel = at.state.channel(channel_id)?.clone();
    actor.needs_in(&channel, Permissions::MANAGE_ROLES)?;
    Ok(channel)
}

/// What somebody may allow and deny in a channel that is there.
pub(crate) fn grantable(actor: &Actor<'_>, state: &GuildState, channel: &Channel) -> Permissions {
    let gives_it = |overwrite: &&Overwrite| {
        overwrite.allow.contains(Permissions::MANAGE_ROLES)
            && match overwrite.target {
                OverwriteKind::Role(role) => state.is_everyone(role) || actor.member.roles.contains(&role),
                OverwriteKind::Member(user) => user == actor.id(),
            }
    };
    if channel.overwrites.iter().any(|overwrite| gives_it(&overwrite)) {
        return Permissions::ALL;
    }
    let category = channel.parent_id.and_then(|id| state.channels.get(&id));
    let in_category = category.map_or(Permissions::NONE, |category| actor.in_channel(category));
    grantable_in_guild(actor) | (actor.in_channel(channel) | in_category).without(Permissions::MANAGE_ROLES)
}

/// The same for a channel that is being made.
pub(crate) fn grantable_in_guild(actor: &Actor<'_>) -> Permissions {
    if actor.is_administrator() { Permissions::ALL } else { actor.base.without(Permissions::MANAGE_ROLES) }
}

/// Puts a whole list in the place of a channel's overwrites; of two for one target the later counts.
pub(crate) fn replace(
    channel: &mut Channel,
    list: &v1::OverwriteList,
    held: Permissions,
) -> Result<(), Failure> {
    let mut wanted: Vec<Overwrite> = Vec::new();
    for overwrite in all::<_, Overwrite>(list.overwrites.clone())? {
        wanted.retain(|other| other.target != overwrite.target);
        wanted.push(overwrite);
    }
    put_all(channel, wanted, held)
}

/// The same with overwrites of which each has another target.
pub(crate) fn put_all(
    channel: &mut Channel,
    wanted: Vec<Overwrite>,
    held: Permissions,
) -> Result<(), Failure> {
    let before = std::mem::replace(&mut channel.overwrites, wanted);
    check_count(channel)?;
    let find = |list: &[Overwrite], target| list.iter().find(|other| other.target == target).copied();
    for old in &before {
        may_change(held, Some(*old), find(&channel.overwrites, old.target))?;
    }
    for new in &channel.overwrites {
        may_change(held, find(&before, new.target), Some(*new))?;
    }
    Ok(())
}

fn check_count(channel: &Channel) -> Result<(), Failure> {
    if channel.overwrites.len() <= OVERWRITES_MAX {
        return Ok(());
    }
    let message = format!("Maximum number of channel permission overwrites reached ({OVERWRITES_MAX})");
    Err(Failure::new(FailureKind::Invalid, code::MAX_OVERWRITES, message))
}

fn may_change(held: Permissions, before: Option<Overwrite>, after: Option<Overwrite>) -> Result<(), Failure> {
    let bits = |overwrite: Option<Overwrite>| {
        overwrite.map_or((0, 0), |overwrite| (overwrite.allow.bits(), overwrite.deny.bits()))
    };
    let (old, new) = (bits(before), bits(after));
    let changed = Permissions::from_bits((old.0 ^ new.0) | (old.1 ^ new.1));
    if held.contains(changed) { Ok(()) } else { Err(Failure::missing_permissions()) }
}
