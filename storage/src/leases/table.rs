//! The slots of this process as everybody may read them: a number for each, and one for how long they hold.
//!
//! Reading is a few atomic loads, so that it can stand before every write. A reader that finds a slot owned may be
//! overtaken by its end in the next instant; that is what the margin of [`SlotTable::write_until`] and the epoch in
//! everything that is written are for.

use super::{Epoch, Lease, NotOwner};
use crate::slots::{Slot, SlotSet};
use model::limits::SLOTS_PER_SET;
use parking_lot::{Mutex, RwLock};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

/// What is done with a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Phase {
    /// Taken; nothing is accepted yet.
    Sweeping = 1,
    /// Served.
    Owned = 2,
    /// Nothing more is accepted.
    Draining = 3,
}

/// Epochs and phases of all slots.
#[derive(Debug)]
pub(crate) struct SlotTable {
    /// Epoch and phase; 0 for a slot that is not ours.
    slots: [Box<[AtomicU64]>; SlotSet::ALL.len()],
    start: Instant,
    /// Milliseconds after `start` at which every lease ends unless it is renewed.
    until_ms: AtomicU64,
    /// What is cancelled when nothing more is to be accepted under a lease; made when somebody asks for it.
    ends: Mutex<HashMap<Lease, CancellationToken>>,
    /// Who was seen to own what is not ours.
    owners: RwLock<HashMap<(SlotSet, Slot), Arc<str>>>,
    /// By set, whether all its slots were served for the first time, or tried to.
    settled: watch::Sender<[bool; SlotSet::ALL.len()]>,
}

/// Leases that hold for ever.
const NEVER_MS: u64 = u64::MAX;
/// Leases that somebody has found to be over.
const OVER_MS: u64 = 0;
const PHASE_BITS: u32 = 2;
const PHASE_MASK: u64 = (1 << PHASE_BITS) - 1;

impl SlotTable {
    /// Nothing is owned. What comes holds for ever, unless [`Self::hold_until`] says otherwise.
    pub(crate) fn new() -> Self {
        let slots = || (0..SLOTS_PER_SET).map(|_| AtomicU64::new(0)).collect();
        Self {
            slots: [slots(), slots(), slots()],
            start: Instant::now(),
            until_ms: AtomicU64::new(NEVER_MS),
            ends: Mutex::default(),
            owners: RwLock::default(),
            settled: watch::Sender::default(),
        }
    }

    pub(crate) fn set(&self, lease: &Lease, phase: Phase) {
        self.slot(lease.set, lease.slot).store(lease.epoch.0 << PHASE_BITS | phase as u64, SeqCst);
        if phase == Phase::Draining {
            self.end(lease);
        }
    }

    /// The slot is not ours any more, if it still was by this lease.
    pub(crate) fn clear(&self, lease: &Lease) {
        let is_same = |found: u64| (found >> PHASE_BITS == lease.epoch.0).then_some(0);
        // Otherwise it has gone already.
        let _ = self.slot(lease.set, lease.slot).fetch_update(SeqCst, SeqCst, is_same);
        self.end(lease);
    }

    pub(crate) fn end_of(&self, lease: &Lease) -> CancellationToken {
        let mut ends = self.ends.lock();
        // Whoever ends the lease changes the slot first, and then comes here.
        let found = self.slot(lease.set, lease.slot).load(SeqCst);
        let is_over = found >> PHASE_BITS != lease.epoch.0 || found & PHASE_MASK == Phase::Draining as u64;
        if is_over {
            let over = CancellationToken::new();
            over.cancel();
            return over;
        }
        ends.entry(*lease).or_default().clone()
    }

    fn end(&self, lease: &Lease) {
        if let Some(end) = self.ends.lock().remove(lease) {
            end.cancel();
        }
    }

    /// Every lease ends at this moment; in the past, all have ended.
    pub(crate) fn hold_until(&self, until: Instant) {
        self.until_ms.store(self.ms(until), SeqCst);
    }

    /// The same for leases that have not ended: who has found one to be over has acted on that, and it stays so. Whether
    /// they had not.
    pub(crate) fn extend_until(&self, until: Instant) -> bool {
        let extended = |until_ms| (!self.is_over(until_ms)).then(|| self.ms(until));
        self.until_ms.fetch_update(SeqCst, SeqCst, extended).is_ok()
    }

    pub(crate) fn lease(&self, set: SlotSet, slot: Slot) -> Result<Lease, NotOwner> {
        let found = self.slot(set, slot).load(SeqCst);
        let is_served = found & PHASE_MASK == Phase::Owned as u64;
        if is_served && self.holds() {
            Ok(Lease { set, slot, epoch: Epoch(found >> PHASE_BITS) })
        } else {
            Err(self.not_owner(set, slot))
        }
    }

    pub(crate) fn check(&self, lease: &Lease) -> Result<(), NotOwner> {
        let found = self.slot(lease.set, lease.slot).load(SeqCst);
        if found != 0 && found >> PHASE_BITS == lease.epoch.0 && self.holds() {
            Ok(())
        } else {
            Err(self.not_owner(lease.set, lease.slot))
        }
    }

    /// Whether anything may be written to the slot, in whatever epoch.
    #[cfg(test)]
    pub(crate) fn check_slot(&self, set: SlotSet, slot: Slot) -> bool {
        self.slot(set, slot).load(SeqCst) != 0 && self.holds()
    }

    /// The end of all leases, less a margin.
    pub(crate) fn write_until(&self, margin: Duration) -> Option<Instant> {
        let until_ms = self.until_ms.load(SeqCst);
        let until = || self.start + Duration::from_millis(until_ms);
        (until_ms != NEVER_MS).then(|| until().checked_sub(margin).unwrap_or(self.start))
    }

