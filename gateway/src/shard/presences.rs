//! Who has come online, changed or gone of late: the newest PRESENCE_UPDATE of each member that the shard has taken.
//!
//! Presence is never stored and its events repeat the session's sequence, so no ring replays them. A session that could not
//! be given one (its guild was being opened, or it had no socket, or one that broke with it) would show what was before
//! until the member changes again. So it knows from which event on it may lack some, and is given what has changed since
//! once its socket is up to date: a change that was followed by another is left out.
//!
//! What the kept events take is bounded, by age and by bytes. The oldest go first; what went is lost, as presence is
//! under load.

use std::collections::VecDeque;
use std::sync::Arc;

use model::{EventKind, GuildId, Intents, UserId, limits};
use rustc_hash::FxHashMap;

use super::Shard;
use crate::audience::SessionKey;
use crate::live::LiveEvent;
use crate::wire::Class;

/// The number of an event among all changes of presence that the shard has taken.
pub(super) type Serial = u64;

/// The newest change of each member of each guild.
#[derive(Debug)]
pub(super) struct Presences {
    newest: FxHashMap<GuildId, FxHashMap<UserId, Kept>>,
    /// Every change, oldest first; most have been overtaken by another of the same member.
    order: VecDeque<Change>,
    next: Serial,
    bytes: usize,
    bytes_max: usize,
}

#[derive(Debug)]
struct Kept {
    serial: Serial,
    event: Arc<LiveEvent>,
}

#[derive(Debug)]
struct Change {
    serial: Serial,
    at_ms: u64,
    guild: GuildId,
    user: UserId,
}

/// What one session may lack.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heard {
    /// The next change at its last two heartbeats. What came before the first of them the client had at the second.
    beats: [Serial; 2],
    /// From here on it may not have been given every change.
    lacks_from: Option<Serial>,
}

// === impl Heard ===

impl Heard {
    /// A session that begins where the shard is.
    pub(super) fn new(next: Serial) -> Self {
        Self { beats: [next; 2], lacks_from: None }
    }

    pub(super) fn beaten(&mut self, next: Serial) {
        self.beats = [self.beats[1], next];
    }

    /// The changes from this one on may not have been given.
    pub(super) fn lacks_from(&mut self, serial: Serial) {
        self.lacks_from = Some(self.lacks_from.map_or(serial, |lacks| lacks.min(serial)));
    }

    /// Another socket has the session: what the last one was given may not have come.
    pub(super) fn resumed(&mut self) {
        self.lacks_from(self.beats[0]);
    }
}

// === impl Presences ===

impl Presences {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { newest: FxHashMap::default(), order: VecDeque::new(), next: 0, bytes: 0, bytes_max }
    }

    /// The number that the next change will have.
    pub(super) fn next(&self) -> Serial {
        self.next
    }

    fn keep(&mut self, now_ms: u64, guild: GuildId, user: UserId, event: &Arc<LiveEvent>) {
        let serial = self.next;
        self.next += 1;
        self.order.push_back(Change { serial, at_ms: now_ms, guild, user });
        self.bytes += size_of::<Change>() + event.kept_bytes();
        let kept = Kept { serial, event: event.clone() };
        if let Some(overtaken) = self.newest.entry(guild).or_default().insert(user, kept) {
            self.bytes -= overtaken.event.kept_bytes();
        }
        self.expire(now_ms);
    }

    /// Drops what is too old, or too much.
    pub(super) fn expire(&mut self, now_ms: u64) {
        let is_over = |this: &Self, oldest: &Change| {
            this.bytes > this.bytes_max || oldest.at_ms + limits::RING_AGE_MS < now_ms
        };
        while self.order.front().is_some_and(|oldest| is_over(self, oldest)) {
            let Some(oldest) = self.order.pop_front() else { return };
            self.bytes -= size_of::<Change>();
            let Some(members) = self.newest.get_mut(&oldest.guild) else { continue };
            if members.get(&oldest.user).is_some_and(|kept| kept.serial == oldest.serial)
                && let Some(kept) = members.remove(&oldest.user)
            {
                self.bytes -= kept.event.kept_bytes();
            }
            if members.is_empty() {
                self.newest.remove(&oldest.guild);
            }
        }
    }

    /// The guild has no sessions any more.
    pub(super) fn forget(&mut self, guild: GuildId) {
        let members = self.newest.remove(&guild).unwrap_or_default();
        self.bytes -= members.values().map(|kept| kept.event.kept_bytes()).sum::<usize>();
    }

    /// The changes of these guilds from a number on, oldest first.
    fn since(&self, serial: Serial, guilds: impl Iterator<Item = GuildId>) -> Vec<(Serial, Arc<LiveEvent>)> {
        let members = guilds.filter_map(|guild| self.newest.get(&guild)).flat_map(FxHashMap::values);
        let mut changes: Vec<_> = members
            .filter(|kept| kept.serial >= serial)
            .map(|kept| (kept.serial, kept.event.clone()))
            .collect();
        changes.sort_unstable_by_key(|(serial, _)| *serial);
        changes
    }
}

