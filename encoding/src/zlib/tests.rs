//! The pieces by themselves; whole streams are in `tests/streams`.

use zlib_rs::{Inflate, InflateFlush, Status};

use super::*;
use crate::{Etf, Json};

const FLUSH: [u8; 4] = [0, 0, 0xff, 0xff];

fn inflate(inflate: &mut Inflate, message: &[u8]) -> (Vec<u8>, Status) {
    let mut output = vec![0; 1 << 21];
    let before = inflate.total_out();
    let status = inflate.decompress(message, &mut output, InflateFlush::SyncFlush).unwrap();
    output.truncate((inflate.total_out() - before) as usize);
    (output, status)
}

#[test]
fn a_shared_event_is_a_stored_prefix_and_flushed_blocks() {
    let dispatch = Dispatch::json("MESSAGE_CREATE", br#"{"content":"hello"}"#);
    let shared = Sharer::new().share(&dispatch);
    assert!(!shared.is_text());
    let message = shared.message(7);
    assert_eq!(message[..5], [0, 23, 0, !23, 0xff]);
    assert_eq!(&message[5..28], b"{\"op\":0,\"s\":7         ,");
    assert!(shared.rest().ends_with(&FLUSH));
    assert_eq!(shared.rest()[0] & 1, 0, "no block is the last");

    let (text, _) = inflate(&mut Inflate::new(false, 15), &message);
    assert_eq!(text, dispatch.plain().message(7));
}

#[test]
fn the_same_input_has_the_same_outcome_whatever_came_before() {
    let mut sharer = Sharer::new();
    let payloads = [Payload::json("{}"), Payload::json("x".repeat(300_000)), Payload::json(&b"\"abc\""[..])];
    let first: Vec<_> = payloads.iter().map(|payload| sharer.whole(payload)).collect();
    for (payload, first) in payloads.iter().zip(&first).rev() {
        assert_eq!(sharer.whole(payload), first);
    }
}

#[test]
fn the_first_message_has_the_header() {
    assert_eq!(u16::from_be_bytes(HEADER) % 31, 0, "RFC 1950, 2.2");
    let hello = br#"{"op":10}"#;
    let first = Sharer::new().opening(&Payload::json(&hello[..]));
    assert!(first.starts_with(&HEADER) && first.ends_with(&FLUSH));
    assert_eq!(inflate(&mut Inflate::new(true, 15), &first).0, hello);
}

#[test]
fn etf_is_shared_as_well() {
    let dispatch = Dispatch::<Etf>::etf("TYPING_START", br#"{"user_id":"1"}"#).unwrap();
    let message = Sharer::new().share(&dispatch).message(300);
    assert_eq!(inflate(&mut Inflate::new(false, 15), &message).0, dispatch.plain().message(300));
}

#[test]
fn a_single_payload_is_a_stream_of_its_own() {
    for payload in [&b"{}"[..], b"", &[b'7'; 40_000]] {
        let (text, status) = inflate(&mut Inflate::new(true, 15), &super::payload(payload));
        assert_eq!((&*text, status), (payload, Status::StreamEnd));
    }
}

/// Bytes that do not compress fill the room that is made for those that do, so it has to grow on the way.
#[test]
fn what_does_not_compress_grows_by_little() {
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    })
    .take(1 << 20)
    .collect();
    for len in [0, 1, 15, 16, 1_000, 16_383, 65_535, 65_536, 1 << 20] {
        let compressed = Sharer::new().whole(&Payload::<Json>::json(noise[..len].to_vec()));
        assert!(compressed.len() <= len + len / 1000 + 16, "{len} became {}", compressed.len());
        assert!(compressed.ends_with(&FLUSH));
        assert!(inflate(&mut Inflate::new(false, 15), &compressed).0 == noise[..len], "{len}");
    }
}
