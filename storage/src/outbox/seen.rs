//! What the first sweep of a slot has published, until the late one: event ids that need not be looked for in the stream.
//!
//! Of a slot with more of them than fit some are forgotten. Then the stream is asked, which is slow, and what is not known
//! here says nothing any more ([`Seen::is_whole`]).

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
    slots: Mutex<HashMap<(SlotSet, Slot), Noted>>,
}

#[derive(Debug, Default)]
struct Noted {
    ids: HashSet<u64>,
    has_forgotten: bool,
}

impl Seen {
    /// The event is in the stream.
    pub fn note(&self, set: SlotSet, slot: Slot, event_id: u64) {
        let mut slots = self.slots.lock();
        let count: usize = slots.values().map(|noted| noted.ids.len()).sum();
        let noted = slots.entry((set, slot)).or_default();
        if count < SWEPT_IDS_MAX {
            noted.ids.insert(event_id);
        } else {
            noted.has_forgotten = true;
        }
    }

    /// Whether it was noted.
    pub fn has(&self, set: SlotSet, slot: Slot, event_id: u64) -> bool {
        self.slots.lock().get(&(set, slot)).is_some_and(|noted| noted.ids.contains(&event_id))
    }

    /// Whether nothing of the slot was forgotten: then what was not noted was not there at the first sweep.
    pub fn is_whole(&self, set: SlotSet, slot: Slot) -> bool {
        self.slots.lock().get(&(set, slot)).is_none_or(|noted| !noted.has_forgotten)
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
        let (set, slot, other) = (SlotSet::Channels, Slot::new(1).unwrap(), Slot::new(2).unwrap());
        let ids = SWEPT_IDS_MAX as u64;
        seen.note(set, other, 7);
        (1..ids).for_each(|id| seen.note(set, slot, id));
        assert!(seen.has(set, slot, 1) && seen.has(set, slot, ids - 1) && seen.is_whole(set, slot));
        seen.note(set, slot, ids);
        assert!(!seen.has(set, slot, ids) && !seen.is_whole(set, slot), "some are forgotten, and it says so");
        assert!(seen.is_whole(set, other) && seen.is_whole(SlotSet::Users, slot));
        assert!(!seen.has(SlotSet::Users, slot, 1) && !seen.has(set, other, 1));
        seen.forget(&[Lease { set, slot, epoch: Epoch(1) }]);
        assert!(!seen.has(set, slot, 1) && seen.is_whole(set, slot));
    }
}
