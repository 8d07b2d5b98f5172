//! Messages in the embedded engine.
//!
//! The newest message of each channel is written coalesced, with the checkpoint of the outbox. What a crash takes back
//! of it lies above the watermark of the same checkpoint, so the sweep passes every such message and notes it again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use model::emoji::Emoji;
use model::{ChannelId, Message, MessageId, UserId};
use parking_lot::Mutex;
use storage::{
    Batch, Bucket, CommitError, Engine, Epoch, IdFloor, Lease, Marker, Outbox, OutboxRow, OutboxStore, Pass,
    Republish, Scope, SlotSet, Table, Watermark,
};
use tokio::time::sleep;

use super::{Changes, MessageStore, NewMessage, Page, RowChange, StoreError};

pub mod keys;

use keys::{LastKey, MessageKey, ReactionKey, SenderKey};

/// Rows that one batch deletes at most.
const CLEAR_ROWS_MAX: usize = 50_000;
/// How long a write waits that found no place after one whose outcome is unknown.
const COMMIT_AGAIN: Duration = Duration::from_millis(200);
/// Outbox rows that one prune removes.
const PRUNE_ROWS_MAX: usize = 10_000;

/// The adapter on [`storage::Engine`].
pub struct EmbeddedStore {
    engine: Engine,
    outbox: Outbox,
    floor: Arc<IdFloor>,
    messages: Table,
    reactions: Table,
    senders: Table,
    lasts: Table,
    /// Newest messages that are not in `lasts` yet.
    fresh_lasts: Mutex<HashMap<ChannelId, u64>>,
}

impl EmbeddedStore {
    /// The messages in this database.
    pub fn open(engine: &Engine, floor: Arc<IdFloor>) -> Result<Self, storage::OpenError> {
        Ok(Self {
            engine: engine.clone(),
            outbox: Outbox::open(engine)?,
            floor,
            messages: engine.table(keys::MESSAGES_TABLE)?,
            reactions: engine.table(keys::REACTIONS_TABLE)?,
            senders: engine.table(keys::SENDERS_TABLE)?,
            lasts: engine.table(keys::LASTS_TABLE)?,
            fresh_lasts: Mutex::default(),
        })
    }

    /// Commits what `fill` puts into a batch. While the outcome is unknown it does so again, which changes nothing when
    /// the first time was written: "nothing was written" is said only when that is sure.
    async fn commit(&self, fill: impl Fn(&mut Batch)) -> Result<(), StoreError> {
        let mut is_maybe_written = false;
        loop {
            let mut batch = Batch::new();
            fill(&mut batch);
            match self.engine.commit(batch).await {
                Ok(()) => return Ok(()),
                Err(CommitError::Unknown) => is_maybe_written = true,
                Err(CommitError::Overloaded) if is_maybe_written => sleep(COMMIT_AGAIN).await,
                Err(_) if is_maybe_written => return Err(StoreError::Unknown),
                Err(CommitError::Batch(error)) => return Err(StoreError::Refused(Box::new(error))),
                Err(error) => return Err(StoreError::unavailable(error)),
            }
        }
    }

    fn rows(&self, rows: Result<Vec<storage::Row>, storage::ReadError>) -> Result<Vec<Message>, StoreError> {
        let rows = rows.map_err(StoreError::unavailable)?;
        rows.iter().map(|(key, value)| keys::decode_message(key, value)).collect()
    }

    /// At most `limit` messages before the id, newest first; all of them without an id.
    fn before(&self, channel: ChannelId, id: Option<u64>, limit: usize) -> Result<Vec<Message>, StoreError> {
        let start = MessageKey::first(channel).encode();
        let end = id.map_or(MessageKey::end(channel), |id| MessageKey { channel, id }.encode());
        self.rows(self.messages.last_in_range(start..end, limit))
    }

    /// At most `limit` messages after the id, nearest first.
    fn after(&self, channel: ChannelId, id: u64, limit: usize) -> Result<Vec<Message>, StoreError> {
        let start = MessageKey { channel, id: id.saturating_add(1) }.encode();
        self.rows(self.messages.first_in_range(start..MessageKey::end(channel), limit))
    }

    fn number(&self, table: &Table, key: &[u8]) -> Result<Option<u64>, StoreError> {
        let value = table.get(key).map_err(StoreError::unavailable)?;
        value.map(|value| keys::decode_number(key, &value)).transpose()
    }

    fn last(&self, channel: ChannelId) -> Result<Option<MessageId>, StoreError> {
        let fresh = self.fresh_lasts.lock().get(&channel).copied();
        let stored = self.number(&self.lasts, &LastKey { channel }.encode())?;
        Ok(fresh.max(stored).and_then(MessageId::new))
    }

    fn note_last(&self, channel: ChannelId, id: MessageId) {
        let mut lasts = self.fresh_lasts.lock();
        let last = lasts.entry(channel).or_default();
        *last = id.get().max(*last);
    }

