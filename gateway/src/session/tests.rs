//! The session driven without a socket.

use std::sync::Arc;

use backplane::PodName;
use model::EventKind;
use proptest::prelude::*;
use proto::{Envelope, Writer};

use super::*;
use crate::made::OwnEvent;
use crate::shared_ring::EventRef;

fn event(id: u64) -> Arc<LiveEvent> {
    let writer = Writer { set: 1, slot: 0, epoch: 1 };
    let envelope = Envelope::new(id, EventKind::MessageCreate, writer, "{}");
    Arc::new(LiveEvent::stored(id, envelope, EventRef::new(0, id).unwrap()))
}

/// A session and the rings of its shard.
struct Driven {
    session: Session,
    rings: SharedRings,
}

impl Driven {
    fn new() -> Self {
        Self { session: Session::new(profile()), rings: SharedRings::new(usize::MAX) }
    }

    fn push(&mut self, id: u64) -> Option<u32> {
        let event = event(id);
        self.rings.push(0, &event);
        self.session.push(0, Entry::Shared(event.place().unwrap()), &self.rings)
    }

    fn check(&self, token: &str, seq: u64) -> Result<(), ResumeRefusal> {
        self.session.check_resume(&TokenHash::of(token), seq, &self.rings)
    }

    /// Takes what the session has to send, as a socket does; answers the sequences, RESUMED as 0.
    fn drain(&mut self) -> Vec<u32> {
        let mut sent = Vec::new();
        loop {
            match self.session.next(&self.rings) {
                Next::Entry { seq, .. } => sent.push(seq),
                Next::Resumed { .. } => sent.push(0),
                Next::Overrun => panic!("the ring dropped what was still to be sent"),
                Next::Nothing => return sent,
            }
            self.session.advance();
        }
    }
}

fn profile() -> Profile {
    Profile {
        compress: false,
        id: SessionId::new(PodTag::of(&PodName::new("a")), 3, [7; 16]),
        user_id: UserId::new(1).unwrap(),
        is_bot: true,
        token_id: 9,
        token_hash: TokenHash::of("Bot secret"),
        intents: Intents::ALL,
        large_threshold: 50,
        shard: Shard::WHOLE,
    }
}

#[test]
fn an_id_names_its_pod_and_shard_and_survives_text() {
    let pod = PodTag::of(&PodName::new("starling-1"));
    assert_ne!(pod, PodTag::of(&PodName::new("starling-2")));
    let id = SessionId::new(pod, 3, [7; 16]);
    assert_eq!(id.pod(), pod);
    assert_eq!(id.to_string().parse(), Ok(id));
    assert_eq!(id.shard(), 3);
    for text in ["", "zz", &"0".repeat(31), &"0".repeat(33), &format!("+{}", "0".repeat(31))] {
        assert!(text.parse::<SessionId>().is_err(), "{text}");
    }
}

#[test]
fn what_came_while_nobody_listened_is_replayed_before_resumed() {
    let mut driven = Driven::new();
    driven.session.attach();
    assert_eq!(driven.push(1), Some(1));
    driven.session.detach();
    assert_eq!(driven.push(2), None);
    assert_eq!(driven.push(3), None);
    assert_eq!(driven.check("secret", 1), Ok(()));
    driven.session.resume(1);
    assert!(!driven.session.is_at_end());
    assert_eq!(driven.push(4), None, "an event in the middle of a replay waits its turn");
    assert_eq!(driven.drain(), [2, 3, 4, 0]);
    assert_eq!(driven.push(5), Some(5));
}

#[test]
fn a_resume_is_refused_for_its_reason() {
    let mut driven = Driven::new();
    driven.session.attach();
    for id in 1..=10 {
        driven.push(id);
    }
    driven.session.confirmed(6);
    assert_eq!(driven.check("other", 8), Err(ResumeRefusal::WrongToken));
    assert_eq!(driven.check("Bot secret", 11), Err(ResumeRefusal::SeqAhead));
    assert_eq!(driven.check("Bot secret", u64::MAX), Err(ResumeRefusal::SeqAhead));
    assert_eq!(driven.check("Bot secret", 5), Err(ResumeRefusal::SeqTooOld));
    assert_eq!(driven.check("Bot secret", 6), Ok(()));
    driven.session.confirmed(10);
    assert_eq!(driven.check("Bot secret", 10), Ok(()));
    assert_eq!(driven.check("Bot secret", 9), Err(ResumeRefusal::SeqTooOld));
}

#[test]
fn a_socket_that_the_ring_has_overrun_is_told() {
    let mut driven = Driven::new();
    driven.session.attach();
    driven.push(1);
    driven.session.detach();
    driven.session.resume(0);
    for id in 2..limits::RING_EVENTS_MAX as u64 + 3 {
        driven.push(id);
    }
    assert!(matches!(driven.session.next(&driven.rings), Next::Overrun));
}

#[test]
fn a_session_that_missed_more_than_its_ring_holds_is_beyond_resume() {
    let mut driven = Driven::new();
    driven.session.attach();
    driven.push(1);
    driven.session.detach();
    for id in 2..limits::RING_EVENTS_MAX as u64 + 2 {
        driven.push(id);
        assert!(!driven.session.is_beyond_resume(), "what it was sent last can still be followed");
    }
    assert_eq!(driven.check("secret", 1), Ok(()));
    driven.push(limits::RING_EVENTS_MAX as u64 + 2);
    assert!(driven.session.is_beyond_resume());
    assert_eq!(driven.check("secret", 1), Err(ResumeRefusal::SeqTooOld));
}

