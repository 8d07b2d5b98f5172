//! The process's ids, and the ledger of what is stored but perhaps not published yet.
//!
//! The watermark of the outbox says up to which time everything is published. It may pass a change only when that has
//! been published, so a change is entered here under one lock with taking its id, and leaves when its last event is
//! acknowledged. One that is never closed (its lease was lost, or nobody knows whether it is stored) holds the watermark
//! back, and the next start publishes it.
//!
//! A change whose task panics is another matter: it is stored, nobody goes on with it, and what comes after it is
//! published all the same, so readers would lack it until some later start. [`Ledger::abandoned`] tells of that, and the
//! process should end: its next start publishes the change.

use crate::{slots::SlotSet, worker::Snowflakes};
use model::{Id, clock::SharedClock, snowflake};
use parking_lot::Mutex;
use std::{collections::BTreeSet, sync::Arc};
use tokio::sync::watch;

/// The process's one generator: all services of a process share it. Two with the same worker would give one event id
/// twice, and the backplane would take the second event for a repeat of the first.
pub type SharedSnowflakes = Arc<Mutex<Snowflakes>>;

/// Ids, and the changes of one service that are on their way.
pub struct Ledger {
    ids: SharedSnowflakes,
    clock: SharedClock,
    open: Mutex<BTreeSet<(SlotSet, u64)>>,
    abandoned: watch::Sender<bool>,
}

/// A change that is on its way. Dropped without [`Open::close`] it stays in the ledger.
#[must_use]
pub struct Open {
    ledger: Arc<Ledger>,
    set: SlotSet,
    id: u64,
    is_closed: bool,
}

// === impl Ledger ===

impl Ledger {
    /// An empty one.
    pub fn new(ids: SharedSnowflakes, clock: SharedClock) -> Arc<Self> {
        Arc::new(Self { ids, clock, open: Mutex::default(), abandoned: watch::Sender::new(false) })
    }

    /// The clock that ids are made by.
    pub fn clock(&self) -> &SharedClock {
        &self.clock
    }

    /// Unix time now.
    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// A new id of something that is not entered.
    pub fn next(&self) -> u64 {
        self.ids.lock().next(self.clock.now_ms())
    }

    /// The same as an id of something.
    pub fn next_id<T>(&self) -> Id<T> {
        Id::new(self.next()).expect("a snowflake is never 0 after 2015")
    }

    /// Makes all further ids lie above this one.
    pub fn raise_above(&self, id: u64) {
        self.ids.lock().raise_above(id);
    }

    /// The time of the newest id.
    pub fn newest_ms(&self) -> u64 {
        self.ids.lock().last_ms()
    }

    /// Takes a change's id and enters it.
    pub fn begin(self: &Arc<Self>, set: SlotSet) -> Open {
        let mut open = self.open.lock();
        let id = self.next();
        open.insert((set, id));
        Open { ledger: self.clone(), set, id, is_closed: false }
    }

    /// The time below which every change of a set is published.
    pub fn published_ms(&self, set: SlotSet) -> u64 {
        let open = self.open.lock();
        let newest = self.newest_ms();
        let oldest = open.range((set, 0)..=(set, u64::MAX)).next();
        oldest.map_or(newest, |(_, id)| snowflake::timestamp_ms(*id))
    }

    /// The same when no id follows: then the last one's millisecond is over too.
    pub fn published_ms_at_end(&self, set: SlotSet) -> u64 {
        let is_empty = self.open.lock().range((set, 0)..=(set, u64::MAX)).next().is_none();
        self.published_ms(set) + u64::from(is_empty)
    }

    /// Changes that are on their way.
    pub fn open_len(&self) -> usize {
        self.open.lock().len()
    }

    /// Waits until a task has panicked with a change on its way.
    pub async fn abandoned(&self) {
        // The sender lives as long as this.
        let _ = self.abandoned.subscribe().wait_for(|abandoned| *abandoned).await;
    }
}

// === impl Open ===

impl Open {
    /// The change's id.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The change is published, or it was never stored.
    pub fn close(mut self) {
        self.ledger.open.lock().remove(&(self.set, self.id));
        self.is_closed = true;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if !self.is_closed && std::thread::panicking() {
            self.ledger.abandoned.send_replace(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Epoch, WorkerId};
    use model::clock::ManualClock;
    use std::time::Duration;
    use tokio::{task::JoinSet, time::timeout};

    const NOW_MS: u64 = 1_700_000_000_000;

    fn ledger() -> (ManualClock, Arc<Ledger>) {
        let clock = ManualClock::at(NOW_MS);
        let ids = Arc::new(Mutex::new(Snowflakes::new(WorkerId::of_epoch(Epoch(1)), 0)));
        (clock.clone(), Ledger::new(ids, Arc::new(clock)))
    }

    #[test]
    fn the_watermark_waits_for_the_oldest_change_of_its_set() {
        let (clock, ledger) = ledger();
        let first = ledger.begin(SlotSet::Guilds);
        clock.advance(5_000);
        let second = ledger.begin(SlotSet::Guilds);
        assert_eq!(ledger.published_ms(SlotSet::Guilds), NOW_MS);
        assert_eq!(ledger.published_ms(SlotSet::Users), NOW_MS + 5_000);
        first.close();
        assert_eq!(ledger.published_ms(SlotSet::Guilds), NOW_MS + 5_000);
        clock.advance(5_000);
        ledger.next();
        drop(second);
        assert_eq!(ledger.published_ms(SlotSet::Guilds), NOW_MS + 5_000, "a dropped change was forgotten");
        assert_eq!(ledger.published_ms_at_end(SlotSet::Guilds), NOW_MS + 5_000);
        assert_eq!(ledger.published_ms_at_end(SlotSet::Users), NOW_MS + 10_001);
        assert_eq!(ledger.open_len(), 1);
    }

    #[tokio::test]
    async fn only_a_change_whose_task_panics_is_abandoned() {
        let (_, ledger) = ledger();
        ledger.begin(SlotSet::Guilds).close();
        drop(ledger.begin(SlotSet::Guilds));
        let told = |wait_ms| timeout(Duration::from_millis(wait_ms), ledger.abandoned());
        assert!(told(50).await.is_err());
        let mut tasks = JoinSet::new();
        let open = ledger.begin(SlotSet::Guilds);
        tasks.spawn(async move {
            tokio::task::yield_now().await;
            let _open = open;
            panic!("the test's");
        });
        tasks.join_next().await.unwrap().unwrap_err();
        told(5_000).await.unwrap();
    }
}
