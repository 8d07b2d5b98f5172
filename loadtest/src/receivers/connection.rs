//! One connection: how it starts, what it takes from the socket, how it ends.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, bail};
use model::entropy;
use serde_json::json;
use testkit::gateway_client::identify_payload;
use testkit::ws::{self, Message, Socket, TEXT};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{self, Instant};

use super::notes::Notes;
use crate::target::{Service, Target};

/// GUILDS, GUILD_MESSAGES and MESSAGE_CONTENT.
const INTENTS: u64 = 1 | 1 << 9 | 1 << 15;
const START_PATIENCE: Duration = Duration::from_secs(120);
const HEARTBEAT: Duration = Duration::from_secs(40);
/// How long the server has to answer a close.
const CLOSE_PATIENCE: Duration = Duration::from_secs(20);
/// The type and the sequence of an event stand within its first bytes.
const HEAD_BYTES: usize = 96;

/// Connects, receives until it is stopped, and says goodbye.
pub(super) async fn run(
    notes: &Notes,
    place: usize,
    target: &Target,
    member: usize,
    gate: &Semaphore,
    mut stopped: watch::Receiver<bool>,
) {
    let started = {
        let _turn = gate.acquire().await;
        time::timeout(START_PATIENCE, start(target, member)).await
    };
    let link = match started {
        Ok(Ok(socket)) => socket.into_parts(),
        Ok(Err(error)) => return notes.counters.fail(&error),
        Err(_) => return notes.counters.fail(&anyhow::anyhow!("no guild after {START_PATIENCE:?}")),
    };
    notes.counters.connected.fetch_add(1, Ordering::Relaxed);
    let (stream, inbox) = link;
    let beats = matches!(target.service, Service::Starling(_));
    let mut link = Link { place, stream, rest: inbox.to_vec(), seq: Cell::new(None), beats };
    tokio::select! {
        // An error means that nobody is left to stop it.
        _ = stopped.wait_for(|stopped| *stopped) => {}
        _ = link.receive(notes) => {
            notes.counters.lost_connections.fetch_add(1, Ordering::Relaxed);
            return;
        }
    }
    if !target.abandons {
        // A server that does not answer in time has been told all the same.
        let _ = time::timeout(CLOSE_PATIENCE, link.close(notes)).await;
    }
}

/// The handshake, and for Starling IDENTIFY and everything up to the guild.
async fn start(target: &Target, member: usize) -> anyhow::Result<Socket> {
    let source = target.sources[member % target.sources.len()];
    let (host, _) = ws::split_url(&target.gateway);
    let addr: SocketAddr = tokio::net::lookup_host(host)
        .await
        .with_context(|| format!("look up {host}"))?
        .find(SocketAddr::is_ipv4)
        .with_context(|| format!("{host} has no IPv4 address"))?;
    let socket = TcpSocket::new_v4()?;
    if addr.ip().is_loopback() {
        socket.bind((source, 0).into())?;
    }
    let stream = socket.connect(addr).await.with_context(|| format!("connect to {addr}"))?;
    let mut socket = Socket::upgrade(stream, host, "/?v=10&encoding=json").await?;
    let Service::Starling(starling) = &target.service else { return Ok(socket) };
    let identify = identify_payload(&starling.seed.members[member].token, INTENTS);
    socket.send_text(&json!({ "op": 2, "d": identify }).to_string()).await?;
    loop {
        match socket.next().await? {
            Some(Message::Text(text)) if head_has(&text, b"\"GUILD_CREATE\"") => return Ok(socket),
            Some(Message::Close(code, reason)) => bail!("closed with {code:?} {reason}"),
            Some(_) => {}
            None => bail!("the server ended the connection"),
        }
    }
}

struct Link {
    place: usize,
    stream: TcpStream,
    /// The beginning of a frame whose end has not come yet.
    rest: Vec<u8>,
    /// The last `s`, for heartbeats.
    seq: Cell<Option<u64>>,
    /// Whether the server expects heartbeats.
    beats: bool,
}

