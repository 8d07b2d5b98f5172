use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// What a client received, frame by frame: opcode and payload.
type Frames = Vec<(u8, Vec<u8>)>;

/// The other end of an outbox: takes as many bytes as it is told to.
struct Sink {
    outbox: Outbox,
    received: Vec<u8>,
}

impl Sink {
    fn new(cap: usize) -> Self {
        Self { outbox: Outbox::new(cap), received: Vec::new() }
    }

    /// Takes up to `n` bytes of one write, as a socket would.
    fn take(&mut self, n: usize) {
        let (mut heads, mut slices) = (Heads::default(), Slices::new());
        self.outbox.gather(&mut heads, &mut slices);
        assert_eq!(slices.is_empty(), self.outbox.is_empty());
        assert!(slices.iter().all(|slice| !slice.is_empty()));
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).take(n).collect();
        drop(slices);
        self.outbox.advance(bytes.len());
        self.received.extend(bytes);
        if self.outbox.is_empty() {
            assert_eq!(self.outbox.pending_bytes(), 0);
            assert_eq!(self.outbox.queue.capacity(), 0, "an idle outbox holds no memory");
        }
    }

    fn drain(&mut self) -> Frames {
        while !self.outbox.is_empty() {
            self.take(usize::MAX);
        }
        frames(&self.received)
    }

    fn event(&mut self, seq: u32, len: usize, class: Class) -> Result<(), Full> {
        self.outbox.push_dispatch(seq, event(len), class)
    }

    /// Events from `first` on that nothing waits before, of which the socket takes some bytes at once.
    fn straight(&mut self, log: &mut Log, first: u32, lens: &[usize], class: Class, taken: usize) {
        let bodies: Vec<SharedBody> = lens.iter().map(|len| event(*len)).collect();
        let frames: Vec<Frame<'_>> =
            (first..).zip(&bodies).map(|(seq, body)| Frame { seq, body, class }).collect();
        let (mut heads, mut slices) = (Heads::default(), Slices::new());
        let len = heads.lay_out(&frames, &mut slices);
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        assert_eq!(bytes.len(), len);
        let taken = taken.min(len);
        self.received.extend(&bytes[..taken]);
        let whole_or_waiting = match self.outbox.push_rest(&frames, taken) {
            Ok(()) => frames.len(),
            // A socket that is this slow is closed; here it goes on without the frames that did not fit.
            Err(_) => {
                let ends = frames.iter().scan(0, |end, frame| {
                    *end += frame.body.frame_len();
                    Some(*end)
                });
                ends.filter(|end| *end <= taken).count() + self.outbox.queue.iter().count()
            }
        };
        let numbers = frames[..whole_or_waiting].iter().map(|frame| frame.seq);
        match class {
            Class::Durable => log.durable.extend(numbers),
            Class::Ephemeral => log.ephemeral.extend(numbers),
        }
    }
}

fn event(len: usize) -> SharedBody {
    SharedBody::json("E", format!("\"{}\"", "x".repeat(len)).as_bytes())
}

