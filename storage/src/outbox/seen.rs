//! What the first sweep of a slot has published, until the late one: event ids that need not be looked for in the stream.
//!
//! Of a slot with more of them than fit some are forgotten; then the stream is asked, which is slow and right.

use crate::{
    leases::Lease,
    slots::{Slot, SlotSet},
};
use model::limits::SWEPT_IDS_MAX;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};

/// Event ids by slot.
#[derive(Debug, Default)]
pub struct Seen {
    slots: Mutex<HashMap<(SlotSet, Slot), HashSet<u64>>>,
}

impl Seen {
    /// The event is in the stream.
    pub fn note(&self, set: SlotSet, slot: Slot, event_id: u64) {
        let mut slots = self.slots.lock();
        if slots.values().map(HashSet::len).sum::<usize>() < SWEPT_IDS_MAX {
            slots.entry((set, slot)).or_default().insert(event_id);
        }
    }

    /// Whether it was noted.
    pub fn has(&self, set: SlotSet, slot: Slot, event_id: u64) -> bool {
        self.slots.lock().get(&(set, slot)).is_some_and(|ids| ids.contains(&event_id))
    }

    /// Nothing of these slots is asked for any more.
    pub fn forget(&self, leases: &[Lease]) {
        let mut slots = self.slots.lock();
        leases.iter().for_each(|lease| drop(slots.remove(&(lease.set, lease.slot))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Epoch;

    #[test]
    fn a_bounded_number_of_ids_is_remembered_by_slot() {
        let seen = Seen::default();
        let (set, slot) = (SlotSet::Channels, Slot::new(1).unwrap());
        let ids = SWEPT_IDS_MAX as u64;
        (0..=ids).for_each(|id| seen.note(set, slot, id));
        assert!(seen.has(set, slot, 0) && seen.has(set, slot, ids - 1) && !seen.has(set, slot, ids));
        assert!(!seen.has(SlotSet::Users, slot, 0) && !seen.has(set, Slot::new(2).unwrap(), 0));
        seen.forget(&[Lease { set, slot, epoch: Epoch(1) }]);
        assert!(!seen.has(set, slot, 0));
    }
}