impl Link {
    async fn receive(&mut self, notes: &Notes) -> io::Result<()> {
        let rest = std::mem::take(&mut self.rest);
        self.take(notes, &rest)?;
        // The first beat comes at a random moment, so that the beats of all connections are spread.
        let first = Instant::now() + Duration::from_millis(entropy::below(HEARTBEAT.as_millis() as u64));
        let mut beats = time::interval_at(first, HEARTBEAT);
        loop {
            tokio::select! {
                ready = self.stream.readable() => ready?,
                _ = beats.tick(), if self.beats => {
                    self.beat()?;
                    continue;
                }
            }
            let mut scratch = notes.scratch.borrow_mut();
            match self.stream.try_read(&mut scratch) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => self.take(notes, &scratch[..length])?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes what was read: whole frames at once, the rest is kept.
    fn take(&mut self, notes: &Notes, read: &[u8]) -> io::Result<()> {
        let now_us = notes.now_us();
        if self.rest.is_empty() {
            let taken = self.frames(notes, read, now_us)?;
            self.rest.extend_from_slice(&read[taken..]);
        } else {
            let mut rest = std::mem::take(&mut self.rest);
            rest.extend_from_slice(read);
            let taken = self.frames(notes, &rest, now_us)?;
            rest.drain(..taken);
            self.rest = rest;
        }
        Ok(())
    }

    /// Notes every whole frame; how many bytes they had.
    fn frames(&self, notes: &Notes, bytes: &[u8], now_us: u64) -> io::Result<usize> {
        let mut taken = 0;
        while let Some(frame) = ws::parse(&bytes[taken..])? {
            let payload_at = taken + frame.header_length;
            taken = payload_at + frame.payload_length;
            let payload = &bytes[payload_at..taken];
            if frame.opcode == TEXT {
                if let Some(seq) = sequence(payload) {
                    self.seq.set(Some(seq));
                }
                notes.take(self.place, payload, now_us);
            } else if frame.opcode == ws::CLOSE {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
        }
        Ok(taken)
    }

    /// Says goodbye with 1000, which ends the session, and reads on until the server ends the connection: an end with
    /// unread bytes would be a reset, which may overtake the goodbye.
    async fn close(&mut self, notes: &Notes) -> io::Result<()> {
        let goodbye = ws::frame(ws::CLOSE, &1000_u16.to_be_bytes());
        while self.stream.try_write(&goodbye).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            self.stream.writable().await?;
        }
        loop {
            self.stream.readable().await?;
            match self.stream.try_read(&mut notes.scratch.borrow_mut()) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn beat(&self) -> io::Result<()> {
        let seq = self.seq.get().map_or("null".to_owned(), |seq| seq.to_string());
        let frame = ws::frame(TEXT, format!(r#"{{"op":1,"d":{seq}}}"#).as_bytes());
        // The outgoing buffer of a connection that only beats is empty.
        match self.stream.try_write(&frame) {
            Ok(length) if length == frame.len() => Ok(()),
            Ok(_) => Err(io::ErrorKind::WriteZero.into()),
            Err(error) => Err(error),
        }
    }
}

fn head_has(text: &[u8], what: &[u8]) -> bool {
    memchr::memmem::find(&text[..text.len().min(HEAD_BYTES)], what).is_some()
}

/// The number after `"s":`, which may have spaces before it.
fn sequence(payload: &[u8]) -> Option<u64> {
    let head = &payload[..payload.len().min(HEAD_BYTES)];
    let at = memchr::memmem::find(head, b"\"s\":")? + 4;
    let digits = head[at..].iter().skip_while(|byte| **byte == b' ').take_while(|byte| byte.is_ascii_digit());
    let mut number = None;
    for digit in digits {
        number = Some(number.unwrap_or(0) * 10 + u64::from(digit - b'0'));
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_are_read() {
        assert_eq!(sequence(br#"{"t":"X","s":        42,"op":0"#), Some(42));
        assert_eq!(sequence(br#"{"s":7,"t":"X"}"#), Some(7));
        assert_eq!(sequence(br#"{"t":null,"s":null,"op":11}"#), None);
    }
}
