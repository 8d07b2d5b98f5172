//! The tables of the machinery itself; those of the services' data are in their crates.
//!
//! | table | partition | what |
//! |---|---|---|
//! | `replicas` | service | a row for each replica that lives, with the version that it raises |
//! | `slots` | slot set | a row for each slot: owner and epoch, changed by conditional batches |
//! | `workers` | id | who has a worker id, and how far its snowflakes may go |
//! | `outbox` | slot and ten minutes | markers and rows with events; they expire by themselves |
//! | `watermarks` | slot | up to which time each epoch's events are published, and whether it was swept |
//!
//! What is never deleted and expires by time lies in tables whose files are dropped whole.

use super::Schema;

/// Everything that [`storage`](crate) keeps in Cassandra.
pub const SCHEMA: Schema = Schema {
    name: "storage",
    steps: &[&[
        "CREATE TABLE IF NOT EXISTS replicas (
            service text, id bigint, address text, version bigint, is_leaving boolean,
            PRIMARY KEY (service, id))",
        "CREATE TABLE IF NOT EXISTS slots (
            slot_set tinyint, slot smallint, owner bigint, epoch bigint,
            PRIMARY KEY (slot_set, slot))",
        "CREATE TABLE IF NOT EXISTS workers (
            id smallint PRIMARY KEY, holder bigint, version bigint, last_ms bigint)",
        "CREATE TABLE IF NOT EXISTS outbox (
            slot_set tinyint, slot smallint, ten_minutes bigint,
            epoch bigint, bucket bigint, kind tinyint, id bigint, value blob,
            PRIMARY KEY ((slot_set, slot, ten_minutes), epoch, bucket, kind, id))
            WITH compaction = {'class': 'TimeWindowCompactionStrategy', 'compaction_window_unit': 'MINUTES',
                'compaction_window_size': 10}
            AND default_time_to_live = 900 AND gc_grace_seconds = 3600",
        "CREATE TABLE IF NOT EXISTS watermarks (
            slot_set tinyint, slot smallint, epoch bigint, published_ms bigint, is_swept boolean,
            PRIMARY KEY ((slot_set, slot), epoch))
            WITH default_time_to_live = 86400 AND gc_grace_seconds = 3600",
    ]],
};
