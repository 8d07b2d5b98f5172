//! Messages in Cassandra.
//!
//! A channel's messages lie in partitions of ten days, newest first, so that none grows for ever; which of these buckets a
//! channel has is a table of its own, so that a page of a channel that was silent for years is not looked for day by day.
//! Every write is made under the lease of the channel's slot (see [`LeasedWrites`]): it ends before the lease can pass on,
//! and of what two owners wrote the later one's stays. Reads ask a quorum; of equal ones at one time only one is made.
//!
//! The newest message of each channel is written coalesced, with the watermark of its slot and before it. What a crash takes
//! back of it lies above that watermark, so the next owner's sweep passes every such message and notes it again.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use model::clock::SharedClock;
use model::emoji::Emoji;
use model::{ChannelId, Message, MessageId, UserId};
use parking_lot::Mutex;
use storage::cassandra::{
    Cassandra, CassandraOutbox, CassandraSweepError, ConnectError, LeasedWriteError, LeasedWrites, ReadError,
    WriteError,
};
use storage::{
    Epoch, Lease, OutboxStore, Pass, Republish, RepublishError, Scope, SlotSet, Unpublished, Watermark,
};

use self::coalesce::Coalesced;
use self::lasts::Lasts;
use self::statements::{Statements, number};
use super::embedded::keys;
use super::{Changes, MessageStore, NewMessage, Page, StoreError};
use crate::cache::Cache;
use crate::limits::{BUCKETS_CACHED_MAX, LASTS_AT_ONCE};

mod changes;
mod coalesce;
mod lasts;
mod pages;
mod statements;
mod tables;

pub use tables::SCHEMA;

/// The adapter on [`Cassandra`].
pub struct CassandraStore {
    cassandra: Arc<Cassandra>,
    writes: Arc<LeasedWrites>,
    outbox: CassandraOutbox,
    clock: SharedClock,
    statements: Statements,
    lasts: Lasts,
    /// The bucket of each channel that was written to last, whose row in `message_buckets` is there.
    begun: Mutex<Cache<ChannelId, u32>>,
    pages: Coalesced<(ChannelId, Page, usize), Vec<Message>>,
}

impl CassandraStore {
    /// On this session, whose tables have to be there; with the process's one way to write.
    pub async fn prepare(
        cassandra: &Arc<Cassandra>,
        writes: Arc<LeasedWrites>,
        clock: SharedClock,
    ) -> Result<Self, ConnectError> {
        Ok(Self {
            outbox: CassandraOutbox::prepare(cassandra).await?,
            statements: Statements::prepare(cassandra).await?,
            cassandra: cassandra.clone(),
            writes,
            clock,
            lasts: Lasts::default(),
            begun: Mutex::new(Cache::new(BUCKETS_CACHED_MAX)),
            pages: Coalesced::default(),
        })
    }

    async fn last(&self, channel: ChannelId) -> Result<Option<MessageId>, StoreError> {
        let stored = self.cassandra.first::<(i64,)>(&self.statements.last, (number(channel.get()),)).await?;
        let stored = stored.and_then(|(id,)| MessageId::new(id.cast_unsigned()));
        Ok(self.lasts.get(channel).max(stored))
    }

    async fn write_last(&self, channel: ChannelId, last: MessageId) -> Result<(), WriteError> {
        let id = number(last.get());
        // Of two the higher id has the higher timestamp, so that it stays, whoever writes it and when.
        let row = (id, number(channel.get()), i64::MIN + id);
        self.cassandra.write(&self.statements.put_last, row).await?;
        self.lasts.note_written(channel, last);
        Ok(())
    }
}

#[async_trait]
impl MessageStore for CassandraStore {
    async fn get(&self, channel: ChannelId, id: MessageId) -> Result<Option<Message>, StoreError> {
        let place = (number(channel.get()), bucket(id.get()), number(id.get()));
        let row = self.cassandra.first::<(Vec<u8>,)>(&self.statements.get, place).await?;
        row.map(|(value,)| keys::decode_message(&id.get().to_be_bytes(), &value)).transpose()
    }

    async fn list(&self, channel: ChannelId, page: Page, limit: usize) -> Result<Vec<Message>, StoreError> {
        self.pages.read((channel, page, limit), self.page(channel, page, limit)).await
    }

    async fn last_ids(&self, channels: &[ChannelId]) -> Result<Vec<Option<MessageId>>, StoreError> {
        let last = |channel: &ChannelId| self.last(*channel);
        stream::iter(channels.iter().map(last).collect::<Vec<_>>())
            .buffered(LASTS_AT_ONCE)
            .try_collect()
            .await
    }

    async fn last_sent(&self, channel: ChannelId, user: UserId) -> Result<Option<MessageId>, StoreError> {
        let place = (number(channel.get()), number(user.get()));
        let row = self.cassandra.first::<(i64,)>(&self.statements.sender, place).await?;
        Ok(row.and_then(|(id,)| MessageId::new(id.cast_unsigned())))
    }

