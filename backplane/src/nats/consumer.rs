//! The consumer of one partition of user events, durable on the server.
//!
//! NATS gives what is not acknowledged again, but behind what came after it. Order has to be kept, so nothing relies on
//! that: events are taken only while their sequences follow each other, and whenever one is missing, or the connection
//! was away, the consumer is *opened again* behind what was acknowledged.
//!
//! To open means: make a durable consumer `fanout-{n}` whose number is the next one and that starts behind what its
//! predecessors acknowledged, then delete these. Making is exclusive, so of two that open at once each gets a number of
//! his own; and a deleted consumer gives nothing and acknowledges nothing, so who was replaced finds out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_nats::Request;
use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::pull::{self, MessagesError};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer};
use async_nats::jetstream::stream::{ConsumerCreateStrictErrorKind, Stream as Handle};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use model::limits;
use tokio::sync::watch;
use tokio::time::timeout;

use super::link::{Link, Silence};
use super::names::Names;
use super::streams;
use crate::port::{Unavailable, UserConsumer, UserEvent};
use crate::subject::{Stream, Subject};

const NAME: &str = "fanout-";
const TAKER: &str = "starling-taker";
const ACKNOWLEDGE: &[u8] = b"+ACK";
/// How often opening is tried again when somebody else got the number.
const NUMBERS_MAX: usize = 8;

pub(super) struct Consumer {
    link: Arc<Link>,
    names: Names,
    stream: String,
    /// Who we are, in the metadata of our consumers.
    taker: String,
    number: u64,
    incarnation: u64,
    acknowledged: u64,
    /// What was taken and is not acknowledged, and the last of it.
    held: VecDeque<Held>,
    taken: u64,
    messages: Option<pull::Stream>,
    connects: u64,
    wakes: watch::Receiver<()>,
}

struct Held {
    event: UserEvent,
    reply: String,
}

/// A consumer on the server.
struct Known {
    number: u64,
    name: String,
    is_ours: bool,
    acknowledged: u64,
}

impl Consumer {
    pub(super) async fn open(link: Arc<Link>, names: Names, stream: Stream) -> Result<Self, Unavailable> {
        let mut consumer = Self {
            stream: names.stream(stream),
            wakes: link.wakes(),
            link,
            names,
            taker: format!("{:016x}", model::entropy::number()),
            number: u64::MAX,
            incarnation: 0,
            acknowledged: 0,
            held: VecDeque::new(),
            taken: 0,
            messages: None,
            connects: 0,
        };
        consumer.make().await?;
        Ok(consumer)
    }

    /// Opens it again behind what was acknowledged, unless somebody else has.
    async fn make(&mut self) -> Result<(), Unavailable> {
        self.messages = None;
        self.held.clear();
        let connects = self.link.marks().connects;
        let state = streams::state(&self.link, &self.stream).await?;
        if state.incarnation != self.incarnation {
            self.incarnation = state.incarnation;
            self.acknowledged = 0;
        }
        let handle = self.link.context().get_stream_no_info(&self.stream).await;
        let handle = handle.map_err(|error| self.failed(&error))?;
        for _ in 0..NUMBERS_MAX {
            let known = self.known(&handle).await?;
            if known.iter().any(|known| known.number > self.number && !known.is_ours) {
                return Err(Unavailable("another consumer has taken over: consume again, or stop".into()));
            }
            let before = known.iter().map(|known| known.acknowledged).max().unwrap_or(0);
            let acknowledged = self.acknowledged.max(before).min(state.last);
            let number = known.iter().map(|known| known.number).max().unwrap_or(0) + 1;
            let Some(consumer) = self.make_one(&handle, number, acknowledged).await? else { continue };
            for old in known {
                let _ = timeout(QUESTION, handle.delete_consumer(&old.name)).await;
            }
            self.messages = Some(self.pull(&consumer).await?);
            (self.number, self.acknowledged, self.taken, self.connects) = (number, acknowledged, 0, connects);
            return Ok(());
        }
        Err(Unavailable(format!("consumers of {} are being made by somebody else all the time", self.stream)))
    }

    async fn known(&self, handle: &Handle<()>) -> Result<Vec<Known>, Unavailable> {
        let infos = timeout(QUESTION, handle.consumers().try_collect::<Vec<_>>())
            .await
            .map_err(|_| Unavailable::from(Silence::TimedOut))?
            .map_err(|error| self.failed(&error))?;
        let known = infos.into_iter().filter_map(|info| {
            let number = info.name.strip_prefix(NAME)?.parse().ok()?;
            let is_ours = info.config.metadata.get(TAKER) == Some(&self.taker);
            Some(Known { number, name: info.name, is_ours, acknowledged: info.ack_floor.stream_sequence })
        });
        Ok(known.collect())
    }

