//! The client side of RFC 6455, as tests and load generators need it: frames can be made wrong on purpose, reading can be
//! cancelled without loss, and a connection that only listens costs a buffer and no parsing.
//!
//! It is written apart from the gateway's own `wire`: a shared misreading would otherwise hide on both sides. The foreign
//! libraries in `clients/` are the judges of both.

use std::fmt;
use std::io;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::{Buf, Bytes, BytesMut};
use model::entropy;
use sha1::{Digest, Sha1};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const ACCEPT_GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const HEAD_BYTES_MAX: usize = 16 * 1024;
const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;

pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// What a peer sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    Text(Bytes),
    Binary(Bytes),
    Ping(Bytes),
    Pong,
    /// The code, when one was given, and the reason.
    Close(Option<u16>, String),
}

/// A WebSocket connection to a server.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    inbox: BytesMut,
}

/// Why a server refused an upgrade: what is inside the error of [`Socket::upgrade`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The first line of the answer.
    pub line: String,
    /// Seconds after which the server wants to be asked again.
    pub retry_after_s: Option<u64>,
}

/// The host with its port, and the path, of a `ws://` address.
pub fn split_url(url: &str) -> (&str, &str) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    (&rest[..end], &rest[end..])
}

impl Socket {
    /// Opens a connection to a `ws://host:port/path`.
    pub async fn connect(url: &str) -> io::Result<Self> {
        let (host, path) = split_url(url);
        let stream = TcpStream::connect(host).await?;
        Self::upgrade(stream, host, path).await
    }

    /// The opening handshake on a connection that exists.
    pub async fn upgrade(mut stream: TcpStream, host: &str, path: &str) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let key = BASE64_STANDARD.encode(entropy::bytes::<16>());
        let slash = if path.starts_with('/') { "" } else { "/" };
        let request = format!(
            "GET {slash}{path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut inbox = BytesMut::new();
        let head_length = loop {
            if let Some(at) = inbox.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            if inbox.len() > HEAD_BYTES_MAX || stream.read_buf(&mut inbox).await? == 0 {
                return Err(refused(&inbox));
            }
        };
        let head = inbox.split_to(head_length);
        let text = String::from_utf8_lossy(&head);
        let accept = BASE64_STANDARD.encode(Sha1::digest(format!("{key}{ACCEPT_GUID}")));
        let is_switched = text.starts_with("HTTP/1.1 101 ");
        let is_ours = text.lines().any(|line| {
            line.split_once(':').is_some_and(|(name, value)| {
                name.eq_ignore_ascii_case("sec-websocket-accept") && value.trim() == accept
            })
        });
        if is_switched && is_ours { Ok(Self { stream, inbox }) } else { Err(refused(&head)) }
    }

    /// The connection below, for socket options.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// The next message; `None` when the peer ended the connection. Pings are answered. Can be cancelled without loss
    /// unless a ping is being answered, which our server never sends.
    pub async fn next(&mut self) -> io::Result<Option<Message>> {
        loop {
            if let Some(frame) = parse(&self.inbox)? {
                self.inbox.advance(frame.header_length);
                let payload = self.inbox.split_to(frame.payload_length).freeze();
                let message = message(frame.opcode, payload)?;
                if let Message::Ping(payload) = &message {
                    self.send_frame(PONG, payload).await?;
                }
                return Ok(Some(message));
            }
            if self.stream.read_buf(&mut self.inbox).await? == 0 {
                return Ok(None);
            }
        }
    }

    pub async fn send_text(&mut self, text: &str) -> io::Result<()> {
        self.send_frame(TEXT, text.as_bytes()).await
    }

    pub async fn send_frame(&mut self, opcode: u8, payload: &[u8]) -> io::Result<()> {
        self.stream.write_all(&frame(opcode, payload)).await
    }

    /// Writes bytes as they are, for frames that break the rules.
    pub async fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    pub async fn send_close(&mut self, code: u16) -> io::Result<()> {
        self.send_frame(CLOSE, &code.to_be_bytes()).await
    }

    /// The connection below, and what was read from it and not yet taken.
    pub fn into_parts(self) -> (TcpStream, BytesMut) {
        (self.stream, self.inbox)
    }

    /// Ends the connection with a TCP reset, as a dying network does.
    pub fn reset(self) -> io::Result<()> {
        self.stream.set_zero_linger()
    }
}

