//! The rings driven without a shard.

use model::EventKind;
use proto::{Envelope, Writer};

use super::*;

fn event_of(ring: u16, index: u64, kind: EventKind, bytes: usize) -> Arc<LiveEvent> {
    let writer = Writer { set: 1, slot: 0, epoch: 1 };
    let envelope = Envelope::new(index, kind, writer, vec![b' '; bytes]);
    Arc::new(LiveEvent::stored(index, envelope, EventRef::new(ring, index).unwrap()))
}

fn event(ring: u16, index: u64, bytes: usize) -> Arc<LiveEvent> {
    event_of(ring, index, EventKind::MessageCreate, bytes)
}

#[test]
fn a_reference_is_eight_bytes_and_survives_them() {
    assert_eq!(size_of::<Option<EventRef>>(), 8);
    for (ring, index) in [(0, 1), (79, 1 << 40), (EventRef::RINGS_MAX - 1, (1 << 48) - 1)] {
        let place = EventRef::new(ring, index).unwrap();
        assert_eq!((place.ring(), place.index()), (usize::from(ring), index));
        assert_eq!(EventRef::from_bits(place.bits()), Some(place));
    }
    assert_eq!(
        [(EventRef::RINGS_MAX, 1), (0, 0), (0, 1 << 48)].map(|(ring, index)| EventRef::new(ring, index)),
        [None; 3]
    );
    assert_eq!(EventRef::from_bits(0), None);
}

#[test]
fn events_are_found_by_reference_whatever_was_taken_between() {
    let mut rings = SharedRings::new(usize::MAX);
    let events: Vec<_> = (1..=300).step_by(3).map(|index| event((index % 2) as u16, index, 10)).collect();
    for event in &events {
        rings.push(0, event);
    }
    for event in &events {
        assert!(Arc::ptr_eq(rings.get(event.place().unwrap()).unwrap(), event));
    }
    assert!(!rings.has(EventRef::new(0, 5).unwrap()) && !rings.has(EventRef::new(7, 1).unwrap()));
    assert!(rings.has_sequence(EventRef::new(0, 1).unwrap(), 4));
    assert!(!rings.has_sequence(EventRef::new(0, 1).unwrap(), 5));
}

#[test]
fn what_no_resume_replays_is_not_kept() {
    let mut rings = SharedRings::new(usize::MAX);
    rings.push(0, &event_of(0, 1, EventKind::TypingStart, 10));
    assert!(rings.is_empty());
    rings.push(0, &event(0, 2, 10));
    rings.push(0, &event(0, 2, 10));
    assert_eq!(rings.len(), 1, "once, however often it comes");
}

#[test]
fn a_ring_is_bounded_by_count_bytes_and_age() {
    let mut rings = SharedRings::new(usize::MAX);
    let count = limits::SHARED_RING_EVENTS_MAX as u64;
    for index in 1..=count + 1 {
        rings.push(0, &event(0, index, 1));
    }
    assert_eq!(rings.len() as u64, count);
    assert!(!rings.has(EventRef::new(0, 1).unwrap()) && rings.has(EventRef::new(0, 2).unwrap()));
    rings.push(limits::RING_AGE_MS, &event(1, 1, 1));
    rings.expire(limits::RING_AGE_MS + 1);
    assert_eq!(rings.len(), 1, "the one that is not too old");
    let large = limits::SHARED_RING_BYTES_MAX / 8;
    for index in 2..20 {
        rings.push(limits::RING_AGE_MS, &event(1, index, large));
        assert!(rings.bytes() <= limits::SHARED_RING_BYTES_MAX);
    }
    assert!(rings.has(EventRef::new(1, 19).unwrap()));
    rings.expire(3 * limits::RING_AGE_MS);
    assert_eq!((rings.len(), rings.bytes()), (0, 0));
}

#[test]
fn a_busy_partition_pushes_out_its_own_events_only() {
    let mut rings = SharedRings::new(64 * 1024);
    rings.push(0, &event(0, 1, 100));
    for index in 2..1000 {
        rings.push(0, &event(1, index, 1000));
        assert!(rings.bytes() <= 64 * 1024);
    }
    assert!(rings.has(EventRef::new(0, 1).unwrap()));
    assert!(!rings.has(EventRef::new(1, 2).unwrap()) && rings.has(EventRef::new(1, 999).unwrap()));
}
