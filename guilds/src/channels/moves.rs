//! Channels arranged: positions, and from one category to another.
//!
//! An entry that changes a position alone needs the right to manage channels where the channel stands, and not to see
//! it: a list of all positions may hold channels that its sender cannot see. Whoever takes a channel elsewhere needs the
//! right in that channel and where it comes to.

use std::collections::BTreeMap;

use async_trait::async_trait;
use model::limits::POSITION_MAX;
use model::{Channel, ChannelId, Permissions};
use proto::convert::id;
use proto::failure::{FailureKind, code};
use proto::{Failure, v1};

use super::{check_bytes, check_parent};
use crate::command::{Change, Command};
use crate::overwrites;
use crate::rules::Actor;
use crate::state::GuildState;
use crate::validate::Fields;

#[async_trait]
impl Command for v1::MoveChannelsRequest {
    type Reply = ();

    async fn run(self, at: &mut Change<'_>) -> Result<(), Failure> {
        let actor = at.actor(id("actor_id", self.actor_id)?).await?;
        let mut moved: BTreeMap<ChannelId, Channel> = BTreeMap::new();
        for (index, step) in self.moves.iter().enumerate() {
            let channel_id = id("moves.channel_id", step.channel_id)?;
            let before = at.state.channel(channel_id)?;
            let channel = moved.entry(channel_id).or_insert_with(|| before.clone());
            if let Some(position) = step.position {
                let path = format!("{index}.position");
                Fields::default().range(&path, position.into(), 0, POSITION_MAX.into()).finish()?;
                channel.position = position;
            }
            channel.parent_id = step.parent_id.map_or(channel.parent_id, ChannelId::new);
            may_move(&actor, at.state, before, channel)?;
        }
        let is_elsewhere = |channel: &&Channel| at.state.channels[&channel.id].parent_id != channel.parent_id;
        if moved.values().filter(is_elsewhere).count() > 1 {
            let message = "Only one channel can have a parent_id modified at a time";
            return Err(Failure::new(FailureKind::Invalid, code::ONE_PARENT_AT_A_TIME, message));
        }
        check_parents(&self.moves, &moved, at.state)?;
        for step in self.moves.iter().filter(|step| step.lock_permissions) {
            if let Some(channel) = ChannelId::new(step.channel_id).and_then(|id| moved.get_mut(&id)) {
                lock(&actor, at.state, channel)?;
            }
        }
        moved.retain(|id, channel| at.state.channels.get(id) != Some(channel));
        check_bytes(moved.values())?;
        moved.into_values().for_each(|channel| drop(at.put_channel(channel)));
        Ok(())
    }
}

fn may_move(actor: &Actor<'_>, state: &GuildState, before: &Channel, after: &Channel) -> Result<(), Failure> {
    let manages_in = |channel: &Channel| actor.in_channel(channel).contains(Permissions::MANAGE_CHANNELS);
    let manages_at = |parent: Option<ChannelId>| match parent.and_then(|id| state.channels.get(&id)) {
        Some(parent) => manages_in(parent),
        None => actor.base.contains(Permissions::MANAGE_CHANNELS),
    };
    if after.parent_id != before.parent_id {
        let may = manages_in(before) && manages_at(after.parent_id);
        return if may { Ok(()) } else { Err(Failure::missing_access()) };
    }
    if manages_at(before.parent_id) { Ok(()) } else { actor.needs(Permissions::MANAGE_CHANNELS) }
}

/// Refuses parents that cannot be, in the guild as it is after all moves.
fn check_parents(
    moves: &[v1::ChannelMove],
    moved: &BTreeMap<ChannelId, Channel>,
    state: &GuildState,
) -> Result<(), Failure> {
    let mut errors = Fields::default();
    for (index, step) in moves.iter().enumerate() {
        let Some(channel) = ChannelId::new(step.channel_id).and_then(|id| moved.get(&id)) else { continue };
        if let Some(parent) = step.parent_id {
            let after = state.channels.values().map(|channel| moved.get(&channel.id).unwrap_or(channel));
            check_parent(&mut errors, &format!("{index}.parent_id"), parent, channel, state, after);
        }
    }
    errors.finish()
}

/// Gives a channel that has come into another category the category's overwrites.
fn lock(actor: &Actor<'_>, state: &GuildState, channel: &mut Channel) -> Result<(), Failure> {
    let before = &state.channels[&channel.id];
    let Some(parent) = channel.parent_id.filter(|parent| before.parent_id != Some(*parent)) else {
        return Ok(());
    };
    actor.needs_in(before, Permissions::MANAGE_ROLES)?;
    let wanted = state.channel(parent)?.overwrites.clone();
    overwrites::put_all(channel, wanted, overwrites::grantable(actor, state, before))
}
