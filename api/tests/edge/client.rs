//! A server with fakes behind it, and an HTTP client small enough to send anything.

use std::sync::Arc;
use std::time::Duration;

use api::{Api, App, Config, Limits};
use model::clock::{ManualClock, SharedClock, SystemClock};
use proto::clients;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;

use crate::fakes::Fakes;

pub const WAIT: Duration = Duration::from_secs(60);

pub struct Server {
    pub api: Api,
    pub fakes: Fakes,
}

pub fn config(fakes: &Fakes, clock: SharedClock, limits: Limits) -> Config {
    Config {
        accounts: clients::local_accounts(fakes.clone(), Handle::current()),
        guilds: clients::local_guilds(fakes.clone(), Handle::current()),
        messages: clients::local_messages(fakes.clone(), Handle::current()),
        public_gateway_url: "ws://127.0.0.1:8081".into(),
        public_api_url: "http://127.0.0.1:8080".into(),
        clock,
        index_html: "<h1>Starling</h1>".into(),
        identify_concurrency: 1,
        starts: None,
        behind_proxy: false,
        global_limit: None,
        limits,
    }
}

/// The pipeline alone, at a time that stands still.
pub fn app(fakes: &Fakes, limits: Limits) -> (App, ManualClock) {
    let clock = ManualClock::at(1_700_000_000_000);
    (App::new(config(fakes, Arc::new(clock.clone()), limits)), clock)
}

impl Server {
    pub async fn start() -> Self {
        Self::with_limits(Limits::default()).await
    }

    pub async fn with_limits(limits: Limits) -> Self {
        let fakes = Fakes::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api = Api::start(listener, config(&fakes, SystemClock::shared(), limits)).unwrap();
        Self { api, fakes }
    }

    pub async fn connect(&self) -> Connection {
        Connection { stream: TcpStream::connect(self.api.local_addr()).await.unwrap(), buffer: Vec::new() }
    }

    /// One request as alice on a connection of its own.
    pub async fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        self.connect().await.ask(method, path, "alice-token", "application/json", body.as_bytes()).await
    }
}

pub struct Connection {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Connection {
    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    pub async fn ask(&mut self, method: &str, path: &str, token: &str, kind: &str, body: &[u8]) -> Answer {
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\nContent-Type: {kind}\r\n\
             Content-Length: {length}\r\n\r\n"
        );
        self.send(&[head.as_bytes(), body].concat()).await;
        self.answer().await
    }

    /// Reads one answer.
    pub async fn answer(&mut self) -> Answer {
        tokio::time::timeout(WAIT, self.read_answer(true)).await.expect("an answer in time")
    }

    /// Reads an answer to HEAD, and the one after it.
    pub async fn bodiless_and_next(&mut self) -> (Answer, Answer) {
        let head = tokio::time::timeout(WAIT, self.read_answer(false)).await.expect("an answer in time");
        (head, self.answer().await)
    }

    async fn read_answer(&mut self, has_body: bool) -> Answer {
        let head_end = loop {
            if let Some(at) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break at;
            }
            assert!(self.fill().await > 0, "the connection ended in the head of an answer");
        };
        let head = String::from_utf8(self.buffer[..head_end].to_vec()).unwrap();
        self.buffer.drain(..head_end + 4);
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length = length.filter(|_| has_body).map_or(0, |(_, length)| length.parse().unwrap());
        while self.buffer.len() < length {
            assert!(self.fill().await > 0, "the connection ended in the body of an answer");
        }
        Answer { status, headers, body: self.buffer.drain(..length).collect() }
    }

    async fn fill(&mut self) -> usize {
        self.stream.read_buf(&mut self.buffer).await.unwrap()
    }

    /// Whether the server ends the connection.
    pub async fn ends(&mut self) -> bool {
        let mut byte = [0];
        let read = tokio::time::timeout(WAIT, self.stream.read(&mut byte)).await;
        matches!(read.expect("an end in time"), Ok(0) | Err(_))
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}
