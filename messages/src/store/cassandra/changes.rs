//! What is written together.
//!
//! All statements of a batch have one timestamp, and of two with one timestamp that change one row neither is the later. So
//! of the changes of one row only the last is written.

use std::collections::HashMap;

use model::emoji::Emoji;
use model::{ChannelId, Message, MessageId, UserId};
use storage::cassandra::WriteBatch;
use storage::{Bucket, Lease, Marker, OutboxRow};

use super::statements::number;
use super::{CassandraStore, bucket};
use crate::store::embedded::keys;
use crate::store::{Changes, NewMessage, RowChange};

impl CassandraStore {
    /// A message, and in the beginning of things what leads to it: of ten days the bucket, of ten seconds the marker. Most
    /// messages are one statement.
    pub(super) fn create_batch(&self, new: &NewMessage, begins_bucket: bool) -> WriteBatch {
        let NewMessage { lease, message, mark, keep_sender } = new;
        let (channel, id) = (message.channel_id, message.id.get());
        let mut batch = WriteBatch::new();
        self.put(&mut batch, message);
        if begins_bucket {
            batch.add(&self.statements.put_bucket, (number(channel.get()), bucket(id)));
        }
        if *mark {
            let Lease { set, slot, epoch } = *lease;
            let marker =
                Marker { set, slot, epoch, bucket: Bucket::of_snowflake(id), channel: channel.get() };
            self.outbox.put_marker(&mut batch, &marker);
        }
        if *keep_sender {
            let row = (number(channel.get()), number(message.author_id.get()), number(id));
            batch.add(&self.statements.put_sender, row);
        }
        batch
    }

    pub(super) fn change_batch(&self, changes: &Changes) -> WriteBatch {
        let mut batch = WriteBatch::new();
        last_of_each(&changes.rows).for_each(|change| self.add_change(&mut batch, changes.channel, change));
        let Lease { set, slot, epoch } = changes.lease;
        for (id, events) in &changes.events {
            let bucket = Bucket::of_snowflake(*id);
            let row = OutboxRow { set, slot, epoch, bucket, id: *id, events: events.clone() };
            self.outbox.put_row(&mut batch, &row);
        }
        batch
    }

    fn add_change(&self, batch: &mut WriteBatch, channel: ChannelId, change: &RowChange) {
        let statements = &self.statements;
        let in_channel = number(channel.get());
        match change {
            RowChange::Put(message) => self.put(batch, message),
            RowChange::Delete(id) => {
                let (message, bucket) = (number(id.get()), bucket(id.get()));
                batch.add(&statements.delete_message, (in_channel, bucket, message));
                batch.add(&statements.clear_reactions, (in_channel, message));
            }
            RowChange::AddReaction { message, emoji, user } => {
                let row = (in_channel, number(message.get()), keys::emoji_bytes(emoji), number(user.get()));
                batch.add(&statements.add_reaction, row);
            }
            RowChange::RemoveReaction { message, emoji, user } => {
                let row = (in_channel, number(message.get()), keys::emoji_bytes(emoji), number(user.get()));
                batch.add(&statements.remove_reaction, row);
            }
            RowChange::ClearReactions { message, emoji: None } => {
                batch.add(&statements.clear_reactions, (in_channel, number(message.get())));
            }
            RowChange::ClearReactions { message, emoji: Some(emoji) } => {
                let row = (in_channel, number(message.get()), keys::emoji_bytes(emoji));
                batch.add(&statements.clear_emoji, row);
            }
        }
    }

    fn put(&self, batch: &mut WriteBatch, message: &Message) {
        let (channel, id) = (number(message.channel_id.get()), message.id.get());
        batch.add(
            &self.statements.put_message,
            (channel, bucket(id), number(id), keys::encode_message(message)),
        );
    }
}

/// A row that a change concerns, or several.
#[derive(PartialEq, Eq, Hash)]
enum Row<'a> {
    Message(MessageId),
    Reaction(MessageId, &'a Emoji, UserId),
    /// Stands in no [`Changes`] with other reactions of the message.
    Reactions(MessageId, Option<&'a Emoji>),
}

impl<'a> From<&'a RowChange> for Row<'a> {
    fn from(change: &'a RowChange) -> Self {
        match change {
            RowChange::Put(message) => Self::Message(message.id),
            RowChange::Delete(id) => Self::Message(*id),
            RowChange::AddReaction { message, emoji, user }
            | RowChange::RemoveReaction { message, emoji, user } => Self::Reaction(*message, emoji, *user),
            RowChange::ClearReactions { message, emoji } => Self::Reactions(*message, emoji.as_ref()),
        }
    }
}

fn last_of_each(changes: &[RowChange]) -> impl Iterator<Item = &RowChange> {
    let last: HashMap<Row<'_>, usize> =
        changes.iter().enumerate().map(|(index, change)| (Row::from(change), index)).collect();
    changes
        .iter()
        .enumerate()
        .filter(move |(index, change)| last[&Row::from(*change)] == *index)
        .map(|(_, change)| change)
}
