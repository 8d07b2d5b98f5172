//! In which form receivers are spoken to: what they ask for, and how what comes is made readable again.
//!
//! What a decoder costs is the generator's; the server's CPU is measured apart from it. A compressed stream refers back
//! to what came before, so each connection has a decoder: 43 KB for zlib, up to 0.5 MB for zstd.

use std::fmt;
use std::io;

use anyhow::Context;
use clap::ValueEnum;
use doubles::{Speech, Transport};
use encoding::etf;
use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZFlush};
use serde::Serialize;
use serde_json::Value;
use testkit::ws;
use zstd_safe::{DCtx, InBuffer, OutBuffer};

/// Encoding and compression of a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    #[default]
    Json,
    JsonZlib,
    JsonZstd,
    Etf,
    EtfZlib,
}

/// Makes the messages of one connection readable, in the order in which they come.
pub enum Decoder {
    Plain,
    Zlib(Box<InflateState>),
    Zstd(DCtx<'static>),
}

// === impl Form ===

impl Form {
    #[cfg(test)]
    pub const ALL: [Self; 5] = [Self::Json, Self::JsonZlib, Self::JsonZstd, Self::Etf, Self::EtfZlib];

    fn speech(self) -> Speech {
        let transport = match self {
            Self::Json | Self::Etf => Transport::Plain,
            Self::JsonZlib | Self::EtfZlib => Transport::Zlib,
            Self::JsonZstd => Transport::Zstd,
        };
        Speech { is_etf: self.is_etf(), transport }
    }

    pub fn is_etf(self) -> bool {
        matches!(self, Self::Etf | Self::EtfZlib)
    }

    /// Path and query of the URL.
    pub fn path(self) -> String {
        self.speech().path()
    }

    /// The frame in which a client sends this.
    pub fn frame(self, json: &str) -> Vec<u8> {
        let (is_text, payload) = self.speech().write(json);
        ws::frame(if is_text { ws::TEXT } else { ws::BINARY }, &payload)
    }

    /// A decoded payload as JSON.
    pub fn parse(self, payload: &[u8]) -> anyhow::Result<Value> {
        let json = match self.is_etf() {
            true => etf::to_json(payload).ok().context("a payload is no term of Erlang")?,
            false => payload.to_vec(),
        };
        serde_json::from_slice(&json).context("a payload is no JSON")
    }
}

// === impl Decoder ===

impl Decoder {
    pub fn new(form: Form) -> Self {
        match form.speech().transport {
            Transport::Plain => Self::Plain,
            Transport::Zlib => Self::Zlib(InflateState::new_boxed(DataFormat::Zlib)),
            Transport::Zstd => Self::Zstd(DCtx::create()),
        }
    }

    /// The payload in the next message; `room` is where a compressed one is laid out.
    pub fn read<'a>(&mut self, message: &'a [u8], room: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
        let length = match self {
            Self::Plain => return Ok(message),
            Self::Zlib(state) => unpack(message, room, |input, output| {
                let result = inflate(state, input, output, MZFlush::Sync);
                // With no input left and room to spare there is nothing more to come, which the library calls an error.
                let is_done = result.bytes_consumed == input.len() && result.bytes_written < output.len();
                match result.status {
                    Err(error) if !is_done => Err(io::Error::other(format!("zlib: {error:?}"))),
                    _ => Ok((result.bytes_consumed, result.bytes_written)),
                }
            })?,
            Self::Zstd(context) => unpack(message, room, |input, output| {
                let (mut input, mut output) = (InBuffer::around(input), OutBuffer::around(output));
                let outcome = context.decompress_stream(&mut output, &mut input);
                outcome.map_err(|code| io::Error::other(zstd_safe::get_error_name(code)))?;
                Ok((input.pos(), output.pos()))
            })?,
        };
        Ok(&room[..length])
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "Plain",
            Self::Zlib(_) => "Zlib",
            Self::Zstd(_) => "Zstd",
        })
    }
}

/// Calls `step` (input, output; how much of each it used) until all input is used and the output is not full.
fn unpack(
    mut message: &[u8],
    room: &mut Vec<u8>,
    mut step: impl FnMut(&[u8], &mut [u8]) -> io::Result<(usize, usize)>,
) -> io::Result<usize> {
    let mut length = 0;
    loop {
        if room.len() - length < ROOM_BYTES_MIN {
            room.resize(room.len() + ROOM_BYTES, 0);
        }
        let (consumed, written) = step(message, &mut room[length..])?;
        message = &message[consumed..];
        length += written;
        if message.is_empty() && length < room.len() {
            return Ok(length);
        }
        if consumed == 0 && written == 0 {
            return Err(io::Error::other("a compressed message goes nowhere"));
        }
    }
}

const ROOM_BYTES: usize = 64 * 1024;
const ROOM_BYTES_MIN: usize = 4 * 1024;

#[cfg(test)]
mod tests {
    use encoding::{Dispatch, Json, Payload, zlib, zstd};

    use super::*;

    /// A payload of a length that no room is prepared for.
    fn event(number: usize) -> Vec<u8> {
        format!(r#""t":"MESSAGE_CREATE","d":{{"content":"{number}{}"}}}}"#, "x".repeat(number * 7919)).into()
    }

    fn check(form: Form, messages: &[Vec<u8>], payloads: &[Vec<u8>]) {
        let (mut decoder, mut room) = (Decoder::new(form), Vec::new());
        for (message, payload) in messages.iter().zip(payloads) {
            assert!(decoder.read(message, &mut room).unwrap() == payload, "{form:?}");
        }
    }

    #[test]
    fn streams_of_a_connection_are_read() {
        let payloads: Vec<Vec<u8>> = (0..20).map(event).collect();
        let mut stream = zlib::Stream::new();
        let messages: Vec<_> = payloads.iter().map(|payload| stream.message(payload)).collect();
        check(Form::JsonZlib, &messages, &payloads);
        let mut stream = zstd::Stream::new();
        let messages: Vec<_> = payloads.iter().map(|payload| stream.message(payload)).collect();
        check(Form::JsonZstd, &messages, &payloads);
        check(Form::Json, &payloads, &payloads);
        assert!(Decoder::new(Form::JsonZlib).read(b"no stream at all", &mut Vec::new()).is_err());
    }

    #[test]
    fn shared_streams_are_read() {
        let hello = Payload::<Json>::json(&br#"{"op":10}"#[..]);
        let events: Vec<_> =
            [3, 1, 40].into_iter().map(|number| Dispatch::json("X", &event(number))).collect();
        let mut payloads = vec![hello.as_slice().to_vec()];
        payloads.extend((1..).zip(&events).map(|(seq, event)| event.plain().message(seq)));
        let mut sharer = zlib::Sharer::new();
        let mut messages = vec![sharer.opening(&hello).to_vec()];
        messages.extend((1..).zip(&events).map(|(seq, event)| sharer.share(event).message(seq)));
        check(Form::JsonZlib, &messages, &payloads);
    }

    #[test]
    fn clients_write_what_their_form_says() {
        for form in Form::ALL {
            let frame = form.frame(r#"{"op":1,"d":null}"#);
            assert_eq!(frame[0] & 0x0f == ws::TEXT, !form.is_etf());
            assert_eq!(form.path().contains("etf"), form.is_etf());
            assert_eq!(form.path().contains("compress="), !matches!(form, Form::Json | Form::Etf));
        }
    }
}
