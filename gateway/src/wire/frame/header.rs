//! The header of a client frame.
//!
//! Everything that can be refused by the first two bytes is refused by them; a header that may yet be right is
//! waited for, at most fourteen bytes.

use super::FrameError;

/// A client frame without its payload.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) fin: bool,
    pub(super) opcode: Opcode,
    pub(super) mask: [u8; 4],
    /// Bytes of the header itself.
    pub(super) len: usize,
    pub(super) payload_len: u64,
}

/// The opcodes of RFC 6455 §5.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Header {
    /// Reads a header off the front of `buf`; `None` when it is not complete yet.
    pub(super) fn parse(buf: &[u8]) -> Result<Option<Self>, FrameError> {
        let Some((&[first, second], rest)) = buf.split_first_chunk() else { return Ok(None) };
        if first & 0x70 != 0 {
            return Err(FrameError::Protocol("a reserved bit is set, and no extension was agreed on"));
        }
        let opcode = Opcode::parse(first & 0x0f)?;
        let fin = first & 0x80 != 0;
        if second & 0x80 == 0 {
            return Err(FrameError::Protocol("a frame without a mask"));
        }
        let short_len = second & 0x7f;
        if opcode.is_control() && (!fin || short_len > CONTROL_PAYLOAD_BYTES_MAX) {
            return Err(FrameError::Protocol("a control frame that is fragmented or too long"));
        }
        let (payload_len, rest) = match short_len {
            126 => match rest.split_first_chunk() {
                Some((len, rest)) => (u64::from(u16::from_be_bytes(*len)), rest),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk() {
                Some((len, rest)) => (u64::from_be_bytes(*len), rest),
                None => return Ok(None),
            },
            len => (u64::from(len), rest),
        };
        if (short_len == 126 && payload_len < 126)
            || (short_len == 127 && !(0x1_0000..1 << 63).contains(&payload_len))
        {
            return Err(FrameError::Protocol("a payload length that is not in its shortest form"));
        }
        let Some((&mask, rest)) = rest.split_first_chunk() else { return Ok(None) };
        Ok(Some(Self { fin, opcode, mask, len: buf.len() - rest.len(), payload_len }))
    }
}

impl Opcode {
    fn parse(bits: u8) -> Result<Self, FrameError> {
        Ok(match bits {
            0x0 => Opcode::Continuation,
            0x1 => Opcode::Text,
            0x2 => Opcode::Binary,
            0x8 => Opcode::Close,
            0x9 => Opcode::Ping,
            0xA => Opcode::Pong,
            _ => return Err(FrameError::Protocol("an opcode that is reserved")),
        })
    }

    fn is_control(self) -> bool {
        matches!(self, Opcode::Close | Opcode::Ping | Opcode::Pong)
    }
}

const CONTROL_PAYLOAD_BYTES_MAX: u8 = 125;
