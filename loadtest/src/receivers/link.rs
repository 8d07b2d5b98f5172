//! One connection to a gateway: what it takes from the socket, how it beats, how it ends.

use std::io;
use std::time::Duration;

use model::entropy;
use serde_json::{Value, json};
use testkit::ws;
use tokio::net::TcpStream;
use tokio::time::{self, Instant};

use super::notes::Notes;
use crate::form::{Decoder, Form};
use crate::payload::{self, Name};

/// What is needed to resume.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) id: String,
    /// Where it wants to be resumed.
    pub(super) url: String,
    pub(super) seq: u64,
}

/// Why a connection is of no more use.
#[derive(Debug)]
pub(super) enum End {
    /// The server's close frame.
    Closed(Option<u16>),
    Broken(io::Error),
    /// A heartbeat had no answer by the time of the next.
    Silent,
    /// Op 7.
    Told,
    /// Op 9 `false`.
    Invalid,
}

/// How far the start of a session has come.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) beat_every: Option<Duration>,
    pub(super) session: Option<Session>,
    pub(super) is_resumed: bool,
    /// Guilds of READY that have not come.
    guilds_left: usize,
}

pub(super) struct Link {
    place: usize,
    form: Form,
    stream: TcpStream,
    decoder: Decoder,
    /// The beginning of a frame whose end has not come yet.
    rest: Vec<u8>,
    heard: Heard,
    /// Its start is over.
    is_settled: bool,
    /// The last `s`.
    pub(super) seq: Option<u64>,
    next_beat: Option<Instant>,
    is_waiting: bool,
}

impl Heard {
    /// Whether everything of a start has come.
    pub(super) fn is_open(&self) -> bool {
        self.is_resumed || self.session.is_some() && self.guilds_left == 0
    }
}

impl Link {
    /// Behind the handshake, with what was read beyond it.
    pub(super) fn new(place: usize, form: Form, stream: TcpStream, rest: Vec<u8>) -> Self {
        Self {
            place,
            form,
            stream,
            decoder: Decoder::new(form),
            rest,
            heard: Heard::default(),
            is_settled: false,
            seq: None,
            next_beat: None,
            is_waiting: false,
        }
    }

    /// The start is over; the session, if it is a new one.
    pub(super) fn settle(&mut self) -> Option<Session> {
        self.is_settled = true;
        self.heard.session.take()
    }

    /// Whether READY came on it, and its session has not been taken.
    pub(super) fn has_session(&self) -> bool {
        self.heard.session.is_some()
    }

    /// Takes what comes until enough was heard.
    pub(super) async fn until(
        &mut self,
        notes: &Notes,
        is_enough: impl Fn(&Heard) -> bool,
    ) -> Result<(), End> {
        let rest = std::mem::take(&mut self.rest);
        self.take(notes, &rest)?;
        while !is_enough(&self.heard) {
            tokio::select! {
                ready = self.stream.readable() => ready.map_err(End::Broken)?,
                () = sleep_until(self.next_beat) => {
                    self.beat()?;
                    continue;
                }
            }
            let mut scratch = notes.scratch.borrow_mut();
            match self.stream.try_read(&mut scratch) {
                Ok(0) => return Err(End::Closed(None)),
                Ok(length) => self.take(notes, &scratch[..length])?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(End::Broken(error)),
            }
        }
        Ok(())
    }

    /// Takes what comes until the connection ends.
    pub(super) async fn receive(&mut self, notes: &Notes) -> End {
        match self.until(notes, |_| false).await {
            Ok(()) => End::Closed(None),
            Err(end) => end,
        }
    }

