//! The backplane on NATS: streams of JetStream for what is stored, plain subscriptions for what is live.
//!
//! Guild events are published to one of P streams, which tell each stored event again on a plain subject, with its
//! sequence and the one before it on its guild. Whoever listens takes a whole partition (*partition mode*, where the
//! sequences are contiguous, so that every loss shows) or single guilds of it (*guild mode*, [`crate::chains`]). User
//! events lie in Q streams with one durable consumer each. Ephemeral events and the tails are plain messages. [`names`]
//! has all subjects.
//!
//! [`migrate`] makes the streams; [`Nats::connect`] only checks them. An acknowledgement means that a quorum of a
//! stream's replicas has the event in memory. A publish whose answer is lost is of unknown outcome: repeated with the
//! same id within `duplicate_window` it is stored once.
//!
//! The connection comes back by itself. What a listener may have missed meanwhile is said by [`listen`]; questions
//! fail in time and are asked again by whoever asked.

mod batch;
mod config;
mod consumer;
mod error;
mod guilds;
mod link;
mod listen;
mod migrate;
mod names;
mod pods;
mod publish;
mod read;
mod streams;
mod tail;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::{Message, Subscriber};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use model::{GuildId, UserId, limits};
use tasks::{Ended, Tasks};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use crate::kept::Kept;
use crate::outlet::Outlet;
use crate::port::{
    Ack, Backplane, DeliverError, GuildSubscriptions, Listener, PodBatch, ReadError, Stored, StreamState,
    Told, Unavailable, UserConsumer, UserEvent,
};
use crate::registry::PodName;
use crate::subject::{Ephemeral, Layout, Partition, Stream, Subject};
pub use config::{Config, Credentials, Tls};
use consumer::Consumer;
pub use error::{ConnectError, MigrateError};
use link::{Link, Marks};
use listen::{Kind, Pump};
pub use migrate::{Inspected, Migrated, inspect, migrate};
use names::Names;
use pods::Inbox;
use tail::Tails;

/// The oldest server that reads stored events in batches.
pub const VERSION_LEAST: &str = "2.11";

/// The adapter. Its tasks end with it.
pub struct Nats {
    /// They go first: without the sender of ephemeral events one would end by itself.
    tasks: Tasks,
    link: Arc<Link>,
    names: Names,
    subscription_queue_max: usize,
    pod_take: Duration,
    tails: Arc<Tails>,
    ephemeral: mpsc::Sender<(String, Bytes)>,
    ephemeral_dropped: AtomicU64,
}

impl Nats {
    /// Connects, and checks that the streams are there and as they should be.
    pub async fn connect(config: &Config) -> Result<Arc<Self>, ConnectError> {
        let (link, names) = migrate::open(config).await?;
        for difference in migrate::check(config, &names, &link).await?.differences {
            tracing::warn!("{difference}: run `starling migrate`");
        }
        let link = Arc::new(link);
        let tails = Arc::new(Tails::new(config.layout.guild_partitions));
        let heard = link.subscribe(names.tails(), names.sync()).await?;
        let (ephemeral, unsent) = mpsc::channel(limits::NATS_EPHEMERAL_QUEUE_MAX);
        let tasks = Tasks::new("NATS backplane");
        let tell = tell_tails(Arc::clone(&link), names.clone(), Arc::clone(&tails), heard);
        tasks.spawner().spawn_lasting("the exchange of its tails", tell);
        tasks.spawner().spawn_lasting("its ephemeral sender", send_ephemeral(Arc::clone(&link), unsent));
        Ok(Arc::new(Self {
            tasks,
            link,
            names,
            subscription_queue_max: config.subscription_queue_max,
            pod_take: Duration::from_millis(config.pod_take_ms),
            tails,
            ephemeral,
            ephemeral_dropped: AtomicU64::new(0),
        }))
    }

    /// Waits for a task that ends by itself, which only a defect does.
    pub async fn ended(&self) -> Ended {
        self.tasks.ended().await
    }

    /// Whether there is a connection just now.
    pub fn is_connected(&self) -> bool {
        self.link.is_connected()
    }

    /// How often the connection was made, the first time included.
    pub fn connects(&self) -> u64 {
        self.link.marks().connects
    }

    /// Ephemeral events that found the queue full.
    pub fn ephemeral_dropped(&self) -> u64 {
        self.ephemeral_dropped.load(Ordering::Relaxed)
    }

    /// Messages that the client dropped since a subscription was full.
    pub fn subscription_dropped(&self) -> u64 {
        self.link.marks().drops
    }

