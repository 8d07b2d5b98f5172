//! What a shard keeps of the events that it took, so that sessions can be resumed: one bounded ring per partition.
//!
//! An event is here once, however many sessions it was given to; a session remembers only *where* it is. Rings are
//! bounded by count, bytes and age, so a reference may outlive its event: the session that holds it can't be resumed
//! from there, which is found out by asking, never passed over. Events live a little longer than a session can be
//! without a socket, so age alone ends no resume. A partition that is too busy pushes out its own events and no other's.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::sync::Arc;

use model::limits;
use rustc_hash::FxHashSet;

use crate::live::LiveEvent;

#[cfg(test)]
mod tests;

/// Where a shared event is: the ring of its partition, and its number among all events that the pod has taken. Eight
/// bytes, with room for [`EventRef::RINGS_MAX`] rings and 2⁴⁸ events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventRef(NonZeroU64);

/// The rings of one shard.
#[derive(Debug)]
pub struct SharedRings {
    /// By the number of the ring; those in use are few.
    rings: Vec<Ring>,
    bytes: usize,
    bytes_max: usize,
}

/// Events in the order of their index, which has holes where others were taken.
#[derive(Debug, Default)]
struct Ring {
    events: VecDeque<Kept>,
    bytes: usize,
}

#[derive(Debug)]
struct Kept {
    index: u64,
    at_ms: u64,
    event: Arc<LiveEvent>,
}

// === impl EventRef ===

impl EventRef {
    pub const RINGS_MAX: u16 = 4096;

    /// `None` for a ring or an index that does not fit; indexes begin at 1.
    pub fn new(ring: u16, index: u64) -> Option<Self> {
        if ring >= Self::RINGS_MAX || index >= 1 << INDEX_BITS {
            return None;
        }
        let index = NonZeroU64::new(index)?;
        Some(Self(index | (u64::from(ring) << INDEX_BITS)))
    }

    pub(crate) fn from_bits(bits: u64) -> Option<Self> {
        Self::new((bits >> INDEX_BITS) as u16, bits & INDEX_MASK)
    }

    pub(crate) fn bits(self) -> u64 {
        self.0.get()
    }

    fn ring(self) -> usize {
        (self.bits() >> INDEX_BITS) as usize
    }

    fn index(self) -> u64 {
        self.bits() & INDEX_MASK
    }
}

// === impl SharedRings ===

impl SharedRings {
    /// Rings that hold at most `bytes_max` bytes together.
    pub fn new(bytes_max: usize) -> Self {
        Self { rings: Vec::new(), bytes: 0, bytes_max }
    }

    /// Keeps an event, unless it is one that no resume replays.
    pub fn push(&mut self, now_ms: u64, event: &Arc<LiveEvent>) {
        let Some(place) = event.place() else { return };
        if self.rings.len() <= place.ring() {
            self.rings.resize_with(place.ring() + 1, Ring::default);
        }
        let ring = &mut self.rings[place.ring()];
        if ring.events.back().is_some_and(|last| last.index >= place.index()) {
            return;
        }
        let bytes = event.kept_bytes();
        ring.events.push_back(Kept { index: place.index(), at_ms: now_ms, event: event.clone() });
        ring.bytes += bytes;
        self.bytes += bytes;
        self.bytes -= ring.trim(now_ms);
        while self.bytes > self.bytes_max && self.drop_from_largest() {}
    }

    /// The event, if it is still here.
    pub fn get(&self, place: EventRef) -> Option<&Arc<LiveEvent>> {
        let events = &self.rings.get(place.ring())?.events;
        let at = events.binary_search_by_key(&place.index(), |kept| kept.index).ok()?;
        Some(&events[at].event)
    }

    /// When the event was taken, if it is still here.
    pub(crate) fn taken_at_ms(&self, place: EventRef) -> Option<u64> {
        let events = &self.rings.get(place.ring())?.events;
        let at = events.binary_search_by_key(&place.index(), |kept| kept.index).ok()?;
        Some(events[at].at_ms)
    }

    pub fn has(&self, place: EventRef) -> bool {
        self.get(place).is_some()
    }

    /// Whether an event with this sequence is among the newest of the ring that `place` is in.
    pub fn has_sequence(&self, place: EventRef, sequence: u64) -> bool {
        let events = self.rings.get(place.ring()).map(|ring| &ring.events);
        events.into_iter().flatten().rev().any(|kept| kept.event.sequence == sequence)
    }

    /// The events with these sequences that are in a ring and that `is_wanted` takes.
    pub(crate) fn find(
        &self,
        ring: u16,
        sequences: &FxHashSet<u64>,
        is_wanted: impl Fn(&LiveEvent) -> bool,
    ) -> Vec<Arc<LiveEvent>> {
        let events = self.rings.get(usize::from(ring)).into_iter().flat_map(|ring| &ring.events);
        let found = events.map(|kept| &kept.event).filter(|event| sequences.contains(&event.sequence));
        found.filter(|event| is_wanted(event)).cloned().collect()
    }

    /// Drops what is too old.
    pub fn expire(&mut self, now_ms: u64) {
        for ring in &mut self.rings {
            self.bytes -= ring.trim(now_ms);
        }
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What the allocator was asked for, events included.
    #[cfg(test)]
    pub(crate) fn heap_bytes(&self) -> usize {
        let places = self.rings.iter().map(|ring| ring.events.capacity() * size_of::<Kept>());
        self.rings.capacity() * size_of::<Ring>() + places.sum::<usize>() + self.bytes
    }

    pub fn len(&self) -> usize {
        self.rings.iter().map(|ring| ring.events.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn drop_from_largest(&mut self) -> bool {
        let Some(largest) = self.rings.iter_mut().max_by_key(|ring| ring.bytes) else { return false };
        let freed = largest.drop_oldest();
        self.bytes -= freed;
        freed > 0
    }
}

impl Ring {
    /// Answers how many bytes that freed.
    fn trim(&mut self, now_ms: u64) -> usize {
        let is_over = |ring: &Self| {
            ring.events.len() > limits::SHARED_RING_EVENTS_MAX
                || ring.bytes > limits::SHARED_RING_BYTES_MAX
                || ring.events.front().is_some_and(|kept| kept.at_ms + limits::RING_AGE_MS < now_ms)
        };
        let mut freed = 0;
        while is_over(self) {
            freed += self.drop_oldest();
        }
        freed
    }

    fn drop_oldest(&mut self) -> usize {
        let Some(kept) = self.events.pop_front() else { return 0 };
        let bytes = kept.event.kept_bytes();
        self.bytes -= bytes;
        if self.events.capacity() > SPARE_EVENTS_MAX && self.events.len() < self.events.capacity() / 4 {
            self.events.shrink_to(self.events.len() * 2);
        }
        bytes
    }
}

const INDEX_BITS: u32 = 48;
const INDEX_MASK: u64 = (1 << INDEX_BITS) - 1;
/// Places that a ring keeps free once it has grown.
const SPARE_EVENTS_MAX: usize = 64;