    /// Notes who owns what, in place of what was noted before.
    pub(crate) fn note_owners(&self, owners: HashMap<(SlotSet, Slot), Arc<str>>) {
        *self.owners.write() = owners;
    }

    pub(crate) fn note_settled(&self, sets: &[SlotSet]) {
        self.settled.send_if_modified(|settled| {
            let before = *settled;
            sets.iter().for_each(|set| settled[index(*set)] = true);
            before != *settled
        });
    }

    pub(crate) async fn settled(&self, sets: &[SlotSet]) {
        let mut settled = self.settled.subscribe();
        // The sender lives as long as this.
        let _ = settled.wait_for(|settled| sets.iter().all(|set| settled[index(*set)])).await;
    }

    fn holds(&self) -> bool {
        let over = |until_ms| self.is_over(until_ms).then_some(OVER_MS);
        self.until_ms.fetch_update(SeqCst, SeqCst, over).is_err()
    }

    fn is_over(&self, until_ms: u64) -> bool {
        until_ms != NEVER_MS && self.start.elapsed() >= Duration::from_millis(until_ms)
    }

    fn ms(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.start).as_millis()).unwrap_or(NEVER_MS - 1)
    }

    fn not_owner(&self, set: SlotSet, slot: Slot) -> NotOwner {
        NotOwner { set, slot, owner: self.owners.read().get(&(set, slot)).cloned() }
    }

    fn slot(&self, set: SlotSet, slot: Slot) -> &AtomicU64 {
        &self.slots[index(set)][usize::from(slot.get())]
    }
}

fn index(set: SlotSet) -> usize {
    usize::from(set.code()) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: SlotSet = SlotSet::Guilds;

    fn lease(slot: u16, epoch: u64) -> Lease {
        Lease { set: SET, slot: Slot::new(slot).unwrap(), epoch: Epoch(epoch) }
    }

    #[test]
    fn a_slot_is_served_in_one_phase_and_written_to_in_all() {
        let (table, mine) = (SlotTable::new(), lease(7, 5));
        assert!(table.lease(SET, mine.slot).is_err() && table.check(&mine).is_err());
        for (phase, is_served) in [(Phase::Sweeping, false), (Phase::Owned, true), (Phase::Draining, false)] {
            table.set(&mine, phase);
            assert_eq!(table.lease(SET, mine.slot).ok(), is_served.then_some(mine), "{phase:?}");
            assert_eq!(table.check(&mine), Ok(()));
            assert!(table.check(&lease(7, 4)).is_err() && table.check(&lease(8, 5)).is_err());
            assert!(table.check(&Lease { set: SlotSet::Users, ..mine }).is_err());
        }
        table.clear(&lease(7, 4));
        assert_eq!(table.check(&mine), Ok(()), "an older lease of the slot ends nothing");
        table.clear(&mine);
        assert!(table.check(&mine).is_err());
    }

    #[test]
    fn the_end_of_a_lease_is_told_once_nothing_more_is_accepted() {
        let (table, mine) = (SlotTable::new(), lease(7, 5));
        assert!(table.end_of(&mine).is_cancelled());
        table.set(&mine, Phase::Owned);
        let (one, other) = (table.end_of(&mine), table.end_of(&mine));
        assert!(!one.is_cancelled());
        table.set(&mine, Phase::Draining);
        assert!(one.is_cancelled() && other.is_cancelled() && table.end_of(&mine).is_cancelled());
        table.set(&lease(7, 6), Phase::Owned);
        let next = table.end_of(&lease(7, 6));
        table.clear(&lease(7, 6));
        assert!(next.is_cancelled() && table.ends.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn everything_ends_when_it_is_not_renewed() {
        let (table, mine) = (SlotTable::new(), lease(7, 5));
        table.set(&mine, Phase::Owned);
        assert_eq!(table.write_until(Duration::ZERO), None);
        let until = Instant::now() + Duration::from_secs(8);
        table.hold_until(until);
        assert_eq!(table.write_until(Duration::from_secs(1)), Some(until - Duration::from_secs(1)));
        tokio::time::advance(Duration::from_millis(7_999)).await;
        assert_eq!((table.check(&mine), table.lease(SET, mine.slot)), (Ok(()), Ok(mine)));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(table.check(&mine).is_err() && table.lease(SET, mine.slot).is_err());
    }

    /// A renewal whose answer comes late may be right all the same; but somebody has been told that the lease is over.
    #[tokio::test(start_paused = true)]
    async fn what_was_found_to_be_over_stays_so() {
        let (table, mine) = (SlotTable::new(), lease(7, 5));
        table.set(&mine, Phase::Owned);
        let start = Instant::now();
        let after = |secs| start + Duration::from_secs(secs);
        table.hold_until(after(8));
        tokio::time::advance(Duration::from_secs(7)).await;
        assert!(table.extend_until(after(11)));
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(table.check(&mine), Ok(()));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(table.check(&mine).is_err());
        assert!(!table.extend_until(after(14)));
        assert!(table.check(&mine).is_err() && table.write_until(Duration::ZERO) < Some(Instant::now()));
    }

    #[test]
    fn whom_to_ask_is_said_where_it_is_known() {
        let table = SlotTable::new();
        let error = table.check(&lease(7, 5)).unwrap_err();
        assert_eq!(error.to_string(), "use slot 7 of Guilds: this replica does not own it; ask its owner");
        table.note_owners([((SET, lease(7, 0).slot), Arc::from("10.0.0.7:9091"))].into());
        let error = table.lease(SET, lease(7, 0).slot).unwrap_err();
        assert_eq!(
            error.to_string(),
            "use slot 7 of Guilds: this replica does not own it; ask 10.0.0.7:9091"
        );
    }
}