// === impl Shard ===

impl Shard {
    /// Keeps a change of presence in a guild that sessions of this shard have or are opening.
    pub(super) fn keep_presence(&mut self, guild: GuildId, event: &Arc<LiveEvent>) {
        if event.envelope.kind == EventKind::PresenceUpdate
            && let Some(user) = event.envelope.user_id
        {
            self.presences.keep(self.services.now_ms(), guild, user, event);
        }
    }

    /// Gives a session whose socket is up to date the changes that it lacks, as far as the socket keeps up.
    pub(super) fn give_missed_presences(&mut self, key: SessionKey) {
        let Some(slot) = self.sessions.get_mut(key) else { return };
        let (Some(from), Some(conn), true) = (slot.heard.lacks_from, slot.conn, slot.session.is_at_end())
        else {
            return;
        };
        slot.heard.lacks_from = None;
        if !slot.session.wants(Intents::GUILD_PRESENCES) {
            return;
        }
        let seq = slot.session.seq();
        for (serial, event) in self.presences.since(from, slot.session.guilds.open_ids()) {
            if !self.keeps_up(key) {
                // More room is made by writing, and that brings us here again.
                if let Some(slot) = self.sessions.get_mut(key) {
                    slot.heard.lacks_from(serial);
                }
                return;
            }
            self.dispatch(conn, seq, event.full(), Class::Ephemeral);
        }
    }
}

#[cfg(test)]
mod tests {
    use proto::{Envelope, Writer};

    use super::*;

    fn guild(id: u64) -> GuildId {
        GuildId::new(id).unwrap()
    }

    fn change(user: UserId) -> Arc<LiveEvent> {
        let writer = Writer { set: 3, slot: 0, epoch: 1 };
        let envelope = Envelope::new(1, EventKind::PresenceUpdate, writer, vec![b' '; 300]);
        Arc::new(LiveEvent::ephemeral(0, Envelope { user_id: Some(user), ..envelope }))
    }

    fn keep(presences: &mut Presences, now_ms: u64, of: u64, user: u64) {
        let user = UserId::new(user).unwrap();
        presences.keep(now_ms, guild(of), user, &change(user));
    }

    fn since(presences: &Presences, serial: Serial, guilds: &[u64]) -> Vec<Serial> {
        let guilds = guilds.iter().map(|id| guild(*id));
        presences.since(serial, guilds).into_iter().map(|(serial, _)| serial).collect()
    }

    #[test]
    fn of_each_member_the_newest_change_is_kept() {
        let mut presences = Presences::new(usize::MAX);
        for (of, user) in [(1, 1), (1, 2), (2, 1), (1, 1), (3, 4)] {
            keep(&mut presences, 0, of, user);
        }
        assert_eq!(
            since(&presences, 0, &[1, 2]),
            [1, 2, 3],
            "oldest first, without the one that was overtaken"
        );
        assert_eq!(since(&presences, 2, &[1, 2]), [2, 3]);
        presences.forget(guild(1));
        assert_eq!(since(&presences, 0, &[1, 2, 3]), [2, 4]);
    }

    #[test]
    fn what_is_kept_is_bounded_by_age_and_by_bytes() {
        let mut presences = Presences::new(10_000);
        for user in 1..=100 {
            keep(&mut presences, 0, user % 7 + 1, user);
            assert!(presences.bytes <= 10_000);
        }
        let kept = since(&presences, 0, &[1, 2, 3, 4, 5, 6, 7]);
        assert!(kept.len() > 5 && kept.last() == Some(&99), "{kept:?}");
        for _ in 0..1_000 {
            keep(&mut presences, limits::RING_AGE_MS, 1, 1);
        }
        assert!(presences.bytes <= 10_000, "changes that were overtaken count, too");
        presences.expire(limits::RING_AGE_MS + 1);
        assert_eq!(since(&presences, 0, &[1, 2, 3, 4, 5, 6, 7]), [1_099], "the others are too old");
        presences.forget(guild(1));
        presences.expire(3 * limits::RING_AGE_MS);
        assert_eq!((presences.bytes, presences.order.len(), presences.newest.len()), (0, 0, 0));
    }

    #[test]
    fn what_came_before_the_heartbeat_before_the_last_is_had() {
        let mut heard = Heard::new(3);
        heard.resumed();
        assert_eq!(heard.lacks_from, Some(3));
        let mut heard = Heard::new(3);
        heard.beaten(5);
        heard.beaten(9);
        heard.lacks_from(7);
        heard.resumed();
        assert_eq!(heard.lacks_from, Some(5));
    }
}
