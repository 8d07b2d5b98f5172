//! One outgoing frame, made once and shared by every connection that sends it.
//!
//! A dispatch is a fixed-width head and a shared tail:
//!
//! ```text
//! [WebSocket header: 2, 4 or 10 bytes]{"op":0,"s":1234      ,"t":"MESSAGE_CREATE","d":{…}}
//! └────────── copied to the stack, the number filled in ────┘└─────── shared ─────────────┘
//! ```
//!
//! What stands before the shared bytes, and how the number is written into it, is the form's ([`encoding::Prefix`]): JSON
//! pads it with spaces, ETF has four bytes for it, and in a compressed stream both stand in a block of their own. It has
//! the same length for every number. So the length of the
//! frame is the same for every session, the WebSocket header is known in advance, and a session's copy of an
//! event is a pointer and a number. Frames without a number (HELLO, acknowledgements, control frames) are the
//! same thing with a head that is the WebSocket header alone. Of some dispatches a session has a part of its own, which goes
//! between the two.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use encoding::{Dispatch, Number, Prefix, Shared};

/// The bytes of one frame up to the per-session number; cheap to clone.
#[derive(Clone)]
pub struct SharedBody(Arc<Inner>);

struct Inner {
    head: Head,
    /// Where the WebSocket header ends in `head`.
    payload_at: u8,
    /// Where the sequence number goes in `head`, and how it is written; `None` for a frame that carries none.
    seq: Option<(u8, Number)>,
    /// Empty but for events that are shared in parts.
    own: Bytes,
    tail: Bytes,
}

/// The part of a frame that is written from the stack.
#[derive(Clone, Copy)]
pub(super) struct Head {
    bytes: [u8; HEAD_BYTES_MAX],
    len: u8,
}

/// The opcodes of server frames.
#[derive(Clone, Copy)]
pub(super) enum Opcode {
    Text = 0x1,
    Binary = 0x2,
    Close = 0x8,
    Pong = 0xA,
}

// === impl SharedBody ===

impl SharedBody {
    /// A dispatch (op 0), whose `s` is filled in for each session.
    pub fn dispatch(shared: &Shared) -> Self {
        Self::parted(shared, Bytes::new())
    }

    /// A dispatch of which this part, in the same form as the rest, is one session's own.
    pub fn parted(shared: &Shared, own: Bytes) -> Self {
        let opcode = if shared.is_text() { Opcode::Text } else { Opcode::Binary };
        let prefix = shared.prefix();
        let mut head = Head::new(opcode, shared.message_len() + own.len());
        let payload_at = head.len;
        head.extend(prefix.as_slice());
        let seq = Some((payload_at + prefix.seq_at() as u8, prefix.number()));
        Self(Arc::new(Inner { head, payload_at, seq, own, tail: shared.rest().clone() }))
    }

    /// The dispatch of event `t` with the JSON value `d`, in JSON and uncompressed.
    pub fn json(t: &str, d: &[u8]) -> Self {
        Self::dispatch(&Dispatch::json(t, d).plain())
    }

    /// A text frame with exactly this payload.
    pub fn text(payload: impl Into<Bytes>) -> Self {
        Self::plain(Opcode::Text, payload.into())
    }

    /// A binary frame with exactly this payload.
    pub fn binary(payload: impl Into<Bytes>) -> Self {
        Self::plain(Opcode::Binary, payload.into())
    }

    /// Bytes as they are, without a header.
    pub(super) fn raw(bytes: Bytes) -> Self {
        Self(Arc::new(Inner {
            head: Head::empty(),
            payload_at: 0,
            seq: None,
            own: Bytes::new(),
            tail: bytes,
        }))
    }

    pub(super) fn plain(opcode: Opcode, payload: Bytes) -> Self {
        let head = Head::new(opcode, payload.len());
        Self(Arc::new(Inner { head, payload_at: head.len, seq: None, own: Bytes::new(), tail: payload }))
    }

    /// What the client finds in the frame if its number for it is `seq`.
    pub fn payload(&self, seq: u32) -> Vec<u8> {
        let head = self.head(seq);
        [&head.as_slice()[usize::from(self.0.payload_at)..], &self.0.own, &self.0.tail].concat()
    }

    /// Bytes on the wire, WebSocket header included; the same for every session.
    pub fn frame_len(&self) -> usize {
        usize::from(self.0.head.len) + self.0.own.len() + self.0.tail.len()
    }

    /// Whether a sequence number is filled in when the frame is written.
    pub fn is_dispatch(&self) -> bool {
        self.0.seq.is_some()
    }

    /// The head of this frame with `seq` filled in.
    pub(super) fn head(&self, seq: u32) -> Head {
        let mut head = self.0.head;
        if let Some((at, number)) = self.0.seq {
            number.write(&mut head.bytes[usize::from(at)..], seq);
        }
        head
    }

    /// What of this frame is one session's own.
    pub(super) fn own(&self) -> &[u8] {
        &self.0.own
    }

