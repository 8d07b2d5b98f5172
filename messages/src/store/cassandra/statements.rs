//! The statements, prepared once.

use storage::cassandra::{Cassandra, ConnectError, PreparedStatement};

pub(super) struct Statements {
    pub(super) put_message: PreparedStatement,
    pub(super) delete_message: PreparedStatement,
    pub(super) put_bucket: PreparedStatement,
    pub(super) put_sender: PreparedStatement,
    pub(super) add_reaction: PreparedStatement,
    pub(super) remove_reaction: PreparedStatement,
    pub(super) clear_reactions: PreparedStatement,
    pub(super) clear_emoji: PreparedStatement,
    pub(super) put_last: PreparedStatement,
    pub(super) get: PreparedStatement,
    pub(super) before: PreparedStatement,
    pub(super) after: PreparedStatement,
    pub(super) buckets_before: PreparedStatement,
    pub(super) buckets_after: PreparedStatement,
    pub(super) last: PreparedStatement,
    pub(super) sender: PreparedStatement,
    pub(super) reacted: PreparedStatement,
    pub(super) reactors: PreparedStatement,
}

impl Statements {
    pub(super) async fn prepare(cassandra: &Cassandra) -> Result<Self, ConnectError> {
        let read = async |cql| cassandra.prepare_read(cql).await;
        let write = async |cql| cassandra.prepare_write(cql).await;
        Ok(Self {
            put_message: write(
                "INSERT INTO messages (channel_id, bucket, message_id, value) VALUES (?, ?, ?, ?)",
            )
            .await?,
            delete_message: write(
                "DELETE FROM messages WHERE channel_id = ? AND bucket = ? AND message_id = ?",
            )
            .await?,
            put_bucket: write("INSERT INTO message_buckets (channel_id, bucket) VALUES (?, ?)").await?,
            put_sender: write(
                "INSERT INTO message_senders (channel_id, user_id, message_id) VALUES (?, ?, ?)",
            )
            .await?,
            add_reaction: write(
                "INSERT INTO reactions (channel_id, message_id, emoji, user_id) VALUES (?, ?, ?, ?)",
            )
            .await?,
            remove_reaction: write(
                "DELETE FROM reactions WHERE channel_id = ? AND message_id = ? AND emoji = ? AND user_id = ?",
            )
            .await?,
            clear_reactions: write("DELETE FROM reactions WHERE channel_id = ? AND message_id = ?").await?,
            clear_emoji: write("DELETE FROM reactions WHERE channel_id = ? AND message_id = ? AND emoji = ?")
                .await?,
            put_last: write(
                "INSERT INTO message_lasts (message_id, channel_id) VALUES (?, ?) USING TIMESTAMP ?",
            )
            .await?,
            get: read("SELECT value FROM messages WHERE channel_id = ? AND bucket = ? AND message_id = ?")
                .await?,
            before: read(
                "SELECT message_id, value FROM messages
                 WHERE channel_id = ? AND bucket = ? AND message_id < ? LIMIT ?",
            )
            .await?,
            after: read(
                "SELECT message_id, value FROM messages
                 WHERE channel_id = ? AND bucket = ? AND message_id > ? ORDER BY message_id ASC LIMIT ?",
            )
            .await?,
            buckets_before: read(
                "SELECT bucket FROM message_buckets WHERE channel_id = ? AND bucket < ? LIMIT ?",
            )
            .await?,
            buckets_after: read(
                "SELECT bucket FROM message_buckets WHERE channel_id = ? AND bucket > ?
                 ORDER BY bucket ASC LIMIT ?",
            )
            .await?,
            last: read("SELECT message_id FROM message_lasts WHERE channel_id = ?").await?,
            sender: read("SELECT message_id FROM message_senders WHERE channel_id = ? AND user_id = ?")
                .await?,
            reacted: read(
                "SELECT emoji FROM reactions
                 WHERE channel_id = ? AND message_id = ? AND emoji IN ? AND user_id = ?",
            )
            .await?,
            reactors: read(
                "SELECT user_id FROM reactions
                 WHERE channel_id = ? AND message_id = ? AND emoji = ? AND user_id > ? LIMIT ?",
            )
            .await?,
        })
    }
}

/// An id in a statement. What callers ask for may be no id that there can be; then it is the last there can be.
pub(super) fn number(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}

pub(super) fn limit(rows: usize) -> i32 {
    i32::try_from(rows).unwrap_or(i32::MAX)
}