    /// `None` when somebody else made the one with this number.
    async fn make_one(
        &self,
        handle: &Handle<()>,
        number: u64,
        acknowledged: u64,
    ) -> Result<Option<PullConsumer>, Unavailable> {
        let config = pull::Config {
            durable_name: Some(format!("{NAME}{number}")),
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: acknowledged + 1 },
            ack_policy: AckPolicy::All,
            // What is not acknowledged is held here; see above.
            ack_wait: Duration::from_millis(limits::STREAM_AGE_MS),
            max_ack_pending: 2 * limits::NATS_PULL_EVENTS_MAX as i64,
            metadata: [(TAKER.to_owned(), self.taker.clone())].into(),
            ..pull::Config::default()
        };
        match handle.create_consumer_strict(config).await {
            Ok(consumer) => Ok(Some(consumer)),
            Err(error) if error.kind() == ConsumerCreateStrictErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(self.failed(&error)),
        }
    }

    async fn pull(&self, consumer: &PullConsumer) -> Result<pull::Stream, Unavailable> {
        let messages = consumer
            .stream()
            .max_messages_per_batch(limits::NATS_PULL_EVENTS_MAX)
            .heartbeat(Duration::from_millis(limits::NATS_PULL_HEARTBEAT_MS))
            .expires(Duration::from_millis(limits::NATS_PULL_MS))
            .messages();
        let messages = timeout(QUESTION, messages).await.map_err(|_| Unavailable::from(Silence::TimedOut))?;
        messages.map_err(|error| self.failed(&error))
    }

    /// Waits for something to hold, or for a reason to open again. Cancel-safe.
    async fn wait(&mut self) {
        let Some(messages) = &mut self.messages else { return };
        tokio::select! {
            biased;
            message = messages.next() => self.take(message),
            _ = self.wakes.changed() => {
                if self.link.marks().connects != self.connects {
                    self.messages = None;
                }
            }
        }
    }

    fn take(&mut self, message: Option<Result<Message, MessagesError>>) {
        let message = match message {
            Some(Ok(message)) => message,
            Some(Err(error)) => {
                tracing::debug!(stream = self.stream, %error, "user events are asked for again");
                self.messages = None;
                return;
            }
            None => return self.messages = None,
        };
        let Some(sequence) = message.info().ok().map(|info| info.stream_sequence) else { return };
        if self.taken > 0 && sequence <= self.taken {
            return;
        }
        if self.taken > 0 && sequence > self.taken + 1 {
            self.messages = None;
            return;
        }
        self.taken = sequence;
        let message = message.message;
        match (self.names.parse(&message.subject), message.reply) {
            (Some(Subject::User(user)), Some(reply)) => {
                let event = UserEvent { user, sequence, envelope: message.payload };
                self.held.push_back(Held { event, reply: reply.to_string() });
            }
            _ => tracing::warn!(subject = %message.subject, sequence, "event of no user skipped"),
        }
    }

    fn take_what_is_there(&mut self, max: usize) {
        while self.held.len() < max
            && let Some(message) = self.messages.as_mut().and_then(|messages| messages.next().now_or_never())
        {
            self.take(message);
        }
    }

    fn failed(&self, error: &dyn std::fmt::Display) -> Unavailable {
        Unavailable(format!("consumer of {}: {error}", self.stream))
    }
}

#[async_trait]
impl UserConsumer for Consumer {
    async fn next(&mut self, max: usize) -> Result<Vec<UserEvent>, Unavailable> {
        let max = max.max(1);
        loop {
            self.take_what_is_there(max);
            if !self.held.is_empty() {
                return Ok(self.held.iter().take(max).map(|held| held.event.clone()).collect());
            }
            if self.messages.is_none() {
                self.make().await?;
            }
            self.wait().await;
        }
    }

    async fn acknowledge(&mut self, sequence: u64) -> Result<(), Unavailable> {
        let count = self.held.iter().take_while(|held| held.event.sequence <= sequence).count();
        if let Some(last) = count.checked_sub(1).and_then(|index| self.held.get(index)) {
            let request = Request::new().payload(Bytes::from_static(ACKNOWLEDGE));
            if let Err(silence) = self.link.ask(last.reply.clone(), request).await {
                self.held.clear();
                self.messages = None;
                return Err(match silence {
                    Silence::NoResponders => {
                        Unavailable("another consumer has taken over: consume again, or stop".into())
                    }
                    silence => silence.into(),
                });
            }
            self.acknowledged = last.event.sequence;
            self.held.drain(..count);
        }
        if self.held.is_empty() && sequence > self.acknowledged.max(self.taken) {
            self.acknowledged = sequence;
            self.make().await?;
        }
        Ok(())
    }
}

const QUESTION: Duration = Duration::from_millis(limits::NATS_QUESTION_MS);
