//! A gateway client that hides nothing: every payload in the order in which it came, every close code, sequence numbers
//! as they are. For tests of the protocol itself, where a library would repair, retry or forget.
//!
//! It panics on what a test does not expect, and says what came instead.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use doubles::{Reader, Speech};
use serde_json::{Value, json};
use tokio::time::{self, Instant};

use crate::ws::{BINARY, Message, Socket, TEXT};

/// Long enough for a busy machine; a test that waits for it has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Every intent there is.
pub const ALL_INTENTS: u64 = 53_608_447;

/// What came over the socket.
#[derive(Debug, Clone, PartialEq)]
pub enum Incoming {
    /// Op 0.
    Dispatch { name: String, seq: u64, data: Value },
    /// Any other op, with its `d`.
    Op(u64, Value),
    /// The server's close frame, or `None` for an end without one.
    Closed(Option<u16>),
}

/// A connection to the gateway, and the session on it if there is one.
#[derive(Debug)]
pub struct GatewayClient {
    socket: Option<Socket>,
    speech: Speech,
    reader: Reader,
    token: String,
    /// The highest `s` so far.
    pub seq: u64,
    pub session_id: String,
    pub resume_url: String,
    /// READY's `d`.
    pub ready: Value,
    /// The `d` of the GUILD_CREATEs of the start.
    pub guilds: Vec<Value>,
    /// Dispatches that came while another was awaited, oldest first.
    pub passed: VecDeque<(String, Value)>,
}

impl GatewayClient {
    /// Connects and takes HELLO. `url` is what `GET /gateway` says, or a proxy before it.
    pub async fn connect(url: &str) -> io::Result<Self> {
        Self::connect_as(url, Speech::JSON).await
    }

    /// The same, spoken to in another way.
    pub async fn connect_as(url: &str, speech: Speech) -> io::Result<Self> {
        Self::connect_speaking(url, &speech.path(), speech).await
    }

    /// The same with another path and query, in plain JSON.
    pub async fn connect_with(url: &str, path: &str) -> io::Result<Self> {
        Self::connect_speaking(url, path, Speech::JSON).await
    }

    async fn connect_speaking(url: &str, path: &str, speech: Speech) -> io::Result<Self> {
        let socket = Socket::connect(&format!("{}{path}", url.trim_end_matches('/'))).await?;
        let mut client = Self {
            socket: Some(socket),
            speech,
            reader: Reader::new(speech),
            token: String::new(),
            seq: 0,
            session_id: String::new(),
            resume_url: String::new(),
            ready: Value::Null,
            guilds: Vec::new(),
            passed: VecDeque::new(),
        };
        match client.next().await {
            Incoming::Op(10, hello) if hello["heartbeat_interval"].is_u64() => Ok(client),
            Incoming::Closed(code) => Err(io::Error::other(format!("closed with {code:?} before HELLO"))),
            other => panic!("instead of HELLO: {other:?}"),
        }
    }

    /// Connects, identifies, and waits for READY and the GUILD_CREATE of each guild in it.
    pub async fn login(url: &str, token: &str, intents: u64) -> Self {
        Self::login_as(url, token, intents, Speech::JSON).await
    }

    /// The same, spoken to in another way.
    pub async fn login_as(url: &str, token: &str, intents: u64, speech: Speech) -> Self {
        let mut client = match Self::connect_as(url, speech).await {
            Ok(client) => client,
            Err(error) => panic!("connecting to {url}: {error}"),
        };
        client.identify(token, intents).await;
        client.started().await;
        client
    }

    /// Sends IDENTIFY and waits for nothing.
    pub async fn identify(&mut self, token: &str, intents: u64) {
        token.clone_into(&mut self.token);
        self.send(2, identify_payload(token, intents)).await;
    }

    /// Waits for READY and for the GUILD_CREATE of each of its guilds.
    pub async fn started(&mut self) {
        let ready = self.expect("READY").await;
        for guild in array(&ready["guilds"]) {
            let data = self.expect_where("GUILD_CREATE", |data| data["id"] == guild["id"]).await;
            self.guilds.push(data);
        }
    }

    /// Sends `{"op":…,"d":…}`. A connection that is gone shows at the next read.
    pub async fn send(&mut self, op: u64, data: Value) {
        let (is_text, payload) = self.speech.write(&json!({ "op": op, "d": data }).to_string());
        let _ = self.socket().send_frame(if is_text { TEXT } else { BINARY }, &payload).await;
    }

