//! The bounds of this crate, in one place: what may wait, how large it may be, how long it may take.

use std::time::Duration;

// Engine

/// Block cache shared by all tables.
pub const CACHE_BYTES_DEFAULT: u64 = 64 * 1024 * 1024;
/// Time in which `close` must have written what was waiting.
pub const CLOSE_WAIT_MAX: Duration = Duration::from_secs(30);
/// Largest batch, keys and values together.
pub const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes that may wait for the committer, in all batches together.
pub const COMMIT_QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Batches that may wait for the committer.
pub const COMMIT_QUEUE_LEN_MAX: usize = 4_096;
/// Time in which a commit must be durable; then its caller is told that the outcome is unknown.
pub const COMMIT_WAIT_MAX: Duration = Duration::from_secs(10);
/// Bytes after which a group of batches takes no further one.
pub const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Batches in one group, that is, per fsync.
pub const GROUP_LEN_MAX: usize = 1_024;
/// Sealed journals may take this much of the disk before the tables that hold them back are flushed.
pub const JOURNAL_BYTES_MAX_DEFAULT: u64 = 64 * 1024 * 1024;
/// Longest key.
pub const KEY_BYTES_MAX: usize = 1_024;
/// Memtable of one table; with the sealed ones a table holds at most five times this.
pub const MEMTABLE_BYTES_MAX_DEFAULT: u64 = 16 * 1024 * 1024;

// One writer

/// Seconds in a bucket of the outbox.
pub const BUCKET_SECONDS: u64 = 10;
/// Rows read at a time by sweep and prune.
pub const OUTBOX_PAGE_LEN: usize = 256;
/// Slots in a set.
pub const SLOTS_PER_SET: u16 = 1_024;

// Ids

/// The time of the newest id is recorded at most this often.
pub const ID_FLOOR_INTERVAL_MS: u64 = 1_000;
