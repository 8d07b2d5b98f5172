//! Who is in which voice channel of a guild, as far as the guild's events have told.
//!
//! Voice states are shown where the channel is seen, so whoever begins to see a channel has to be told who is in it, and
//! whoever no longer sees it that they are gone: no event says either. The table begins with the snapshot of its guild,
//! which may be ahead of the events; they come in order, so it ends where presence is.

use bytes::Bytes;
use model::{ChannelId, EventKind, GuildId, Intents, UserId};
use rustc_hash::FxHashMap;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::audience::SessionKey;
use crate::live::LiveEvent;
use crate::made::Fresh;
use crate::render::Snapshot;
use crate::session::About;
use crate::shard::Shard;

/// The members that are in voice channels.
#[derive(Debug, Default)]
pub(in crate::shard) struct GuildVoices(FxHashMap<UserId, InChannel>);

#[derive(Debug)]
struct InChannel {
    channel: ChannelId,
    /// The `d` of a VOICE_STATE_UPDATE: the state, or between the halves of a move that the channel before was left.
    data: Bytes,
    is_there: bool,
}

impl GuildVoices {
    pub(in crate::shard) fn new(snapshot: &Snapshot) -> Self {
        let states = snapshot.voice_bodies();
        Self(
            states.map(|(user, channel, data)| (user, InChannel { channel, data, is_there: true })).collect(),
        )
    }

    /// Takes a VOICE_STATE_UPDATE.
    pub(in crate::shard) fn take(&mut self, event: &LiveEvent) {
        let envelope = &event.envelope;
        let Some(user) = envelope.user_id else { return };
        let there = channel_in(&envelope.data);
        match there.or(envelope.moved_to) {
            Some(channel) => {
                let data = envelope.data.clone();
                self.0.insert(user, InChannel { channel, data, is_there: there.is_some() });
            }
            None => drop(self.0.remove(&user)),
        }
    }

    /// The states of those who are in a channel.
    pub(in crate::shard) fn states_in(&self, channel: ChannelId) -> impl Iterator<Item = Bytes> + '_ {
        let there = self.in_channel(channel).filter(|(_, found)| found.is_there);
        there.map(|(_, found)| found.data.clone())
    }

    /// The same of those who are in a channel, or on their way there, as if they had left all.
    pub(in crate::shard) fn leaves_of(
        &self,
        channel: ChannelId,
    ) -> impl Iterator<Item = (UserId, Bytes)> + '_ {
        self.in_channel(channel).filter_map(|(user, found)| Some((user, without_channel(&found.data)?)))
    }

    fn in_channel(&self, channel: ChannelId) -> impl Iterator<Item = (UserId, &InChannel)> {
        self.0.iter().filter(move |(_, found)| found.channel == channel).map(|(user, found)| (*user, found))
    }
}

// === impl Shard ===

impl Shard {
    /// Tells sessions that begin to see a channel who is in it.
    pub(in crate::shard) fn show_voices(
        &mut self,
        guild: GuildId,
        channel: ChannelId,
        sessions: &[SessionKey],
    ) {
        let Some(table) = self.guilds.get(&guild) else { return };
        let states: Vec<_> = table.voices.states_in(channel).collect();
        for data in &states {
            self.tell_voice(data, About::Channel(guild, channel), sessions, None);
        }
    }

    /// Tells sessions that no longer see a channel that who is in it has left, but for users themselves. When the channel is
    /// deleted all do leave.
    pub(in crate::shard) fn hide_voices(
        &mut self,
        guild: GuildId,
        channel: ChannelId,
        sessions: &[SessionKey],
    ) {
        let Some(table) = self.guilds.get(&guild) else { return };
        if !table.channels.contains_key(&channel) {
            return;
        }
        let leaves: Vec<_> = table.voices.leaves_of(channel).collect();
        for (user, data) in &leaves {
            self.tell_voice(data, About::Guild(guild), sessions, Some(*user));
        }
    }

    fn tell_voice(&mut self, data: &[u8], about: About, sessions: &[SessionKey], except: Option<UserId>) {
        let event = Fresh::new(EventKind::VoiceStateUpdate.name(), data);
        for key in sessions {
            let Some(slot) = self.sessions.get(*key) else { continue };
            let is_excepted = except == Some(slot.session.profile.user_id);
            if !is_excepted && slot.session.wants(Intents::GUILD_VOICE_STATES) {
                self.give_own(*key, &event, about);
            }
        }
    }
}

/// Whether the event says that a user is in no voice channel any more, or on the way to another.
pub(in crate::shard) fn has_left(event: &LiveEvent) -> bool {
    event.envelope.kind == EventKind::VoiceStateUpdate && channel_in(&event.envelope.data).is_none()
}

/// The channel that a VOICE_STATE_UPDATE says its user is in.
fn channel_in(data: &[u8]) -> Option<ChannelId> {
    #[derive(Deserialize)]
    struct State {
        channel_id: Option<ChannelId>,
    }
    serde_json::from_slice::<State>(data).ok()?.channel_id
}

fn without_channel(data: &[u8]) -> Option<Bytes> {
    let mut state: Map<String, Value> = serde_json::from_slice(data).ok()?;
    state.insert("channel_id".to_owned(), Value::Null);
    Some(Value::Object(state).to_string().into())
}
