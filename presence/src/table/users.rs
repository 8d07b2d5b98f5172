//! What others see of each user: the aggregate of their sessions, published at most once in a window.
//!
//! The first change is published at once and opens a window of `PRESENCE_COALESCE_MS`; what changes in it is published at
//! its end, and only if it then differs from what was published last. In a guild a user is seen with the aggregate of all
//! their sessions as long as one of the sessions names the guild, and as offline otherwise: so a bot's shard that goes
//! away takes the bot offline in its own guilds only.
//!
//! Reads answer what was *published*, never what waits for the end of a window: a reader who listens to the events and
//! then reads can't be left with a state that is never corrected.
//!
//! While the table is *unsettled*, others may know more than it does: what was published before it was started is
//! forgotten. So what it learns from lists is taken as known already, and nobody is said to be offline. Those who keep
//! copies compare them once it is settled.

mod aggregate;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use model::limits::PRESENCE_COALESCE_MS;
use model::presence::{Platform, Presence, Status};
use model::{GuildId, UserId};
use rustc_hash::FxHashMap;

use super::SessionKey;
use aggregate::aggregate;

/// A presence to publish in a guild.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresenceChange {
    pub guild_id: GuildId,
    pub presence: Arc<Presence>,
}

/// What one session says about its user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub session_id: SessionKey,
    pub status: Status,
    pub platform: Platform,
    pub activities_json: Arc<str>,
    /// Sorted, each once.
    pub guild_ids: Arc<[GuildId]>,
}

/// How a session's word is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// It says so now.
    News,
    /// It is in the list of a pod, which may have said so long ago.
    Listed,
}

/// All users with sessions, and the guilds that see them.
#[derive(Debug, Default)]
pub struct Users {
    entries: FxHashMap<UserId, Entry>,
    guilds: FxHashMap<GuildId, BTreeSet<UserId>>,
    /// The ends of the open windows; all are of one length, so they end in the order in which they were opened.
    windows: VecDeque<(u64, UserId)>,
    changes: Vec<PresenceChange>,
    stamp: u64,
    is_unsettled: bool,
}

#[derive(Debug)]
struct Entry {
    /// Each with the stamp of its last real change.
    parts: Vec<(u64, Part)>,
    shown: Arc<Presence>,
    /// Of `shown`.
    digest: u64,
    /// Where `shown` was published; empty when it is offline.
    shown_in: Arc<[GuildId]>,
    in_window: bool,
}

impl Users {
    /// Whether others may know more than this table.
    pub fn set_unsettled(&mut self, is_unsettled: bool) {
        self.is_unsettled = is_unsettled;
    }

    /// Takes what a session says. A repeated part changes nothing.
    pub fn put(&mut self, now_ms: u64, user: UserId, part: Part, word: Word) {
        self.stamp += 1;
        let entry = self.entries.entry(user).or_insert_with(|| Entry::new(user));
        match entry.parts.iter_mut().find(|(_, known)| known.session_id == part.session_id) {
            Some((_, known)) if *known == part => return,
            Some(known) => *known = (self.stamp, part),
            None => {
                // Nearly everybody has one session.
                entry.parts.reserve_exact(1);
                entry.parts.push((self.stamp, part));
            }
        }
        match word {
            Word::Listed if self.is_unsettled => self.adopt(user),
            Word::News | Word::Listed => self.touch(now_ms, user),
        }
    }

    /// The session has ended.
    pub fn remove(&mut self, now_ms: u64, user: UserId, session: &SessionKey) {
        let Some(entry) = self.entries.get_mut(&user) else { return };
        entry.parts.retain(|(_, part)| part.session_id != *session);
        self.touch(now_ms, user);
    }

    /// Closes the windows that have ended, and publishes what changed in them.
    pub fn advance(&mut self, now_ms: u64) {
        while let Some(&(_, user)) = self.windows.front().filter(|(end_ms, _)| *end_ms <= now_ms) {
            self.windows.pop_front();
            if let Some(entry) = self.entries.get_mut(&user) {
                entry.in_window = false;
                self.touch(now_ms, user);
            }
        }
    }

    pub fn next_deadline(&self) -> Option<u64> {
        self.windows.front().map(|(end_ms, _)| *end_ms)
    }

    pub fn take_changes(&mut self) -> Vec<PresenceChange> {
        std::mem::take(&mut self.changes)
    }

    /// What was published last of the user; `None` when that is offline.
    pub fn shown(&self, user: UserId) -> Option<&Presence> {
        let entry = self.entries.get(&user)?;
        (entry.shown.status != Status::Offline).then_some(&*entry.shown)
    }

