//! The router: takes the events of each partition of users in order, and gives every pod its part.
//!
//! One task owns one partition. It takes a batch of events, delivers to all pods at once, and acknowledges when every pod
//! has answered; only then does it take the next batch. So the order of a user's events is kept, a pod has at most one
//! batch of a partition in flight, and what was not acknowledged when a router ends comes again to the next one (pods drop
//! repeats by sequence).
//!
//! A pod that is not there counts as answered: its users are taken out of the registry. One that does not answer is asked
//! again, until it answers or the registry no longer has it, however long that takes: nothing is lost silently. A pod that
//! hangs therefore holds up its partitions until its registry entries end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backplane::port::{DeliverError, UserConsumer};
use backplane::{Backplane, Partition, PodName, Registry, Unavailable, UserEvent};
use futures_util::future::join_all;
use model::limits::{
    FANOUT_ATTEMPTS_MAX, FANOUT_BACKOFF_MS_MAX, FANOUT_BACKOFF_MS_MIN, FANOUT_BATCH_EVENTS_MAX,
    FANOUT_DELIVER_MS,
};
use model::{UserId, entropy};
use tasks::{Ended, Tasks};

use crate::plan::{Places, plan, remaining, users};
use crate::teller;

/// What the service needs.
#[derive(Clone)]
pub struct Config {
    pub backplane: Arc<dyn Backplane>,
    pub registry: Arc<dyn Registry>,
}

/// A running fan-out service. Clones are the same service.
#[derive(Clone)]
pub struct Fanout {
    inner: Arc<Inner>,
}

struct Inner {
    /// A router for each partition, and the teller.
    tasks: Tasks,
    counters: Arc<Counters>,
}

/// What the service has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Events taken and acknowledged.
    pub events: u64,
    /// Events given to pods, once for each pod.
    pub delivered: u64,
    /// Events whose user had no session anywhere.
    pub without_session: u64,
    /// Events that went to a pod that was not there.
    pub to_gone_pods: u64,
    /// Events given up because the pod that did not answer was no longer in the registry.
    pub abandoned: u64,
    /// Deliveries, look-ups and calls of the stream that failed and were made again.
    pub retries: u64,
}

#[derive(Debug, Default)]
struct Counters {
    events: AtomicU64,
    delivered: AtomicU64,
    without_session: AtomicU64,
    to_gone_pods: AtomicU64,
    abandoned: AtomicU64,
    retries: AtomicU64,
}

impl Fanout {
    /// Starts a router for every partition and the teller, on the runtime that this is called on.
    pub fn start(config: Config) -> Self {
        let counters = Arc::new(Counters::default());
        let tasks = Tasks::new("fan-out service");
        for partition in config.backplane.layout().user_partitions() {
            let router = Router { config: config.clone(), counters: counters.clone(), partition };
            let name = format!("the router of partition {}", partition.0);
            tasks.spawner().spawn_lasting(name, router.run());
        }
        tasks.spawner().spawn_lasting("the teller", teller::run(config));
        Self { inner: Arc::new(Inner { tasks, counters }) }
    }

    /// Waits for a task that ends by itself, which only a defect does.
    pub async fn ended(&self) -> Ended {
        self.inner.tasks.ended().await
    }

    pub fn stats(&self) -> Stats {
        let Counters { events, delivered, without_session, to_gone_pods, abandoned, retries } =
            &*self.inner.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            events: read(events),
            delivered: read(delivered),
            without_session: read(without_session),
            to_gone_pods: read(to_gone_pods),
            abandoned: read(abandoned),
            retries: read(retries),
        }
    }

    /// Ends the service. What is not acknowledged comes again to the next one.
    pub async fn shutdown(&self) {
        self.inner.tasks.kill().await;
    }
}

/// The task of one partition.
struct Router {
    config: Config,
    counters: Arc<Counters>,
    partition: Partition,
}

impl Router {
    async fn run(self) {
        let mut backoff = Backoff::new();
        loop {
            match self.consume(&mut backoff).await {
                Ok(never) => match never {},
                Err(error) => {
                    tracing::warn!(partition = self.partition.0, %error, "user events can't be taken");
                    self.pause(&mut backoff).await;
                }
            }
        }
    }

