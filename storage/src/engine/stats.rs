//! Counters of the committer, for whoever turns them into metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What was committed since the engine was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// Groups of batches made durable, that is, fsyncs.
    pub groups: u64,
    /// Batches in them.
    pub batches: u64,
    /// Puts and deletes in those.
    pub changes: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// Microseconds spent in writing and fsync.
    pub write_us: u64,
}

#[derive(Default)]
pub(super) struct Counters {
    groups: AtomicU64,
    batches: AtomicU64,
    changes: AtomicU64,
    bytes: AtomicU64,
    write_us: AtomicU64,
}

impl Counters {
    pub(super) fn add(&self, group: EngineStats) {
        self.groups.fetch_add(group.groups, Relaxed);
        self.batches.fetch_add(group.batches, Relaxed);
        self.changes.fetch_add(group.changes, Relaxed);
        self.bytes.fetch_add(group.bytes, Relaxed);
        self.write_us.fetch_add(group.write_us, Relaxed);
    }

    pub(super) fn read(&self) -> EngineStats {
        EngineStats {
            groups: self.groups.load(Relaxed),
            batches: self.batches.load(Relaxed),
            changes: self.changes.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            write_us: self.write_us.load(Relaxed),
        }
    }
}
