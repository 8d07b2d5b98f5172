//! The nonces of a channel's last five minutes: which message each one made, or that it is still being made.
//!
//! A nonce goes with its message: once that is deleted the next send with it makes a new one. The other answer, the
//! message that was, can't be given any more, and a restart knows only the nonces of messages that are there.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use model::limits::NONCE_MS;
use model::message::Nonce;
use model::{MessageId, UserId};

use super::{Created, Reply};
use crate::limits::NONCES_MAX;

/// Callers that wait for one message.
const WAITERS_MAX: usize = 64;

pub(super) type Key = (UserId, Nonce);

#[derive(Default)]
pub(super) struct Nonces {
    states: HashMap<Key, Held>,
    /// By time. What was given back leaves its entry here, which says nothing of whoever holds the nonce next.
    order: VecDeque<(u64, u64, Key)>,
    last_number: u64,
}

struct Held {
    /// That of its entry in the order.
    number: u64,
    state: State,
}

enum State {
    /// Those who sent the same and wait.
    Making(Vec<Reply<Created>>),
    Made(MessageId),
    /// It was found in the store.
    Restored(MessageId),
    /// Whether it was stored, or deleted, is not known.
    Unknown,
}

/// What is known of a nonce that somebody sends again.
pub(super) enum Found {
    New(Reply<Created>),
    Made(MessageId, Reply<Created>),
    Restored(MessageId, Reply<Created>),
    /// The caller waits, and is answered with the first one.
    Waiting,
    /// Too many wait, or the first one's outcome is not known.
    Refused(Reply<Created>),
}

impl Nonces {
    pub(super) fn find(&mut self, key: &Key, reply: Reply<Created>) -> Found {
        match self.states.get_mut(key).map(|held| &mut held.state) {
            None => Found::New(reply),
            Some(State::Made(id)) => Found::Made(*id, reply),
            Some(State::Restored(id)) => Found::Restored(*id, reply),
            Some(State::Making(waiting)) if waiting.len() < WAITERS_MAX => {
                waiting.push(reply);
                Found::Waiting
            }
            Some(State::Making(_) | State::Unknown) => Found::Refused(reply),
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.order.len() >= NONCES_MAX
    }

    /// A message with this nonce is being made; `false` if an earlier one holds it, or there is no place.
    pub(super) fn begin(&mut self, key: &Key, now_ms: u64) -> bool {
        self.insert(key.clone(), now_ms, State::Making(Vec::new()))
    }

    /// A message that was made before, by whomever.
    pub(super) fn restore(&mut self, key: Key, id: MessageId) {
        self.insert(key, id.created_at_ms(), State::Restored(id));
    }

    /// The message is published: from now on the nonce gives it. Those who waited are returned.
    pub(super) fn made(&mut self, key: &Key, id: MessageId) -> Vec<Reply<Created>> {
        self.replace(key, State::Made(id))
    }

    /// Whether it was stored is not known.
    pub(super) fn lost(&mut self, key: &Key) -> Vec<Reply<Created>> {
        self.replace(key, State::Unknown)
    }

    /// Nothing was stored: the nonce is free again.
    pub(super) fn failed(&mut self, key: &Key) -> Vec<Reply<Created>> {
        match self.states.remove(key).map(|held| held.state) {
            Some(State::Making(waiting)) => waiting,
            _ => Vec::new(),
        }
    }

    /// Its message is deleted: the nonce is free again, unless the deletion's outcome is not known.
    pub(super) fn deleted(&mut self, key: &Key, id: MessageId, is_unknown: bool) {
        let Some(held) = self.states.get_mut(key) else { return };
        match held.state {
            State::Made(made) | State::Restored(made) if made != id => {}
            State::Made(_) | State::Restored(_) if is_unknown => held.state = State::Unknown,
            State::Made(_) | State::Restored(_) => drop(self.states.remove(key)),
            _ => {}
        }
    }

    /// Those who wait for the message get another answer than it.
    pub(super) fn take_waiting(&mut self, key: &Key) -> Vec<Reply<Created>> {
        match self.states.get_mut(key).map(|held| &mut held.state) {
            Some(State::Making(waiting)) => std::mem::take(waiting),
            _ => Vec::new(),
        }
    }

    /// Forgets what is older than five minutes.
    pub(super) fn expire(&mut self, now_ms: u64) {
        while let Some((ms, number, key)) = self.order.front()
            && ms + NONCE_MS < now_ms
        {
            match self.states.get(key) {
                Some(held) if held.number != *number => {}
                Some(Held { state: State::Making(_), .. }) => return,
                Some(_) => drop(self.states.remove(key)),
                None => {}
            }
            self.order.pop_front();
        }
    }

    fn insert(&mut self, key: Key, ms: u64, state: State) -> bool {
        if self.is_full() {
            return false;
        }
        match self.states.entry(key) {
            Entry::Occupied(_) => false,
            Entry::Vacant(vacant) => {
                self.last_number += 1;
                self.order.push_back((ms, self.last_number, vacant.key().clone()));
                vacant.insert(Held { number: self.last_number, state });
                true
            }
        }
    }

    fn replace(&mut self, key: &Key, state: State) -> Vec<Reply<Created>> {
        match self.states.get_mut(key).map(|held| std::mem::replace(&mut held.state, state)) {
            Some(State::Making(waiting)) => waiting,
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_790_000_000_000;

    fn key(number: u64) -> Key {
        (UserId::new(1).unwrap(), Nonce::Number(number as i64))
    }

    fn id(ms: u64) -> MessageId {
        MessageId::new(model::snowflake::lowest_at(NOW_MS + ms)).unwrap()
    }

    fn is_made(nonces: &mut Nonces, number: u64) -> Option<MessageId> {
        let (reply, _answer) = tokio::sync::oneshot::channel();
        match nonces.find(&key(number), reply) {
            Found::Made(id, _) | Found::Restored(id, _) => Some(id),
            _ => None,
        }
    }

    #[test]
    fn a_nonce_that_was_given_back_and_taken_again_has_its_own_five_minutes() {
        let mut nonces = Nonces::default();
        nonces.restore(key(1), id(0));
        nonces.deleted(&key(1), id(5), false);
        assert_eq!(is_made(&mut nonces, 1), Some(id(0)), "another message was deleted");
        nonces.deleted(&key(1), id(0), false);
        assert!(nonces.begin(&key(1), NOW_MS + 200_000));
        nonces.made(&key(1), id(200_000));
        nonces.expire(NOW_MS + NONCE_MS + 1);
        assert_eq!(is_made(&mut nonces, 1), Some(id(200_000)));
        nonces.expire(NOW_MS + 200_000 + NONCE_MS + 1);
        assert_eq!(is_made(&mut nonces, 1), None);
        assert!(nonces.order.is_empty() && nonces.states.is_empty());
    }

    #[test]
    fn a_deletion_of_unknown_outcome_frees_nothing() {
        let mut nonces = Nonces::default();
        nonces.restore(key(1), id(0));
        nonces.deleted(&key(1), id(0), true);
        let (reply, _answer) = tokio::sync::oneshot::channel();
        assert!(matches!(nonces.find(&key(1), reply), Found::Refused(_)));
    }

    #[test]
    fn nonces_that_were_given_back_count_until_they_expire() {
        let mut nonces = Nonces::default();
        for number in 0..NONCES_MAX as u64 {
            assert!(nonces.begin(&key(number), NOW_MS));
            nonces.failed(&key(number));
        }
        assert!(nonces.is_full() && nonces.states.is_empty());
        nonces.expire(NOW_MS + NONCE_MS + 1);
        assert!(!nonces.is_full());
    }
}
