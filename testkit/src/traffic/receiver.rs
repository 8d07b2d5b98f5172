//! A client that keeps its session as a library does: it heartbeats, resumes when its connection ends or goes silent, and
//! identifies anew where it is told that the session is lost. What it missed then it reads from the history.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{self, Instant};

use super::book::{Book, Receiver as Notebook};
use super::judge::{Event, Id, Kind};
use super::{id_of, seen};
use crate::gateway_client::{ALL_INTENTS, identify_payload};
use crate::rest::Rest;
use crate::ws::{Message, Socket};

/// See the module.
pub(super) struct Receiver {
    pub(super) url: String,
    pub(super) token: String,
    pub(super) rest: Arc<Rest>,
    pub(super) book: Arc<Book>,
    /// Its place among the receivers of the book.
    pub(super) at: usize,
}

/// What is needed to resume.
struct Session {
    id: String,
    seq: u64,
}

/// How a connection ended.
enum End {
    Stopped,
    /// To be resumed.
    Broken,
    /// The session is lost.
    Invalid,
}

/// A connection after HELLO.
struct Link {
    socket: Socket,
    beat_every: Duration,
    /// Until its last heartbeat is answered.
    is_waiting: bool,
}

impl Receiver {
    /// Stays connected until it is to stop.
    pub(super) async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut session = None;
        let mut reads = JoinSet::new();
        loop {
            let ended = tokio::select! {
                ended = self.connection(&mut session, &mut reads) => ended,
                _ = stop.wait_for(|stop| *stop) => End::Stopped,
            };
            match ended {
                End::Stopped => return,
                End::Broken => {}
                End::Invalid => session = None,
            }
            let pause = PAUSE_MS_MIN + model::entropy::below(PAUSE_MS_MIN);
            time::sleep(Duration::from_millis(pause)).await;
        }
    }

    fn notebook(&self) -> &Notebook {
        &self.book.receivers[self.at]
    }

    fn note(&self, event: Event) {
        self.notebook().event(event, self.book.now_ms());
    }

    async fn connection(&self, session: &mut Option<Session>, reads: &mut JoinSet<()>) -> End {
        let Ok(Some(mut link)) = time::timeout(CONNECT_PATIENCE, Link::open(&self.url)).await else {
            return End::Broken;
        };
        let first = match &*session {
            Some(Session { id, seq }) => {
                json!({ "op": 6, "d": { "token": self.token, "session_id": id, "seq": seq } })
            }
            None => json!({ "op": 2, "d": identify_payload(&self.token, ALL_INTENTS) }),
        };
        link.send(&first).await;
        let mut beat_at = Instant::now() + link.beat_every;
        loop {
            let message = tokio::select! {
                message = link.socket.next() => message,
                () = time::sleep_until(beat_at) => {
                    if link.is_waiting {
                        return End::Broken;
                    }
                    link.beat(session.as_ref()).await;
                    beat_at = Instant::now() + link.beat_every;
                    continue;
                }
            };
            let text = match message {
                Ok(Some(Message::Text(text) | Message::Binary(text))) => text,
                Ok(Some(Message::Close(Some(code), _))) if LOST.contains(&code) => return End::Invalid,
                Ok(Some(Message::Close(..)) | None) | Err(_) => return End::Broken,
                Ok(Some(Message::Ping(_) | Message::Pong)) => continue,
            };
            let Ok(payload) = serde_json::from_slice::<Value>(&text) else { return End::Broken };
            match payload["op"].as_u64() {
                Some(0) => self.dispatch(&payload, session, reads),
                Some(1) => link.beat(session.as_ref()).await,
                Some(7) => return End::Broken,
                Some(9) if payload["d"] == true => return End::Broken,
                Some(9) => return End::Invalid,
                Some(11) => link.is_waiting = false,
                _ => {}
            }
        }
    }

    fn dispatch(&self, payload: &Value, session: &mut Option<Session>, reads: &mut JoinSet<()>) {
        let (data, name) = (&payload["d"], payload["t"].as_str().unwrap_or_default());
        let seq = payload["s"].as_u64().unwrap_or(0);
        match name {
            "READY" => {
                let id = data["session_id"].as_str().unwrap_or_default().to_owned();
                *session = Some(Session { id, seq });
                self.ready(data, reads);
            }
            "GUILD_CREATE" => self.notebook().opened(id_of(&data["id"])),
            "RESUMED" => self.notebook().resumed(),
            "MESSAGE_CREATE" => seen(data).map(Event::Created).into_iter().for_each(|event| self.note(event)),
            "MESSAGE_UPDATE" => seen(data).map(Event::Updated).into_iter().for_each(|event| self.note(event)),
            "MESSAGE_DELETE" => {
                if let (Some(channel), Some(id)) = (id_of(&data["channel_id"]), id_of(&data["id"])) {
                    self.note(Event::Deleted { channel, id });
                }
            }
            "PRESENCE_UPDATE" => self.presence(data),
            _ => {}
        }
        if let Some(session) = session {
            session.seq = session.seq.max(seq);
        }
    }

    /// Everybody of the traffic is connected, if not here then to another gateway.
    fn presence(&self, data: &Value) {
        let user = id_of(&data["user"]["id"]);
        if data["status"] == "offline" && user.is_some_and(|user| self.book.people.contains(&user)) {
            let text = format!("{} was told that {user:?} is offline", self.notebook().who);
            self.book.find(Kind::Untrue, text);
        }
    }

    /// A session begins. If it is not the first, what lies behind the newest message is read once its guilds are there.
    fn ready(&self, data: &Value, reads: &mut JoinSet<()>) {
        let newest = self.notebook().newest();
        let guilds: Vec<Id> =
            data["guilds"].as_array().into_iter().flatten().filter_map(|guild| id_of(&guild["id"])).collect();
        if self.notebook().begin(guilds) {
            self.note(Event::Identified);
            let (book, rest, at) = (Arc::clone(&self.book), Arc::clone(&self.rest), self.at);
            reads.spawn(async move { read_missed(&book, &rest, at, newest).await });
        }
    }
}