    /// The shared rest of this frame.
    pub(crate) fn tail(&self) -> &[u8] {
        &self.0.tail
    }
}

impl fmt::Debug for SharedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedBody")
            .field("frame_len", &self.frame_len())
            .field("tail", &String::from_utf8_lossy(&self.tail()[..self.tail().len().min(64)]))
            .finish()
    }
}

// === impl Head ===

impl Head {
    fn empty() -> Self {
        Self { bytes: [0; HEAD_BYTES_MAX], len: 0 }
    }

    /// The header of a final, unmasked frame.
    fn new(opcode: Opcode, payload_len: usize) -> Self {
        let mut head = Self::empty();
        head.extend(&[0x80 | opcode as u8]);
        if payload_len < 126 {
            head.extend(&[payload_len as u8]);
        } else if let Ok(len) = u16::try_from(payload_len) {
            head.extend(&[126]);
            head.extend(&len.to_be_bytes());
        } else {
            head.extend(&[127]);
            head.extend(&(payload_len as u64).to_be_bytes());
        }
        head
    }

    fn extend(&mut self, bytes: &[u8]) {
        let at = usize::from(self.len);
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len() as u8;
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// The longest WebSocket header of a server, and what follows it up to the shared bytes.
const HEAD_BYTES_MAX: usize = 10 + Prefix::BYTES_MAX;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(body: &SharedBody, seq: u32) -> Vec<u8> {
        [body.head(seq).as_slice(), body.tail()].concat()
    }

    #[test]
    fn every_sequence_number_has_the_same_width() {
        let body = SharedBody::json("MESSAGE_CREATE", br#"{"id":"1"}"#);
        for seq in [0, 1, 9, 10, 99, 100, 123_456_789, 999_999_999, 1_000_000_000, 2_000_000_000, u32::MAX] {
            let frame = frame(&body, seq);
            assert_eq!(frame.len(), body.frame_len());
            let text = std::str::from_utf8(&frame[2..]).expect("a short frame has a header of two bytes");
            let padded = format!(r#"{{"op":0,"s":{seq:<10},"t":"MESSAGE_CREATE","d":{{"id":"1"}}}}"#);
            assert_eq!(text, padded);
            assert_eq!(frame[..2], [0x81, padded.len() as u8]);
        }
    }

    #[test]
    fn each_form_has_its_own_number_and_kind_of_frame() {
        let json = Dispatch::json("TYPING_START", br#"{"channel_id":"1"}"#);
        let etf = Dispatch::etf("TYPING_START", br#"{"channel_id":"1"}"#).expect("it is JSON");
        let mut zlib = encoding::zlib::Sharer::new();
        let forms = [
            (0x81, json.plain()),
            (0x82, etf.plain()),
            (0x82, zlib.share(&json)),
            (0x82, zlib.share(&etf)),
            (0x82, encoding::zstd::Sharer::new().share(&json)),
        ];
        for (opcode, shared) in forms {
            let body = SharedBody::dispatch(&shared);
            for seq in [1, 70_000, 2_000_000_000] {
                let message = shared.message(seq);
                let frame = frame(&body, seq);
                assert_eq!((frame[0], usize::from(frame[1])), (opcode, message.len()));
                assert_eq!(frame[2..], message);
                assert_eq!((frame.len(), body.payload(seq)), (body.frame_len(), message));
            }
        }
        assert_eq!(frame(&SharedBody::binary("x"), 1), [0x82, 1, b'x']);
    }

    #[test]
    fn an_own_part_goes_before_what_is_shared() {
        let shared = Dispatch::json("T", b"[1]").plain();
        let whole = SharedBody::dispatch(&shared);
        let parted = SharedBody::parted(&shared, Bytes::from(vec![b' '; 200]));
        let spaces = " ".repeat(200);
        let expected = format!(r#"{{"op":0,"s":{:<10},{spaces}"t":"T","d":[1]}}"#, 7);
        assert_eq!(parted.payload(7), expected.as_bytes());
        assert_eq!(parted.frame_len(), 4 + expected.len());
        assert_eq!(parted.tail().as_ptr(), whole.tail().as_ptr(), "it is not copied");
    }

    #[test]
    fn header_has_the_shortest_form_at_each_boundary() {
        let fixed = SharedBody::json("T", b"").frame_len() - 2;
        for (payload, header) in [(125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            assert_eq!(SharedBody::text(vec![b' '; payload]).frame_len(), payload + header);
            let body = SharedBody::json("T", &vec![b' '; payload - fixed]);
            assert_eq!(body.frame_len(), payload + header);
            let frame = frame(&body, 7);
            let encoded = match header {
                2 => u64::from(frame[1]),
                4 => u64::from(u16::from_be_bytes([frame[2], frame[3]])),
                _ => u64::from_be_bytes(frame[2..10].try_into().expect("eight bytes")),
            };
            assert_eq!(encoded as usize, payload);
            assert_eq!(&frame[header..header + 13], b"{\"op\":0,\"s\":7");
        }
    }
}
