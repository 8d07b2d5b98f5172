//! The nonces of a channel's last five minutes: which message each one made, or that it is still being made.

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
    states: HashMap<Key, State>,
    /// By time.
    order: VecDeque<(u64, Key)>,
}

enum State {
    /// Those who sent the same and wait.
    Making(Vec<Reply<Created>>),
    Made(MessageId),
    /// Whether it was stored is not known.
    Unknown,
}

/// What is known of a nonce that somebody sends again.
pub(super) enum Found {
    New(Reply<Created>),
    Made(MessageId, Reply<Created>),
    /// The caller waits, and is answered with the first one.
    Waiting,
    /// Too many wait, or the first one's outcome is not known.
    Refused(Reply<Created>),
}

impl Nonces {
    pub(super) fn find(&mut self, key: &Key, reply: Reply<Created>) -> Found {
        match self.states.get_mut(key) {
            None => Found::New(reply),
            Some(State::Made(id)) => Found::Made(*id, reply),
            Some(State::Making(waiting)) if waiting.len() < WAITERS_MAX => {
                waiting.push(reply);
                Found::Waiting
            }
            Some(State::Making(_) | State::Unknown) => Found::Refused(reply),
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.states.len() >= NONCES_MAX
    }

    /// A message with this nonce is being made; `false` if an earlier one holds it, or there is no place.
    pub(super) fn begin(&mut self, key: &Key, now_ms: u64) -> bool {
        self.insert(key.clone(), now_ms, State::Making(Vec::new()))
    }

    /// A message that was made before.
    pub(super) fn restore(&mut self, key: Key, id: MessageId) {
        self.insert(key, id.created_at_ms(), State::Made(id));
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
        self.order.retain(|(_, other)| other != key);
        match self.states.remove(key) {
            Some(State::Making(waiting)) => waiting,
            _ => Vec::new(),
        }
    }

    /// Those who wait for the message get another answer than it.
    pub(super) fn take_waiting(&mut self, key: &Key) -> Vec<Reply<Created>> {
        match self.states.get_mut(key) {
            Some(State::Making(waiting)) => std::mem::take(waiting),
            _ => Vec::new(),
        }
    }

    /// Forgets what is older than five minutes.
    pub(super) fn expire(&mut self, now_ms: u64) {
        while let Some((ms, key)) = self.order.front()
            && ms + NONCE_MS < now_ms
        {
            match self.states.get(key) {
                Some(State::Making(_)) => return,
                Some(_) => self.states.remove(key),
                None => None,
            };
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
                self.order.push_back((ms, vacant.key().clone()));
                vacant.insert(state);
                true
            }
        }
    }

    fn replace(&mut self, key: &Key, state: State) -> Vec<Reply<Created>> {
        match self.states.get_mut(key).map(|before| std::mem::replace(before, state)) {
            Some(State::Making(waiting)) => waiting,
            _ => Vec::new(),
        }
    }
}
