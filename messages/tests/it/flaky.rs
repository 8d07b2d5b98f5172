//! A backplane whose publishes fail on demand, and whose tail can be made to run ahead.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};

use async_trait::async_trait;
use backplane::port::{DeliverError, UserConsumer};
use backplane::{
    Ack, Backplane, Ephemeral, InProcess, Layout, Listener, Partition, PodName, ReadError, Stored, Stream,
    StreamState, Subject, Unavailable, UserEvent,
};
use bytes::Bytes;
use tokio::sync::mpsc;

pub struct Flaky {
    inner: Arc<InProcess>,
    /// So many publishes fail; `u32::MAX` for all.
    fail: AtomicU32,
    /// So many go through before that.
    pass: AtomicU32,
    panics: AtomicBool,
    is_closed: AtomicBool,
    tail_ahead: AtomicU64,
}

impl Flaky {
    pub fn new(inner: Arc<InProcess>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            fail: AtomicU32::new(0),
            pass: AtomicU32::new(0),
            panics: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            tail_ahead: AtomicU64::new(0),
        })
    }

    pub fn fail(&self, count: u32) {
        self.fail.store(count, SeqCst);
    }

    /// All publishes after this many fail.
    pub fn fail_after(&self, count: u32) {
        self.pass.store(count, SeqCst);
        self.fail(u32::MAX);
    }

    /// The next publishes panic.
    pub fn panic(&self) {
        self.panics.store(true, SeqCst);
    }

    /// Whoever listens from now on finds the backplane closed.
    pub fn close(&self) {
        self.is_closed.store(true, SeqCst);
    }

    pub fn set_tail_ahead(&self, ahead: u64) {
        self.tail_ahead.store(ahead, SeqCst);
    }
}

#[async_trait]
impl Backplane for Flaky {
    fn layout(&self) -> Layout {
        self.inner.layout()
    }

    async fn publish(&self, subject: Subject, event_id: u64, envelope: Bytes) -> Result<Ack, Unavailable> {
        assert!(!self.panics.load(SeqCst), "told to panic");
        if self.pass.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok() {
            return self.inner.publish(subject, event_id, envelope).await;
        }
        let less = |left| match left {
            0 => None,
            u32::MAX => Some(u32::MAX),
            left => Some(left - 1),
        };
        if self.fail.fetch_update(SeqCst, SeqCst, less).is_ok() {
            return Err(Unavailable("told to fail".into()));
        }
        self.inner.publish(subject, event_id, envelope).await
    }

    fn publish_ephemeral(&self, subject: Ephemeral, envelope: Bytes) {
        self.inner.publish_ephemeral(subject, envelope);
    }

    async fn listen(&self, partition: Partition) -> Result<Listener, Unavailable> {
        if self.is_closed.load(SeqCst) {
            return Ok(Listener::new(mpsc::channel(1).1));
        }
        self.inner.listen(partition).await
    }

    async fn listen_ephemeral(&self, partition: Partition) -> Result<Listener, Unavailable> {
        self.inner.listen_ephemeral(partition).await
    }

    async fn state(&self, stream: Stream) -> Result<StreamState, Unavailable> {
        self.inner.state(stream).await
    }

    async fn last(&self, subject: Subject) -> Result<u64, Unavailable> {
        self.inner.last(subject).await
    }

    fn tail(&self, partition: Partition) -> u64 {
        self.inner.tail(partition) + self.tail_ahead.load(SeqCst)
    }

    async fn read(
        &self,
        stream: Stream,
        range: RangeInclusive<u64>,
        max: usize,
    ) -> Result<Vec<Stored>, ReadError> {
        self.inner.read(stream, range, max).await
    }

    async fn contains(&self, subject: Subject, event_id: u64) -> Result<bool, Unavailable> {
        self.inner.contains(subject, event_id).await
    }

    async fn consume_users(&self, partition: Partition) -> Result<Box<dyn UserConsumer>, Unavailable> {
        self.inner.consume_users(partition).await
    }

    async fn serve_pod(
        &self,
        pod: &PodName,
    ) -> Result<mpsc::Receiver<backplane::port::PodBatch>, Unavailable> {
        self.inner.serve_pod(pod).await
    }

    async fn deliver(&self, pod: &PodName, events: Vec<UserEvent>) -> Result<(), DeliverError> {
        self.inner.deliver(pod, events).await
    }
}
