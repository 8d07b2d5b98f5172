//! Owners and records of sessions in memory, for one process.

use std::time::Duration;

use async_trait::async_trait;
use model::clock::SharedClock;
use model::limits::{REGISTRY_ENTRY_MS, REGISTRY_SESSIONS_MAX};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::port::Unavailable;
use crate::registry::PodName;
use crate::sessions::{OwnedSession, Owner, Parked, Record, SessionEntry, Sessions, Taken};

/// See the module. Entries end by the clock; all of them are looked at once per entry lifetime.
pub struct InMemorySessions {
    clock: SharedClock,
    entry_ms: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: FxHashMap<String, Held>,
    sweep_at_ms: u64,
}

struct Held {
    entry: SessionEntry,
    until_ms: u64,
}

impl InMemorySessions {
    pub fn new(clock: SharedClock) -> Self {
        Self::with_entry_ms(clock, REGISTRY_ENTRY_MS)
    }

    /// The same with another lifetime of entries.
    pub fn with_entry_ms(clock: SharedClock, entry_ms: u64) -> Self {
        Self { clock, entry_ms, state: Mutex::default() }
    }
}

impl State {
    fn sweep(&mut self, now_ms: u64, entry_ms: u64) {
        if now_ms >= self.sweep_at_ms || self.entries.len() >= REGISTRY_SESSIONS_MAX {
            self.entries.retain(|_, held| held.until_ms > now_ms);
            self.sweep_at_ms = now_ms + entry_ms;
        }
    }

    fn get(&mut self, session: &str, now_ms: u64) -> Option<&mut Held> {
        self.entries.get_mut(session).filter(|held| held.until_ms > now_ms)
    }

    /// Makes the pod the owner; what was recorded stays.
    fn own(&mut self, session: &str, owner: Owner, now_ms: u64, entry_ms: u64) -> Result<(), Unavailable> {
        let until_ms = now_ms + entry_ms;
        if let Some(held) = self.get(session, now_ms) {
            held.entry.owner = owner;
            held.until_ms = held.until_ms.max(until_ms);
            return Ok(());
        }
        if self.entries.len() >= REGISTRY_SESSIONS_MAX {
            return Err(Unavailable(format!("the registry is full with {} sessions", self.entries.len())));
        }
        let entry = SessionEntry { owner, record: None };
        self.entries.insert(session.to_owned(), Held { entry, until_ms });
        Ok(())
    }

    /// Who owns the session in a later epoch.
    fn later_than(&mut self, session: &OwnedSession, now_ms: u64) -> Option<Owner> {
        let held = self.get(&session.id, now_ms)?;
        (held.entry.owner.epoch > session.epoch).then(|| held.entry.owner.clone())
    }
}

#[async_trait]
impl Sessions for InMemorySessions {
    async fn take(&self, session: &str, pod: &PodName, from_epoch: u64) -> Result<Taken, Unavailable> {
        let now_ms = self.clock.now_ms();
        let mut state = self.state.lock();
        state.sweep(now_ms, self.entry_ms);
        let known = OwnedSession { id: session.to_owned(), epoch: from_epoch };
        if let Some(owner) = state.later_than(&known, now_ms) {
            return Ok(Taken::Held(owner));
        }
        let owner = Owner { pod: pod.clone(), epoch: from_epoch + 1 };
        state.own(session, owner, now_ms, self.entry_ms)?;
        Ok(Taken::Ours(from_epoch + 1))
    }

    async fn look(&self, session: &str) -> Result<Option<SessionEntry>, Unavailable> {
        let now_ms = self.clock.now_ms();
        Ok(self.state.lock().get(session, now_ms).map(|held| held.entry.clone()))
    }

    async fn renew(
        &self,
        pod: &PodName,
        sessions: &[OwnedSession],
    ) -> Result<Vec<OwnedSession>, Unavailable> {
        let now_ms = self.clock.now_ms();
        let mut state = self.state.lock();
        state.sweep(now_ms, self.entry_ms);
        let mut lost = Vec::new();
        for session in sessions {
            if state.later_than(session, now_ms).is_some() {
                lost.push(session.clone());
            } else {
                let owner = Owner { pod: pod.clone(), epoch: session.epoch };
                state.own(&session.id, owner, now_ms, self.entry_ms)?;
            }
        }
        Ok(lost)
    }

    async fn park(
        &self,
        session: &OwnedSession,
        pod: &PodName,
        record: Record,
        lifetime: Duration,
    ) -> Result<Parked, Unavailable> {
        let now_ms = self.clock.now_ms();
        let mut state = self.state.lock();
        state.sweep(now_ms, self.entry_ms);
        if let Some(owner) = state.later_than(session, now_ms) {
            return Ok(Parked::Overtaken(owner));
        }
        let owner = Owner { pod: pod.clone(), epoch: session.epoch };
        state.own(&session.id, owner, now_ms, lifetime.as_millis() as u64)?;
        state.get(&session.id, now_ms).expect("it was just made").entry.record = Some(record.into_bytes());
        Ok(Parked::Stored)
    }

    async fn end(&self, session: &OwnedSession) -> Result<(), Unavailable> {
        let now_ms = self.clock.now_ms();
        let mut state = self.state.lock();
        if state.later_than(session, now_ms).is_none() {
            state.entries.remove(&session.id);
        }
        Ok(())
    }
}
