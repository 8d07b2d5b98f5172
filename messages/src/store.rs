//! The port through which messages are kept.
//!
//! Of a channel's messages only its owner writes, so an adapter needs no transactions over several callers: a write is
//! atomic and idempotent, and of two writes to one row the owner sends the second only when the first has returned.
//! Every write carries what must be published for it (the outbox): a message row is its own, all else brings its events.
//!
//! To add an adapter: implement [`MessageStore`] and run the suite of `testkit` (`conformance/messages.rs`) on it.

use async_trait::async_trait;
use model::emoji::Emoji;
use model::{ChannelId, Message, MessageId, UserId};
use storage::{Lease, OutboxEvent, OutboxStore, Pass, Republish};

pub mod cassandra;
pub mod embedded;

pub use cassandra::CassandraStore;
pub use embedded::EmbeddedStore;

/// Keeps messages, reactions, and the outbox of both. With a watermark it also stores what else is kept coalesced.
#[async_trait]
pub trait MessageStore: OutboxStore<Error = StoreError> + 'static {
    async fn get(&self, channel: ChannelId, id: MessageId) -> Result<Option<Message>, StoreError>;

    /// At most `limit` messages of a channel, newest first.
    async fn list(&self, channel: ChannelId, page: Page, limit: usize) -> Result<Vec<Message>, StoreError>;

    /// The newest message that each channel ever had, in the order asked for.
    async fn last_ids(&self, channels: &[ChannelId]) -> Result<Vec<Option<MessageId>>, StoreError>;

    /// The user's last message in a channel, as far as it was written with `keep_sender`.
    async fn last_sent(&self, channel: ChannelId, user: UserId) -> Result<Option<MessageId>, StoreError>;

    /// Those of the emoji that the user reacted with.
    async fn reacted(
        &self,
        channel: ChannelId,
        message: MessageId,
        user: UserId,
        emoji: &[Emoji],
    ) -> Result<Vec<Emoji>, StoreError>;

    /// Who reacted with an emoji, in order of user id.
    async fn reactors(
        &self,
        channel: ChannelId,
        message: MessageId,
        emoji: &Emoji,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<UserId>, StoreError>;

    /// Stores a new message durably, with what the next owner needs to find it if it is never published.
    async fn create(&self, new: &NewMessage) -> Result<(), StoreError>;

    /// Stores changes durably, all or none, with their events.
    async fn change(&self, changes: &Changes) -> Result<(), StoreError>;

    /// Gives what epochs before these leases' stored in their slots, and perhaps did not publish, to `republish`: in the
    /// late pass as what may have come too late. A store of which only one process writes has nothing late.
    async fn sweep(
        &self,
        leases: &[Lease],
        pass: Pass,
        republish: &mut dyn Republish,
    ) -> Result<(), StoreError>;
}

/// Which messages of a channel are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Page {
    Newest,
    Before(MessageId),
    /// The nearest ones after it.
    After(MessageId),
    /// Half of them after it; the message itself is among the others.
    Around(MessageId),
}

/// A message that is not there yet.
#[derive(Debug, Clone)]
pub struct NewMessage {
    pub lease: Lease,
    pub message: Message,
    /// Write the marker that leads the next owner to the channel.
    pub mark: bool,
    /// Remember when the author sent (slow mode).
    pub keep_sender: bool,
}

/// Changes of one channel's messages.
#[derive(Debug, Clone)]
pub struct Changes {
    pub lease: Lease,
    pub channel: ChannelId,
    pub rows: Vec<RowChange>,
    /// What to publish, by the id of the change that caused it.
    pub events: Vec<(u64, Vec<OutboxEvent>)>,
}

/// One row that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowChange {
    Put(Box<Message>),
    /// The message with its reactions.
    Delete(MessageId),
    AddReaction {
        message: MessageId,
        emoji: Emoji,
        user: UserId,
    },
    RemoveReaction {
        message: MessageId,
        emoji: Emoji,
        user: UserId,
    },
    /// Everybody's reactions, with one emoji or all. Stands in no [`Changes`] with other reactions of the message.
    ClearReactions {
        message: MessageId,
        emoji: Option<Emoji>,
    },
}

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("message store is unavailable, nothing was written: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("message store does not take the write as it is, nothing was written: {0}; make it smaller")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("message store did not confirm in time, outcome unknown: read back or repeat")]
    Unknown,
    #[error("stored message row {key:02x?} is damaged: {problem}; restore the data from a backup")]
    Corrupt { key: Vec<u8>, problem: String },
}

impl StoreError {
    /// Of whatever stands behind the adapter; nothing was written.
    pub fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Unavailable(Box::new(error))
    }
}
