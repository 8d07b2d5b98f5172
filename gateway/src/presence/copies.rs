//! What others are seen as, in guilds that have a session here which wants to know: copies of what the service published.
//!
//! A guild is filled when such a session opens it, and follows the events from then on. Events may come while it is being
//! filled, before or after what the answer shows: those users are left as the events say, for whatever is newer than the
//! answer comes as an event, too.
//!
//! A user is kept once for all guilds, with the newest that any of them told. Each guild remembers the digest of what its own
//! sessions were told: an event that one guild lost is found there, though another guild had it.

use std::sync::Arc;

use bytes::Bytes;
use model::presence::{Presence, Status};
use model::{GuildId, UserId, limits};
use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHashSet};

use super::events;

/// See the module.
#[derive(Default)]
pub(crate) struct Copies {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    guilds: FxHashMap<GuildId, Guild>,
    users: FxHashMap<UserId, Copy>,
    /// Of users in guilds.
    count: usize,
}

#[derive(Default)]
struct Guild {
    /// Those who are not offline, each with the digest of what was told here.
    users: FxHashMap<UserId, u64>,
    is_filled: bool,
    /// While there are any.
    asking: Option<Box<Asking>>,
}

/// Questions that are under way, and whom events have told of since the first of them was asked.
#[derive(Default)]
struct Asking {
    questions: u32,
    told: FxHashSet<UserId>,
}

struct Copy {
    presence: Arc<Presence>,
    guilds: u32,
}

/// A question about a guild that is under way. It ends when this is dropped, answered or not.
pub(super) struct Question<'a> {
    copies: &'a Copies,
    guild: GuildId,
}

/// What an answer says of one guild.
pub(super) struct Answer<'a> {
    pub(super) presences: Vec<Presence>,
    /// Whose presences it could have: who is missing is offline.
    pub(super) covers: &'a dyn Fn(UserId) -> bool,
    /// It has everybody of those.
    pub(super) is_whole: bool,
}

impl Copies {
    /// Takes an event of a guild.
    pub(crate) fn take(&self, guild: GuildId, data: &Bytes) {
        if !self.has(guild) {
            return;
        }
        let Some(presence) = events::parse(data) else { return };
        let mut state = self.state.lock();
        let Some(entry) = state.guilds.get_mut(&guild) else { return };
        if let Some(asking) = &mut entry.asking {
            asking.told.insert(presence.user_id);
        }
        state.set(guild, Arc::new(presence));
    }

    /// As if a replica had answered that this user is seen in the guild, and nobody else.
    #[cfg(test)]
    pub(crate) fn fill(&self, guild: GuildId, presence: Presence) {
        let covers = |_: UserId| true;
        let answer = Answer { presences: vec![presence], covers: &covers, is_whole: true };
        let question = self.ask(guild).expect("there is room");
        question.load(vec![answer]);
    }

    pub(super) fn has(&self, guild: GuildId) -> bool {
        self.state.lock().guilds.contains_key(&guild)
    }

    /// The guild is about to be asked for, and is copied from now on. `None` when there is no room for it.
    pub(super) fn ask(&self, guild: GuildId) -> Option<Question<'_>> {
        let mut state = self.state.lock();
        if state.count >= limits::PRESENCE_COPIES_MAX && !state.guilds.contains_key(&guild) {
            return None;
        }
        state.guilds.entry(guild).or_default().asking.get_or_insert_default().questions += 1;
        Some(Question { copies: self, guild })
    }

    /// Those who are not offline.
    pub(super) fn in_guild(&self, guild: GuildId, max: usize) -> Vec<Presence> {
        let state = self.state.lock();
        let users = state.guilds.get(&guild).into_iter().flat_map(|guild| guild.users.keys());
        let copies = users.filter_map(|user| state.users.get(user));
        copies.take(max).map(|copy| Presence::clone(&copy.presence)).collect()
    }

    /// How the user is seen in the guild.
    pub(super) fn seen(&self, guild: GuildId, user: UserId) -> Arc<Presence> {
        let state = self.state.lock();
        let is_there = state.guilds.get(&guild).is_some_and(|guild| guild.users.contains_key(&user));
        let copy = state.users.get(&user).filter(|_| is_there);
        copy.map_or_else(|| Arc::new(Presence::offline(user)), |copy| copy.presence.clone())
    }

    /// What is known of the user from any guild.
    pub(super) fn of(&self, user: UserId) -> Option<Presence> {
        self.state.lock().users.get(&user).map(|copy| Presence::clone(&copy.presence))
    }

    pub(crate) fn guilds(&self) -> Vec<GuildId> {
        self.state.lock().guilds.keys().copied().collect()
    }

    /// The XOR of the digests of those of the guild's users who count.
    pub(super) fn digest(&self, guild: GuildId, counts: &dyn Fn(UserId) -> bool) -> u64 {
        let state = self.state.lock();
        let users = state.guilds.get(&guild).into_iter().flat_map(|guild| &guild.users);
        users.filter(|(user, _)| counts(**user)).fold(0, |sum, (_, digest)| sum ^ digest)
    }

    /// Forgets guilds that nobody here has open any more.
    pub(super) fn retain(&self, is_open: impl Fn(GuildId) -> bool) {
        let mut state = self.state.lock();
        let closed: Vec<GuildId> = state
            .guilds
            .iter()
            .filter(|(guild, entry)| entry.asking.is_none() && !is_open(**guild))
            .map(|(guild, _)| *guild)
            .collect();
        for guild in closed {
            let users = state.guilds.remove(&guild).map(|guild| guild.users).unwrap_or_default();
            users.into_keys().for_each(|user| state.leave(user));
        }
    }

    /// Users in guilds that are copied.
    pub(super) fn count(&self) -> usize {
        self.state.lock().count
    }
}

