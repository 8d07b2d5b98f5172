//! A client: sends payloads, and notes what it is given, one line each.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::{Buf, BytesMut};
use doubles::{Reader, Speech};
use serde_json::{Value, json};

use crate::socket::pipe::ClientEnd;

pub struct Client {
    pub end: ClientEnd,
    pub user: u64,
    pub session_id: String,
    /// The last sequence that it was given.
    pub seq: u64,
    speech: Speech,
    reader: Reader,
    buffer: BytesMut,
    /// Every payload so far.
    pub payloads: Vec<Value>,
    /// The code of the server's close frame.
    pub closed: Option<u16>,
    shown: usize,
}

impl Client {
    pub fn new(end: ClientEnd, user: u64, speech: Speech) -> Self {
        Self {
            end,
            user,
            session_id: String::new(),
            seq: 0,
            speech,
            reader: Reader::new(speech),
            buffer: BytesMut::new(),
            payloads: Vec::new(),
            closed: None,
            shown: 0,
        }
    }

    pub fn send(&self, payload: &Value) {
        let (is_text, payload) = self.speech.write(&payload.to_string());
        self.frame(if is_text { 1 } else { 2 }, &payload);
    }

    fn token(&self) -> String {
        token_of(self.user)
    }

    pub fn identify(&self, intents: u32) {
        self.identify_with(&self.token(), intents);
    }

    pub fn identify_with(&self, token: &str, intents: u32) {
        self.send(&json!({"op": 2, "d": {"token": token, "intents": intents, "properties": {}}}));
    }

    /// The same, with leave to compress large payloads.
    pub fn identify_compressing(&self, intents: u32) {
        let token = self.token();
        let d = json!({"token": token, "intents": intents, "compress": true, "properties": {}});
        self.send(&json!({"op": 2, "d": d}));
    }

    pub fn resume(&self, session_id: &str, seq: u64) {
        let token = self.token();
        self.send(&json!({"op": 6, "d": {"token": token, "session_id": session_id, "seq": seq}}));
    }

    pub fn beat(&self) {
        self.send(&json!({"op": 1, "d": self.seq}));
    }

    /// Joins a voice channel, moves there, or leaves.
    pub fn voice(&self, guild: u64, channel: Option<u64>) {
        let (guild, channel) = (guild.to_string(), channel.map(|channel| channel.to_string()));
        self.send(&json!({"op": 4, "d": {"guild_id": guild, "channel_id": channel}}));
    }

    pub fn presence(&self, status: &str) {
        self.send(&json!({"op": 3, "d": {"status": status, "since": null, "activities": [], "afk": false}}));
    }

    pub fn close(&self, code: u16) {
        self.frame(8, &code.to_be_bytes());
    }

    /// Masked with zeros.
    pub fn frame(&self, opcode: u8, payload: &[u8]) {
        let mut frame = vec![0x80 | opcode];
        if payload.len() < 126 {
            frame.push(0x80 | payload.len() as u8);
        } else {
            frame.push(0x80 | 126);
            frame.extend((payload.len() as u16).to_be_bytes());
        }
        frame.extend([0; 4]);
        frame.extend(payload);
        self.end.write(&frame);
    }

    /// Reads what has come.
    pub fn read(&mut self) {
        self.buffer.extend_from_slice(&self.end.read());
        while let Some((opcode, payload)) = take_frame(&mut self.buffer) {
            match opcode {
                1 | 2 => {
                    let json = self.reader.read(opcode == 1, &payload);
                    self.take(serde_json::from_slice(&json).expect("payloads are JSON"));
                }
                8 => self.closed = Some(payload.as_ref().get_u16()),
                other => panic!("the server sent opcode {other}"),
            }
        }
    }

    fn take(&mut self, payload: Value) {
        if payload["op"] == 0 {
            self.seq = payload["s"].as_u64().expect("dispatches have a sequence");
            if payload["t"] == "READY" {
                self.session_id = payload["d"]["session_id"].as_str().expect("READY has one").to_owned();
            }
        }
        self.payloads.push(payload);
    }

    /// What came since the last call: a line for each payload, HELLO and acknowledgements left out.
    pub fn news(&mut self) -> Vec<String> {
        self.read();
        let new = &self.payloads[self.shown..];
        let mut lines: Vec<String> = new.iter().filter_map(line).collect();
        self.shown = self.payloads.len();
        if let Some(code) = self.closed {
            lines.push(format!("close {code}"));
        }
        lines
    }

    /// How many payloads have come compressed by themselves.
    pub fn compressed_payloads(&self) -> usize {
        self.reader.compressed_payloads
    }

    pub fn is_ended(&self) -> bool {
        self.end.is_ended()
    }
}

/// A token of the user, which says so.
pub fn token_of(user: u64) -> String {
    format!("{}.secret", URL_SAFE_NO_PAD.encode(user.to_string()))
}

fn take_frame(buffer: &mut BytesMut) -> Option<(u8, BytesMut)> {
    let (head, len) = match *buffer.get(1)? {
        126 => (4, u16::from_be_bytes(buffer.get(2..4)?.try_into().unwrap()) as usize),
        127 => (10, u64::from_be_bytes(buffer.get(2..10)?.try_into().unwrap()) as usize),
        len => (2, usize::from(len)),
    };
    if buffer.len() < head + len {
        return None;
    }
    let opcode = buffer[0] & 0xf;
    buffer.advance(head);
    Some((opcode, buffer.split_to(len)))
}

/// A payload in a line.
pub fn line(payload: &Value) -> Option<String> {
    let (op, d) = (payload["op"].as_u64()?, &payload["d"]);
    let event = match op {
        0 => payload["t"].as_str()?,
        10 | 11 => return None,
        9 => return Some(format!("op 9 {d}")),
        op => return Some(format!("op {op}")),
    };
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let rest = match event {
        "GUILD_CREATE" => {
            let channels = d["channels"].as_array().into_iter().flatten();
            format!(
                "{} [{}]",
                text(&d["id"]),
                channels.map(|channel| text(&channel["name"])).collect::<Vec<_>>().join(" ")
            )
        }
        "MESSAGE_CREATE" => text(&d["content"]),
        "VOICE_STATE_UPDATE" => format!("{} in {}", text(&d["user_id"]), text(&d["channel_id"])),
        "VOICE_SERVER_UPDATE" => text(&d["token"]),
        "PRESENCE_UPDATE" => format!("{} {}", text(&d["user"]["id"]), text(&d["status"])),
        "GUILD_DELETE" => text(&d["id"]),
        "INVITE_CREATE" => text(&d["channel_id"]),
        "GUILD_MEMBER_ADD" | "GUILD_MEMBER_REMOVE" | "GUILD_MEMBER_UPDATE" => text(&d["user"]["id"]),
        "CHANNEL_CREATE" | "CHANNEL_DELETE" if d["type"] == 1 => text(&d["recipients"][0]["username"]),
        _ if event.starts_with("CHANNEL_") => text(&d["name"]),
        _ => return Some(event.to_owned()),
    };
    Some(format!("{event} {rest}"))
}
