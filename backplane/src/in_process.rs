//! The backplane inside one process: the same promises as the cluster's, without a network.
//!
//! Each stream is a [`log::Log`] behind its own lock, which is never held across an await. Nothing survives the process,
//! so every start is a new incarnation.

mod hearer;
mod inbox;
mod log;
mod registry;
mod roster;
mod sessions;
mod starts;
mod users;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use model::clock::SharedClock;
use model::{GuildId, UserId, limits};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::kept::Kept;
use crate::outlet::Outlet;
use crate::port::{
    Ack, Backplane, DeliverError, GuildSubscriptions, Listener, PodBatch, ReadError, Stored, StreamState,
    Told, Unavailable, UserConsumer, UserEvent,
};
use crate::registry::PodName;
use crate::subject::{Ephemeral, Layout, Partition, Stream, Subject};
use hearer::{Chosen, Hearer};
use inbox::Inboxes;
use log::Log;
pub use registry::InMemoryRegistry;
pub use roster::InMemoryRoster;
pub use sessions::InMemorySessions;
pub use starts::InMemoryStarts;
use users::UserStream;

/// What an in-process backplane keeps at most. The bounds of storage hold for each stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    pub stream_age_ms: u64,
    pub stream_bytes_max: usize,
    pub stream_events_max: usize,
    /// Deliveries that wait for one listener; at least 1.
    pub subscription_queue_max: usize,
    pub pod_take_ms: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            stream_age_ms: limits::STREAM_AGE_MS,
            stream_bytes_max: limits::STREAM_BYTES_MAX,
            stream_events_max: limits::STREAM_EVENTS_MAX,
            subscription_queue_max: limits::SUBSCRIPTION_QUEUE_MAX,
            pod_take_ms: limits::POD_TAKE_MS,
        }
    }
}

/// The in-process adapter.
pub struct InProcess {
    layout: Layout,
    clock: SharedClock,
    options: Options,
    incarnation: u64,
    made_ms: u64,
    guilds: Box<[GuildStream]>,
    users: Box<[Arc<UserStream>]>,
    inboxes: Inboxes,
    routers: Mutex<Vec<mpsc::Sender<Told>>>,
}

struct GuildStream {
    live: Mutex<Live>,
    ephemeral: Mutex<Vec<Outlet>>,
    tail: AtomicU64,
}

struct Live {
    log: Log,
    listeners: Vec<Hearer>,
}

impl InProcess {
    pub fn new(layout: Layout, clock: SharedClock, options: Options) -> Arc<Self> {
        let guild = || GuildStream {
            live: Mutex::new(Live { log: Log::new(&options), listeners: Vec::new() }),
            ephemeral: Mutex::default(),
            tail: AtomicU64::new(0),
        };
        Arc::new(Self {
            layout,
            made_ms: clock.now_ms(),
            clock,
            options,
            incarnation: model::entropy::number(),
            guilds: (0..layout.guild_partitions).map(|_| guild()).collect(),
            users: (0..layout.user_partitions)
                .map(|_| Arc::new(UserStream::new(Log::new(&options))))
                .collect(),
            inboxes: Inboxes::new(options.pod_take_ms),
            routers: Mutex::default(),
        })
    }

    /// Frees what is too old, also on streams that nobody touches.
    pub fn expire(&self) {
        let now_ms = self.clock.now_ms();
        for stream in self.layout.guild_partitions().map(Stream::Guilds) {
            let _ = self.with_log(stream, |log| log.expire(now_ms));
        }
        for stream in self.layout.user_partitions().map(Stream::Users) {
            let _ = self.with_log(stream, |log| log.expire(now_ms));
        }
    }

    fn guild(&self, partition: Partition) -> Result<&GuildStream, Unavailable> {
        self.guilds.get(usize::from(partition.0)).ok_or_else(|| no_partition(Stream::Guilds(partition)))
    }

    fn user(&self, partition: Partition) -> Result<&Arc<UserStream>, Unavailable> {
        self.users.get(usize::from(partition.0)).ok_or_else(|| no_partition(Stream::Users(partition)))
    }

    fn with_log<T>(&self, stream: Stream, use_log: impl FnOnce(&mut Log) -> T) -> Result<T, Unavailable> {
        match stream {
            Stream::Guilds(partition) => Ok(use_log(&mut self.guild(partition)?.live.lock().log)),
            Stream::Users(partition) => Ok(self.user(partition)?.with_log(use_log)),
        }
    }

    fn publish_guild(&self, stream: &GuildStream, subject: Subject, event_id: u64, envelope: Bytes) -> Ack {
        let mut live = stream.live.lock();
        let Live { log, listeners } = &mut *live;
        let appended = log.append(self.clock.now_ms(), subject, event_id, envelope.clone());
        let sequence = appended.ack.sequence;
        if let (false, Subject::Guild(guild)) = (appended.ack.duplicate, subject) {
            stream.tail.store(sequence, Ordering::Release);
            listeners.retain(|hearer| !hearer.is_closed());
            listeners
                .iter_mut()
                .for_each(|hearer| hearer.event(guild, sequence, appended.previous, &envelope));
        }
        appended.ack
    }
}

fn no_partition(stream: Stream) -> Unavailable {
    Unavailable(format!("there is no {stream:?}: all pods must have the same number of partitions"))
}

#[async_trait]
impl Backplane for InProcess {
    fn layout(&self) -> Layout {
        self.layout
    }

    async fn publish(&self, subject: Subject, event_id: u64, envelope: Bytes) -> Result<Ack, Unavailable> {
        match self.layout.stream(subject) {
            Stream::Guilds(partition) => {
                Ok(self.publish_guild(self.guild(partition)?, subject, event_id, envelope))
            }
            Stream::Users(partition) => {
                let now_ms = self.clock.now_ms();
                Ok(self.user(partition)?.publish(|log| log.append(now_ms, subject, event_id, envelope).ack))
            }
        }
    }

