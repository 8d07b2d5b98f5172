//! People who talk and listen while something breaks, and the check that nothing was lost, doubled, reordered or shown to
//! somebody who may not see it.
//!
//! Each [`Person`] talks through every API in all channels that they see, and listens on every gateway. Senders repeat
//! what was not acknowledged with the same nonce, as 503 tells them; receivers keep their sessions as libraries do. What
//! was acknowledged is compared with what everybody received and with the history at the end ([`Traffic::finish`]);
//! [`Traffic::phase`] says of one fault how long clients had to wait, and waits until everything is well again.
//!
//! [`judge`] is the comparison, without I/O.

mod book;
pub mod judge;
mod receiver;
mod sender;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{self, Instant};

use crate::rest::{Answer, Rest, RestError};
use book::Book;
pub use book::Counts;
use judge::{Finding, History, Id, Kind, Seen};
use receiver::Receiver;
use sender::Sender;

/// Who talks where.
#[derive(Debug, Clone)]
pub struct Plan {
    /// `http://host:port/api/v10` of each.
    pub apis: Vec<String>,
    /// `ws://host:port` of each.
    pub gateways: Vec<String>,
    pub channels: BTreeSet<Id>,
    pub people: Vec<Person>,
    /// How long each sender waits between two messages.
    pub pace: Duration,
}

/// A user or a bot.
#[derive(Debug, Clone)]
pub struct Person {
    pub name: String,
    pub id: Id,
    /// What goes into `Authorization`.
    pub authorization: String,
    /// What goes into IDENTIFY.
    pub token: String,
    /// Those of the channels that they may see.
    pub sees: BTreeSet<Id>,
}

/// Running traffic.
pub struct Traffic {
    plan: Plan,
    book: Arc<Book>,
    senders: JoinSet<()>,
    receivers: JoinSet<()>,
    stop_senders: watch::Sender<bool>,
    stop_receivers: watch::Sender<bool>,
    phases: Mutex<Vec<(String, Counts)>>,
}

/// How it went.
#[derive(Debug, Clone)]
pub struct Report {
    pub phases: Vec<(String, Counts)>,
    pub findings: Vec<Finding>,
    /// What was acknowledged.
    pub sent: Vec<judge::Sent>,
}

// === impl Traffic ===

impl Traffic {
    /// Everybody connects, and then begins to talk.
    ///
    /// # Panics
    /// When somebody can't connect.
    pub async fn start(plan: Plan) -> Self {
        let listeners: Vec<(&Person, usize)> = plan
            .people
            .iter()
            .flat_map(|person| (0..plan.gateways.len()).map(move |at| (person, at)))
            .collect();
        let named = |(person, at): &(&Person, usize)| {
            (format!("{} on gateway {}", person.name, at + 1), person.sees.clone())
        };
        let people = plan.people.iter().map(|person| person.id).collect();
        let book = Book::new(plan.channels.clone(), people, listeners.iter().map(named).collect());
        let book = Arc::new(book);
        let (stop_senders, stop_receivers) = (watch::Sender::new(false), watch::Sender::new(false));
        let mut receivers = JoinSet::new();
        for (at, (person, gateway)) in listeners.into_iter().enumerate() {
            let receiver = Receiver {
                url: plan.gateways[gateway].clone(),
                token: person.token.clone(),
                rest: Arc::new(Rest::new(&plan.apis[gateway % plan.apis.len()], Some(&person.authorization))),
                book: Arc::clone(&book),
                at,
            };
            receivers.spawn(receiver.run(stop_receivers.subscribe()));
        }
        for receiver in &book.receivers {
            wait(&format!("{} is connected", receiver.who), || receiver.is_open().then_some(())).await;
        }
        let mut senders = JoinSet::new();
        for person in &plan.people {
            for (at, api) in plan.apis.iter().enumerate() {
                let sender = Sender {
                    who: format!("{}-{}", person.name, at + 1),
                    author: person.id,
                    rest: Rest::new(api, Some(&person.authorization)),
                    channels: person.sees.iter().copied().collect(),
                    pace: plan.pace,
                    book: Arc::clone(&book),
                };
                senders.spawn(sender.run(stop_senders.subscribe()));
            }
        }
        let phases = Mutex::default();
        Self { plan, book, senders, receivers, stop_senders, stop_receivers, phases }
    }

    /// Does something, waits until everything is well again, and says what happened meanwhile.
    ///
    /// # Panics
    /// When it does not become well.
    pub async fn phase<T>(&self, what: &str, fault: impl Future<Output = T>) -> T {
        let mark = self.book.mark();
        let began = Instant::now();
        let outcome = fault.await;
        self.settle().await;
        let counts = self.book.since(&mark);
        println!("{what} ({:.1} s): {counts}", began.elapsed().as_secs_f64());
        self.phases.lock().push((what.to_owned(), counts));
        outcome
    }

    /// Waits until a message is acknowledged in every channel, and then until everybody has everything that was
    /// acknowledged so far.
    ///
    /// # Panics
    /// When that does not happen.
    pub async fn settle(&self) {
        self.moved_on(&self.plan.channels).await;
        let count = self.book.sent_count();
        self.arrived(count).await;
    }

    /// Waits until a message is acknowledged in each of these channels.
    ///
    /// # Panics
    /// When none is.
    pub async fn moved_on(&self, channels: &BTreeSet<Id>) {
        let before = self.book.by_channel();
        let has_moved = |channel: &Id| self.book.by_channel()[channel] > before[channel];
        wait("something is acknowledged in every channel", || channels.iter().all(has_moved).then_some(()))
            .await;
    }