impl Question<'_> {
    /// Takes the answers where the guild is not filled yet. Elsewhere it only compares: copies have been following the
    /// guild, and others go by them. Answers the places of the answers that differ.
    pub(super) fn load(self, answers: Vec<Answer<'_>>) -> Vec<usize> {
        let mut state = self.copies.state.lock();
        let Some(entry) = state.guilds.get_mut(&self.guild) else { return Vec::new() };
        if !std::mem::replace(&mut entry.is_filled, true) {
            answers.into_iter().for_each(|answer| drop(state.correct(self.guild, answer)));
            return Vec::new();
        }
        let differs = |(_, answer): &(usize, Answer<'_>)| !state.agrees(self.guild, answer);
        answers.into_iter().enumerate().filter(differs).map(|(place, _)| place).collect()
    }

    /// Takes an answer, and tells where the copies were wrong.
    pub(super) fn correct(self, answer: Answer<'_>) -> Vec<Arc<Presence>> {
        self.copies.state.lock().correct(self.guild, answer)
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        self.copies.state.lock().answered(self.guild);
    }
}

impl State {
    /// The user is seen so in the guild.
    fn set(&mut self, guild: GuildId, presence: Arc<Presence>) {
        let user = presence.user_id;
        let Some(entry) = self.guilds.get_mut(&guild) else { return };
        if presence.status == Status::Offline {
            if entry.users.remove(&user).is_some() {
                self.leave(user);
            }
            return;
        }
        let is_new = entry.users.insert(user, presence.digest()).is_none();
        self.count += usize::from(is_new);
        let copy = self.users.entry(user).or_insert_with(|| Copy { presence: presence.clone(), guilds: 0 });
        copy.presence = presence;
        copy.guilds += u32::from(is_new);
    }

    /// The user is in one guild less.
    fn leave(&mut self, user: UserId) {
        self.count -= 1;
        if let Some(copy) = self.users.get_mut(&user) {
            copy.guilds -= 1;
            if copy.guilds == 0 {
                self.users.remove(&user);
            }
        }
    }

    fn answered(&mut self, guild: GuildId) {
        if let Some(entry) = self.guilds.get_mut(&guild)
            && let Some(asking) = &mut entry.asking
        {
            asking.questions -= 1;
            if asking.questions == 0 {
                entry.asking = None;
            }
        }
    }

    fn agrees(&self, guild: GuildId, answer: &Answer<'_>) -> bool {
        let Some(entry) = self.guilds.get(&guild) else { return true };
        !answer.presences.iter().any(|presence| entry.is_wrong(presence)) && entry.absent(answer).is_empty()
    }

    fn correct(&mut self, guild: GuildId, answer: Answer<'_>) -> Vec<Arc<Presence>> {
        let Some(entry) = self.guilds.get(&guild) else { return Vec::new() };
        let absent = entry.absent(&answer).into_iter().map(Presence::offline);
        let changed = answer.presences.into_iter().filter(|presence| entry.is_wrong(presence));
        let wrong: Vec<Arc<Presence>> = changed.chain(absent).map(Arc::new).collect();
        wrong.iter().for_each(|presence| self.set(guild, presence.clone()));
        wrong
    }
}

impl Guild {
    /// Whether the sessions were told something else, and no event has told of the user since the question was asked.
    fn is_wrong(&self, presence: &Presence) -> bool {
        let user = &presence.user_id;
        !self.was_told(user) && self.users.get(user) != Some(&presence.digest())
    }

    fn was_told(&self, user: &UserId) -> bool {
        self.asking.as_ref().is_some_and(|asking| asking.told.contains(user))
    }

    /// Users who are missing in a whole answer.
    fn absent(&self, answer: &Answer<'_>) -> Vec<UserId> {
        if !answer.is_whole {
            return Vec::new();
        }
        let present: FxHashSet<UserId> = answer.presences.iter().map(|presence| presence.user_id).collect();
        let is_absent =
            |user: &&UserId| (answer.covers)(**user) && !present.contains(*user) && !self.was_told(user);
        self.users.keys().filter(is_absent).copied().collect()
    }
}

#[cfg(test)]
mod tests;
