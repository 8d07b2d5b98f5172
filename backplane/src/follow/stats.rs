//! What followers count.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::chain::LostCause;

/// A number that only grows.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters of one follower.
#[derive(Debug, Default)]
pub struct FollowStats {
    pub(super) gaps: Counter,
    pub(super) overflows: Counter,
    pub(super) reconnects: Counter,
    pub(super) incarnations: Counter,
    pub(super) repairs: Counter,
    pub(super) repairs_failed: Counter,
    pub(super) lost_expired: Counter,
    pub(super) lost_missing: Counter,
    pub(super) duplicates: Counter,
    pub(super) fenced: Counter,
    pub(super) malformed: Counter,
    pub(super) mode_changes: Counter,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FollowCounts {
    /// Holes that opened.
    pub gaps: u64,
    /// Times that the buffer behind a hole was emptied.
    pub overflows: u64,
    pub reconnects: u64,
    pub incarnations: u64,
    /// Questions to the stream that were answered.
    pub repairs: u64,
    pub repairs_failed: u64,
    /// Events that the stream no longer had.
    pub lost_expired: u64,
    /// Events that the stream should have had.
    pub lost_missing: u64,
    /// Events that came again, by sequence or by event id.
    pub duplicates: u64,
    /// Events of writers that had been replaced.
    pub fenced: u64,
    pub malformed: u64,
    pub mode_changes: u64,
}

impl FollowStats {
    pub fn counts(&self) -> FollowCounts {
        FollowCounts {
            gaps: self.gaps.get(),
            overflows: self.overflows.get(),
            reconnects: self.reconnects.get(),
            incarnations: self.incarnations.get(),
            repairs: self.repairs.get(),
            repairs_failed: self.repairs_failed.get(),
            lost_expired: self.lost_expired.get(),
            lost_missing: self.lost_missing.get(),
            duplicates: self.duplicates.get(),
            fenced: self.fenced.get(),
            malformed: self.malformed.get(),
            mode_changes: self.mode_changes.get(),
        }
    }

    pub(super) fn lost(&self, cause: LostCause) -> &Counter {
        match cause {
            LostCause::Expired => &self.lost_expired,
            LostCause::Missing => &self.lost_missing,
        }
    }
}