    /// Removes all reactions of a message with a prefix but the last `CLEAR_ROWS_MAX`, whose keys are the answer. With
    /// each batch the message's counts are lowered, so a stop in between leaves a message that shows what there is. The
    /// owner lets nobody else write to it meanwhile.
    async fn clear_excess(
        &self,
        channel: ChannelId,
        id: MessageId,
        prefix: &[u8],
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        loop {
            let page = self.reactions.first_by_prefix(prefix, CLEAR_ROWS_MAX + 1);
            let mut keys: Vec<_> =
                page.map_err(StoreError::unavailable)?.into_iter().map(|(key, _)| key).collect();
            if keys.len() <= CLEAR_ROWS_MAX {
                return Ok(keys);
            }
            keys.truncate(CLEAR_ROWS_MAX);
            let message = self.get(channel, id).await?.map(|message| without(message, &keys));
            self.commit(|batch| {
                keys.iter().for_each(|key| batch.delete(&self.reactions, key));
                if let Some(message) = &message {
                    let key = MessageKey { channel, id: id.get() };
                    batch.put(&self.messages, key.encode(), keys::encode_message(message));
                }
            })
            .await?;
        }
    }

    fn fill_change(&self, batch: &mut Batch, channel: ChannelId, change: &RowChange) {
        match change {
            RowChange::Put(message) => {
                let key = MessageKey { channel, id: message.id.get() };
                batch.put(&self.messages, key.encode(), keys::encode_message(message));
            }
            RowChange::Delete(id) => {
                batch.delete(&self.messages, MessageKey { channel, id: id.get() }.encode());
            }
            RowChange::AddReaction { message, emoji, user } => {
                let key = ReactionKey { channel, message: *message, emoji, user: *user };
                batch.put(&self.reactions, key.encode(), []);
            }
            RowChange::RemoveReaction { message, emoji, user } => {
                let key = ReactionKey { channel, message: *message, emoji, user: *user };
                batch.delete(&self.reactions, key.encode());
            }
            RowChange::ClearReactions { .. } => {}
        }
    }
}

#[async_trait]
impl MessageStore for EmbeddedStore {
    async fn get(&self, channel: ChannelId, id: MessageId) -> Result<Option<Message>, StoreError> {
        let key = MessageKey { channel, id: id.get() }.encode();
        let value = self.messages.get(&key).map_err(StoreError::unavailable)?;
        value.map(|value| keys::decode_message(&key, &value)).transpose()
    }

    async fn list(&self, channel: ChannelId, page: Page, limit: usize) -> Result<Vec<Message>, StoreError> {
        match page {
            Page::Newest => self.before(channel, None, limit),
            Page::Before(id) => self.before(channel, Some(id.get()), limit),
            Page::After(id) => {
                let mut messages = self.after(channel, id.get(), limit)?;
                messages.reverse();
                Ok(messages)
            }
            Page::Around(id) => {
                let mut messages = self.after(channel, id.get(), limit / 2)?;
                messages.reverse();
                let older = self.before(channel, Some(id.get().saturating_add(1)), limit - limit / 2)?;
                messages.extend(older);
                Ok(messages)
            }
        }
    }

    async fn last_ids(&self, channels: &[ChannelId]) -> Result<Vec<Option<MessageId>>, StoreError> {
        channels.iter().map(|channel| self.last(*channel)).collect()
    }

    async fn last_sent(&self, channel: ChannelId, user: UserId) -> Result<Option<MessageId>, StoreError> {
        Ok(self.number(&self.senders, &SenderKey { channel, user }.encode())?.and_then(MessageId::new))
    }

    async fn reacted(
        &self,
        channel: ChannelId,
        message: MessageId,
        user: UserId,
        emoji: &[Emoji],
    ) -> Result<Vec<Emoji>, StoreError> {
        let mut reacted = Vec::new();
        for emoji in emoji {
            let key = ReactionKey { channel, message, emoji, user }.encode();
            if self.reactions.contains(key).map_err(StoreError::unavailable)? {
                reacted.push(emoji.clone());
            }
        }
        Ok(reacted)
    }

