//! The in-process backplane, with failures when the test says so.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use async_trait::async_trait;
use backplane::port::{DeliverError, GuildSubscriptions, PodBatch, Told, UserConsumer};
use backplane::{
    Ack, Backplane, Ephemeral, InProcess, Kept, Layout, Listener, Partition, PodName, ReadError, Stored,
    Stream, StreamState, Subject, Unavailable, UserEvent,
};
use bytes::Bytes;
use model::{GuildId, UserId};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

/// A backplane that does what the test says; at first nothing unusual.
pub struct Flaky {
    inner: Arc<InProcess>,
    publishes: Mutex<Publishes>,
    failures: AtomicU64,
    panics_on_last: AtomicBool,
    is_closed: AtomicBool,
    tail_ahead: AtomicU64,
    holds_answers: watch::Sender<bool>,
    held: AtomicU64,
}

/// What becomes of publishes: so many go through, then so many fail, then all go through again.
#[derive(Default)]
struct Publishes {
    pass: u64,
    fail: u64,
    /// Every second one that fails is stored all the same, the last of them too.
    stores_some: bool,
    panic: bool,
}

enum Fate {
    Passes,
    Fails,
    /// It is stored, and the answer does not come.
    LosesAnswer,
}

// === impl Flaky ===

impl Flaky {
    pub fn new(inner: Arc<InProcess>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            publishes: Mutex::default(),
            failures: AtomicU64::new(0),
            panics_on_last: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            tail_ahead: AtomicU64::new(0),
            holds_answers: watch::Sender::new(false),
            held: AtomicU64::new(0),
        })
    }

    /// What lies behind it.
    pub fn inner(&self) -> &Arc<InProcess> {
        &self.inner
    }

    /// The next so many publishes fail.
    pub fn fail(&self, count: u64) {
        *self.publishes.lock() = Publishes { fail: count, ..Publishes::default() };
    }

    /// The same, but every second one is stored, and only the answer is lost.
    pub fn fail_and_store_some(&self, count: u64) {
        *self.publishes.lock() = Publishes { fail: count, stores_some: true, ..Publishes::default() };
    }

    /// Goes away after so many publishes.
    pub fn go_away_after(&self, count: u64) {
        *self.publishes.lock() = Publishes { pass: count, fail: u64::MAX, ..Publishes::default() };
    }

    /// Every publish fails.
    pub fn go_away(&self) {
        self.go_away_after(0);
    }

    /// Publishes go through.
    pub fn come_back(&self) {
        self.fail(0);
    }

    /// Publishes go through, and are acknowledged once they are not held any more.
    pub fn hold_answers(&self, holds: bool) {
        self.holds_answers.send_replace(holds);
    }

    /// How many acknowledgements have been held so far.
    pub fn held(&self) -> u64 {
        self.held.load(SeqCst)
    }

    /// How many publishes have failed so far.
    pub fn failures(&self) -> u64 {
        self.failures.load(SeqCst)
    }

    /// Publishes panic.
    pub fn panic(&self) {
        *self.publishes.lock() = Publishes { panic: true, ..Publishes::default() };
    }

    /// The question for the last sequence of a subject panics.
    pub fn panic_on_last(&self) {
        self.panics_on_last.store(true, SeqCst);
    }

    /// Whoever listens from now on finds the backplane closed.
    pub fn close(&self) {
        self.is_closed.store(true, SeqCst);
    }

    /// The tail says that so many more events were published.
    pub fn set_tail_ahead(&self, ahead: u64) {
        self.tail_ahead.store(ahead, SeqCst);
    }
}

// === impl Publishes ===

impl Publishes {
    fn next(&mut self) -> Fate {
        assert!(!self.panic, "told to panic");
        if self.pass > 0 {
            self.pass -= 1;
            return Fate::Passes;
        }
        if self.fail == 0 {
            return Fate::Passes;
        }
        let is_odd = self.fail % 2 == 1;
        if self.fail != u64::MAX {
            self.fail -= 1;
        }
        if self.stores_some && is_odd { Fate::LosesAnswer } else { Fate::Fails }
    }
}

#[async_trait]
impl Backplane for Flaky {
    fn layout(&self) -> Layout {
        self.inner.layout()
    }

    async fn publish(&self, subject: Subject, event_id: u64, envelope: Bytes) -> Result<Ack, Unavailable> {
        let fate = self.publishes.lock().next();
        match fate {
            Fate::Passes => {
                let ack = self.inner.publish(subject, event_id, envelope).await;
                let mut holds = self.holds_answers.subscribe();
                self.held.fetch_add(u64::from(*holds.borrow()), SeqCst);
                // The sender lives as long as this.
                let _ = holds.wait_for(|holds| !holds).await;
                ack
            }
            Fate::Fails => {
                self.failures.fetch_add(1, SeqCst);
                Err(Unavailable("told to fail".into()))
            }
            Fate::LosesAnswer => {
                self.inner.publish(subject, event_id, envelope).await?;
                self.failures.fetch_add(1, SeqCst);
                Err(Unavailable("told to lose the answer".into()))
            }
        }
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
        if self.is_closed.load(SeqCst) {
            return Ok(Listener::new(mpsc::channel(1).1));
        }
        self.inner.listen(partition).await
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
        self.inner.state(stream).await
    }

    async fn last(&self, subject: Subject) -> Result<u64, Unavailable> {
        assert!(!self.panics_on_last.load(SeqCst), "told to panic");
        self.inner.last(subject).await
    }

    fn tail(&self, partition: Partition) -> u64 {
        self.inner.tail(partition) + self.tail_ahead.load(SeqCst)
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
