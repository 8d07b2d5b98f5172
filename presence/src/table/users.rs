//! What others see of each user: the aggregate of their sessions, published at most once in a window.
//!
//! The first change is published at once and opens a window of `PRESENCE_COALESCE_MS`; what changes in it is published at
//! its end, and only if it then differs from what was published last. In a guild a user is seen with the aggregate of all
//! their sessions as long as one of the sessions names the guild, and as offline otherwise: so a bot's shard that goes
//! away takes the bot offline in its own guilds only.
//!
//! Reads answer what was *published*, never what waits for the end of a window: a reader who listens to the events and
//! then reads can't be left with a state that is never corrected.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use model::limits::PRESENCE_COALESCE_MS;
use model::presence::{ClientStatus, Platform, Presence, Status};
use model::{GuildId, UserId};

use super::SessionKey;

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

/// All users with sessions, and the guilds that see them.
#[derive(Debug, Default)]
pub struct Users {
    entries: HashMap<UserId, Entry>,
    guilds: HashMap<GuildId, BTreeSet<UserId>>,
    /// The ends of the open windows.
    windows: BTreeSet<(u64, UserId)>,
    changes: Vec<PresenceChange>,
    stamp: u64,
}

#[derive(Debug)]
struct Entry {
    /// Each with the stamp of its last real change.
    parts: Vec<(u64, Part)>,
    shown: Arc<Presence>,
    /// Where `shown` was published; empty when it is offline.
    shown_in: Arc<[GuildId]>,
    in_window: bool,
}

impl Users {
    /// Takes what a session says. A repeated part changes nothing.
    pub fn put(&mut self, now_ms: u64, user: UserId, part: Part) {
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
        self.touch(now_ms, user);
    }

    /// The session has ended.
    pub fn remove(&mut self, now_ms: u64, user: UserId, session: &SessionKey) {
        let Some(entry) = self.entries.get_mut(&user) else { return };
        entry.parts.retain(|(_, part)| part.session_id != *session);
        self.touch(now_ms, user);
    }

    /// Closes the windows that have ended, and publishes what changed in them.
    pub fn advance(&mut self, now_ms: u64) {
        while let Some(&(end_ms, user)) = self.windows.first().filter(|(end_ms, _)| *end_ms <= now_ms) {
            self.windows.remove(&(end_ms, user));
            if let Some(entry) = self.entries.get_mut(&user) {
                entry.in_window = false;
                self.touch(now_ms, user);
            }
        }
    }

    pub fn next_deadline(&self) -> Option<u64> {
        self.windows.first().map(|(end_ms, _)| *end_ms)
    }

    pub fn take_changes(&mut self) -> Vec<PresenceChange> {
        std::mem::take(&mut self.changes)
    }

    /// What was published last of the user; `None` when that is offline.
    pub fn shown(&self, user: UserId) -> Option<&Presence> {
        let entry = self.entries.get(&user)?;
        (entry.shown.status != Status::Offline).then_some(&*entry.shown)
    }

    /// Those who are seen in the guild and are not offline, at most `limit`.
    pub fn in_guild(&self, guild: GuildId, limit: usize) -> impl Iterator<Item = &Presence> {
        let users = self.guilds.get(&guild).into_iter().flatten();
        users.filter_map(|user| self.shown(*user)).take(limit)
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

    /// Publishes the user's change now, unless a window is open: then its end will.
    fn touch(&mut self, now_ms: u64, user: UserId) {
        let Some(entry) = self.entries.get_mut(&user).filter(|entry| !entry.in_window) else { return };
        let before = (entry.shown.clone(), entry.shown_in.clone());
        let after = entry.visible(user);
        let changed = *before.0 != *after.0 || before.1 != after.1;
        (entry.shown, entry.shown_in) = after.clone();
        entry.in_window = changed;
        if changed {
            self.publish(user, before, after);
            self.windows.insert((now_ms + PRESENCE_COALESCE_MS, user));
        } else if entry.parts.is_empty() {
            self.entries.remove(&user);
        }
    }

    fn publish(&mut self, user: UserId, before: Shown, after: Shown) {
        let offline = Arc::new(Presence::offline(user));
        for &guild_id in before.1.iter().filter(|guild| after.1.binary_search(guild).is_err()) {
            self.changes.push(PresenceChange { guild_id, presence: offline.clone() });
            if let Some(users) = self.guilds.get_mut(&guild_id) {
                users.remove(&user);
                if users.is_empty() {
                    self.guilds.remove(&guild_id);
                }
            }
        }
        for &guild_id in after.1.iter() {
            let is_new = before.1.binary_search(&guild_id).is_err();
            if is_new {
                self.guilds.entry(guild_id).or_default().insert(user);
            }
            if is_new || *before.0 != *after.0 {
                self.changes.push(PresenceChange { guild_id, presence: after.0.clone() });
            }
        }
    }
}

/// A presence and the guilds in which it is seen.
type Shown = (Arc<Presence>, Arc<[GuildId]>);

impl Entry {
    fn new(user: UserId) -> Self {
        let shown = Arc::new(Presence::offline(user));
        Self { parts: Vec::new(), shown, shown_in: Arc::default(), in_window: false }
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

/// The presence of a user with these sessions. The activities are those of the session with the highest status that has
/// any, of equal ones the one that changed last.
fn aggregate(user: UserId, parts: &[(u64, Part)]) -> Presence {
    let status = Status::aggregate(parts.iter().map(|(_, part)| part.status));
    if status == Status::Offline {
        return Presence::offline(user);
    }
    let on = |platform: Platform| {
        let statuses =
            parts.iter().filter(|(_, part)| part.platform == platform).map(|(_, part)| part.status);
        Some(Status::aggregate(statuses)).filter(|status| *status != Status::Offline)
    };
    let highest = parts
        .iter()
        .filter(|(_, part)| part.status == status)
        .max_by_key(|(stamp, part)| (!part.activities_json.is_empty(), *stamp));
    Presence {
        user_id: user,
        status,
        client_status: ClientStatus {
            desktop: on(Platform::Desktop),
            mobile: on(Platform::Mobile),
            web: on(Platform::Web),
        },
        activities_json: highest.map_or_else(String::new, |(_, part)| part.activities_json.to_string()),
    }
}