/// A masked frame, whole in itself.
pub fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mask = entropy::bytes::<4>();
    let mut out = Vec::with_capacity(payload.len() + 14);
    out.push(FIN | opcode);
    match payload.len() {
        length @ 0..=125 => out.push(MASKED | length as u8),
        length @ 126..=0xffff => {
            out.push(MASKED | 126);
            out.extend((length as u16).to_be_bytes());
        }
        length => {
            out.push(MASKED | 127);
            out.extend((length as u64).to_be_bytes());
        }
    }
    out.extend(mask);
    out.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
    out
}

/// Where the parts of a frame lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameAt {
    pub opcode: u8,
    pub header_length: usize,
    pub payload_length: usize,
}

/// The server's frame that `bytes` begins with, once it is there as a whole.
pub fn parse(bytes: &[u8]) -> io::Result<Option<FrameAt>> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    if first & FIN == 0 || first & 0x70 != 0 || second & MASKED != 0 {
        return Err(io::Error::other("a frame that is fragmented, reserved or masked"));
    }
    let (header_length, payload_length) = match (second & 0x7f, rest) {
        (126, [a, b, ..]) => (4, usize::from(u16::from_be_bytes([*a, *b]))),
        (127, [length @ .., _, _]) if length.len() >= 6 => {
            let mut eight = [0; 8];
            eight.copy_from_slice(&rest[..8]);
            (10, usize::try_from(u64::from_be_bytes(eight)).map_err(io::Error::other)?)
        }
        (126 | 127, _) => return Ok(None),
        (short, _) => (2, usize::from(short)),
    };
    let is_whole = bytes.len() >= header_length + payload_length;
    Ok(is_whole.then_some(FrameAt { opcode: first & 0x0f, header_length, payload_length }))
}

fn message(opcode: u8, payload: Bytes) -> io::Result<Message> {
    Ok(match opcode {
        TEXT => Message::Text(payload),
        BINARY => Message::Binary(payload),
        PING => Message::Ping(payload),
        PONG => Message::Pong,
        CLOSE => match &payload[..] {
            [a, b, reason @ ..] => {
                Message::Close(Some(u16::from_be_bytes([*a, *b])), String::from_utf8_lossy(reason).into())
            }
            _ => Message::Close(None, String::new()),
        },
        other => return Err(io::Error::other(format!("a frame with opcode {other}"))),
    })
}

fn refused(head: &[u8]) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionRefused, Refusal::read(&String::from_utf8_lossy(head)))
}

impl Refusal {
    fn read(head: &str) -> Self {
        let mut headers = head.lines().filter_map(|line| line.split_once(':'));
        let retry_after = headers.find(|(name, _)| name.eq_ignore_ascii_case("retry-after"));
        Self {
            line: head.lines().next().unwrap_or("nothing").to_owned(),
            retry_after_s: retry_after.and_then(|(_, value)| value.trim().parse().ok()),
        }
    }

    /// The refusal in an error, if that is what it is.
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the upgrade was answered with: {}", self.line)
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_every_length_are_found() {
        for length in [0_usize, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
            let mut bytes = vec![FIN | TEXT];
            match length {
                0..=125 => bytes.push(length as u8),
                126..=0xffff => {
                    bytes.push(126);
                    bytes.extend((length as u16).to_be_bytes());
                }
                _ => {
                    bytes.push(127);
                    bytes.extend((length as u64).to_be_bytes());
                }
            }
            let header_length = bytes.len();
            bytes.resize(header_length + length, b'x');
            let found = parse(&bytes).unwrap().unwrap();
            assert_eq!(found, FrameAt { opcode: TEXT, header_length, payload_length: length });
            for cut in (0..bytes.len()).step_by(1 + length / 50) {
                assert_eq!(parse(&bytes[..cut]).unwrap(), None, "{length} cut at {cut}");
            }
        }
    }

    #[test]
    fn addresses_are_split() {
        assert_eq!(split_url("ws://a:1/b?c"), ("a:1", "/b?c"));
        assert_eq!(split_url("ws://a:1"), ("a:1", ""));
        assert_eq!(split_url("http://a:1?v=10"), ("a:1", "?v=10"));
    }

    #[test]
    fn refusals_say_when_to_come_again() {
        let error =
            refused(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n");
        let refusal = Refusal::of(&error).unwrap();
        assert_eq!(
            (refusal.line.as_str(), refusal.retry_after_s),
            ("HTTP/1.1 503 Service Unavailable", Some(7))
        );
        assert_eq!(Refusal::of(&refused(b"")).unwrap().retry_after_s, None);
        assert_eq!(Refusal::of(&io::ErrorKind::TimedOut.into()), None);
    }
}
