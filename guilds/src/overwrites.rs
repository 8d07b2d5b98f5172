//! Permission overwrites of a channel. Whoever changes them needs MANAGE_ROLES there, and touches only bits that they
//! have themselves; MANAGE_ROLES itself is for administrators, as it would let its holder hand out all the rest.

use async_trait::async_trait;
use model::limits::OVERWRITES_MAX;
use model::{Channel, ChannelId, Overwrite, OverwriteKind, Permissions};
use proto::convert::{all, id};
use proto::failure::code;
use proto::{Failure, v1};

use crate::command::{Change, Command};
use crate::rules::Actor;
use crate::validate::Fields;

#[async_trait]
impl Command for v1::SetOverwriteRequest {
    type Reply = ();

    async fn run(self, at: &mut Change<'_>) -> Result<(), Failure> {
        let actor = at.actor(id("actor_id", self.actor_id)?).await?;
        let mut channel = channel_of(at, &actor, self.channel_id)?;
        let overwrite: Overwrite = self.overwrite.unwrap_or_default().try_into()?;
        match overwrite.target {
            OverwriteKind::Role(role) => drop(at.state.role(role)?.id),
            OverwriteKind::Member(user) => drop(at.existing_member(user).await?),
        }
        let before = channel.overwrites.iter().position(|other| other.target == overwrite.target);
        may_change(
            &actor,
            before.map(|index| channel.overwrites[index]),
            Some(overwrite),
            actor.in_channel(&channel),
        )?;
        match before {
            Some(index) => channel.overwrites[index] = overwrite,
            None => channel.overwrites.push(overwrite),
        }
        check_count(&channel)?;
        at.put_channel(channel);
        Ok(())
    }
}

#[async_trait]
impl Command for v1::DeleteOverwriteRequest {
    type Reply = ();

    async fn run(self, at: &mut Change<'_>) -> Result<(), Failure> {
        let actor = at.actor(id("actor_id", self.actor_id)?).await?;
        let mut channel = channel_of(at, &actor, self.channel_id)?;
        let index = channel.overwrites.iter().position(|other| other.target.id() == self.overwrite_id);
        let index = index.ok_or_else(|| Failure::unknown(code::UNKNOWN_OVERWRITE, "Permission Overwrite"))?;
        may_change(&actor, Some(channel.overwrites[index]), None, actor.in_channel(&channel))?;
        channel.overwrites.remove(index);
        at.put_channel(channel);
        Ok(())
    }
}

fn channel_of(at: &Change<'_>, actor: &Actor<'_>, number: u64) -> Result<Channel, Failure> {
    let channel_id: ChannelId = id("channel_id", number)?;
    let channel = at.state.channel(channel_id)?.clone();
    actor.needs_in(&channel, Permissions::MANAGE_ROLES)?;
    Ok(channel)
}

/// Puts a whole list in the place of a channel's overwrites; none given changes nothing.
pub(crate) fn replace(
    actor: &Actor<'_>,
    channel: &mut Channel,
    list: Option<&v1::OverwriteList>,
    held: Permissions,
) -> Result<(), Failure> {
    let Some(list) = list else { return Ok(()) };
    let mut wanted: Vec<Overwrite> = Vec::new();
    for overwrite in all::<_, Overwrite>(list.overwrites.clone())? {
        wanted.retain(|other| other.target != overwrite.target);
        wanted.push(overwrite);
    }
    let before = std::mem::replace(&mut channel.overwrites, wanted);
    check_count(channel)?;
    let find = |list: &[Overwrite], target| list.iter().find(|other| other.target == target).copied();
    for old in &before {
        may_change(actor, Some(*old), find(&channel.overwrites, old.target), held)?;
    }
    for new in &channel.overwrites {
        may_change(actor, find(&before, new.target), Some(*new), held)?;
    }
    Ok(())
}

fn check_count(channel: &Channel) -> Result<(), Failure> {
    if channel.overwrites.len() <= OVERWRITES_MAX {
        return Ok(());
    }
    let message = format!("Must be {OVERWRITES_MAX} or fewer in length.");
    Fields::default().error("permission_overwrites", "BASE_TYPE_MAX_LENGTH", message).finish()
}

fn may_change(
    actor: &Actor<'_>,
    before: Option<Overwrite>,
    after: Option<Overwrite>,
    held: Permissions,
) -> Result<(), Failure> {
    let bits = |overwrite: Option<Overwrite>| {
        overwrite.map_or((0, 0), |overwrite| (overwrite.allow.bits(), overwrite.deny.bits()))
    };
    let (old, new) = (bits(before), bits(after));
    let changed = Permissions::from_bits((old.0 ^ new.0) | (old.1 ^ new.1));
    let is_allowed = if actor.is_administrator() {
        true
    } else {
        held.contains(changed) && !changed.contains(Permissions::MANAGE_ROLES)
    };
    if is_allowed { Ok(()) } else { Err(Failure::missing_permissions()) }
}