    /// Takes what was read: whole frames at once, the rest is kept.
    fn take(&mut self, notes: &Notes, read: &[u8]) -> Result<(), End> {
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

    /// Takes every whole frame; how many bytes they had.
    fn frames(&mut self, notes: &Notes, bytes: &[u8], now_us: u64) -> Result<usize, End> {
        let mut taken = 0;
        while let Some(frame) = ws::parse(&bytes[taken..]).map_err(End::Broken)? {
            let payload_at = taken + frame.header_length;
            let wire_bytes = frame.header_length + frame.payload_length;
            taken += wire_bytes;
            let message = &bytes[payload_at..taken];
            match frame.opcode {
                ws::TEXT | ws::BINARY => {
                    let mut room = notes.room.borrow_mut();
                    let payload = self.decoder.read(message, &mut room).map_err(End::Broken)?;
                    self.hear(payload)?;
                    notes.take(self.place, payload, wire_bytes, now_us);
                }
                ws::CLOSE => {
                    return Err(End::Closed(message.first_chunk().map(|code| u16::from_be_bytes(*code))));
                }
                _ => {}
            }
        }
        Ok(taken)
    }

    /// Notes a dispatch's number, and what the start of a session waits for; obeys everything else.
    fn hear(&mut self, payload: &[u8]) -> Result<(), End> {
        let Some(seq) = payload::sequence(payload, self.form.is_etf()) else { return self.obey(payload) };
        self.seq = Some(seq);
        if self.is_settled {
            return Ok(());
        }
        match payload::name(payload) {
            Some(Name::Ready) => {
                let ready = &self.parse(payload)?["d"];
                let text = |name: &str| ready[name].as_str().unwrap_or_default().to_owned();
                self.heard.guilds_left = ready["guilds"].as_array().map_or(0, Vec::len);
                self.heard.session =
                    Some(Session { id: text("session_id"), url: text("resume_gateway_url"), seq });
            }
            Some(Name::GuildCreate) => self.heard.guilds_left = self.heard.guilds_left.saturating_sub(1),
            Some(Name::Resumed) => self.heard.is_resumed = true,
            None => {}
        }
        Ok(())
    }

    fn obey(&mut self, payload: &[u8]) -> Result<(), End> {
        let payload = self.parse(payload)?;
        match payload["op"].as_u64() {
            Some(1) => self.send(&json!({ "op": 1, "d": self.seq })),
            Some(7) => Err(End::Told),
            Some(9) if payload["d"] == true => Err(End::Told),
            Some(9) => Err(End::Invalid),
            Some(10) => {
                let beat_every = payload["d"]["heartbeat_interval"].as_u64().map(Duration::from_millis);
                self.heard.beat_every = beat_every;
                // The first beat comes at a random moment, as libraries do, so that the beats of all are spread.
                self.next_beat = beat_every.map(|every| {
                    Instant::now() + Duration::from_millis(entropy::below(every.as_millis() as u64))
                });
                Ok(())
            }
            Some(11) => {
                self.is_waiting = false;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn parse(&self, payload: &[u8]) -> Result<Value, End> {
        self.form.parse(payload).map_err(|error| End::Broken(io::Error::other(error)))
    }

    fn beat(&mut self) -> Result<(), End> {
        if self.is_waiting {
            return Err(End::Silent);
        }
        self.is_waiting = true;
        self.next_beat = self.heard.beat_every.map(|every| Instant::now() + every);
        self.send(&json!({ "op": 1, "d": self.seq }))
    }

    /// Sends a payload, for which there is room: a client of ours says little.
    pub(super) fn send(&self, payload: &Value) -> Result<(), End> {
        let frame = self.form.frame(&payload.to_string());
        match self.stream.try_write(&frame) {
            Ok(length) if length == frame.len() => Ok(()),
            Ok(_) => Err(End::Broken(io::ErrorKind::WriteZero.into())),
            Err(error) => Err(End::Broken(error)),
        }
    }

    /// Says goodbye with 1000, which ends the session, and reads on until the server ends the connection: an end with
    /// unread bytes would be a reset, which may overtake the goodbye.
    pub(super) async fn close(&self, notes: &Notes) -> io::Result<()> {
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

    /// Ends the connection with a reset, as a dying network does.
    pub(super) fn reset(self) {
        // One that is gone already needs no reset.
        let _ = self.stream.set_zero_linger();
    }
}

async fn sleep_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
