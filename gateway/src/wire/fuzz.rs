//! Entries for fuzzing: they take any bytes, and panic when a promise of this module is broken.

use std::collections::VecDeque;

use bytes::BytesMut;
use model::limits::HANDSHAKE_BYTES_MAX;

use super::frame::{Decoder, FrameError, Message};
use super::handshake;

/// Decodes `data` as a client's stream, once whole and once in pieces.
///
/// The first two bytes choose the payload cap and the size of the pieces. Promised are: no panic, the same messages
/// however the stream is cut, never more than one frame waited for, nothing above the cap delivered or held, and
/// nothing after a close frame or an error.
pub fn fuzz_decode(data: &[u8]) {
    let Some((&[cap, step], stream)) = data.split_first_chunk() else { return };
    let cap = 1_usize << (cap % 17);
    let whole = run(stream, stream.len().max(1), cap);
    let pieces = run(stream, usize::from(step) + 1, cap);
    assert_eq!(whole, pieces, "the messages must not depend on how the stream is cut");
}

/// Parses `data` as an upgrade request; answers and refusals must be complete HTTP.
pub fn fuzz_handshake(data: &[u8]) {
    let bytes = match handshake::parse(data) {
        Ok(None) => return assert!(data.len() < HANDSHAKE_BYTES_MAX, "a large head must be decided on"),
        Ok(Some(upgrade)) => {
            assert!(upgrade.consumed <= data.len());
            handshake::response(&upgrade.key)
        }
        Err(reject) => reject.response(),
    };
    assert!(bytes.starts_with(b"HTTP/1.1 ") && bytes.windows(4).any(|w| w == b"\r\n\r\n"));
}

fn run(stream: &[u8], step: usize, cap: usize) -> VecDeque<Result<Message, FrameError>> {
    let mut decoder = Decoder::default();
    let mut buf = BytesMut::new();
    let mut results = VecDeque::new();
    for piece in stream.chunks(step) {
        buf.extend_from_slice(piece);
        loop {
            let result = decoder.decode(&mut buf, cap);
            let ended = matches!(results.back(), Some(Err(_) | Ok(Message::Close { .. })));
            assert!(!ended || result == Ok(None), "something came after the end");
            assert!(decoder.held_bytes() <= cap, "a fragment above the cap is held");
            match result.transpose() {
                Some(result) => {
                    check(&result, cap);
                    results.push_back(result);
                }
                None => break,
            }
        }
        assert!(buf.len() <= cap.max(125) + FRAME_HEADER_BYTES_MAX, "more than one frame is waited for");
    }
    results
}

fn check(result: &Result<Message, FrameError>, cap: usize) {
    match result {
        Ok(Message::Text(data)) => assert!(data.len() <= cap && std::str::from_utf8(data).is_ok()),
        Ok(Message::Binary(data)) => assert!(data.len() <= cap),
        Ok(Message::Ping(data)) => assert!(data.len() <= 125),
        Ok(Message::Close { reason, .. }) => {
            assert!(reason.len() <= 123 && std::str::from_utf8(reason).is_ok());
        }
        Ok(Message::Pong) | Err(_) => {}
    }
}

/// Two bytes, a length of eight and a mask of four.
const FRAME_HEADER_BYTES_MAX: usize = 14;
