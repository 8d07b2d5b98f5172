//! The port that carries events.
//!
//! Loss is a value here, never silence. Guild events are *live*: everybody who listens to a partition gets each of them
//! with its sequence in the partition's stream (contiguous) and the sequence of the event before it on the same
//! subject, so a reader that missed one knows it and reads it from the stream. Who needs few guilds of a partition
//! listens to these alone: then the sequences have holes, and the one before on the same subject tells what is missing.
//! User events are *consumed*: one router at a time takes them in order and acknowledges. Ephemeral events may be lost.
//!
//! To add an adapter: implement [`Backplane`] and run the conformance suite on it.

use std::ops::RangeInclusive;

use async_trait::async_trait;
use bytes::Bytes;
use model::{GuildId, UserId};
use tokio::sync::{mpsc, oneshot};

use crate::kept::Kept;
use crate::registry::PodName;
use crate::subject::{Ephemeral, Layout, Partition, Stream, Subject};

/// Carries events between pods.
#[async_trait]
pub trait Backplane: Send + Sync + 'static {
    fn layout(&self) -> Layout;

    /// Stores an event and tells everybody who listens. Answered only when it is stored. The same `event_id` within two
    /// minutes on the same subject is the same event: it is not stored again, and the first one's sequence is answered.
    /// On the subjects of two users it is two events; no two guilds have one id.
    async fn publish(&self, subject: Subject, event_id: u64, envelope: Bytes) -> Result<Ack, Unavailable>;

    /// Tells everybody who listens just now, without any promise.
    fn publish_ephemeral(&self, subject: Ephemeral, envelope: Bytes);

    /// Listens to the guild events of a partition from now on.
    async fn listen(&self, partition: Partition) -> Result<Listener, Unavailable>;

    /// Listens to the guild events of single guilds of a partition, of none at first.
    async fn listen_guilds(
        &self,
        partition: Partition,
    ) -> Result<(Box<dyn GuildSubscriptions>, Listener), Unavailable>;

    /// Listens to the ephemeral events of a partition from now on; only [`Delivery::Ephemeral`] comes.
    async fn listen_ephemeral(&self, partition: Partition) -> Result<Listener, Unavailable>;

    async fn state(&self, stream: Stream) -> Result<StreamState, Unavailable>;

    /// The sequence of the subject's last event; 0 when there is none.
    async fn last(&self, subject: Subject) -> Result<u64, Unavailable>;

    /// The highest sequence that this process knows to be published in a partition, from its own acknowledgements and
    /// from what others tell. A reader that is behind it for long has missed something.
    fn tail(&self, partition: Partition) -> u64;

    /// The same for one guild. 0 when nothing is known, which is so also of a guild that has been quiet for a while.
    fn tail_of(&self, guild: GuildId) -> u64;

    /// The sequence of each guild's last event that is stored, 0 where there is none, all of them as of one moment at
    /// which the partition's stream had at least the sequence `at_least`.
    async fn ends(
        &self,
        partition: Partition,
        guilds: &[GuildId],
        at_least: u64,
    ) -> Result<Vec<u64>, Unavailable>;

    /// The stored events of one subject in a range that ends with an event of it, in order, at most `max` of them. As of
    /// [`Self::read`], what has expired is left out.
    async fn read_subject(
        &self,
        subject: Subject,
        range: RangeInclusive<u64>,
        max: usize,
    ) -> Result<Vec<Stored>, ReadError>;

    /// The stored events of a range in order, at most `max` of them. Those that have expired are left out: compare
    /// [`StreamState::first`] afterwards to know whether any have.
    async fn read(
        &self,
        stream: Stream,
        range: RangeInclusive<u64>,
        max: usize,
    ) -> Result<Vec<Stored>, ReadError>;

    /// Whether an event with this id is stored on the subject. One that is not may have been: see [`Self::kept`].
    async fn contains(&self, subject: Subject, event_id: u64) -> Result<bool, Unavailable>;

    /// What the stream has surely kept. Asked after something was not found there: until then more may have gone.
    async fn kept(&self, stream: Stream) -> Result<Kept, Unavailable>;

    /// The one consumer of a partition of user events. A second one takes over from the first.
    async fn consume_users(&self, partition: Partition) -> Result<Box<dyn UserConsumer>, Unavailable>;

    /// Tells one user something just now, without any promise: it comes to whoever routes the events of users.
    fn tell_user(&self, user: UserId, envelope: Bytes);

    /// What users are told from now on. Of several who ask for it each gets a part.
    async fn told_users(&self) -> Result<mpsc::Receiver<Told>, Unavailable>;

    /// Receives what is delivered to this pod.
    async fn serve_pod(&self, pod: &PodName) -> Result<mpsc::Receiver<PodBatch>, Unavailable>;

    /// Gives a pod events of users who have sessions there; answered when the pod has taken them.
    async fn deliver(&self, pod: &PodName, events: Vec<UserEvent>) -> Result<(), DeliverError>;
}