#[test]
fn what_the_shared_rings_have_lost_is_never_passed_over() {
    let mut driven = Driven::new();
    driven.session.attach();
    for id in 1..=3 {
        driven.push(id);
    }
    driven.session.detach();
    // Another partition's event, which outlives those before and after it.
    let writer = Writer { set: 1, slot: 0, epoch: 1 };
    let envelope = Envelope::new(9, EventKind::MessageCreate, writer, "{}");
    let other = Arc::new(LiveEvent::stored(9, envelope, EventRef::new(1, 4).unwrap()));
    driven.rings.push(limits::RING_AGE_MS, &other);
    driven.session.push(0, Entry::Shared(other.place().unwrap()), &driven.rings);
    assert_eq!(driven.check("secret", 2), Ok(()));
    driven.rings.expire(limits::RING_AGE_MS + 1);
    assert_eq!(driven.check("secret", 2), Err(ResumeRefusal::SeqTooOld));
    assert_eq!(driven.check("secret", 3), Ok(()), "what follows is all there");
    driven.session.resume(2);
    assert!(matches!(driven.session.next(&driven.rings), Next::Overrun));
}

#[test]
fn the_ring_is_bounded_by_count_bytes_and_age() {
    let (mut ring, mut rings) = (Ring::default(), SharedRings::new(usize::MAX));
    for id in 1..=limits::RING_EVENTS_MAX as u64 + 1 {
        rings.push(0, &event(id));
        ring.push(0, Entry::Shared(event(id).place().unwrap()), &rings);
    }
    assert_eq!((ring.first_seq(), ring.last_seq()), (2, limits::RING_EVENTS_MAX as u64 + 1));
    let (late_ms, last) = (limits::RING_AGE_MS + 1, ring.last_seq());
    rings.expire(late_ms);
    ring.push(late_ms, Entry::GuildCreate(GuildId::new(1).unwrap()), &rings);
    assert_eq!(ring.first_seq(), last + 1, "what is too old is gone");
    let large = || Entry::Own(OwnEvent::new("T", &vec![b' '; limits::RING_BYTES_MAX / 2]), About::User);
    for _ in 0..4 {
        ring.push(late_ms, large(), &rings);
    }
    assert!(ring.bytes() <= limits::RING_BYTES_MAX);
    assert!(matches!(ring.find(ring.last_seq(), &rings), Some(Found::Own(..))));
    ring.confirm(ring.last_seq());
    assert_eq!((ring.bytes(), ring.heap_bytes()), (0, 0));
}

/// The aim: at most a tenth, better a twentieth, of what a copy for each session would take.
#[test]
fn resume_buffers_of_many_sessions_are_a_small_part_of_copies() {
    const SESSIONS: usize = 10_000;
    const EVENTS: usize = 250;
    const EVENT_BYTES: usize = 300;
    let mut rings = SharedRings::new(usize::MAX);
    let mut sessions: Vec<Ring> = (0..SESSIONS).map(|_| Ring::default()).collect();
    for index in 1..=EVENTS as u64 {
        let writer = Writer { set: 1, slot: 0, epoch: 1 };
        let envelope = Envelope::new(index, EventKind::MessageCreate, writer, vec![b' '; EVENT_BYTES]);
        let event = Arc::new(LiveEvent::stored(index, envelope, EventRef::new(0, index).unwrap()));
        rings.push(0, &event);
        for ring in &mut sessions {
            ring.push(0, Entry::Shared(event.place().unwrap()), &rings);
        }
    }
    let rings_alone = size_of::<SharedRings>() + rings.heap_bytes();
    let references: usize = sessions.iter().map(|ring| size_of::<Ring>() + ring.heap_bytes()).sum();
    let copies = SESSIONS * EVENTS * EVENT_BYTES;
    let ratio = (rings_alone + references) as f64 / copies as f64;
    println!("references {references} B, shared events {rings_alone} B, copies {copies} B: {ratio:.4}");
    assert!(ratio <= 0.05, "{ratio}");
}

proptest! {
    /// Whatever happens to the socket, the client sees every sequence from where it resumes, once and in order.
    #[test]
    fn a_client_that_resumes_misses_nothing(steps in proptest::collection::vec(0_u8..5, 1..200)) {
        let mut driven = Driven::new();
        driven.session.attach();
        let (mut client, mut id) = (0_u32, 0_u64);
        for step in steps {
            match step {
                0 | 1 => {
                    id += 1;
                    if let Some(seq) = driven.push(id) {
                        prop_assert_eq!(seq, client + 1);
                        client = seq;
                    }
                }
                2 => driven.session.detach(),
                3 if !driven.session.is_attached() => {
                    prop_assert_eq!(driven.check("secret", client.into()), Ok(()));
                    driven.session.resume(client.into());
                }
                _ => {
                    for seq in driven.drain().into_iter().filter(|seq| *seq != 0) {
                        prop_assert_eq!(seq, client + 1);
                        client = seq;
                    }
                    driven.session.confirmed(client.into());
                }
            }
        }
    }
}
