//! The tables of messages.
//!
//! | table | partition | what |
//! |---|---|---|
//! | `messages` | channel and ten days | messages, newest first; the value is as in the embedded store |
//! | `message_buckets` | channel | which ten days it has messages of, newest first |
//! | `reactions` | message | who reacted with which emoji |
//! | `message_senders` | channel and user | the user's last message where there is a slow mode; rows expire |
//! | `message_lasts` | channel | the newest message that it ever had |
//!
//! Ids are their 64 bits; they order as numbers until 2084.

use storage::cassandra::Schema;

/// Everything that the message service keeps in Cassandra beside the outbox.
pub const SCHEMA: Schema = Schema {
    name: "messages",
    steps: &[&[
        "CREATE TABLE IF NOT EXISTS messages (
            channel_id bigint, bucket int, message_id bigint, value blob,
            PRIMARY KEY ((channel_id, bucket), message_id))
            WITH CLUSTERING ORDER BY (message_id DESC)",
        "CREATE TABLE IF NOT EXISTS message_buckets (
            channel_id bigint, bucket int,
            PRIMARY KEY (channel_id, bucket))
            WITH CLUSTERING ORDER BY (bucket DESC)",
        "CREATE TABLE IF NOT EXISTS reactions (
            channel_id bigint, message_id bigint, emoji blob, user_id bigint,
            PRIMARY KEY ((channel_id, message_id), emoji, user_id))",
        "CREATE TABLE IF NOT EXISTS message_senders (
            channel_id bigint, user_id bigint, message_id bigint,
            PRIMARY KEY ((channel_id, user_id)))
            WITH default_time_to_live = 86400",
        "CREATE TABLE IF NOT EXISTS message_lasts (
            channel_id bigint PRIMARY KEY, message_id bigint)",
    ]],
};
