//! Channels of a guild: made, changed, deleted. [`moves`] has how they are arranged, [`sync`] what a category and its
//! channels have to do with each other.

mod moves;
mod sync;

use async_trait::async_trait;
use model::limits::{
    BITRATE_MAX, BITRATE_MIN, CATEGORY_CHANNELS_MAX, CHANGE_BYTES_MAX, CHANNEL_NAME_CHARS_MAX,
    CHANNEL_TOPIC_CHARS_MAX, GUILD_CHANNELS_MAX, POSITION_MAX, RTC_REGION_CHARS_MAX, SLOWMODE_SECS_MAX,
    VOICE_USERS_MAX,
};
use model::{Channel, ChannelId, ChannelKind, Permissions};
use proto::convert::id;
use proto::failure::{FailureKind, code};
use proto::{Failure, v1};

use crate::command::{Change, Command};
use crate::overwrites;
use crate::rules::Actor;
use crate::state::GuildState;
use crate::validate::Fields;

pub(crate) use sync::put_with_overwrites;

#[async_trait]
impl Command for v1::CreateChannelRequest {
    type Reply = Channel;

    async fn run(self, at: &mut Change<'_>) -> Result<Channel, Failure> {
        let actor = at.actor(id("actor_id", self.actor_id)?).await?;
        let fields = self.fields.unwrap_or_default();
        let parent = fields.parent_id.and_then(ChannelId::new).and_then(|id| at.state.channels.get(&id));
        may_place(&actor, parent)?;
        Fields::default().required("name", fields.name.as_deref(), CHANNEL_NAME_CHARS_MAX).finish()?;
        let kind = kind_of(fields.kind.unwrap_or(0))?;
        if at.state.channels.len() >= GUILD_CHANNELS_MAX {
            let message = format!("Maximum number of server channels reached ({GUILD_CHANNELS_MAX})");
            return Err(Failure::new(FailureKind::Invalid, code::MAX_CHANNELS, message));
        }
        let mut channel = Channel::new(at.changes.ledger.next_id(), at.guild.id, kind, "");
        channel.position = next_position(at.state, kind);
        check(&fields, &channel, at.state)?;
        // Some libraries send an empty list where their caller gave none.
        match fields.overwrites.as_ref().filter(|list| !list.overwrites.is_empty()) {
            Some(list) => overwrites::replace(&mut channel, list, overwrites::grantable_in_guild(&actor))?,
            None => channel.overwrites = parent.map(|parent| parent.overwrites.clone()).unwrap_or_default(),
        }
        apply(fields, &mut channel);
        Ok(at.put_channel(channel))
    }
}

#[async_trait]
impl Command for v1::EditChannelRequest {
    type Reply = Channel;

    async fn run(self, at: &mut Change<'_>) -> Result<Channel, Failure> {
        let actor = at.actor_in_channel(id("actor_id", self.actor_id)?).await?;
        let mut channel = at.state.channel(id("channel_id", self.channel_id)?)?.clone();
        actor.needs_in(&channel, Permissions::MANAGE_CHANNELS)?;
        let fields = self.fields.unwrap_or_default();
        if let Some(kind) = fields.kind {
            channel.kind = changed_kind(channel.kind, kind)?;
        }
        if let Some(parent) = fields.parent_id.map(ChannelId::new)
            && parent != channel.parent_id
        {
            may_place(&actor, parent.and_then(|id| at.state.channels.get(&id)))?;
        }
        check(&fields, &channel, at.state)?;
        if let Some(list) = &fields.overwrites {
            actor.needs_in(&channel, Permissions::MANAGE_ROLES)?;
            let held = overwrites::grantable(&actor, at.state, &channel);
            overwrites::replace(&mut channel, list, held)?;
        }
        apply(fields, &mut channel);
        put_with_overwrites(at, channel)
    }
}

#[async_trait]
impl Command for v1::DeleteChannelRequest {
    type Reply = Channel;

    async fn run(self, at: &mut Change<'_>) -> Result<Channel, Failure> {
        let actor: Actor<'_> = at.actor_in_channel(id("actor_id", self.actor_id)?).await?;
        let channel = at.state.channel(id("channel_id", self.channel_id)?)?.clone();
        actor.needs_in(&channel, Permissions::MANAGE_CHANNELS)?;
        for invite in at.changes.store.invites_of(at.guild.id).await? {
            if invite.channel_id == channel.id {
                at.delete_invite(&invite);
            }
        }
        for child in at.state.channels.values().filter(|child| child.parent_id == Some(channel.id)) {
            at.put_channel(Channel { parent_id: None, ..child.clone() });
        }
        at.delete_channel(&channel);
        let before = at.guild.clone();
        for place in
            [&mut at.guild.afk_channel_id, &mut at.guild.system_channel_id, &mut at.guild.rules_channel_id]
        {
            *place = place.filter(|id| *id != channel.id);
        }
        if before != at.guild {
            at.put_guild();
        }
        Ok(channel)
    }
}

/// Refuses who may not put channels there: into this channel, which should be a category, or else at the top of the
/// guild.
fn may_place(actor: &Actor<'_>, parent: Option<&Channel>) -> Result<(), Failure> {
    match parent {
        Some(parent) => actor.needs_in(parent, Permissions::MANAGE_CHANNELS),
        None => actor.needs(Permissions::MANAGE_CHANNELS),
    }
}

/// Refuses channels that together are too much for one change.
fn check_bytes<'a>(channels: impl IntoIterator<Item = &'a Channel>) -> Result<(), Failure> {
    if channels.into_iter().map(change_bytes).sum::<usize>() <= CHANGE_BYTES_MAX {
        return Ok(());
    }
    let message = "These channels have too many permission overwrites to be changed at once";
    Err(Failure::new(FailureKind::Invalid, code::CHANNELS_TOO_LARGE, message))
}