    async fn listen_to(&self, subject: String, kind: Kind) -> Result<Listener, Unavailable> {
        let known = self.link.marks();
        let subscriber = self.link.subscribe(subject, self.names.sync()).await?;
        Ok(self.pump(subscriber, known, kind))
    }

    /// `known` are the marks from before the subscription.
    fn pump<S>(&self, subscriber: S, known: Marks, kind: Kind) -> Listener
    where
        S: futures_util::Stream<Item = Message> + Unpin + Send + 'static,
    {
        let (outlet, listener) = Outlet::new(self.subscription_queue_max);
        let (link, wakes, names) = (Arc::clone(&self.link), self.link.wakes(), self.names.clone());
        let marks = move || link.marks();
        let pump = Pump { names, subscriber, marks, wakes, known, outlet, kind, last: 0 };
        self.tasks.spawner().spawn_passing("a pump of its subscriptions", pump.run());
        listener
    }

    fn check_guilds(&self, partition: Partition) -> Result<(), Unavailable> {
        self.check(Stream::Guilds(partition), partition.0 < self.names.layout().guild_partitions)
    }

    fn check_stream(&self, stream: Stream) -> Result<(), Unavailable> {
        match stream {
            Stream::Guilds(partition) => self.check_guilds(partition),
            Stream::Users(partition) => self.check(stream, partition.0 < self.names.layout().user_partitions),
        }
    }

    fn check(&self, stream: Stream, is_there: bool) -> Result<(), Unavailable> {
        let missing = || {
            Unavailable(format!("there is no {stream:?}: all pods must have the same number of partitions"))
        };
        is_there.then_some(()).ok_or_else(missing)
    }
}

/// Tells what was published and hears what others publish; wakes, beside it, whoever waits for a change of connection.
async fn tell_tails(link: Arc<Link>, names: Names, tails: Arc<Tails>, mut heard: Subscriber) {
    let mut tick = interval(Duration::from_millis(limits::TAIL_TELL_MS));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut known = link.marks();
    loop {
        tokio::select! {
            message = heard.next() => {
                let Some(message) = message else { return };
                if let Some(partition) = names.parse_tail(&message.subject) {
                    tails.heard(partition, &message.payload);
                }
            }
            _ = tick.tick() => {
                let marks = link.marks();
                if std::mem::replace(&mut known, marks) != marks {
                    link.wake();
                }
                if !link.is_connected() {
                    continue;
                }
                for (partition, message) in tails.news() {
                    if let Err(error) = link.tell(names.tail(partition), message).await {
                        tracing::debug!(partition = partition.0, %error, "tail not told");
                        break;
                    }
                }
            }
        }
    }
}

/// Sends what may be lost, and drops it while there is no connection: later it would say what is no longer so.
async fn send_ephemeral(link: Arc<Link>, mut unsent: mpsc::Receiver<(String, Bytes)>) {
    while let Some((subject, envelope)) = unsent.recv().await {
        if link.is_connected()
            && let Err(error) = link.tell(subject, envelope).await
        {
            tracing::debug!(%error, "ephemeral event dropped");
        }
    }
}

/// Runs until nobody takes it any more. What finds no place is dropped.
async fn pump_told(names: Names, mut subscriber: Subscriber, sender: mpsc::Sender<Told>) {
    loop {
        let message = tokio::select! {
            biased;
            () = sender.closed() => return,
            message = subscriber.next() => message,
        };
        let Some(message) = message else { return };
        if let Some(user) = names.parse_told(&message.subject) {
            let _ = sender.try_send(Told { user, envelope: message.payload });
        }
    }
}

/// The group of those who route what users are told.
const ROUTERS: &str = "routers";

#[async_trait]
impl Backplane for Nats {
    fn layout(&self) -> Layout {
        self.names.layout()
    }

    async fn publish(&self, subject: Subject, event_id: u64, envelope: Bytes) -> Result<Ack, Unavailable> {
        let ack = publish::publish(&self.link, &self.names, subject, event_id, envelope).await?;
        if let Subject::Guild(guild) = subject {
            self.tails.published(self.names.layout().guild(guild), guild, ack.sequence);
        }
        Ok(ack)
    }

