//! One outgoing frame, made once and shared by every connection that sends it.
//!
//! A dispatch is a fixed-width head and a shared tail:
//!
//! ```text
//! [WebSocket header: 2, 4 or 10 bytes]{"op":0,"s":1234      ,"t":"MESSAGE_CREATE","d":{…}}
//! └────────── copied to the stack, the number filled in ────┘└─────── shared ─────────────┘
//! ```
//!
//! The number is padded with spaces to ten characters, which JSON permits behind a value. So the length of the
//! frame is the same for every session, the WebSocket header is known in advance, and a session's copy of an
//! event is a pointer and a number. Frames without a number (HELLO, acknowledgements, control frames) are the
//! same thing with a head that is the WebSocket header alone.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

/// The bytes of one frame up to the per-session number; cheap to clone.
#[derive(Clone)]
pub struct SharedBody(Arc<Inner>);

struct Inner {
    head: Head,
    /// Where the sequence number goes in `head`; `None` for a frame that carries none.
    seq_at: Option<u8>,
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
    Close = 0x8,
    Pong = 0xA,
}

// === impl SharedBody ===

impl SharedBody {
    /// A dispatch (op 0) of event `t` with the JSON value `d`, whose `s` is filled in for each session.
    pub fn json(t: &str, d: &[u8]) -> Self {
        debug_assert!(t.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_'));
        let mut tail = Vec::with_capacity(t.len() + d.len() + 12);
        tail.extend_from_slice(b"\"t\":\"");
        tail.extend_from_slice(t.as_bytes());
        tail.extend_from_slice(b"\",\"d\":");
        tail.extend_from_slice(d);
        tail.push(b'}');

        let mut head = Head::new(Opcode::Text, DISPATCH_HEAD.len() + SEQ_WIDTH + 1 + tail.len());
        head.extend(DISPATCH_HEAD);
        let seq_at = head.len;
        head.extend(&[b' '; SEQ_WIDTH]);
        head.extend(b",");
        Self(Arc::new(Inner { head, seq_at: Some(seq_at), tail: tail.into() }))
    }

    /// A text frame with exactly this payload.
    pub fn text(payload: impl Into<Bytes>) -> Self {
        Self::plain(Opcode::Text, payload.into())
    }

    /// Bytes as they are, without a header.
    pub(super) fn raw(bytes: Bytes) -> Self {
        Self(Arc::new(Inner { head: Head::empty(), seq_at: None, tail: bytes }))
    }

    pub(super) fn plain(opcode: Opcode, payload: Bytes) -> Self {
        let head = Head::new(opcode, payload.len());
        Self(Arc::new(Inner { head, seq_at: None, tail: payload }))
    }

    /// Bytes on the wire, WebSocket header included; the same for every session.
    pub fn frame_len(&self) -> usize {
        usize::from(self.0.head.len) + self.0.tail.len()
    }

    /// Whether a sequence number is filled in when the frame is written.
    pub fn is_dispatch(&self) -> bool {
        self.0.seq_at.is_some()
    }

    /// The head of this frame with `seq` filled in.
    pub(super) fn head(&self, seq: u32) -> Head {
        let mut head = self.0.head;
        if let Some(at) = self.0.seq_at {
            write_seq(&mut head.bytes[usize::from(at)..][..SEQ_WIDTH], seq);
        }
        head
    }

    /// The shared rest of this frame.
    pub(super) fn tail(&self) -> &[u8] {
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

/// Writes `seq` to the left of `field`, which is all spaces.
fn write_seq(field: &mut [u8], seq: u32) {
    let digits = seq.checked_ilog10().map_or(1, |log| log as usize + 1);
    let mut rest = seq;
    for place in field[..digits].iter_mut().rev() {
        *place = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

const DISPATCH_HEAD: &[u8] = b"{\"op\":0,\"s\":";

/// Wide enough for every `u32`.
const SEQ_WIDTH: usize = 10;

/// The longest WebSocket header of a server, the constant start, the number and its comma.
const HEAD_BYTES_MAX: usize = 10 + DISPATCH_HEAD.len() + SEQ_WIDTH + 1;

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