    pub async fn send_text(&mut self, text: &str) {
        let _ = self.socket().send_text(text).await;
    }

    pub fn socket(&mut self) -> &mut Socket {
        self.socket.as_mut().expect("the test has not dropped the connection")
    }

    /// What comes next, whatever it is.
    pub async fn next(&mut self) -> Incoming {
        match time::timeout(PATIENCE, self.read()).await {
            Ok(incoming) => incoming,
            Err(_) => panic!("nothing came in {PATIENCE:?}; before it: {:?}", self.passed_names()),
        }
    }

    async fn read(&mut self) -> Incoming {
        loop {
            let socket = self.socket.as_mut().expect("the test has not dropped the connection");
            match socket.next().await {
                Ok(Some(message @ (Message::Text(_) | Message::Binary(_)))) => return self.take(&message),
                Ok(Some(Message::Close(code, _))) => return Incoming::Closed(code),
                Ok(None) | Err(_) => return Incoming::Closed(None),
                Ok(Some(Message::Ping(_) | Message::Pong)) => {}
            }
        }
    }

    fn take(&mut self, message: &Message) -> Incoming {
        let text = match message {
            Message::Text(payload) => self.reader.read(true, payload),
            Message::Binary(payload) => self.reader.read(false, payload),
            other => panic!("{other:?} is no payload"),
        };
        let mut payload: Value = match serde_json::from_slice(&text) {
            Ok(payload) => payload,
            Err(error) => panic!("{error}: {}", String::from_utf8_lossy(&text)),
        };
        let data = payload["d"].take();
        if payload["op"] != 0 {
            let op = payload["op"].as_u64();
            return Incoming::Op(op.unwrap_or_else(|| panic!("no op in {payload}")), data);
        }
        let seq = payload["s"].as_u64().unwrap_or_else(|| panic!("no s in {payload}"));
        assert!(seq >= self.seq, "s went from {} back to {seq}", self.seq);
        self.seq = seq;
        let name = text_of(&payload["t"]);
        if name == "READY" {
            self.session_id = text_of(&data["session_id"]);
            self.resume_url = text_of(&data["resume_gateway_url"]);
            self.ready = data.clone();
        }
        Incoming::Dispatch { name, seq, data }
    }

    /// Waits for a dispatch of this name, or takes it from what passed; others go there. An end of the connection fails.
    pub async fn expect(&mut self, name: &str) -> Value {
        self.expect_where(name, |_| true).await
    }

    /// The same, of those that fit.
    pub async fn expect_where(&mut self, wanted: &str, fits: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.passed.iter().position(|(name, data)| name == wanted && fits(data)) {
            return self.passed.remove(at).map(|(_, data)| data).unwrap_or_default();
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let Ok(incoming) = time::timeout_at(deadline, self.read()).await else {
                panic!("no {wanted} in {PATIENCE:?}, but {:?}", self.passed_names());
            };
            match incoming {
                Incoming::Dispatch { name, data, .. } if name == wanted && fits(&data) => return data,
                Incoming::Dispatch { name, data, .. } => self.passed.push_back((name, data)),
                Incoming::Op(1 | 11, _) => {}
                other => panic!("instead of {wanted}: {other:?}; before it {:?}", self.passed_names()),
            }
        }
    }

    /// Waits for the MESSAGE_CREATE with this content.
    pub async fn expect_message(&mut self, content: &str) -> Value {
        self.expect_where("MESSAGE_CREATE", |message| message["content"] == content).await
    }