    async fn reacted(
        &self,
        channel: ChannelId,
        message: MessageId,
        user: UserId,
        emoji: &[Emoji],
    ) -> Result<Vec<Emoji>, StoreError> {
        if emoji.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<Vec<u8>> = emoji.iter().map(keys::emoji_bytes).collect();
        let place = (number(channel.get()), number(message.get()), &keys, number(user.get()));
        let found = self.cassandra.all::<(Vec<u8>,)>(&self.statements.reacted, place).await?;
        let is_found = |key: &Vec<u8>| found.iter().any(|(found,)| found == key);
        let reacted = emoji.iter().zip(&keys).filter(|(_, key)| is_found(key));
        Ok(reacted.map(|(emoji, _)| emoji.clone()).collect())
    }

    async fn reactors(
        &self,
        channel: ChannelId,
        message: MessageId,
        emoji: &Emoji,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<UserId>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let after = after.map_or(0, |user| number(user.get()));
        let (channel, message) = (number(channel.get()), number(message.get()));
        let place = (channel, message, keys::emoji_bytes(emoji), after, statements::limit(limit));
        let users = self.cassandra.all::<(i64,)>(&self.statements.reactors, place).await?;
        Ok(users.into_iter().filter_map(|(user,)| UserId::new(user.cast_unsigned())).collect())
    }

    async fn create(&self, new: &NewMessage) -> Result<(), StoreError> {
        let (channel, id) = (new.message.channel_id, new.message.id);
        let bucket = keys::bucket(id.get());
        let begins = self.begun.lock().get(&channel).is_none_or(|begun| *begun != bucket);
        self.writes.write(&new.lease, &self.create_batch(new, begins)).await?;
        if begins {
            self.begun.lock().insert(channel, bucket);
        }
        self.lasts.note(channel, id);
        Ok(())
    }

    async fn change(&self, changes: &Changes) -> Result<(), StoreError> {
        Ok(self.writes.write(&changes.lease, &self.change_batch(changes)).await?)
    }

    async fn sweep(
        &self,
        leases: &[Lease],
        pass: Pass,
        republish: &mut dyn Republish,
    ) -> Result<(), StoreError> {
        for lease in leases {
            let mut noting = Noting { store: self, republish: &mut *republish };
            self.outbox.sweep(lease, pass, self.clock.now_ms(), &mut noting).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl OutboxStore for CassandraStore {
    type Error = StoreError;

    fn scope(&self) -> Scope {
        Scope::Slot
    }

    async fn put_watermark(&self, watermark: Watermark) -> Result<(), StoreError> {
        let lasts = watermark.slot.map_or_else(Vec::new, |slot| self.lasts.of_slot(slot));
        let write = |(channel, last)| self.write_last(channel, last);
        let writes: Vec<_> = lasts.into_iter().map(write).collect();
        stream::iter(writes).buffer_unordered(LASTS_AT_ONCE).try_collect::<()>().await?;
        Ok(self.outbox.put_watermark(watermark).await?)
    }

    async fn prune(&self, _: SlotSet, _: Epoch, _: u64) -> Result<bool, StoreError> {
        Ok(false)
    }
}

/// Notes the newest message of each channel that the sweep passes.
struct Noting<'a> {
    store: &'a CassandraStore,
    republish: &'a mut dyn Republish,
}

#[async_trait]
impl Republish for Noting<'_> {
    async fn republish(&mut self, unpublished: Unpublished) -> Result<(), RepublishError> {
        if let Unpublished::Marker { marker, .. } = &unpublished
            && let Some(channel) = ChannelId::new(marker.channel)
            && let [newest, ..] = &self.store.page(channel, Page::Newest, 1).await?[..]
            && self.store.last(channel).await?.is_none_or(|last| last < newest.id)
        {
            self.store.lasts.note(channel, newest.id);
        }
        self.republish.republish(unpublished).await
    }

    async fn too_late(&mut self, unpublished: Unpublished) -> Result<(), RepublishError> {
        self.republish.too_late(unpublished).await
    }
}

fn bucket(id: u64) -> i32 {
    i32::try_from(keys::bucket(id)).expect("there are some thousand buckets")
}

impl From<ReadError> for StoreError {
    fn from(error: ReadError) -> Self {
        Self::unavailable(error)
    }
}

impl From<WriteError> for StoreError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Unavailable(_) => Self::unavailable(error),
            WriteError::Refused(_) => Self::Refused(Box::new(error)),
            WriteError::Unknown(_) => Self::Unknown,
        }
    }
}

impl From<LeasedWriteError> for StoreError {
    fn from(error: LeasedWriteError) -> Self {
        match error {
            LeasedWriteError::NotOwner(error) => Self::unavailable(error),
            LeasedWriteError::Write(error) => error.into(),
        }
    }
}

impl From<CassandraSweepError> for StoreError {
    fn from(error: CassandraSweepError) -> Self {
        Self::unavailable(error)
    }
}
