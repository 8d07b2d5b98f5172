//! Sessions that have ended, with the epoch in which they did: a late message of that epoch must not revive them.
//!
//! Bounded by age and number. One that is forgotten too early is healed by the pod's next renewal, whose count does not fit.

use std::collections::VecDeque;

use model::limits::PRESENCE_ENDED_MS;
use rustc_hash::FxHashMap;

use super::SessionKey;

#[derive(Debug, Default)]
pub(super) struct Ended {
    epochs: FxHashMap<SessionKey, u64>,
    order: VecDeque<(u64, SessionKey, u64)>,
}

impl Ended {
    /// Remembers the end of a session; the oldest are forgotten when there are more than `max`.
    pub(super) fn remember(&mut self, now_ms: u64, session: SessionKey, epoch: u64, max: usize) {
        if self.covers(&session, epoch) {
            return;
        }
        self.order.push_back((now_ms + PRESENCE_ENDED_MS, session.clone(), epoch));
        self.epochs.insert(session, epoch);
        while self.order.len() > max {
            self.forget_oldest();
        }
    }

    /// Whether the session ended in this epoch or a later one.
    pub(super) fn covers(&self, session: &SessionKey, epoch: u64) -> bool {
        self.epochs.get(session).is_some_and(|ended| *ended >= epoch)
    }

    pub(super) fn advance(&mut self, now_ms: u64) {
        while self.order.front().is_some_and(|(until_ms, _, _)| *until_ms <= now_ms) {
            self.forget_oldest();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    fn forget_oldest(&mut self) {
        let Some((_, session, epoch)) = self.order.pop_front() else { return };
        if self.epochs.get(&session) == Some(&epoch) {
            self.epochs.remove(&session);
        }
    }
}
