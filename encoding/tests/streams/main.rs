//! Whole streams, read by clients' decoders: 10,000 messages to each of several connections, which share the events.

#![expect(clippy::unwrap_used, reason = "a test ends where it unwraps")]

mod decoders;
mod events;
mod plan;

use std::sync::LazyLock;

use encoding::{Dispatch, Etf, Json, Payload, Shared, zlib, zstd};
use events::Random;
use plan::Sent;

const SEED: u64 = 0x5741_524c;
const HELLO: &[u8] = br#"{"t":null,"s":null,"op":10,"d":{"heartbeat_interval":41250}}"#;

/// Everything that is sent.
struct Traffic {
    events: Vec<(&'static str, Vec<u8>)>,
    connections: Vec<Vec<Sent>>,
    /// The events as JSON dispatches.
    dispatches: Vec<Dispatch<Json>>,
}

static TRAFFIC: LazyLock<Traffic> = LazyLock::new(|| {
    let mut random = Random::new(SEED);
    let events = plan::pool(&mut random);
    let small = events.iter().position(|(_, d)| d.len() > 30_000).unwrap();
    let connections = (0..3).map(|_| plan::connection(&mut random, &events, small)).collect();
    let dispatches = events.iter().map(|(name, d)| Dispatch::json(name, d)).collect();
    Traffic { events, connections, dispatches }
});

/// The messages of a connection, HELLO first.
fn messages(
    sent: &[Sent],
    opening: Vec<u8>,
    shared: &[Shared],
    whole: impl Fn(&Payload<Json>) -> Vec<u8>,
) -> Vec<Vec<u8>> {
    let message = |sent: &Sent| match sent {
        Sent::Event { place, seq } => shared[*place].message(*seq),
        Sent::Whole(payload) => whole(payload),
    };
    std::iter::once(opening).chain(sent.iter().map(message)).collect()
}

/// Compares what a client read with what was sent, white space between the parts apart.
fn check(sent: &[Sent], texts: &[Vec<u8>], spaces_max: usize) {
    assert_eq!(texts[0].trim_ascii_start(), HELLO);
    assert_eq!(texts.len(), sent.len() + 1);
    for (place, (sent, text)) in sent.iter().zip(&texts[1..]).enumerate() {
        let (prefix, rest) = plan::expected(sent, &TRAFFIC.dispatches);
        let spaces = text.strip_prefix(&prefix[..]).and_then(|text| text.strip_suffix(&rest[..]));
        let is_same =
            spaces.is_some_and(|spaces| spaces.len() <= spaces_max && spaces.trim_ascii().is_empty());
        assert!(is_same, "message {place}: {} is no {}", text.escape_ascii(), rest.escape_ascii());
    }
}

/// The messages of every connection by one sharer; the two kinds have their methods in common and no trait.
macro_rules! streams {
    ($sharer:expr) => {{
        let mut sharer = $sharer;
        let shared: Vec<_> = TRAFFIC.dispatches.iter().map(|dispatch| sharer.share(dispatch)).collect();
        let opening = sharer.opening(&Payload::json(HELLO)).to_vec();
        let sharer = std::cell::RefCell::new(sharer);
        let whole = |payload: &_| sharer.borrow_mut().whole(payload).to_vec();
        TRAFFIC.connections.iter().map(|sent| messages(sent, opening.clone(), &shared, whole)).collect()
    }};
}

fn zlib_streams() -> Vec<Vec<Vec<u8>>> {
    streams!(zlib::Sharer::new())
}

fn zstd_streams() -> Vec<Vec<Vec<u8>>> {
    streams!(zstd::Sharer::new())
}

/// White space that the reset of a zstd stream may put before what is shared.
const SPACES_MAX: usize = 33;

#[test]
fn shared_zlib_is_read_by_miniz() {
    for (sent, messages) in TRAFFIC.connections.iter().zip(zlib_streams()) {
        check(sent, &decoders::miniz(&messages), 0);
    }
}

#[test]
fn shared_zlib_is_read_by_discordpy() {
    for (sent, messages) in TRAFFIC.connections.iter().zip(zlib_streams()) {
        check(sent, &decoders::discordpy("zlib-stream", &messages), 0);
    }
}

#[test]
fn shared_zstd_is_read_by_libzstd() {
    for (sent, messages) in TRAFFIC.connections.iter().zip(zstd_streams()) {
        check(sent, &decoders::libzstd(&messages), SPACES_MAX);
    }
}

#[test]
fn shared_zstd_is_read_by_ruzstd() {
    for messages in zstd_streams() {
        let text = decoders::ruzstd(&messages);
        assert!(text == decoders::libzstd(&messages).concat(), "two decoders read the same");
    }
}

#[test]
fn shared_zstd_is_read_by_discordpy() {
    for (sent, messages) in TRAFFIC.connections.iter().zip(zstd_streams()) {
        check(sent, &decoders::discordpy("zstd-stream", &messages), SPACES_MAX);
    }
}

/// Connections that compress for themselves are sent the same.
#[test]
fn streams_of_one_connection_are_read() {
    let sent = &TRAFFIC.connections[0];
    let plain: Vec<_> = std::iter::once(HELLO.to_vec())
        .chain(sent.iter().map(|sent| {
            let (prefix, rest) = plan::expected(sent, &TRAFFIC.dispatches);
            [prefix, rest].concat()
        }))
        .collect();
    let (mut zlib, mut zstd) = (zlib::Stream::new(), zstd::Stream::new());
    let messages: Vec<_> = plain.iter().map(|payload| zlib.message(payload)).collect();
    check(sent, &decoders::miniz(&messages), 0);
    check(sent, &decoders::discordpy("zlib-stream", &messages), 0);
    let messages: Vec<_> = plain.iter().map(|payload| zstd.message(payload)).collect();
    check(sent, &decoders::libzstd(&messages), 0);
    check(sent, &decoders::discordpy("zstd-stream", &messages), 0);
}

/// Terms have no white space, but zlib needs none.
#[test]
fn etf_is_shared_in_zlib() {
    let mut sharer = zlib::Sharer::new();
    let dispatches: Vec<_> =
        TRAFFIC.events.iter().map(|(name, d)| Dispatch::<Etf>::etf(name, d).unwrap()).collect();
    let hello = Payload::etf(HELLO).unwrap();
    let mut messages = vec![sharer.opening(&hello).to_vec()];
    messages.extend((1..).zip(&dispatches).map(|(seq, dispatch)| sharer.share(dispatch).message(seq)));
    let texts = decoders::miniz(&messages);
    assert_eq!(texts[0], hello.as_slice());
    for ((seq, dispatch), text) in (1..).zip(&dispatches).zip(&texts[1..]) {
        assert!(*text == dispatch.plain().message(seq), "event {seq}");
    }
}
