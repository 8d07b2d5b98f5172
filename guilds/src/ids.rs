//! Ids of this service, and the ledger of changes that are stored but perhaps not published yet.
//!
//! The watermark of the outbox says up to which time everything is published. It may only pass a change when that has
//! been published, so a change is entered here together with taking its id, and leaves when its last event is
//! acknowledged. One that is never closed holds the watermark back, and the next start publishes it.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::Id;
use model::clock::SharedClock;
use parking_lot::Mutex;
use storage::{SlotSet, Snowflakes};

/// The process's one generator of ids: all services of a process share it, so that no two ids are equal.
pub type SharedIds = Arc<Mutex<Snowflakes>>;

/// Ids, and the changes that are on their way.
pub(crate) struct Ledger {
    ids: SharedIds,
    clock: SharedClock,
    open: Mutex<BTreeSet<(SlotSet, u64)>>,
}

/// A change that is on its way. Dropped without [`Open::close`] it stays in the ledger.
#[must_use]
pub(crate) struct Open {
    ledger: Arc<Ledger>,
    set: SlotSet,
    pub(crate) id: u64,
}

// === impl Ledger ===

impl Ledger {
    pub(crate) fn new(ids: SharedIds, clock: SharedClock) -> Arc<Self> {
        Arc::new(Self { ids, clock, open: Mutex::default() })
    }

    /// A new id.
    pub(crate) fn next(&self) -> u64 {
        self.ids.lock().next(self.clock.now_ms())
    }

    /// A new id of something.
    pub(crate) fn next_id<T>(&self) -> Id<T> {
        Id::new(self.next()).expect("a snowflake is never 0 after 2015")
    }

    /// The time of the newest id.
    pub(crate) fn newest_ms(&self) -> u64 {
        self.ids.lock().last_ms()
    }

    /// Takes a change's id and enters it.
    pub(crate) fn begin(self: &Arc<Self>, set: SlotSet) -> Open {
        let mut open = self.open.lock();
        let id = self.next();
        open.insert((set, id));
        Open { ledger: self.clone(), set, id }
    }

    /// The time below which every change of a set is published.
    pub(crate) fn published_ms(&self, set: SlotSet) -> u64 {
        let open = self.open.lock();
        let newest = self.newest_ms();
        let oldest = open.range((set, 0)..=(set, u64::MAX)).next();
        oldest.map_or(newest, |(_, id)| model::snowflake::timestamp_ms(*id).min(newest))
    }
}

// === impl Open ===

impl Open {
    /// The change is published, or it was never stored.
    pub(crate) fn close(self) {
        self.ledger.open.lock().remove(&(self.set, self.id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::clock::ManualClock;
    use storage::{Epoch, WorkerId};

    #[test]
    fn the_watermark_waits_for_the_oldest_change_of_its_set() {
        let clock = ManualClock::at(1_700_000_000_000);
        let ids = Arc::new(Mutex::new(Snowflakes::new(WorkerId::of_epoch(Epoch(1)), 0)));
        let ledger = Ledger::new(ids, Arc::new(clock.clone()));
        let first = ledger.begin(SlotSet::Guilds);
        clock.advance(5_000);
        let second = ledger.begin(SlotSet::Guilds);
        assert_eq!(ledger.published_ms(SlotSet::Guilds), 1_700_000_000_000);
        assert_eq!(ledger.published_ms(SlotSet::Users), 1_700_000_005_000);
        first.close();
        assert_eq!(ledger.published_ms(SlotSet::Guilds), 1_700_000_005_000);
        clock.advance(5_000);
        ledger.next();
        drop(second);
        assert_eq!(ledger.published_ms(SlotSet::Guilds), 1_700_000_005_000, "a dropped change was forgotten");
    }
}
