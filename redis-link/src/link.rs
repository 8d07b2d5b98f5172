//! The connection: one to a server, shared by all who ask in this process, and made again when it breaks.
//!
//! ```text
//! up ── a call fails or is late ──▶ down ── a ping is answered ──▶ up
//! ```
//!
//! While the link is down, calls fail at once and only the probe asks, with growing pauses. So a request that could
//! do without Redis waits at most once for it, and a server that comes back is not met by everybody at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use model::limits;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, ServerErrorKind, Value, from_redis_value};
use tasks::{Ended, Tasks};
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::warn;

use crate::config::{Config, ConfigError};
use crate::key::Key;
use crate::probe;
use crate::script::Call;

/// The link to one server. Clones are the same link.
#[derive(Clone)]
pub struct Link {
    wire: Wire,
    prefix: Arc<str>,
    counters: Arc<Counters>,
    /// The probe, which ends with the last clone.
    tasks: Arc<Tasks>,
}

/// The connection, and whether it is up.
#[derive(Clone)]
pub(crate) struct Wire {
    manager: ConnectionManager,
    answer: Duration,
    is_up: watch::Sender<bool>,
}

/// Redis can't be reached, did not answer in time, or refused. Of a change nothing is known: it may have been made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Redis is away: {0}")]
pub struct Away(pub String);

/// What a link has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    pub is_up: bool,
    /// Scripts that were answered.
    pub calls: u64,
    /// Scripts without an answer, those that were not sent because the link was down included.
    pub failures: u64,
    /// How often the link went down.
    pub outages: u64,
}

/// Why there is no answer.
#[derive(Debug)]
enum Fault {
    /// Nobody answers, or only to say that nothing is answered now.
    Silent(String),
    /// This call was refused; others may be answered.
    Refused(String),
}

#[derive(Default)]
struct Counters {
    calls: AtomicU64,
    failures: AtomicU64,
    outages: AtomicU64,
}

impl Link {
    /// A link that connects when it is needed, on the runtime that this is called on. A server that is not there is no
    /// error here.
    pub fn start(config: Config) -> Result<Self, ConfigError> {
        let options = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(Duration::from_millis(limits::REDIS_CONNECT_MS)))
            .set_response_timeout(None)
            .set_number_of_retries(0)
            .set_pipeline_buffer_size(limits::REDIS_QUEUE_MAX);
        let manager = ConnectionManager::new_lazy_with_config(config.client()?, options)?;
        let is_up = watch::Sender::new(true);
        let wire = Wire { manager, answer: Duration::from_millis(config.answer_ms), is_up };
        let tasks = Tasks::new("link to Redis");
        tasks.spawner().spawn_lasting("its probe", probe::keep(wire.clone()));
        let (prefix, counters, tasks) = (config.prefix.into(), Arc::default(), Arc::new(tasks));
        Ok(Self { wire, prefix, counters, tasks })
    }

    /// Waits for a task that ends by itself, which only a defect does.
    pub async fn ended(&self) -> Ended {
        self.tasks.ended().await
    }

    /// A key of this system. What stands in the tag chooses the slot in a cluster.
    pub fn key(&self, kind: &str, tag: impl std::fmt::Display) -> Key {
        Key::new(&self.prefix, kind, tag)
    }

    /// Runs a script.
    pub async fn run<T: FromRedisValue>(&self, call: Call) -> Result<T, Away> {
        let answers = self.run_all(vec![call]).await?;
        Ok(answers.into_iter().next().expect("one answer for each call"))
    }

    /// Runs scripts one after another, sent together. Each is atomic, all of them are not.
    pub async fn run_all<T: FromRedisValue>(&self, calls: Vec<Call>) -> Result<Vec<T>, Away> {
        if calls.is_empty() {
            return Ok(Vec::new());
        }
        let answers = self.wire.ask(&calls).await;
        let counter = if answers.is_ok() { &self.counters.calls } else { &self.counters.failures };
        counter.fetch_add(calls.len() as u64, Ordering::Relaxed);
        match answers {
            Ok(values) => values.into_iter().map(decode).collect(),
            Err(Fault::Refused(text)) => Err(Away(text)),
            Err(Fault::Silent(text)) => {
                if self.wire.set_up(false) {
                    self.counters.outages.fetch_add(1, Ordering::Relaxed);
                    warn!(error = text, "Redis is away: calls fail until it answers a ping");
                }
                Err(Away(text))
            }
        }
    }

    /// One command that is no script. Its failure says nothing of whether the link is up.
    pub(crate) async fn ask_plainly<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Away> {
        let answers = self.wire.send([command]).await.map_err(|fault| match fault {
            Fault::Silent(text) | Fault::Refused(text) => Away(text),
        })?;
        let answer = answers.into_iter().next().expect("one answer for each command");
        decode(answer.extract_error().map_err(|error| Away(error.to_string()))?)
    }

    /// Whether Redis answered when it was asked last.
    pub fn is_up(&self) -> bool {
        self.wire.is_up()
    }

    /// Changes whenever the link goes down or comes up again.
    pub fn changes(&self) -> watch::Receiver<bool> {
        self.wire.is_up.subscribe()
    }

    pub fn stats(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counters { calls, failures, outages } = &*self.counters;
        Stats { is_up: self.is_up(), calls: read(calls), failures: read(failures), outages: read(outages) }
    }
}

