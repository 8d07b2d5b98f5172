//! Decoding what the client sends.
//!
//! The decoder works on a read buffer that the caller owns: it takes whole frames off the front and leaves the
//! rest. It never asks for more than one frame, whose size it knows and refuses from the header alone, so a
//! connection's memory is bounded by the payload cap. Between messages it holds nothing; the caller drops the
//! buffer when it is empty.
//!
//! After a close frame or an error the decoder swallows whatever still arrives, as RFC 6455 asks.

use bytes::{Buf, Bytes, BytesMut};

use super::close::CloseCode;
use super::mask;

mod header;
#[cfg(test)]
mod tests;

use header::{Header, Opcode};

/// A complete message, unmasked and put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Valid UTF-8.
    Text(Bytes),
    /// Anything.
    Binary(Bytes),
    /// To be answered with a pong of the same payload.
    Ping(Bytes),
    /// An answer to a ping, or an unasked sign of life.
    Pong,
    /// The client wants to end the connection; nothing follows.
    Close {
        /// `None` when the frame was empty.
        code: Option<u16>,
        /// Valid UTF-8, mostly empty.
        reason: Bytes,
    },
}

/// What a client can do wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A frame that RFC 6455 does not allow.
    #[error("client broke the WebSocket protocol: {0}")]
    Protocol(&'static str),
    /// A text message or a close reason that is not UTF-8.
    #[error("client sent text that is not UTF-8")]
    InvalidUtf8,
    /// A message above the payload cap.
    #[error("client sent a message above the payload limit")]
    TooLarge,
}

impl FrameError {
    /// The code that the connection is to be closed with.
    pub fn close_code(self) -> CloseCode {
        match self {
            FrameError::Protocol(_) => CloseCode::ProtocolError,
            FrameError::InvalidUtf8 => CloseCode::InvalidUtf8,
            FrameError::TooLarge => CloseCode::DecodeError,
        }
    }
}

/// The state between two reads of one connection.
#[derive(Debug, Default)]
pub struct Decoder(State);

#[derive(Debug, Default)]
enum State {
    #[default]
    Idle,
    /// The first part of a fragmented message is here, the last is not.
    Fragmented(Box<Fragment>),
    /// A close frame or an error came by.
    Ended,
}

#[derive(Debug)]
struct Fragment {
    opcode: Opcode,
    data: Vec<u8>,
}

// === impl Decoder ===

impl Decoder {
    /// Takes the next message off `buf`, or says `None` when more bytes are needed.
    ///
    /// `cap` is the largest payload of a message. Call again until `None`: one read can hold many messages.
    pub fn decode(&mut self, buf: &mut BytesMut, cap: usize) -> Result<Option<Message>, FrameError> {
        if matches!(self.0, State::Ended) {
            buf.clear();
            return Ok(None);
        }
        let result = self.next_message(buf, cap);
        if matches!(result, Err(_) | Ok(Some(Message::Close { .. }))) {
            self.0 = State::Ended;
            buf.clear();
        }
        result
    }

    /// Heap memory that is held: none, unless a fragmented message is open.
    pub fn held_bytes(&self) -> usize {
        match &self.0 {
            State::Fragmented(fragment) => fragment.data.capacity(),
            State::Idle | State::Ended => 0,
        }
    }

    /// Whether it is between two messages.
    pub fn is_idle(&self) -> bool {
        matches!(self.0, State::Idle)
    }

    fn next_message(&mut self, buf: &mut BytesMut, cap: usize) -> Result<Option<Message>, FrameError> {
        while let Some(header) = Header::parse(buf)? {
            let payload_len = self.check(&header, cap)?;
            if buf.len() - header.len < payload_len {
                return Ok(None);
            }
            buf.advance(header.len);
            let mut payload = buf.split_to(payload_len);
            mask::apply(&mut payload, header.mask);
            if let Some(message) = self.accept(&header, payload, cap)? {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    /// Refuses a frame that does not fit here, before its payload is waited for.
    fn check(&self, header: &Header, cap: usize) -> Result<usize, FrameError> {
        let held = match (&self.0, header.opcode) {
            (_, Opcode::Ping | Opcode::Pong | Opcode::Close) => {
                return usize::try_from(header.payload_len).map_err(|_| FrameError::TooLarge);
            }
            (State::Fragmented(fragment), Opcode::Continuation) => fragment.data.len(),
            (State::Fragmented(_), _) => {
                return Err(FrameError::Protocol("a new message inside a fragmented one"));
            }
            (_, Opcode::Continuation) => {
                return Err(FrameError::Protocol("a continuation of nothing"));
            }
            _ => 0,
        };
        match usize::try_from(header.payload_len) {
            Ok(len) if len <= cap.saturating_sub(held) => Ok(len),
            _ => Err(FrameError::TooLarge),
        }
    }

    /// Takes a frame that has passed `check`; says the message that it completes, if it does.
    fn accept(
        &mut self,
        header: &Header,
        payload: BytesMut,
        cap: usize,
    ) -> Result<Option<Message>, FrameError> {
        match header.opcode {
            Opcode::Ping => return Ok(Some(Message::Ping(payload.freeze()))),
            Opcode::Pong => return Ok(Some(Message::Pong)),
            Opcode::Close => return close(payload.freeze()).map(Some),
            Opcode::Text | Opcode::Binary if header.fin => {
                return finish(header.opcode, payload.freeze()).map(Some);
            }
            Opcode::Text | Opcode::Binary => {
                self.0 = State::Fragmented(Box::new(Fragment { opcode: header.opcode, data: Vec::new() }));
            }
            Opcode::Continuation => {}
        }
        let State::Fragmented(fragment) = &mut self.0 else {
            return Err(FrameError::Protocol("a continuation of nothing"));
        };
        fragment.append(&payload, cap);
        if !header.fin {
            return Ok(None);
        }
        let opcode = fragment.opcode;
        let data = std::mem::take(&mut fragment.data);
        self.0 = State::Idle;
        finish(opcode, data.into()).map(Some)
    }
}

impl Fragment {
    /// Doubles the buffer as it grows, but never beyond the cap.
    fn append(&mut self, payload: &[u8], cap: usize) {
        let len = self.data.len() + payload.len();
        if len > self.data.capacity() {
            let wanted = (2 * self.data.capacity()).min(cap).max(len);
            self.data.reserve_exact(wanted - self.data.len());
        }
        self.data.extend_from_slice(payload);
    }
}

fn finish(opcode: Opcode, data: Bytes) -> Result<Message, FrameError> {
    match opcode {
        Opcode::Text => match std::str::from_utf8(&data) {
            Ok(_) => Ok(Message::Text(data)),
            Err(_) => Err(FrameError::InvalidUtf8),
        },
        _ => Ok(Message::Binary(data)),
    }
}

fn close(mut payload: Bytes) -> Result<Message, FrameError> {
    match payload.len() {
        0 => return Ok(Message::Close { code: None, reason: payload }),
        1 => return Err(FrameError::Protocol("a close code of one byte")),
        _ => {}
    }
    let code = payload.get_u16();
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(FrameError::Protocol("a close code that must not be sent"));
    }
    if std::str::from_utf8(&payload).is_err() {
        return Err(FrameError::InvalidUtf8);
    }
    Ok(Message::Close { code: Some(code), reason: payload })
}