    /// Takes events until the stream fails.
    async fn consume(&self, backoff: &mut Backoff) -> Result<std::convert::Infallible, Unavailable> {
        let mut consumer: Box<dyn UserConsumer> = self.config.backplane.consume_users(self.partition).await?;
        loop {
            let events = consumer.next(FANOUT_BATCH_EVENTS_MAX).await?;
            let Some(last) = events.last().map(|event| event.sequence) else { continue };
            let count = events.len() as u64;
            self.route(events).await;
            consumer.acknowledge(last).await?;
            add(&self.counters.events, count);
            *backoff = Backoff::new();
        }
    }

    /// Answers when every pod has the events of its users, or is gone.
    async fn route(&self, events: Vec<UserEvent>) {
        let places = self.places(&users(&events)).await;
        let nowhere = events.iter().filter(|event| places.get(&event.user).is_none_or(Vec::is_empty));
        add(&self.counters.without_session, nowhere.count() as u64);
        let batches: BTreeMap<PodName, Vec<UserEvent>> = plan(&events, &places);
        let deliveries = batches.into_iter().map(|(pod, batch)| self.deliver(pod, batch));
        join_all(deliveries).await;
    }

    async fn deliver(&self, pod: PodName, mut batch: Vec<UserEvent>) {
        let mut backoff = Backoff::new();
        let mut attempts = 0;
        while !batch.is_empty() {
            match self.attempt(&pod, &batch).await {
                Ok(()) => return add(&self.counters.delivered, batch.len() as u64),
                Err(DeliverError::NoPod(_)) => return self.forget(&pod, &batch).await,
                Err(error) => tracing::debug!(%pod, %error, attempts, "pod did not take user events"),
            }
            attempts += 1;
            self.pause(&mut backoff).await;
            if attempts % FANOUT_ATTEMPTS_MAX == 0 {
                let before = batch.len();
                let places = self.places(&users(&batch)).await;
                batch = remaining(&pod, batch, &places);
                let abandoned = before - batch.len();
                add(&self.counters.abandoned, abandoned as u64);
                tracing::warn!(%pod, attempts, abandoned, waiting = batch.len(), "pod does not take user events");
            }
        }
    }

    async fn attempt(&self, pod: &PodName, batch: &[UserEvent]) -> Result<(), DeliverError> {
        let delivery = self.config.backplane.deliver(pod, batch.to_vec());
        let late = |_| Err(DeliverError::Timeout(pod.clone()));
        tokio::time::timeout(Duration::from_millis(FANOUT_DELIVER_MS), delivery).await.unwrap_or_else(late)
    }

    /// The pod is not there: its sessions are gone, and who comes back elsewhere reads the stream.
    async fn forget(&self, pod: &PodName, batch: &[UserEvent]) {
        add(&self.counters.to_gone_pods, batch.len() as u64);
        for user in users(batch) {
            if let Err(error) = self.config.registry.unregister(pod, user).await {
                // The entry ends by itself; until then each event asks once more.
                return tracing::debug!(%pod, %error, "registry keeps a pod that is gone");
            }
        }
    }

    /// Where the users are; asks until the registry answers.
    async fn places(&self, users: &[UserId]) -> Places {
        let mut backoff = Backoff::new();
        loop {
            match self.config.registry.pods(users).await {
                Ok(pods) => return users.iter().copied().zip(pods).collect(),
                Err(error) => {
                    tracing::warn!(users = users.len(), %error, "can't look up the pods of users");
                    self.pause(&mut backoff).await;
                }
            }
        }
    }

    async fn pause(&self, backoff: &mut Backoff) {
        add(&self.counters.retries, 1);
        tokio::time::sleep(backoff.next()).await;
    }
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

/// Doubles from `FANOUT_BACKOFF_MS_MIN` to `FANOUT_BACKOFF_MS_MAX`, with jitter.
struct Backoff(u64);

impl Backoff {
    fn new() -> Self {
        Self(FANOUT_BACKOFF_MS_MIN)
    }

    fn next(&mut self) -> Duration {
        let ms = self.0;
        self.0 = (ms * 2).min(FANOUT_BACKOFF_MS_MAX);
        Duration::from_millis(ms / 2 + entropy::below(ms / 2 + 1))
    }
}