/// Takes a server's stream apart; panics when it is anything but whole, final, unmasked frames.
fn frames(mut bytes: &[u8]) -> Frames {
    let mut frames = Vec::new();
    while let [first, len, rest @ ..] = bytes {
        assert_eq!(first & 0xF0, 0x80);
        let (len, rest) = match len {
            126 => (u64::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            127 => (u64::from_be_bytes(rest[..8].try_into().unwrap()), &rest[8..]),
            len => (u64::from(*len), rest),
        };
        let (payload, rest) = rest.split_at(len as usize);
        frames.push((first & 0x0F, payload.to_vec()));
        bytes = rest;
    }
    assert!(bytes.is_empty());
    frames
}

fn seqs(frames: &Frames) -> Vec<u32> {
    let seq = |payload: &[u8]| {
        let text = std::str::from_utf8(payload).unwrap();
        let (number, rest) = text[12..].split_once(',').unwrap();
        assert!(text.starts_with("{\"op\":0,\"s\":") && number.len() == 10, "{text}");
        assert!(rest.starts_with("\"t\":\"E\",\"d\":\"x") && rest.ends_with("x\"}"), "{text}");
        number.trim_end().parse().unwrap()
    };
    frames.iter().filter(|(opcode, _)| *opcode == 1).map(|(_, payload)| seq(payload)).collect()
}

#[derive(Clone, Debug)]
enum Op {
    Event {
        len: usize,
        class: Class,
    },
    /// Events that go straight to the socket, which takes some bytes of them.
    Straight {
        lens: Vec<usize>,
        class: Class,
        taken: usize,
    },
    Pong,
    Take(usize),
    Close(Ending),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Ending {
    Now,
    AfterPending,
    Echo,
}

fn op() -> impl Strategy<Value = Op> {
    let class = prop_oneof![Just(Class::Durable), Just(Class::Ephemeral)];
    let len = prop_oneof![6 => 1..300_usize, 1 => 65_400..65_600_usize];
    let ending = prop_oneof![Just(Ending::Now), Just(Ending::AfterPending), Just(Ending::Echo)];
    prop_oneof![
        12 => (len, class.clone()).prop_map(|(len, class)| Op::Event { len, class }),
        4 => (vec(1..300_usize, 1..5), class, 0..1000_usize)
            .prop_map(|(lens, class, taken)| Op::Straight { lens, class, taken }),
        2 => Just(Op::Pong),
        6 => prop_oneof![1..40_usize, 1..2000_usize, Just(usize::MAX)].prop_map(Op::Take),
        1 => ending.prop_map(Op::Close),
    ]
}

/// What is known about a run from outside.
#[derive(Default)]
struct Log {
    durable: Vec<u32>,
    ephemeral: Vec<u32>,
    /// Number of the last pong, and where the stream stood when it was queued.
    pongs: Vec<(u32, usize)>,
    close: Option<(Ending, usize)>,
}

fn play(sink: &mut Sink, ops: Vec<Op>) -> Log {
    let mut log = Log::default();
    for (number, op) in (1..).map(|number| number * 10).zip(ops) {
        let open = !sink.outbox.is_closing();
        match op {
            Op::Straight { lens, class, taken } if open && sink.outbox.is_empty() => {
                sink.straight(&mut log, number, &lens, class, taken);
            }
            Op::Straight { .. } => {}
            Op::Event { len, class } => {
                let room = sink.outbox.room();
                match (sink.event(number, len, class), class) {
                    (Ok(()), Class::Durable) if open => log.durable.push(number),
                    (Ok(()), Class::Ephemeral) if open => log.ephemeral.push(number),
                    (Ok(()), _) => {}
                    (Err(full), class) => {
                        assert_eq!(class, Class::Durable);
                        assert!(open && room < full.cap && room < len + 60, "{full}, room {room}");
                    }
                }
            }
            Op::Pong => {
                sink.outbox.push_pong(number.to_string());
                if open {
                    log.pongs.push((number, sink.received.len()));
                }
            }
            Op::Take(n) => sink.take(n),
            Op::Close(ending) => {
                if open {
                    log.close = Some((ending, sink.received.len()));
                }
                match ending {
                    Ending::Now => sink.outbox.close_now(CloseCode::UnknownError),
                    Ending::AfterPending => sink.outbox.close_after_pending(CloseCode::UnknownError),
                    Ending::Echo => sink.outbox.echo_close(Some(4200)),
                }
                assert!(sink.outbox.is_closing());
            }
        }
    }
    log
}

/// Frames of `bytes` that begin at `from` or later.
fn begun_since(bytes: &[u8], from: usize) -> Frames {
    let all = frames(bytes);
    let mut at = 0;
    let size = |payload: &[u8]| {
        payload.len()
            + if payload.len() < 126 {
                2
            } else if payload.len() < 65_536 {
                4
            } else {
                10
            }
    };
    all.into_iter()
        .filter(|(_, payload)| {
            let starts_at = at;
            at += size(payload);
            starts_at >= from
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn partial_writes_give_whole_frames_in_order(
        ops in vec(op(), 0..120),
        cap in prop_oneof![200..2000_usize, Just(1 << 20)],
    ) {
        let mut sink = Sink::new(cap);
        let log = play(&mut sink, ops);
        let frames = sink.drain();
        let dropped = sink.outbox.take_dropped() as usize;

        let seqs = seqs(&frames);
        prop_assert!(seqs.is_sorted_by(|a, b| a < b), "events are out of order: {seqs:?}");
        let cut_short = matches!(log.close, Some((Ending::Now | Ending::Echo, _)));
        if !cut_short {
            let durable: Vec<u32> = seqs.iter().copied().filter(|s| log.durable.contains(s)).collect();
            prop_assert_eq!(&durable, &log.durable);
            prop_assert_eq!(seqs.len() - durable.len() + dropped, log.ephemeral.len());
        }
        // A pong overtakes every frame that had not begun, and gives way only to a newer one.
        for (number, at) in &log.pongs {
            let next = begun_since(&sink.received, *at).into_iter().next();
            let (opcode, payload) = next.expect("a pong or the close frame follows");
            match opcode {
                0xA => prop_assert!(String::from_utf8(payload).unwrap().parse::<u32>().unwrap() >= *number),
                _ => prop_assert!(opcode == 8 && cut_short),
            }
        }
        prop_assert_eq!(sink.outbox.is_closed(), log.close.is_some());
        if let Some((ending, at)) = log.close {
            let (opcode, payload) = frames.last().expect("the close frame");
            let code = if ending == Ending::Echo { 4200_u16 } else { 4000 };
            prop_assert!(*opcode == 8 && payload[..2] == code.to_be_bytes());
            prop_assert_eq!(frames.iter().filter(|(opcode, _)| *opcode == 8).count(), 1);
            if cut_short {
                prop_assert_eq!(begun_since(&sink.received, at).len(), 1, "only the close frame begins");
            }
        }
    }
}

const EVENT_BYTES: usize = 100;

/// An event of exactly [`EVENT_BYTES`] on the wire.
fn push(sink: &mut Sink, seq: u32, class: Class) -> Result<(), Full> {
    let empty = SharedBody::json("E", b"\"\"").frame_len();
    sink.event(seq, EVENT_BYTES - empty, class)
}

#[test]
fn the_cap_counts_every_byte() {
    let mut sink = Sink::new(3 * EVENT_BYTES);
    for seq in 1..=3 {
        push(&mut sink, seq, Class::Durable).unwrap();
    }
    assert_eq!((sink.outbox.pending_bytes(), sink.outbox.room()), (300, 0));
    assert_eq!(push(&mut sink, 4, Class::Durable), Err(Full { pending: 300, cap: 300, frames: 3 }));
    sink.take(99);
    assert_eq!(sink.outbox.room(), 99);
    assert!(push(&mut sink, 4, Class::Durable).is_err());
    sink.take(1);
    push(&mut sink, 4, Class::Durable).unwrap();
    assert_eq!(seqs(&sink.drain()), [1, 2, 3, 4]);
    assert_eq!(sink.outbox.take_dropped(), 0);
}

#[test]
fn the_oldest_ephemeral_events_make_room_and_no_more_than_needed() {
    let mut sink = Sink::new(4 * EVENT_BYTES);
    for (seq, class) in
        [(1, Class::Ephemeral), (2, Class::Durable), (3, Class::Ephemeral), (4, Class::Ephemeral)]
    {
        push(&mut sink, seq, class).unwrap();
    }
    push(&mut sink, 5, Class::Durable).unwrap();
    assert_eq!(sink.outbox.take_dropped(), 1);
    push(&mut sink, 6, Class::Ephemeral).unwrap();
    assert_eq!((sink.outbox.take_dropped(), sink.outbox.pending_bytes()), (1, 400));
    assert_eq!(seqs(&sink.drain()), [2, 4, 5, 6]);
}

#[test]
fn an_ephemeral_event_never_displaces_a_durable_one() {
    let mut sink = Sink::new(2 * EVENT_BYTES);
    push(&mut sink, 1, Class::Durable).unwrap();
    push(&mut sink, 2, Class::Durable).unwrap();
    push(&mut sink, 3, Class::Ephemeral).unwrap();
    assert_eq!(sink.outbox.take_dropped(), 1);
    assert_eq!(seqs(&sink.drain()), [1, 2]);
}

#[test]
fn an_event_that_has_begun_is_not_dropped() {
    let mut sink = Sink::new(2 * EVENT_BYTES);
    push(&mut sink, 1, Class::Ephemeral).unwrap();
    push(&mut sink, 2, Class::Ephemeral).unwrap();
    sink.take(10);
    push(&mut sink, 3, Class::Durable).unwrap();
    assert_eq!(sink.outbox.take_dropped(), 1);
    assert_eq!(seqs(&sink.drain()), [1, 3]);
}

#[test]
fn a_full_outbox_keeps_its_ephemeral_events_when_dropping_them_does_not_help() {
    let mut sink = Sink::new(3 * EVENT_BYTES);
    push(&mut sink, 1, Class::Durable).unwrap();
    push(&mut sink, 2, Class::Ephemeral).unwrap();
    assert!(sink.event(3, 3 * EVENT_BYTES, Class::Durable).is_err());
    assert_eq!(seqs(&sink.drain()), [1, 2]);
}

#[test]
fn a_frame_above_the_cap_is_taken_alone() {
    let mut sink = Sink::new(EVENT_BYTES);
    push(&mut sink, 1, Class::Ephemeral).unwrap();
    sink.event(2, 10 * EVENT_BYTES, Class::Durable).unwrap();
    assert!(push(&mut sink, 3, Class::Durable).is_err());
    assert_eq!(seqs(&sink.drain()), [2]);
}

#[test]
fn a_close_frame_overtakes_or_waits_as_told() {
    let mut sink = Sink::new(1000);
    for seq in 1..=3 {
        push(&mut sink, seq, Class::Durable).unwrap();
    }
    sink.take(150);
    sink.outbox.close_now(CloseCode::RateLimited);
    push(&mut sink, 4, Class::Durable).unwrap();
    sink.outbox.push_pong("late");
    sink.outbox.close_now(CloseCode::UnknownError);
    assert!(sink.outbox.is_closing() && !sink.outbox.is_closed());
    let frames = sink.drain();
    assert_eq!(seqs(&frames), [1, 2]);
    assert_eq!(frames[2], (8, [&4008_u16.to_be_bytes()[..], b"Rate limited."].concat()));
    assert!(frames.len() == 3 && sink.outbox.is_closed());

    let mut sink = Sink::new(1000);
    sink.outbox.push_dispatch(0, SharedBody::text("{\"op\":7,\"d\":null}"), Class::Durable).unwrap();
    sink.outbox.close_after_pending(CloseCode::UnknownError);
    let frames = sink.drain();
    assert_eq!(frames[0], (1, b"{\"op\":7,\"d\":null}".to_vec()));
    assert_eq!((frames.len(), frames[1].0), (2, 8));

    let mut sink = Sink::new(1000);
    sink.outbox.echo_close(None);
    assert_eq!(sink.drain(), [(8, vec![])]);
}

#[test]
fn a_client_that_pings_and_does_not_read_costs_one_pong() {
    let mut sink = Sink::new(1000);
    push(&mut sink, 1, Class::Durable).unwrap();
    sink.take(1);
    for i in 0..10_000 {
        sink.outbox.push_pong(i.to_string());
    }
    assert_eq!(sink.outbox.pending_bytes(), 99 + 2 + 4);
    let frames = sink.drain();
    assert_eq!((frames.len(), &frames[1]), (2, &(0xA, b"9999".to_vec())));
}

#[test]
fn the_answer_to_a_handshake_comes_before_the_first_frame_and_in_one_write() {
    let mut sink = Sink::new(1 << 20);
    sink.outbox.push_raw(Bytes::from_static(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"));
    push(&mut sink, 1, Class::Durable).unwrap();
    sink.outbox.close_after_pending(CloseCode::UnknownError);
    sink.take(usize::MAX);
    let rest = sink.received.split_off(36);
    assert_eq!(sink.received, b"HTTP/1.1 101 Switching Protocols\r\n\r\n");
    assert_eq!(seqs(&frames(&rest)), [1]);
    assert!(sink.outbox.is_closed());
}

#[test]
fn one_write_covers_64_frames() {
    let mut sink = Sink::new(1 << 20);
    for seq in 1..=100 {
        push(&mut sink, seq, Class::Durable).unwrap();
    }
    sink.take(usize::MAX);
    assert_eq!(sink.outbox.pending_bytes(), 36 * EVENT_BYTES);
    assert_eq!(seqs(&sink.drain()), Vec::from_iter(1..=100));
}

#[test]
fn outboxes_and_their_items_are_small() {
    assert!(std::mem::size_of::<Outbox>() <= 96);
    assert_eq!(std::mem::size_of::<Option<Item>>(), 16);
}

#[test]
fn an_event_that_has_begun_is_finished_even_if_there_is_no_room_for_it() {
    for class in [Class::Ephemeral, Class::Durable] {
        let (mut sink, mut log) = (Sink::new(100), Log::default());
        sink.straight(&mut log, 1, &[200], class, 10);
        assert_eq!(seqs(&sink.drain()), [1], "{class:?}");
    }
}

#[test]
fn frames_are_bounded_in_number_too_and_ephemeral_ones_make_room() {
    let mut sink = Sink::new(usize::MAX / 2);
    push(&mut sink, 1, Class::Ephemeral).unwrap();
    for seq in 2..=OUTBOX_FRAMES_MAX as u32 {
        push(&mut sink, seq, Class::Durable).unwrap();
    }
    push(&mut sink, 9_000, Class::Durable).unwrap();
    assert_eq!(sink.outbox.take_dropped(), 1, "the ephemeral one has made room");
    let full = push(&mut sink, 9_001, Class::Durable).unwrap_err();
    assert_eq!(full.frames, OUTBOX_FRAMES_MAX);
    push(&mut sink, 9_002, Class::Ephemeral).unwrap();
    assert_eq!(sink.outbox.take_dropped(), 1);
    let mut expected: Vec<u32> = (2..=OUTBOX_FRAMES_MAX as u32).collect();
    expected.push(9_000);
    assert_eq!(seqs(&sink.drain()), expected);
    push(&mut sink, 9_003, Class::Durable).unwrap();
}