/// What changing a channel stores at most, about: its row, and its event with the overwrites from before and after.
/// A character takes up to six bytes in the event.
pub(crate) fn change_bytes(channel: &Channel) -> usize {
    let texts = channel.name.len() + channel.topic.as_ref().map_or(0, String::len);
    1_024 + 8 * texts + 256 * channel.overwrites.len()
}

/// The type of a channel that a guild can have.
fn kind_of(number: u32) -> Result<ChannelKind, Failure> {
    let kind = ChannelKind::from_number(number).filter(|kind| *kind != ChannelKind::Direct);
    kind.ok_or_else(|| {
        let mut fields = Fields::default();
        let refused = fields.choice("type", number, &[0, 2, 4, 5]).finish();
        refused.expect_err("every other number is a channel type of guilds")
    })
}

/// Only text and announcement channels turn into each other.
fn changed_kind(before: ChannelKind, number: u32) -> Result<ChannelKind, Failure> {
    let kind = kind_of(number)?;
    let is_text = |kind| matches!(kind, ChannelKind::Text | ChannelKind::Announcement);
    if kind != before && !(is_text(kind) && is_text(before)) {
        Fields::default().choice("type", number, &[before.number().into()]).finish()?;
    }
    Ok(kind)
}

/// Behind the last channel of its group: those that hold voice stand apart, and so do categories.
fn next_position(state: &GuildState, kind: ChannelKind) -> u32 {
    let group = |kind| match kind {
        ChannelKind::Voice => 1,
        ChannelKind::Category => 2,
        _ => 0,
    };
    let same = state.channels.values().filter(|channel| group(channel.kind) == group(kind));
    same.map(|channel| channel.position + 1).max().unwrap_or(0)
}

fn check(fields: &v1::ChannelFields, channel: &Channel, state: &GuildState) -> Result<(), Failure> {
    let mut errors = Fields::default();
    if let Some(name) = &fields.name {
        errors.length("name", name.trim(), 1, CHANNEL_NAME_CHARS_MAX);
    }
    if let Some(topic) = &fields.topic {
        errors.max_length("topic", topic, CHANNEL_TOPIC_CHARS_MAX);
    }
    if let Some(region) = &fields.rtc_region {
        errors.max_length("rtc_region", region, RTC_REGION_CHARS_MAX);
    }
    let ranges = [
        ("position", fields.position, 0, POSITION_MAX),
        ("rate_limit_per_user", fields.rate_limit_per_user, 0, SLOWMODE_SECS_MAX),
        ("bitrate", fields.bitrate, BITRATE_MIN, BITRATE_MAX),
        ("user_limit", fields.user_limit, 0, VOICE_USERS_MAX),
    ];
    for (path, value, min, max) in ranges {
        if let Some(value) = value {
            errors.range(path, value.into(), min.into(), max.into());
        }
    }
    if let Some(parent) = fields.parent_id {
        check_parent(&mut errors, "parent_id", parent, channel, state, state.channels.values());
    }
    errors.finish()
}

/// `channels` are those of the guild, among which the category's are counted.
fn check_parent<'a>(
    errors: &mut Fields,
    path: &str,
    parent: u64,
    channel: &Channel,
    state: &GuildState,
    channels: impl Iterator<Item = &'a Channel>,
) {
    let Some(parent) = ChannelId::new(parent) else { return };
    let category = state.channels.get(&parent).filter(|parent| parent.kind == ChannelKind::Category);
    if category.is_none() {
        errors.error(path, "CHANNEL_PARENT_INVALID", "Category does not exist");
    } else if channel.kind == ChannelKind::Category {
        errors.error(path, "CHANNEL_PARENT_INVALID_TYPE", "Categories cannot have parent channels");
    } else {
        let others = channels.filter(|other| other.parent_id == Some(parent));
        if others.filter(|other| other.id != channel.id).count() >= CATEGORY_CHANNELS_MAX {
            let message = format!("Maximum number of channels in category reached ({CATEGORY_CHANNELS_MAX})");
            errors.error(path, "CHANNEL_PARENT_MAX_CHANNELS", message);
        }
    }
}

fn apply(fields: v1::ChannelFields, channel: &mut Channel) {
    let text = |text: String| (!text.is_empty()).then_some(text);
    if let Some(name) = fields.name {
        channel.name = shown_name(channel.kind, &name);
    }
    if let Some(topic) = fields.topic {
        channel.topic = text(topic);
    }
    if let Some(region) = fields.rtc_region {
        channel.rtc_region = text(region);
    }
    if let Some(parent) = fields.parent_id {
        channel.parent_id = ChannelId::new(parent);
    }
    channel.position = fields.position.unwrap_or(channel.position);
    channel.nsfw = fields.nsfw.unwrap_or(channel.nsfw);
    channel.rate_limit_per_user = fields.rate_limit_per_user.unwrap_or(channel.rate_limit_per_user);
    channel.bitrate = fields.bitrate.unwrap_or(channel.bitrate);
    channel.user_limit = fields.user_limit.unwrap_or(channel.user_limit);
}

/// Text channels are written in lower case with hyphens, as everywhere in this protocol.
fn shown_name(kind: ChannelKind, name: &str) -> String {
    let name = name.trim();
    if !matches!(kind, ChannelKind::Text | ChannelKind::Announcement) {
        return name.to_owned();
    }
    name.to_lowercase().split_whitespace().collect::<Vec<_>>().join("-")
}