/// The guilds that a listener is given the events of. It ends with the listener.
#[async_trait]
pub trait GuildSubscriptions: Send + Sync {
    /// Answered when everything that is published from now on comes. A guild that is there already stays.
    async fn add(&self, guilds: &[GuildId]) -> Result<(), Unavailable>;

    /// No more of this guild, but for what is on its way.
    fn remove(&self, guild: GuildId);
}

/// Takes the user events of one partition in order.
#[async_trait]
pub trait UserConsumer: Send {
    /// The next events, at most `max`; waits until there is one. They come again until they are acknowledged.
    async fn next(&mut self, max: usize) -> Result<Vec<UserEvent>, Unavailable>;

    /// Everything up to this sequence has been delivered.
    async fn acknowledge(&mut self, sequence: u64) -> Result<(), Unavailable>;
}

/// Where an event was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    pub sequence: u64,
    /// It had been stored before: a repeated publish.
    pub duplicate: bool,
}

/// What comes to a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// A guild event, `previous` being the sequence of the one before it on the same subject (0: none, or expired).
    Event {
        guild: GuildId,
        sequence: u64,
        previous: u64,
        envelope: Bytes,
    },
    Ephemeral(Bytes),
    /// Something before this point was lost.
    Gap,
    /// The connection was away: anything may have been lost, and the stream may be another incarnation.
    Reconnected,
}

/// A subscription. Bounded: when it is full, what comes is dropped and a [`Delivery::Gap`] stands in its place.
#[derive(Debug)]
pub struct Listener {
    deliveries: mpsc::Receiver<Delivery>,
}

impl Listener {
    pub fn new(deliveries: mpsc::Receiver<Delivery>) -> Self {
        Self { deliveries }
    }

    /// The next delivery; `None` when the backplane has closed. Cancel-safe.
    pub async fn next(&mut self) -> Option<Delivery> {
        self.deliveries.recv().await
    }
}

/// The bounds of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamState {
    /// Sequences of different incarnations have nothing to do with each other.
    pub incarnation: u64,
    /// The first sequence that is still there; `last + 1` when none is.
    pub first: u64,
    /// The last sequence that was given; 0 before the first event.
    pub last: u64,
}

/// A stored event as it is read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub sequence: u64,
    pub subject: Subject,
    pub envelope: Bytes,
}

/// What a user is told without its being stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub user: UserId,
    pub envelope: Bytes,
}

/// An event for one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserEvent {
    pub user: UserId,
    /// 0 of what is not stored.
    pub sequence: u64,
    pub envelope: Bytes,
}

/// What a pod is given; it answers when it has taken them.
#[derive(Debug)]
pub struct PodBatch {
    pub events: Vec<UserEvent>,
    pub taken: oneshot::Sender<()>,
}

/// The backplane can't be reached, or did not answer in time. Of a publish nothing is known: repeat it with the same id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("backplane is unavailable: {0}")]
pub struct Unavailable(pub String);

/// Why a range could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error("range {0:?} ends after the stream's last sequence {1}: it belongs to another incarnation")]
    BeyondEnd(RangeInclusive<u64>, u64),
}

/// Why a pod did not get its events.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeliverError {
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error("pod {0} is not there")]
    NoPod(PodName),
    #[error("pod {0} did not take the events in time")]
    Timeout(PodName),
}