    fn publish_ephemeral(&self, subject: Ephemeral, envelope: Bytes) {
        let Ok(stream) = self.guild(self.layout.guild(subject.guild)) else { return };
        let mut listeners = stream.ephemeral.lock();
        listeners.retain(|listener| !listener.is_closed());
        listeners.iter_mut().for_each(|listener| listener.ephemeral(envelope.clone()));
    }

    async fn listen(&self, partition: Partition) -> Result<Listener, Unavailable> {
        let (outlet, listener) = Outlet::new(self.options.subscription_queue_max);
        self.guild(partition)?.live.lock().listeners.push(Hearer::of_all(outlet));
        Ok(listener)
    }

    async fn listen_guilds(
        &self,
        partition: Partition,
    ) -> Result<(Box<dyn GuildSubscriptions>, Listener), Unavailable> {
        let (outlet, listener) = Outlet::new(self.options.subscription_queue_max);
        let chosen = Chosen::default();
        self.guild(partition)?.live.lock().listeners.push(Hearer::of_chosen(outlet, chosen.clone()));
        Ok((Box::new(chosen), listener))
    }

    async fn listen_ephemeral(&self, partition: Partition) -> Result<Listener, Unavailable> {
        let (outlet, listener) = Outlet::new(self.options.subscription_queue_max);
        self.guild(partition)?.ephemeral.lock().push(outlet);
        Ok(listener)
    }

    async fn state(&self, stream: Stream) -> Result<StreamState, Unavailable> {
        let now_ms = self.clock.now_ms();
        self.with_log(stream, |log| {
            log.expire(now_ms);
            StreamState { incarnation: self.incarnation, first: log.first(), last: log.last() }
        })
    }

    async fn last(&self, subject: Subject) -> Result<u64, Unavailable> {
        let now_ms = self.clock.now_ms();
        self.with_log(self.layout.stream(subject), |log| {
            log.expire(now_ms);
            log.last_of(subject)
        })
    }

    fn tail(&self, partition: Partition) -> u64 {
        self.guild(partition).map_or(0, |stream| stream.tail.load(Ordering::Acquire))
    }

    fn tail_of(&self, guild: GuildId) -> u64 {
        let stream = self.guild(self.layout.guild(guild));
        stream.map_or(0, |stream| stream.live.lock().log.last_of(Subject::Guild(guild)))
    }

    async fn ends(
        &self,
        partition: Partition,
        guilds: &[GuildId],
        at_least: u64,
    ) -> Result<Vec<u64>, Unavailable> {
        let now_ms = self.clock.now_ms();
        self.with_log(Stream::Guilds(partition), |log| {
            log.expire(now_ms);
            let ends = guilds.iter().map(|guild| log.last_of(Subject::Guild(*guild))).collect();
            let beyond = || Unavailable(format!("the stream ends at {}, before {at_least}", log.last()));
            (log.last() >= at_least).then_some(ends).ok_or_else(beyond)
        })?
    }

    async fn read_subject(
        &self,
        subject: Subject,
        range: RangeInclusive<u64>,
        max: usize,
    ) -> Result<Vec<Stored>, ReadError> {
        let now_ms = self.clock.now_ms();
        self.with_log(self.layout.stream(subject), |log| {
            log.expire(now_ms);
            let mut stored = log.read(range, usize::MAX)?;
            stored.retain(|stored| stored.subject == subject);
            stored.truncate(max);
            Ok(stored)
        })?
    }

    async fn read(
        &self,
        stream: Stream,
        range: RangeInclusive<u64>,
        max: usize,
    ) -> Result<Vec<Stored>, ReadError> {
        let now_ms = self.clock.now_ms();
        self.with_log(stream, |log| {
            log.expire(now_ms);
            log.read(range, max)
        })?
    }

    async fn contains(&self, subject: Subject, event_id: u64) -> Result<bool, Unavailable> {
        let now_ms = self.clock.now_ms();
        self.with_log(self.layout.stream(subject), |log| {
            log.expire(now_ms);
            log.contains(subject, event_id)
        })
    }

    async fn kept(&self, stream: Stream) -> Result<Kept, Unavailable> {
        let (made_ms, age_ms) = (self.made_ms, self.options.stream_age_ms);
        self.with_log(stream, |log| Kept { made_ms, age_ms, pushed_out_ms: log.pushed_out_ms() })
    }

    async fn consume_users(&self, partition: Partition) -> Result<Box<dyn UserConsumer>, Unavailable> {
        Ok(Box::new(UserStream::consume(self.user(partition)?)))
    }

    fn tell_user(&self, user: UserId, envelope: Bytes) {
        let mut routers = self.routers.lock();
        routers.retain(|router| !router.is_closed());
        if let Some(router) = routers.first() {
            // One that is behind does without it.
            let _ = router.try_send(Told { user, envelope });
        }
    }

    async fn told_users(&self) -> Result<mpsc::Receiver<Told>, Unavailable> {
        let (sender, receiver) = mpsc::channel(limits::TOLD_USERS_MAX);
        self.routers.lock().push(sender);
        Ok(receiver)
    }

    async fn serve_pod(&self, pod: &PodName) -> Result<mpsc::Receiver<PodBatch>, Unavailable> {
        Ok(self.inboxes.serve(pod))
    }

    async fn deliver(&self, pod: &PodName, events: Vec<UserEvent>) -> Result<(), DeliverError> {
        self.inboxes.deliver(pod, events).await
    }
}

#[cfg(test)]
mod tests;
