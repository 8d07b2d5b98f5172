//! Entries for fuzzing: they take any bytes, and panic when a promise of this crate is broken.

use zlib_rs::{Inflate, InflateFlush};
use zstd_safe::{DCtx, InBuffer, OutBuffer};

use crate::{Dispatch, Json, Payload, etf, zlib, zstd};

/// Reads `data` as a client's term.
///
/// What is read is JSON, and written as a term it is read as the same JSON.
pub fn fuzz_etf(data: &[u8]) {
    let Ok(json) = etf::to_json(data) else { return };
    let value: serde_json::Value = serde_json::from_slice(&json).expect("what is read is JSON");
    let term = etf::from_json(&json).expect("what is read is JSON");
    match etf::to_json(&term) {
        Ok(again) => assert_eq!(serde_json::from_slice::<serde_json::Value>(&again).ok(), Some(value)),
        // It can be longer than what it was read from.
        Err(error) => assert!(matches!(error, etf::DecodeError::TooLong { .. }), "{error}"),
    }
}

/// Takes `data` as what is sent on one connection, sends it as a shared zlib stream, and reads it message by message.
pub fn fuzz_zlib(data: &[u8]) {
    let mut sharer = zlib::Sharer::new();
    let mut client = Inflate::new(true, 15);
    let mut read = |message: &[u8], text: &mut [u8]| {
        assert!(message.ends_with(&[0, 0, 0xff, 0xff]), "clients wait for this end");
        let (read_before, written_before) = (client.total_in(), client.total_out());
        client.decompress(message, text, InflateFlush::SyncFlush).expect("the stream is valid");
        assert_eq!((client.total_in() - read_before) as usize, message.len());
        (client.total_out() - written_before) as usize
    };
    read(&sharer.opening(&Payload::json(HELLO)), &mut [0; 64]);
    let message = |sent: &Sent| match sent {
        Sent::Event(seq, dispatch) => sharer.share(dispatch).message(*seq),
        Sent::Whole(payload) => sharer.whole(payload).into(),
    };
    go_over(data, message, read);
}

/// The same as a shared zstd stream.
pub fn fuzz_zstd(data: &[u8]) {
    let mut sharer = zstd::Sharer::new();
    let mut client = DCtx::create();
    let mut read = |message: &[u8], text: &mut [u8]| {
        let (mut input, mut output) = (InBuffer::around(message), OutBuffer::around(text));
        while input.pos() < message.len() {
            client.decompress_stream(&mut output, &mut input).expect("the stream is valid");
        }
        output.pos()
    };
    read(&sharer.opening(&Payload::json(HELLO)), &mut [0; 64]);
    let message = |sent: &Sent| match sent {
        Sent::Event(seq, dispatch) => sharer.share(dispatch).message(*seq),
        Sent::Whole(payload) => sharer.whole(payload).into(),
    };
    go_over(data, message, read);
}

/// Sends what `data` says, and reads each message before the next is made.
fn go_over(
    data: &[u8],
    mut message: impl FnMut(&Sent) -> Vec<u8>,
    mut read: impl FnMut(&[u8], &mut [u8]) -> usize,
) {
    for sent in sent(data) {
        let message = message(&sent);
        sent.check(|text| read(&message, text));
    }
}

const HELLO: &[u8] = br#"{"t":null,"s":null,"op":10,"d":{}}"#;

/// White space that may stand before what is shared.
const SPACES_MAX: usize = 33;

enum Sent {
    Event(u32, Dispatch<Json>),
    Whole(Payload<Json>),
}

impl Sent {
    /// Compares what `read` fills in with what was sent.
    fn check(&self, read: impl FnOnce(&mut [u8]) -> usize) {
        let plain;
        let (prefix, rest) = match self {
            Self::Event(seq, dispatch) => {
                plain = dispatch.plain();
                (plain.prefix().with_seq(*seq).as_slice().to_vec(), dispatch.rest())
            }
            Self::Whole(payload) => (Vec::new(), payload.as_slice()),
        };
        let mut text = vec![0; prefix.len() + SPACES_MAX + rest.len() + 1];
        let len = read(&mut text);
        let shared = text[..len].strip_prefix(&*prefix).expect("the prefix comes first");
        let spaces = shared.strip_suffix(rest).expect("the shared rest comes last");
        assert!(spaces.iter().all(|byte| *byte == b' '), "nothing else comes between");
    }
}

/// What `data` says is sent: each time a byte of flags, three of a number, two of a length, and a content of at most that length.
/// The flags repeat the content, up to 2,048 times, as most inputs are short and blocks are long.
fn sent(mut data: &[u8]) -> Vec<Sent> {
    let mut all = Vec::new();
    let mut left = SENT_BYTES_MAX;
    while let Some((&[flags, s0, s1, s2, len0, len1], behind)) = data.split_first_chunk() {
        let len = usize::from(u16::from_le_bytes([len0, len1])).min(behind.len());
        let (content, rest) = behind.split_at(len);
        data = rest;
        let content = [b"[", &*content.repeat(1 << ((flags >> 1) & 15).min(11))].concat();
        let Some(still_left) = left.checked_sub(content.len()) else { break };
        left = still_left;
        all.push(if flags & 1 == 0 {
            Sent::Event(u32::from_le_bytes([s0, s1, s2, 0]), Dispatch::json("T", &content))
        } else {
            Sent::Whole(Payload::json(content))
        });
    }
    all
}

/// So that one input is gone over in milliseconds.
const SENT_BYTES_MAX: usize = 1 << 20;
