//! The session driven without a socket.

use model::EventKind;
use proptest::prelude::*;
use proto::{Envelope, Writer};

use super::*;

fn event(id: u64) -> Arc<LiveEvent> {
    let writer = Writer { set: 1, slot: 0, epoch: 1 };
    Arc::new(LiveEvent::new(id, Envelope::new(id, EventKind::MessageCreate, writer, "{}")))
}

fn profile() -> Profile {
    Profile {
        id: SessionId::new(3, [7; 16]),
        user_id: UserId::new(1).unwrap(),
        is_bot: true,
        token_id: 9,
        token_hash: TokenHash::of("Bot secret"),
        intents: Intents::ALL,
        large_threshold: 50,
        shard: Shard::WHOLE,
    }
}

/// Takes what the session has to send, as a socket does; answers the sequences, RESUMED as 0.
fn drain(session: &mut Session) -> Vec<u32> {
    let mut sent = Vec::new();
    loop {
        match session.next() {
            Next::Entry { seq, .. } => sent.push(seq),
            Next::Resumed { .. } => sent.push(0),
            Next::Overrun => panic!("the ring dropped what was still to be sent"),
            Next::Nothing => return sent,
        }
        session.advance();
    }
}

#[test]
fn an_id_names_its_shard_and_survives_text() {
    let id = SessionId::new(3, [7; 16]);
    assert_eq!(id.to_string().parse(), Ok(id));
    assert_eq!(id.shard(), 3);
    for text in ["", "zz", &"0".repeat(31), &"0".repeat(33), &format!("+{}", "0".repeat(31))] {
        assert!(text.parse::<SessionId>().is_err(), "{text}");
    }
}

#[test]
fn what_came_while_nobody_listened_is_replayed_before_resumed() {
    let mut session = Session::new(profile());
    session.attach();
    assert_eq!(session.push_event(0, &event(1)), Some(1));
    session.detach();
    assert_eq!(session.push_event(0, &event(2)), None);
    assert_eq!(session.push_event(0, &event(3)), None);
    assert_eq!(session.check_resume(&TokenHash::of("secret"), 1), Ok(()));
    session.resume(1);
    assert!(!session.is_at_end());
    assert_eq!(session.push_event(0, &event(4)), None, "an event in the middle of a replay waits its turn");
    assert_eq!(drain(&mut session), [2, 3, 4, 0]);
    assert_eq!(session.push_event(0, &event(5)), Some(5));
}

#[test]
fn a_resume_is_refused_for_its_reason() {
    let mut session = Session::new(profile());
    session.attach();
    for id in 1..=10 {
        session.push_event(0, &event(id));
    }
    session.confirmed(6);
    let token = TokenHash::of("Bot secret");
    assert_eq!(session.check_resume(&TokenHash::of("other"), 8), Err(ResumeRefusal::WrongToken));
    assert_eq!(session.check_resume(&token, 11), Err(ResumeRefusal::SeqAhead));
    assert_eq!(session.check_resume(&token, u64::MAX), Err(ResumeRefusal::SeqAhead));
    assert_eq!(session.check_resume(&token, 5), Err(ResumeRefusal::SeqTooOld));
    assert_eq!(session.check_resume(&token, 6), Ok(()));
}

#[test]
fn a_socket_that_the_ring_has_overrun_is_told() {
    let mut session = Session::new(profile());
    session.attach();
    session.push_event(0, &event(1));
    session.detach();
    session.resume(0);
    for id in 2..limits::RING_EVENTS_MAX as u64 + 3 {
        session.push_event(0, &event(id));
    }
    assert!(matches!(session.next(), Next::Overrun));
}

#[test]
fn the_ring_is_bounded_by_count_bytes_and_age() {
    let mut ring = Ring::default();
    let small = || Entry::Shared(event(1));
    for _ in 0..=limits::RING_EVENTS_MAX {
        ring.push(0, small());
    }
    assert_eq!((ring.first_seq(), ring.last_seq()), (2, limits::RING_EVENTS_MAX as u64 + 1));
    ring.push(limits::RING_AGE_MS + 1, small());
    assert_eq!(ring.first_seq(), ring.last_seq(), "what is too old is gone");
    let large = || Entry::Own(SharedBody::text(vec![b' '; limits::RING_BYTES_MAX / 2]));
    for _ in 0..4 {
        ring.push(limits::RING_AGE_MS + 1, large());
    }
    assert!(ring.bytes() <= limits::RING_BYTES_MAX);
}

proptest! {
    /// Whatever happens to the socket, the client sees every sequence from where it resumes, once and in order.
    #[test]
    fn a_client_that_resumes_misses_nothing(steps in proptest::collection::vec(0_u8..5, 1..200)) {
        let mut session = Session::new(profile());
        session.attach();
        let (mut client, mut id) = (0_u32, 0_u64);
        for step in steps {
            match step {
                0 | 1 => {
                    id += 1;
                    if let Some(seq) = session.push_event(0, &event(id)) {
                        prop_assert_eq!(seq, client + 1);
                        client = seq;
                    }
                }
                2 => session.detach(),
                3 if !session.is_attached() => {
                    prop_assert_eq!(session.check_resume(&TokenHash::of("secret"), client.into()), Ok(()));
                    session.resume(client.into());
                }
                _ => {
                    for seq in drain(&mut session).into_iter().filter(|seq| *seq != 0) {
                        prop_assert_eq!(seq, client + 1);
                        client = seq;
                    }
                    session.confirmed(client.into());
                }
            }
        }
    }
}
