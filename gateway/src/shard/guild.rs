//! The table of a guild that has sessions on this shard.

use bytes::Bytes;
use model::{ChannelId, EventKind, GuildId, Permissions, SortedMap, UserId, limits};
use rustc_hash::FxHashSet;

use super::Shard;
use crate::audience::{Audience, RowIndex, SessionKey};
use crate::live::LiveEvent;
use crate::render::Snapshot;
use crate::session::{GuildState, Place};
use crate::stats::Count;

mod marks;
mod seats;
pub(super) mod voices;

pub(super) use marks::Known;
use marks::Marks;
pub(super) use seats::GuildSeats;
use voices::GuildVoices;

pub(super) struct GuildTable {
    pub(super) audience: Audience,
    pub(super) marks: Marks,
    /// The highest revision and the highest sequence that a GUILD_CREATE here had: what is above them is news to all.
    opened_at: (u64, u64),
    /// The JSON of each channel, for the CHANNEL_CREATE and CHANNEL_DELETE of those who gain or lose sight of it.
    pub(super) channels: SortedMap<ChannelId, Bytes>,
    pub(super) voices: GuildVoices,
    /// Voice channels that are gone, and who saw them: they hear of those who thereby left.
    deleted: Vec<DeletedChannel>,
}

pub(super) struct DeletedChannel {
    pub(super) id: ChannelId,
    pub(super) viewers: FxHashSet<UserId>,
}

impl GuildTable {
    pub(super) fn new(snapshot: &Snapshot) -> Self {
        Self {
            audience: Audience::new(snapshot.view()),
            marks: Marks::default(),
            opened_at: (0, 0),
            channels: snapshot.channel_bodies().collect(),
            voices: GuildVoices::new(snapshot),
            deleted: Vec::new(),
        }
    }

    /// A session was given a GUILD_CREATE that had this. Answers the number that the session remembers.
    pub(super) fn opened(&mut self, known: Known, now_ms: u64) -> u32 {
        self.opened_at = (self.opened_at.0.max(known.revision), self.opened_at.1.max(known.after));
        self.marks.number(known, now_ms)
    }

    /// Whether no session's GUILD_CREATE had the event.
    pub(super) fn is_news_to_all(&self, event: &LiveEvent) -> bool {
        event.is_after(self.opened_at.0, self.opened_at.1)
    }

    /// Learns what an event says whoever is given it.
    pub(super) fn note(&mut self, event: &LiveEvent) {
        self.marks.note(event);
        if let Some(revision) = event.envelope.revision {
            self.audience.note(revision);
        }
        if event.envelope.kind == EventKind::VoiceStateUpdate {
            self.voices.take(event);
        }
    }

    pub(super) fn remember(&mut self, channel: DeletedChannel) {
        if self.deleted.len() >= limits::VOICE_CHANNELS_DELETED_MAX {
            self.deleted.remove(0);
        }
        self.deleted.push(channel);
    }

    /// Whether the event says that somebody left a channel which has been deleted since, and which the user saw.
    pub(super) fn saw(&self, user: UserId, event: &LiveEvent) -> bool {
        self.deleted_before(event).any(|deleted| deleted.viewers.contains(&user))
    }

    /// Those who saw a deleted channel that somebody is said to have left.
    pub(super) fn former_viewers(&self, event: &LiveEvent) -> impl Iterator<Item = UserId> {
        self.deleted_before(event).flat_map(|deleted| &deleted.viewers).copied()
    }

    /// The deleted channel that the event says was left. That somebody joined it is told to nobody any more.
    fn deleted_before(&self, event: &LiveEvent) -> impl Iterator<Item = &DeletedChannel> {
        let deleted = self.deleted.iter().filter(|deleted| Some(deleted.id) == event.envelope.channel_id);
        deleted.filter(|_| voices::has_left(event))
    }
}

impl Shard {
    /// The table of a guild, with the seats of the sessions that have it open.
    pub(super) fn table(&mut self, guild: GuildId) -> Option<(&mut GuildTable, GuildSeats<'_>)> {
        let table = self.guilds.get_mut(&guild)?;
        Some((table, GuildSeats { guild, sessions: &mut self.sessions, by_user: &self.by_user }))
    }

    /// The row in which a session sits.
    pub(super) fn row(&self, key: SessionKey, guild: GuildId) -> Option<RowIndex> {
        self.sessions.get(key)?.session.guilds.place(guild)?.row
    }

    /// The user's sessions that have the guild open.
    pub(super) fn sessions_in(&self, guild: GuildId, user: UserId) -> impl Iterator<Item = SessionKey> + '_ {
        let sessions = self.by_user.get(&user).into_iter().flatten().copied();
        sessions.filter(move |key| self.row(*key, guild).is_some())
    }

    /// Whether the session's user sees a channel.
    pub(super) fn sees(&self, key: SessionKey, guild: GuildId, channel: ChannelId) -> bool {
        let row = self.row(key, guild);
        row.is_some_and(|row| self.guilds.get(&guild).is_some_and(|table| table.audience.sees(row, channel)))
    }

    /// What the session's user may do in a channel.
    pub(super) fn permissions(&self, key: SessionKey, guild: GuildId, channel: ChannelId) -> Permissions {
        let (Some(row), Some(table)) = (self.row(key, guild), self.guilds.get(&guild)) else {
            return Permissions::NONE;
        };
        let user = self.sessions[key].session.profile.user_id;
        table.audience.permissions((user, row), channel, self.services.wall())
    }

    /// What the GUILD_CREATE of a session had that has the guild open.
    pub(super) fn known(&self, key: SessionKey, guild: GuildId) -> Option<Known> {
        let place = self.sessions.get(key)?.session.guilds.place(guild)?;
        Some(self.guilds.get(&guild)?.marks.of(place.mark))
    }

    /// From now on the session is as if its GUILD_CREATE had had this.
    pub(super) fn set_known(&mut self, key: SessionKey, guild: GuildId, known: Known) {
        let now_ms = self.services.now_ms();
        let Some(table) = self.guilds.get_mut(&guild) else { return };
        let mark = table.marks.number(known, now_ms);
        let guilds = &mut self.sessions[key].session.guilds;
        if let Some(place) = guilds.place(guild) {
            guilds.open(guild, Place { mark, ..place });
        }
    }

    /// The session, which does not have the guild any more, leaves its audience; the table goes with the last one.
    pub(super) fn leave_audience(
        &mut self,
        guild: GuildId,
        user_id: UserId,
        key: SessionKey,
        was: GuildState,
    ) {
        if let GuildState::Open(Place { row: Some(row), .. }) = was
            && let Some((table, mut seats)) = self.table(guild)
        {
            table.audience.leave(&mut seats, user_id, key, row);
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
        let hit = |slot: &super::SessionSlot| slot.session.guilds.ids().any(is_lost);
        let keys: Vec<SessionKey> =
            self.sessions.iter().filter(|(_, slot)| hit(slot)).map(|(key, _)| key).collect();
        self.services.stats.events_lost.add(keys.len() as u64);
        for key in keys {
            self.invalidate(key);
        }
    }
}
