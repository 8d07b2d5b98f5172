//! The table of a guild that has sessions on this shard.

use std::collections::VecDeque;

use bytes::Bytes;
use model::{ChannelId, EventKind, GuildId, UserId, limits};
use rustc_hash::{FxHashMap, FxHashSet};

use super::Shard;
use crate::audience::{Audience, SessionKey};
use crate::live::LiveEvent;
use crate::render::Snapshot;
use crate::stats::Count;

pub(super) mod voices;

use voices::GuildVoices;

pub(super) struct GuildTable {
    pub(super) audience: Audience,
    /// The highest revision that the table is known to hold, from its snapshot or from an event.
    pub(super) reached: u64,
    /// The highest sequence that was taken: all who have the guild open were given it, if it was for them.
    pub(super) taken: u64,
    /// The highest revision and the highest sequence that a GUILD_CREATE here had: what is above them is news to all.
    opened_at: (u64, u64),
    /// The JSON of each channel, for the CHANNEL_CREATE and CHANNEL_DELETE of those who gain or lose sight of it.
    pub(super) channels: FxHashMap<ChannelId, Bytes>,
    pub(super) voices: GuildVoices,
    /// Voice channels that are gone, and who saw them: they hear of those who thereby left.
    deleted: VecDeque<DeletedChannel>,
}

pub(super) struct DeletedChannel {
    pub(super) id: ChannelId,
    pub(super) viewers: FxHashSet<UserId>,
}

impl GuildTable {
    pub(super) fn new(snapshot: &Snapshot) -> Self {
        Self {
            audience: Audience::new(snapshot.view()),
            reached: snapshot.guild.revision,
            taken: 0,
            opened_at: (0, 0),
            channels: snapshot.channel_bodies().collect(),
            voices: GuildVoices::new(snapshot),
            deleted: VecDeque::new(),
        }
    }

    /// A session was given a GUILD_CREATE of this revision, when the guild's subject had this last sequence.
    pub(super) fn opened(&mut self, revision: u64, sequence: u64) {
        self.opened_at = (self.opened_at.0.max(revision), self.opened_at.1.max(sequence));
    }

    /// Whether no session's GUILD_CREATE had the event.
    pub(super) fn is_news_to_all(&self, event: &LiveEvent) -> bool {
        event.is_after(self.opened_at.0, self.opened_at.1)
    }

    /// Learns what an event says whoever is given it.
    pub(super) fn note(&mut self, event: &LiveEvent) {
        self.taken = self.taken.max(event.sequence);
        if let Some(revision) = event.envelope.revision {
            self.reached = self.reached.max(revision);
        }
        if event.envelope.kind == EventKind::VoiceStateUpdate {
            self.voices.take(event);
        }
    }

    pub(super) fn remember(&mut self, channel: DeletedChannel) {
        if self.deleted.len() >= limits::VOICE_CHANNELS_DELETED_MAX {
            self.deleted.pop_front();
        }
        self.deleted.push_back(channel);
    }

    /// Whether the event says that somebody left a channel which has been deleted since, and which the user saw.
    pub(super) fn saw(&self, user: UserId, event: &LiveEvent) -> bool {
        self.deleted_before(event).any(|deleted| deleted.viewers.contains(&user))
    }

    /// The sessions of those who saw a deleted channel that somebody is said to have left.
    pub(super) fn former_viewers(&self, event: &LiveEvent) -> impl Iterator<Item = SessionKey> {
        let users = self.deleted_before(event).flat_map(|deleted| &deleted.viewers);
        users.flat_map(|user| self.audience.sessions_of(*user))
    }

    /// The deleted channel that the event says was left. That somebody joined it is told to nobody any more.
    fn deleted_before(&self, event: &LiveEvent) -> impl Iterator<Item = &DeletedChannel> {
        let deleted = self.deleted.iter().filter(|deleted| Some(deleted.id) == event.envelope.channel_id);
        deleted.filter(|_| voices::has_left(event))
    }
}

impl Shard {
    /// The session leaves the guild's audience; the table goes with the last one.
    pub(super) fn leave_audience(&mut self, guild: GuildId, user_id: UserId, key: SessionKey) {
        if let Some(table) = self.guilds.get_mut(&guild) {
            table.audience.leave(user_id, key);
        }
        if let Some(openings) = self.openings.get_mut(&guild) {
            openings.retain(|opening| opening.session != key);
        }
        self.drop_if_unused(guild);
    }

    /// Forgets the guild when nobody has it open or is opening it.
    pub(super) fn drop_if_unused(&mut self, guild: GuildId) {
        if self.openings.get(&guild).is_some_and(Vec::is_empty) {
            self.openings.remove(&guild);
        }
        if self.guilds.get(&guild).is_some_and(|table| table.audience.is_empty()) {
            self.guilds.remove(&guild);
            self.services.stats.guilds_open.sub(1);
        }
        if !self.guilds.contains_key(&guild) && !self.openings.contains_key(&guild) {
            self.services.interest.remove_guild(guild, self.index);
            self.presences.forget(guild);
        }
    }

    /// Events of these guilds are lost for good: their sessions can't be right any more.
    pub(super) fn lost(&mut self, is_lost: &dyn Fn(GuildId) -> bool) {
        let hit = |slot: &super::SessionSlot| slot.session.guilds.keys().any(|guild| is_lost(*guild));
        let keys: Vec<SessionKey> =
            self.sessions.iter().filter(|(_, slot)| hit(slot)).map(|(key, _)| key).collect();
        self.services.stats.events_lost.add(keys.len() as u64);
        for key in keys {
            self.invalidate(key);
        }
    }
}