    fn publish_ephemeral(&self, subject: Ephemeral, envelope: Bytes) {
        if self.ephemeral.try_send((self.names.ephemeral(subject), envelope)).is_err() {
            self.ephemeral_dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn listen(&self, partition: Partition) -> Result<Listener, Unavailable> {
        self.check_guilds(partition)?;
        self.listen_to(self.names.live(partition), Kind::Events).await
    }

    async fn listen_guilds(
        &self,
        partition: Partition,
    ) -> Result<(Box<dyn GuildSubscriptions>, Listener), Unavailable> {
        self.check_guilds(partition)?;
        let (subscriptions, subscribers) = guilds::subscriptions(Arc::clone(&self.link), self.names.clone());
        let listener = self.pump(subscribers, self.link.marks(), Kind::GuildEvents);
        Ok((Box::new(subscriptions), listener))
    }

    async fn listen_ephemeral(&self, partition: Partition) -> Result<Listener, Unavailable> {
        self.check_guilds(partition)?;
        self.listen_to(self.names.ephemerals(partition), Kind::Ephemeral).await
    }

    async fn state(&self, stream: Stream) -> Result<StreamState, Unavailable> {
        self.check_stream(stream)?;
        let name = self.names.stream(stream);
        let Stream::Guilds(partition) = stream else { return streams::state(&self.link, &name).await };
        let before = self.tails.highest(partition);
        let state = streams::state(&self.link, &name).await?;
        self.tails.ends_at(partition, before, state.last);
        Ok(state)
    }

    async fn last(&self, subject: Subject) -> Result<u64, Unavailable> {
        read::last(&self.link, &self.names, subject).await
    }

    fn tail(&self, partition: Partition) -> u64 {
        self.tails.highest(partition)
    }

    fn tail_of(&self, guild: GuildId) -> u64 {
        self.tails.highest_of(self.names.layout().guild(guild), guild)
    }

    async fn ends(
        &self,
        partition: Partition,
        guilds: &[GuildId],
        at_least: u64,
    ) -> Result<Vec<u64>, Unavailable> {
        self.check_guilds(partition)?;
        guilds::ends(&self.link, &self.names, partition, guilds, at_least).await
    }

    async fn read_subject(
        &self,
        subject: Subject,
        range: RangeInclusive<u64>,
        max: usize,
    ) -> Result<Vec<Stored>, ReadError> {
        read::read_subject(&self.link, &self.names, subject, range, max).await
    }

    async fn read(
        &self,
        stream: Stream,
        range: RangeInclusive<u64>,
        max: usize,
    ) -> Result<Vec<Stored>, ReadError> {
        self.check_stream(stream)?;
        read::read(&self.link, &self.names, stream, range, max).await
    }

    async fn contains(&self, subject: Subject, event_id: u64) -> Result<bool, Unavailable> {
        read::contains(&self.link, &self.names, subject, event_id).await
    }

    async fn kept(&self, stream: Stream) -> Result<Kept, Unavailable> {
        self.check_stream(stream)?;
        streams::kept(&self.link, &self.names.stream(stream)).await
    }

    async fn consume_users(&self, partition: Partition) -> Result<Box<dyn UserConsumer>, Unavailable> {
        self.check_stream(Stream::Users(partition))?;
        let consumer =
            Consumer::open(Arc::clone(&self.link), self.names.clone(), Stream::Users(partition)).await?;
        Ok(Box::new(consumer))
    }

    fn tell_user(&self, user: UserId, envelope: Bytes) {
        if self.ephemeral.try_send((self.names.told(user), envelope)).is_err() {
            self.ephemeral_dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn told_users(&self) -> Result<mpsc::Receiver<Told>, Unavailable> {
        let (subject, sync) = (self.names.told_all(), self.names.sync());
        let subscriber = self.link.subscribe_as_one_of(ROUTERS, subject, sync).await?;
        let (sender, receiver) = mpsc::channel(limits::TOLD_USERS_MAX);
        let pump = pump_told(self.names.clone(), subscriber, sender);
        self.tasks.spawner().spawn_passing("a pump of what users are told", pump);
        Ok(receiver)
    }

    async fn serve_pod(&self, pod: &PodName) -> Result<mpsc::Receiver<PodBatch>, Unavailable> {
        let subscriber = self.link.subscribe(self.pod(pod)?, self.names.sync()).await?;
        let (batches, inbox) = mpsc::channel(limits::POD_INBOX_BATCHES_MAX);
        let link = Arc::clone(&self.link);
        let inbox_task = Inbox { link, subscriber, batches, take: self.pod_take }.run();
        self.tasks.spawner().spawn_passing("the inbox of its pod", inbox_task);
        Ok(inbox)
    }

    async fn deliver(&self, pod: &PodName, events: Vec<UserEvent>) -> Result<(), DeliverError> {
        pods::deliver(&self.link, &self.pod(pod)?, pod, &events, self.pod_take).await
    }
}

impl Nats {
    fn pod(&self, pod: &PodName) -> Result<String, Unavailable> {
        let bad = || {
            Unavailable(format!(
                "pod name {pod:?} can't be a part of a subject: use letters, digits, - and _"
            ))
        };
        self.names.pod(pod).ok_or_else(bad)
    }
}
