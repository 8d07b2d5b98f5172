//! The connection to NATS, and questions with a time-out over it.
//!
//! The client connects again by itself and subscribes again before it sends anything else. It does not say so to the
//! readers of a subscription, and where one reads too slowly it drops messages. Both are counted here: whoever reads
//! compares the counts with those that he knows ([`Marks`]), and is woken when they change.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, Event, Message, Request, RequestErrorKind, Subscriber, jetstream};
use bytes::Bytes;
use model::limits;
use tokio::sync::watch;
use tokio::time::timeout;

use super::config::Config;
use super::error::ConnectError;
use crate::port::Unavailable;

pub(super) struct Link {
    client: Client,
    context: jetstream::Context,
    statistics: Arc<async_nats::Statistics>,
    drops: Arc<AtomicU64>,
    wake: watch::Sender<()>,
}

/// What has happened to the connection up to now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) connects: u64,
    /// Messages that the client dropped, of any subscription.
    pub(super) drops: u64,
}

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Silence {
    NoResponders,
    TimedOut,
    Failed(String),
}

impl From<Silence> for Unavailable {
    fn from(silence: Silence) -> Self {
        match silence {
            Silence::NoResponders => {
                Self("NATS has nobody who answers: its streams are not ready or not there".into())
            }
            Silence::TimedOut => Self(format!("NATS gave no answer in {} ms", limits::NATS_QUESTION_MS)),
            Silence::Failed(text) => Self(format!("NATS: {text}")),
        }
    }
}

impl Link {
    /// Connects, and answers when that has succeeded or failed once.
    pub(super) async fn connect(config: &Config) -> Result<Self, ConnectError> {
        let drops = Arc::new(AtomicU64::new(0));
        let wake = watch::Sender::new(());
        let (dropped, woken) = (Arc::clone(&drops), wake.clone());
        let options = config.connect_options().event_callback(move |event| {
            if matches!(event, Event::SlowConsumer(_)) {
                dropped.fetch_add(1, Ordering::Release);
            }
            woken.send_replace(());
            async {}
        });
        let refused = |error: &dyn std::fmt::Display| ConnectError::Refused {
            servers: config.servers.join(", "),
            reason: error.to_string(),
        };
        // Each server gets its time, and the name service as well.
        let patience = Duration::from_millis(limits::NATS_CONNECT_MS * (config.servers.len() as u64 + 1));
        let client = timeout(patience, options.connect(config.servers.as_slice()))
            .await
            .map_err(|_| refused(&format_args!("no answer in {patience:?}")))?
            .map_err(|error| refused(&error))?;
        let mut context = jetstream::new(client.clone());
        context.set_timeout(QUESTION);
        let statistics = client.statistics();
        Ok(Self { client, context, statistics, drops, wake })
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn context(&self) -> &jetstream::Context {
        &self.context
    }

    pub(super) fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    pub(super) fn marks(&self) -> Marks {
        Marks {
            connects: self.statistics.connects.load(Ordering::Acquire),
            drops: self.drops.load(Ordering::Acquire),
        }
    }

    /// Changes when the marks may have.
    pub(super) fn wakes(&self) -> watch::Receiver<()> {
        self.wake.subscribe()
    }

    /// Wakes whoever compares marks: the client's events may get lost in a burst.
    pub(super) fn wake(&self) {
        self.wake.send_replace(());
    }

    pub(super) async fn ask(&self, subject: String, request: Request) -> Result<Message, Silence> {
        self.ask_within(QUESTION, subject, request).await
    }

    /// A question whose answer has to come in time; also while there is no connection.
    pub(super) async fn ask_within(
        &self,
        patience: Duration,
        subject: String,
        request: Request,
    ) -> Result<Message, Silence> {
        let answer = self.client.send_request(subject, request.timeout(Some(patience)));
        match timeout(patience, answer).await {
            Ok(Ok(message)) => Ok(message),
            Ok(Err(error)) => Err(match error.kind() {
                RequestErrorKind::NoResponders => Silence::NoResponders,
                RequestErrorKind::TimedOut => Silence::TimedOut,
                _ => Silence::Failed(error.to_string()),
            }),
            Err(_) => Err(Silence::TimedOut),
        }
    }

    /// Sends without an answer.
    pub(super) async fn tell(&self, subject: String, payload: Bytes) -> Result<(), Unavailable> {
        match timeout(QUESTION, self.client.publish(subject, payload)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Unavailable(format!("NATS: {error}"))),
            Err(_) => Err(Silence::TimedOut.into()),
        }
    }

    /// Subscribes, and answers when the server knows it: it deals with what one connection sends in order, so its
    /// answer to a question behind the subscription shows that.
    pub(super) async fn subscribe(&self, subject: String, sync: String) -> Result<Subscriber, Unavailable> {
        let subscriber = Self::subscribed(self.client.subscribe(subject)).await?;
        self.reach(sync).await?;
        Ok(subscriber)
    }

    /// The same as one of a group, of which one gets each message.
    pub(super) async fn subscribe_as_one_of(
        &self,
        group: &str,
        subject: String,
        sync: String,
    ) -> Result<Subscriber, Unavailable> {
        let subscriber = Self::subscribed(self.client.queue_subscribe(subject, group.to_owned())).await?;
        self.reach(sync).await?;
        Ok(subscriber)
    }

    /// The same for many at once.
    pub(super) async fn subscribe_all(
        &self,
        subjects: Vec<String>,
        sync: String,
    ) -> Result<Vec<Subscriber>, Unavailable> {
        let mut subscribers = Vec::with_capacity(subjects.len());
        for subject in subjects {
            subscribers.push(Self::subscribed(self.client.subscribe(subject)).await?);
        }
        self.reach(sync).await?;
        Ok(subscribers)
    }

    async fn subscribed<E: std::fmt::Display>(
        subscribing: impl Future<Output = Result<Subscriber, E>>,
    ) -> Result<Subscriber, Unavailable> {
        timeout(QUESTION, subscribing)
            .await
            .map_err(|_| Unavailable::from(Silence::TimedOut))?
            .map_err(|error| Unavailable(format!("NATS: {error}")))
    }

    /// Waits until the server has dealt with everything that was sent.
    async fn reach(&self, sync: String) -> Result<(), Unavailable> {
        match self.ask(sync, Request::new()).await {
            Ok(_) | Err(Silence::NoResponders) => Ok(()),
            Err(silence) => Err(silence.into()),
        }
    }
}

const QUESTION: Duration = Duration::from_millis(limits::NATS_QUESTION_MS);