impl Link {
    /// Connects and takes HELLO.
    async fn open(url: &str) -> Option<Self> {
        let mut socket =
            Socket::connect(&format!("{}/?v=10&encoding=json", url.trim_end_matches('/'))).await.ok()?;
        let Ok(Some(Message::Text(hello))) = socket.next().await else { return None };
        let hello: Value = serde_json::from_slice(&hello).ok()?;
        let interval = Duration::from_millis(hello["d"]["heartbeat_interval"].as_u64()?);
        Some(Self { socket, beat_every: interval.min(BEAT_EVERY_MAX), is_waiting: false })
    }

    async fn beat(&mut self, session: Option<&Session>) {
        self.is_waiting = true;
        self.send(&json!({ "op": 1, "d": session.map(|session| session.seq) })).await;
    }

    /// A connection that is gone shows at the next read.
    async fn send(&mut self, payload: &Value) {
        let _ = time::timeout(CONNECT_PATIENCE, self.socket.send_text(&payload.to_string())).await;
    }
}

/// Reads what lies behind the newest messages, page by page, as often as it takes.
async fn read_missed(book: &Book, rest: &Rest, at: usize, newest: BTreeMap<Id, Id>) {
    let notebook = &book.receivers[at];
    while !notebook.is_open() {
        time::sleep(POLL).await;
    }
    for (channel, mut after) in newest {
        loop {
            let path = format!("/channels/{channel}/messages?limit={PAGE}&after={}", after.max(1));
            let answer = rest.call(Method::GET, &path, None).await;
            let Some(page) = answer.ok().filter(|answer| answer.status.is_success()) else {
                time::sleep(Duration::from_secs(1)).await;
                continue;
            };
            let page = page.json();
            let mut messages: Vec<_> = page.as_array().into_iter().flatten().filter_map(seen).collect();
            messages.sort_by_key(|message| message.id);
            after = messages.last().map_or(after, |message| message.id);
            let is_last = messages.len() < PAGE;
            for message in messages.into_iter().filter(|message| !notebook.has(message.id)) {
                notebook.event(Event::Found(message), book.now_ms());
            }
            if is_last {
                break;
            }
        }
    }
}

/// Close codes after which a session can't be resumed.
const LOST: [u16; 2] = [4007, 4009];
const BEAT_EVERY_MAX: Duration = Duration::from_secs(10);
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
const PAGE: usize = 100;
const PAUSE_MS_MIN: u64 = 500;
const POLL: Duration = Duration::from_millis(50);