    async fn reactors(
        &self,
        channel: ChannelId,
        message: MessageId,
        emoji: &Emoji,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<UserId>, StoreError> {
        let prefix = ReactionKey::emoji_prefix(channel, message, emoji);
        let start =
            [&prefix[..], &after.map_or(0, |user| user.get().saturating_add(1)).to_be_bytes()].concat();
        let end = [&prefix[..], &u64::MAX.to_be_bytes()].concat();
        let rows = self.reactions.first_in_range(start..end, limit).map_err(StoreError::unavailable)?;
        rows.iter().map(|(key, _)| ReactionKey::user_of(key)).collect()
    }

    async fn create(&self, new: &NewMessage) -> Result<(), StoreError> {
        let message = &new.message;
        let (channel, id) = (message.channel_id, message.id.get());
        let value = keys::encode_message(message);
        self.commit(|batch| {
            batch.put(&self.messages, MessageKey { channel, id }.encode(), &value);
            if new.mark {
                let (slot, epoch) = (new.lease.slot, new.lease.epoch);
                let bucket = Bucket::of_snowflake(id);
                let marker = Marker { set: new.lease.set, slot, epoch, bucket, channel: channel.get() };
                self.outbox.put_marker(batch, &marker);
            }
            if new.keep_sender {
                let key = SenderKey { channel, user: message.author_id };
                batch.put(&self.senders, key.encode(), id.to_be_bytes());
            }
            self.floor.record_if_due(batch, message.id.created_at_ms());
        })
        .await?;
        self.note_last(channel, message.id);
        Ok(())
    }

    async fn change(&self, changes: &Changes) -> Result<(), StoreError> {
        let channel = changes.channel;
        let mut cleared = Vec::new();
        for change in &changes.rows {
            let (message, prefix) = match change {
                RowChange::Delete(message) | RowChange::ClearReactions { message, emoji: None } => {
                    (*message, ReactionKey::message_prefix(channel, *message))
                }
                RowChange::ClearReactions { message, emoji: Some(emoji) } => {
                    (*message, ReactionKey::emoji_prefix(channel, *message, emoji))
                }
                _ => continue,
            };
            cleared.extend(self.clear_excess(channel, message, &prefix).await?);
        }
        self.commit(|batch| {
            cleared.iter().for_each(|key| batch.delete(&self.reactions, key));
            changes.rows.iter().for_each(|change| self.fill_change(batch, channel, change));
            for (id, events) in &changes.events {
                let bucket = Bucket::of_snowflake(*id);
                let (slot, epoch) = (changes.lease.slot, changes.lease.epoch);
                let row = OutboxRow {
                    set: changes.lease.set,
                    slot,
                    epoch,
                    bucket,
                    id: *id,
                    events: events.clone(),
                };
                self.outbox.put_row(batch, &row);
                self.floor.record_if_due(batch, model::snowflake::timestamp_ms(*id));
            }
        })
        .await
    }

    async fn sweep(
        &self,
        leases: &[Lease],
        pass: Pass,
        republish: &mut dyn Republish,
    ) -> Result<(), StoreError> {
        // All slots have one epoch, and are swept together.
        let (Some(lease), Pass::First) = (leases.first(), pass) else { return Ok(()) };
        let mut noting = Noting { store: self, republish };
        let swept = self.outbox.sweep(lease.set, lease.epoch, &mut noting).await;
        swept.map_err(StoreError::unavailable).map(drop)
    }
}

#[async_trait]
impl OutboxStore for EmbeddedStore {
    type Error = StoreError;

    fn scope(&self) -> Scope {
        Scope::Set
    }

    async fn put_watermark(&self, watermark: Watermark) -> Result<(), StoreError> {
        let Watermark { set, epoch, published_ms, .. } = watermark;
        let lasts = self.fresh_lasts.lock().clone();
        self.commit(|batch| {
            self.outbox.put_watermark(batch, set, epoch, published_ms);
            for (channel, last) in &lasts {
                batch.put(&self.lasts, LastKey { channel: *channel }.encode(), last.to_be_bytes());
            }
        })
        .await?;
        // What was raised meanwhile stays for the next time.
        self.fresh_lasts.lock().retain(|channel, last| lasts.get(channel) != Some(last));
        Ok(())
    }

    async fn prune(&self, set: SlotSet, mine: Epoch, now_ms: u64) -> Result<bool, StoreError> {
        let pruned = self.outbox.prune(set, mine, now_ms, PRUNE_ROWS_MAX).await;
        pruned.map_err(StoreError::unavailable).map(|report| report.more)
    }
}

/// The message without the reactions under these keys.
fn without(mut message: Message, keys: &[Vec<u8>]) -> Message {
    for reaction in &mut message.reactions {
        let prefix = ReactionKey::emoji_prefix(message.channel_id, message.id, &reaction.emoji);
        let gone = keys.iter().filter(|key| key.starts_with(&prefix)).count();
        reaction.count = reaction.count.saturating_sub(gone.try_into().unwrap_or(reaction.count));
    }
    message.reactions.retain(|reaction| reaction.count > 0);
    message
}

/// Notes the newest message of each channel that the sweep passes.
struct Noting<'a> {
    store: &'a EmbeddedStore,
    republish: &'a mut dyn Republish,
}

#[async_trait]
impl Republish for Noting<'_> {
    async fn republish(&mut self, unpublished: storage::Unpublished) -> Result<(), storage::RepublishError> {
        if let storage::Unpublished::Marker { marker, .. } = &unpublished
            && let Some(channel) = ChannelId::new(marker.channel)
            && let [newest, ..] = &self.store.before(channel, None, 1)?[..]
            && self.store.last(channel)?.is_none_or(|last| last < newest.id)
        {
            self.store.note_last(channel, newest.id);
        }
        self.republish.republish(unpublished).await
    }

    async fn too_late(&mut self, unpublished: storage::Unpublished) -> Result<(), storage::RepublishError> {
        self.republish.too_late(unpublished).await
    }
}