    /// Those who are seen in the guild and are not offline.
    pub fn in_guild(&self, guild: GuildId) -> impl Iterator<Item = &Presence> {
        self.entries_in(guild).map(|entry| &*entry.shown)
    }

    /// The XOR of the digests of those.
    pub fn digest_of(&self, guild: GuildId) -> u64 {
        self.entries_in(guild).fold(0, |sum, entry| sum ^ entry.digest)
    }

    pub fn sessions_of(&self, user: UserId) -> usize {
        self.entries.get(&user).map_or(0, |entry| entry.parts.len())
    }

    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// What a user takes in the table itself.
    #[cfg(test)]
    pub(super) fn entry_bytes() -> usize {
        size_of::<(UserId, Entry)>()
    }

    fn entries_in(&self, guild: GuildId) -> impl Iterator<Item = &Entry> {
        let users = self.guilds.get(&guild).into_iter().flatten();
        let entries = users.filter_map(|user| self.entries.get(user));
        entries.filter(|entry| entry.shown.status != Status::Offline)
    }

    /// Publishes the user's change now, unless a window is open: then its end will.
    fn touch(&mut self, now_ms: u64, user: UserId) {
        if self.entries.get(&user).is_none_or(|entry| entry.in_window) {
            return;
        }
        let Some((before, after)) = self.show(user) else { return };
        let entry = self.entries.get_mut(&user).expect("it was there a moment ago");
        entry.in_window = true;
        self.windows.push_back((now_ms + PRESENCE_COALESCE_MS, user));
        self.publish(user, &before, &after);
    }

    /// Takes the user's state as published.
    fn adopt(&mut self, user: UserId) {
        self.show(user);
    }

    /// Shows what the sessions come to, to readers. Answers what was shown before and is now, if that is not the same.
    fn show(&mut self, user: UserId) -> Option<(Shown, Shown)> {
        let entry = self.entries.get_mut(&user)?;
        let after = entry.visible(user);
        if *entry.shown == *after.0 && entry.shown_in == after.1 {
            if entry.parts.is_empty() && !entry.in_window {
                self.entries.remove(&user);
            }
            return None;
        }
        let before = (entry.shown.clone(), entry.shown_in.clone());
        (entry.shown, entry.shown_in) = after.clone();
        entry.digest = entry.shown.digest();
        for guild in before.1.iter().filter(|guild| after.1.binary_search(guild).is_err()) {
            if let Some(users) = self.guilds.get_mut(guild) {
                users.remove(&user);
                if users.is_empty() {
                    self.guilds.remove(guild);
                }
            }
        }
        for guild in after.1.iter().filter(|guild| before.1.binary_search(guild).is_err()) {
            self.guilds.entry(*guild).or_default().insert(user);
        }
        Some((before, after))
    }

    fn publish(&mut self, user: UserId, before: &Shown, after: &Shown) {
        let left = before.1.iter().filter(|guild| after.1.binary_search(guild).is_err());
        if !self.is_unsettled && left.clone().next().is_some() {
            let presence = Arc::new(Presence::offline(user));
            let offline = |guild: &GuildId| PresenceChange { guild_id: *guild, presence: presence.clone() };
            self.changes.extend(left.map(offline));
        }
        let is_same = *before.0 == *after.0;
        let told = after.1.iter().filter(|guild| !is_same || before.1.binary_search(guild).is_err());
        let online = |guild: &GuildId| PresenceChange { guild_id: *guild, presence: after.0.clone() };
        self.changes.extend(told.map(online));
    }
}

/// A presence and the guilds in which it is seen.
type Shown = (Arc<Presence>, Arc<[GuildId]>);

impl Entry {
    fn new(user: UserId) -> Self {
        let shown = Arc::new(Presence::offline(user));
        Self { parts: Vec::new(), shown, digest: 0, shown_in: Arc::default(), in_window: false }
    }

    fn visible(&self, user: UserId) -> Shown {
        let presence = aggregate(user, &self.parts);
        if presence.status == Status::Offline {
            return (Arc::new(presence), Arc::default());
        }
        let guilds = match &*self.parts {
            [(_, only)] => only.guild_ids.clone(),
            parts => {
                let all: BTreeSet<GuildId> =
                    parts.iter().flat_map(|(_, part)| part.guild_ids.iter().copied()).collect();
                all.into_iter().collect()
            }
        };
        (Arc::new(presence), guilds)
    }
}
