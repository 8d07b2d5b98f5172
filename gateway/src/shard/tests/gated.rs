//! The in-process backplane, with what it delivers held or dropped as a test says.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use backplane::port::{DeliverError, GuildSubscriptions, PodBatch, Told, UserConsumer};
use backplane::{
    Ack, Backplane, Delivery, Ephemeral, InProcess, Kept, Layout, Listener, Partition, PodName, ReadError,
    Stored, Stream, StreamState, Subject, Unavailable, UserEvent,
};
use bytes::Bytes;
use model::{GuildId, UserId};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::fakes::{Call, Gates};

/// What happens to deliveries of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    Open,
    /// They wait, and the tail does not tell.
    Held,
    /// They are lost, and nobody says so.
    Dropped,
}

pub struct Gated {
    inner: Arc<InProcess>,
    gates: Arc<Gates>,
    lanes: Vec<watch::Sender<Flow>>,
    forwarded: Arc<Vec<AtomicU64>>,
    pumps: Mutex<JoinSet<()>>,
    fails_reads: AtomicBool,
}

impl Gated {
    pub fn new(inner: Arc<InProcess>, gates: Arc<Gates>) -> Arc<Self> {
        let partitions = inner.layout().guild_partitions;
        Arc::new(Self {
            inner,
            gates,
            lanes: (0..partitions).map(|_| watch::Sender::new(Flow::Open)).collect(),
            forwarded: Arc::new((0..partitions).map(|_| AtomicU64::new(0)).collect()),
            pumps: Mutex::default(),
            fails_reads: AtomicBool::new(false),
        })
    }

    pub fn set_flow(&self, partition: Partition, flow: Flow) {
        let _ = self.lanes[usize::from(partition.0)].send_replace(flow);
    }

    /// While it is set, streams can't be read.
    pub fn fail_reads(&self, fails: bool) {
        self.fails_reads.store(fails, Ordering::SeqCst);
    }

    fn check_reads(&self) -> Result<(), Unavailable> {
        if self.fails_reads.load(Ordering::SeqCst) {
            Err(Unavailable("the test says so".into()))
        } else {
            Ok(())
        }
    }
}

async fn pump(
    mut from: Listener,
    to: mpsc::Sender<Delivery>,
    mut flow: watch::Receiver<Flow>,
    forwarded: Arc<Vec<AtomicU64>>,
    partition: usize,
) {
    while let Some(delivery) = from.next().await {
        let Ok(flow) = flow.wait_for(|flow| *flow != Flow::Held).await.map(|flow| *flow) else { return };
        if flow == Flow::Dropped {
            continue;
        }
        if let Delivery::Event { sequence, .. } = &delivery {
            forwarded[partition].store(*sequence, Ordering::SeqCst);
        }
        if to.send(delivery).await.is_err() {
            return;
        }
    }
}

#[async_trait]
impl Backplane for Gated {
    fn layout(&self) -> Layout {
        self.inner.layout()
    }

    async fn publish(&self, subject: Subject, event_id: u64, envelope: Bytes) -> Result<Ack, Unavailable> {
        self.inner.publish(subject, event_id, envelope).await
    }

    fn publish_ephemeral(&self, subject: Ephemeral, envelope: Bytes) {
        self.inner.publish_ephemeral(subject, envelope);
    }

    fn tell_user(&self, user: UserId, envelope: Bytes) {
        self.inner.tell_user(user, envelope);
    }

    async fn told_users(&self) -> Result<mpsc::Receiver<Told>, Unavailable> {
        self.inner.told_users().await
    }

    async fn listen(&self, partition: Partition) -> Result<Listener, Unavailable> {
        let inner = self.inner.listen(partition).await?;
        let (sender, receiver) = mpsc::channel(1024);
        let place = usize::from(partition.0);
        let flow = self.lanes[place].subscribe();
        self.pumps.lock().spawn(pump(inner, sender, flow, self.forwarded.clone(), place));
        Ok(Listener::new(receiver))
    }

    async fn listen_guilds(
        &self,
        partition: Partition,
    ) -> Result<(Box<dyn GuildSubscriptions>, Listener), Unavailable> {
        self.inner.listen_guilds(partition).await
    }

    async fn listen_ephemeral(&self, partition: Partition) -> Result<Listener, Unavailable> {
        self.inner.listen_ephemeral(partition).await
    }

    async fn state(&self, stream: Stream) -> Result<StreamState, Unavailable> {
        self.check_reads()?;
        self.inner.state(stream).await
    }

    async fn last(&self, subject: Subject) -> Result<u64, Unavailable> {
        let last = self.inner.last(subject).await;
        if let Subject::Guild(guild) = subject {
            let passed = self.gates.pass(Call::Last, guild.get()).await;
            passed.map_err(|status| Unavailable(status.to_string()))?;
        }
        last
    }

    fn tail(&self, partition: Partition) -> u64 {
        let place = usize::from(partition.0);
        match *self.lanes[place].borrow() {
            Flow::Held => self.forwarded[place].load(Ordering::SeqCst),
            Flow::Open | Flow::Dropped => self.inner.tail(partition),
        }
    }

    fn tail_of(&self, guild: GuildId) -> u64 {
        self.inner.tail_of(guild)
    }

    async fn ends(
        &self,
        partition: Partition,
        guilds: &[GuildId],
        at_least: u64,
    ) -> Result<Vec<u64>, Unavailable> {
        self.inner.ends(partition, guilds, at_least).await
    }

    async fn read_subject(
        &self,
        subject: Subject,
        range: RangeInclusive<u64>,
        max: usize,
    ) -> Result<Vec<Stored>, ReadError> {
        self.inner.read_subject(subject, range, max).await
    }

    async fn read(
        &self,
        stream: Stream,
        range: RangeInclusive<u64>,
        max: usize,
    ) -> Result<Vec<Stored>, ReadError> {
        self.check_reads()?;
        if let Stream::Users(_) = stream {
            let passed = self.gates.pass(Call::ReadUsers, 0).await;
            passed.map_err(|status| Unavailable(status.to_string()))?;
        }
        self.inner.read(stream, range, max).await
    }

    async fn contains(&self, subject: Subject, event_id: u64) -> Result<bool, Unavailable> {
        self.inner.contains(subject, event_id).await
    }

    async fn kept(&self, stream: Stream) -> Result<Kept, Unavailable> {
        self.inner.kept(stream).await
    }

    async fn consume_users(&self, partition: Partition) -> Result<Box<dyn UserConsumer>, Unavailable> {
        self.inner.consume_users(partition).await
    }

    async fn serve_pod(&self, pod: &PodName) -> Result<mpsc::Receiver<PodBatch>, Unavailable> {
        self.inner.serve_pod(pod).await
    }

    async fn deliver(&self, pod: &PodName, events: Vec<UserEvent>) -> Result<(), DeliverError> {
        self.inner.deliver(pod, events).await
    }
}