impl Wire {
    pub(crate) fn is_up(&self) -> bool {
        *self.is_up.borrow()
    }

    /// Answers whether that is a change.
    pub(crate) fn set_up(&self, is_up: bool) -> bool {
        self.is_up.send_if_modified(|before| std::mem::replace(before, is_up) != is_up)
    }

    /// Waits until the link is down.
    pub(crate) async fn down(&self) {
        let mut changes = self.is_up.subscribe();
        changes.wait_for(|is_up| !is_up).await.expect("the sender is this one's own");
    }

    /// Whether Redis answers.
    pub(crate) async fn ping(&self) -> bool {
        let ping = self.send([&redis::cmd("PING")]).await;
        ping.is_ok_and(|answers| !matches!(answers[..], [Value::ServerError(_)]))
    }

    async fn ask(&self, calls: &[Call]) -> Result<Vec<Value>, Fault> {
        if !self.is_up() {
            return Err(Fault::Silent("it did not answer lately".into()));
        }
        let mut answers = self.send(calls.iter().map(Call::command)).await?;
        let unknown: Vec<usize> = (0..calls.len()).filter(|index| is_unknown(&answers[*index])).collect();
        if !unknown.is_empty() {
            self.load(unknown.iter().map(|index| &calls[*index])).await?;
            let again = self.send(unknown.iter().map(|index| calls[*index].command())).await?;
            for (index, answer) in unknown.into_iter().zip(again) {
                answers[index] = answer;
            }
        }
        answers.into_iter().map(|answer| answer.extract_error().map_err(|error| fault(&error))).collect()
    }

    /// Teaches Redis scripts that it does not know: it was started anew, or this is the first time.
    async fn load(&self, calls: impl Iterator<Item = &Call>) -> Result<(), Fault> {
        let mut scripts: Vec<_> = calls.map(|call| call.script()).collect();
        scripts.sort_unstable_by_key(|script| std::ptr::from_ref(*script));
        scripts.dedup_by_key(|script| std::ptr::from_ref(*script));
        let commands: Vec<Cmd> = scripts.into_iter().map(|script| script.load()).collect();
        self.send(&commands).await.map(drop)
    }

    /// Sends commands together, and answers when all of them are answered; errors of single ones are among the answers.
    async fn send<'a>(&self, commands: impl IntoIterator<Item = &'a Cmd>) -> Result<Vec<Value>, Fault> {
        let mut pipeline = Pipeline::new();
        for command in commands {
            pipeline.add_command(command.clone());
        }
        let count = pipeline.len();
        let mut manager = self.manager.clone();
        match timeout(self.answer, manager.send_packed_commands(&pipeline, 0, count)).await {
            Ok(Ok(answers)) if answers.len() == count => Ok(answers),
            Ok(Ok(answers)) => Err(Fault::Silent(format!("{} answers to {count} commands", answers.len()))),
            Ok(Err(error)) => Err(fault(&error)),
            Err(_) => Err(Fault::Silent(format!("no answer in {} ms", self.answer.as_millis()))),
        }
    }
}

fn decode<T: FromRedisValue>(value: Value) -> Result<T, Away> {
    from_redis_value(value).map_err(|error| Away(format!("an unexpected answer: {error}")))
}

fn is_unknown(answer: &Value) -> bool {
    matches!(answer, Value::ServerError(error) if error.kind() == Some(ServerErrorKind::NoScript))
}

/// A server that loads, or runs a script for ever, or is no master just now, answers nobody.
fn fault(error: &RedisError) -> Fault {
    use ServerErrorKind::{BusyLoading, ClusterDown, MasterDown};
    match error.kind() {
        ErrorKind::Server(BusyLoading | ClusterDown | MasterDown) => Fault::Silent(error.to_string()),
        ErrorKind::Server(_) | ErrorKind::Extension => Fault::Refused(error.to_string()),
        _ => Fault::Silent(error.to_string()),
    }
}