    /// Waits for an op that is no dispatch; dispatches go into `passed`.
    pub async fn expect_op(&mut self, wanted: u64) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let Ok(incoming) = time::timeout_at(deadline, self.read()).await else {
                panic!("no op {wanted} in {PATIENCE:?}, but {:?}", self.passed_names());
            };
            match incoming {
                Incoming::Op(op, data) if op == wanted => return data,
                Incoming::Dispatch { name, data, .. } => self.passed.push_back((name, data)),
                Incoming::Op(..) => {}
                closed => panic!("instead of op {wanted}: {closed:?}"),
            }
        }
    }

    /// Waits for the end of the connection and gives its code; what comes before goes into `passed`.
    pub async fn expect_close(&mut self) -> Option<u16> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match time::timeout_at(deadline, self.read()).await {
                Ok(Incoming::Closed(code)) => return code,
                Ok(Incoming::Dispatch { name, data, .. }) => self.passed.push_back((name, data)),
                Ok(Incoming::Op(..)) => {}
                Err(_) => panic!("no end in {PATIENCE:?}"),
            }
        }
    }

    /// Everything that comes within this time, dispatches only.
    pub async fn drain(&mut self, time: Duration) -> Vec<(String, Value)> {
        let deadline = Instant::now() + time;
        loop {
            match time::timeout_at(deadline, self.read()).await {
                Ok(Incoming::Dispatch { name, data, .. }) => self.passed.push_back((name, data)),
                Ok(Incoming::Op(..)) => {}
                Ok(Incoming::Closed(_)) | Err(_) => return self.passed.drain(..).collect(),
            }
        }
    }

    pub async fn heartbeat(&mut self) {
        let seq = self.seq;
        self.send(1, json!(seq)).await;
        self.expect_op(11).await;
    }

    /// Loses the connection by a TCP reset and keeps the session's data.
    pub fn reset(&mut self) {
        if let Some(socket) = self.socket.take() {
            let _ = socket.reset();
        }
    }

    /// Sends a close frame and waits for the answer to it.
    pub async fn close(&mut self, code: u16) -> Option<u16> {
        let _ = self.socket().send_close(code).await;
        let answer = self.expect_close().await;
        self.socket = None;
        answer
    }

    /// A new connection to the same place, HELLO taken, nothing sent yet; the session's data is kept.
    pub async fn reconnect(&mut self, url: &str) {
        self.reconnect_as(url, self.speech).await;
    }

    /// The same, spoken to in another way.
    pub async fn reconnect_as(&mut self, url: &str, speech: Speech) {
        match Self::connect_as(url, speech).await {
            Ok(mut client) => {
                self.socket = client.socket.take();
                (self.speech, self.reader) = (speech, client.reader);
            }
            Err(error) => panic!("connecting to {url} again: {error}"),
        }
    }

    /// Sends RESUME with the session's data and another `seq`.
    pub async fn send_resume(&mut self, seq: u64) {
        let data = json!({ "token": self.token, "session_id": self.session_id, "seq": seq });
        self.send(6, data).await;
    }

    /// Reconnects, resumes, and gives what was replayed before RESUMED.
    pub async fn resume(&mut self, url: &str) -> Vec<(String, Value)> {
        self.resume_as(url, self.speech).await
    }

    /// The same, spoken to in another way.
    pub async fn resume_as(&mut self, url: &str, speech: Speech) -> Vec<(String, Value)> {
        self.reconnect_as(url, speech).await;
        self.passed.clear();
        let seq = self.seq;
        self.send_resume(seq).await;
        let resumed = self.expect("RESUMED").await;
        assert!(resumed.is_object(), "RESUMED carries {resumed}");
        self.passed.drain(..).collect()
    }

    /// Resumes and reads on until a dispatch fits, which may be under way still when the replay ends: all that came, in order.
    pub async fn resume_to(
        &mut self,
        url: &str,
        wanted: &str,
        fits: impl Fn(&Value) -> bool,
    ) -> Vec<(String, Value)> {
        let mut came = self.resume(url).await;
        if !came.iter().any(|(name, data)| name == wanted && fits(data)) {
            let last = self.expect_where(wanted, fits).await;
            came.extend(self.passed.drain(..));
            came.push((wanted.to_owned(), last));
        }
        came
    }

    /// The same, to the MESSAGE_CREATE with this content.
    pub async fn resume_to_message(&mut self, url: &str, content: &str) -> Vec<(String, Value)> {
        self.resume_to(url, "MESSAGE_CREATE", |message| message["content"] == content).await
    }

    /// How many payloads of this connection have come compressed by themselves.
    pub fn compressed_payloads(&self) -> usize {
        self.reader.compressed_payloads
    }

    /// The names of the dispatches that passed.
    pub fn passed_names(&self) -> Vec<&str> {
        self.passed.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// The same without presences, which come when they come: a login is told within a second or two.
    pub fn passed_but_presences(&self) -> Vec<&str> {
        self.passed_names().into_iter().filter(|name| *name != "PRESENCE_UPDATE").collect()
    }
}

/// IDENTIFY's `d`.
pub fn identify_payload(token: &str, intents: u64) -> Value {
    json!({
        "token": token,
        "intents": intents,
        "properties": { "os": "linux", "browser": "starling-testkit", "device": "starling-testkit" },
    })
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
