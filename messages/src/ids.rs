//! Ids of messages and events, and which of them are stored but not yet published.
//!
//! The generator is shared with every other service of the process that publishes on guilds' subjects: two generators
//! with the same worker would give the same event id twice, and the backplane would take the second event for a repeat
//! of the first. Ids are given and noted under one lock, so the watermark never passes an id that is about to be stored.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::clock::SharedClock;
use parking_lot::Mutex;
use storage::Snowflakes;

/// A generator that is shared between services.
pub type SharedSnowflakes = Arc<Mutex<Snowflakes>>;

pub(crate) struct Ids {
    clock: SharedClock,
    generator: SharedSnowflakes,
    in_flight: Mutex<BTreeSet<u64>>,
}

impl Ids {
    pub(crate) fn new(clock: SharedClock, generator: SharedSnowflakes) -> Self {
        Self { clock, generator, in_flight: Mutex::default() }
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// An id of something that is never stored.
    pub(crate) fn next(&self) -> u64 {
        self.generator.lock().next(self.clock.now_ms())
    }

    /// An id of something that is in flight until [`Self::finish`].
    pub(crate) fn begin(&self) -> u64 {
        let mut in_flight = self.in_flight.lock();
        let id = self.next();
        in_flight.insert(id);
        id
    }

    /// It is published, or was never stored.
    pub(crate) fn finish(&self, id: u64) {
        self.in_flight.lock().remove(&id);
    }

    /// All further ids lie above this one.
    pub(crate) fn raise_above(&self, id: u64) {
        self.generator.lock().raise_above(id);
    }

    /// The time below which everything is published.
    pub(crate) fn published_ms(&self) -> u64 {
        let in_flight = self.in_flight.lock();
        match in_flight.first() {
            Some(id) => model::snowflake::timestamp_ms(*id),
            None => self.generator.lock().last_ms(),
        }
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.lock().len()
    }
}