    async fn arrived(&self, count: usize) {
        let began = Instant::now();
        let mut missing = self.book.missing(count);
        while !missing.is_empty() {
            assert!(
                began.elapsed() < PATIENCE,
                "not arrived in {PATIENCE:?}: {missing:?}; {:?}",
                self.book.findings()
            );
            time::sleep(POLL).await;
            missing = self.book.missing(count);
        }
    }

    /// What was acknowledged so far.
    pub fn sent(&self) -> Vec<judge::Sent> {
        self.book.sent()
    }

    /// Ends it, and compares.
    ///
    /// # Panics
    /// When senders don't come to an end, or something that was acknowledged does not arrive.
    pub async fn finish(mut self) -> Report {
        self.stop_senders.send_replace(true);
        time::timeout(PATIENCE, async { while self.senders.join_next().await.is_some() {} })
            .await
            .unwrap_or_else(|_| panic!("senders have no answer yet: {:?}", self.book.findings()));
        self.arrived(self.book.sent_count()).await;
        self.quiet().await;
        self.stop_receivers.send_replace(true);
        while self.receivers.join_next().await.is_some() {}
        let mut findings = self.book.findings();
        let mut histories = Vec::new();
        for person in &self.plan.people {
            for (at, api) in self.plan.apis.iter().enumerate() {
                let reader = Reader {
                    who: format!("{} through API {}", person.name, at + 1),
                    rest: Rest::new(api, Some(&person.authorization)),
                };
                for channel in &self.plan.channels {
                    match person.sees.contains(channel) {
                        true => histories.push(reader.history(*channel).await),
                        false => findings.extend(reader.is_refused(*channel).await),
                    }
                }
            }
        }
        let sent = self.book.sent();
        findings.extend(judge::judge(&self.plan.channels, &sent, &self.book.received(), &histories));
        let phases = self.phases.into_inner();
        Report { phases, findings, sent }
    }

    /// Waits until nothing has come for a while: edits, deletions, and what should not come.
    async fn quiet(&self) {
        let (mut count, mut since) = (0, Instant::now());
        while since.elapsed() < QUIET {
            let now = self.book.event_count();
            if now != count {
                (count, since) = (now, Instant::now());
            }
            time::sleep(POLL).await;
        }
    }
}

impl Report {
    /// # Panics
    /// When something is wrong.
    pub fn assert_clean(&self) {
        let shown: Vec<String> = self.findings.iter().take(FINDINGS_SHOWN).map(ToString::to_string).collect();
        let count = self.findings.len();
        assert!(count == 0, "{count} findings in {} messages:\n{}", self.sent.len(), shown.join("\n"));
    }
}

/// Who reads the history at the end.
struct Reader {
    who: String,
    rest: Rest,
}

impl Reader {
    async fn history(&self, channel: Id) -> History {
        let mut messages: Vec<Seen> = Vec::new();
        loop {
            let before = messages.last().map_or_else(String::new, |oldest| format!("&before={}", oldest.id));
            let path = format!("/channels/{channel}/messages?limit=100{before}");
            let page = match self.read(&path).await {
                Ok(answer) if answer.status.is_success() => answer.json(),
                other => panic!("{path}: {other:?}"),
            };
            let page = page.as_array().into_iter().flatten().filter_map(seen);
            let length = messages.len();
            messages.extend(page);
            if messages.len() == length {
                break;
            }
        }
        messages.reverse();
        History { who: self.who.clone(), channel, messages }
    }

    /// What a reader is told who comes again while the answer is 503.
    async fn read(&self, path: &str) -> Result<Answer, RestError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.rest.call(Method::GET, path, None).await;
            let is_to_wait =
                answer.as_ref().is_ok_and(|answer| answer.status == StatusCode::SERVICE_UNAVAILABLE);
            if !is_to_wait || Instant::now() > deadline {
                return answer;
            }
            time::sleep(POLL).await;
        }
    }

    async fn is_refused(&self, channel: Id) -> Option<Finding> {
        let answer = self.read(&format!("/channels/{channel}/messages")).await;
        let is_right = answer.as_ref().is_ok_and(|answer| answer.status == StatusCode::FORBIDDEN);
        (!is_right)
            .then(|| Finding::new(Kind::Foreign, format!("{} asked for {channel}: {answer:?}", self.who)))
    }
}

/// An id as JSON has it.
fn id_of(value: &Value) -> Option<Id> {
    value.as_str().and_then(|id| id.parse().ok())
}

/// A message as JSON has it.
fn seen(message: &Value) -> Option<Seen> {
    Some(Seen {
        channel: id_of(&message["channel_id"])?,
        author: id_of(&message["author"]["id"])?,
        id: id_of(&message["id"])?,
        content: message["content"].as_str()?.to_owned(),
    })
}

/// Asks again and again until there is an answer.
async fn wait<T>(what: &str, ask: impl Fn() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "not in {PATIENCE:?}: {what}");
        time::sleep(POLL).await;
    }
}

/// Long enough for a fault and a busy machine.
const PATIENCE: Duration = Duration::from_secs(150);
const POLL: Duration = Duration::from_millis(50);
const QUIET: Duration = Duration::from_secs(3);
const FINDINGS_SHOWN: usize = 30;
