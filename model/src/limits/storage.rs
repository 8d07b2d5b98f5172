//! The embedded store, ids, and the outbox.

/// The time of the newest id is recorded at most this often.
pub const ID_FLOOR_MS: u64 = 1_000;
/// How far the times of ids may lie ahead of the clock of whoever sweeps them.
pub const OUTBOX_AHEAD_MS: u64 = 60_000;
/// Length of a bucket of the outbox.
pub const OUTBOX_BUCKET_MS: u64 = 10_000;
/// Rows of the outbox read at a time by a sweep.
pub const OUTBOX_PAGE_LEN: usize = 256;
/// Slots in each set; the hash of an id gives one. Persisted, so it never changes.
pub const SLOTS_PER_SET: u16 = 1_024;
/// Largest batch of the embedded store, keys and values together.
pub const STORE_BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Block cache shared by all tables of the embedded store.
pub const STORE_CACHE_BYTES: u64 = 64 * 1024 * 1024;
/// Time in which closing the embedded store must have written what was waiting.
pub const STORE_CLOSE_MS: u64 = 30_000;
/// Time in which a commit must be durable; then its caller is told that the outcome is unknown.
pub const STORE_COMMIT_MS: u64 = 10_000;
/// Bytes after which a group of batches, that is, one fsync, takes no further one.
pub const STORE_GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Batches in a group.
pub const STORE_GROUP_LEN_MAX: usize = 1_024;
/// Sealed journals may take this much of the disk before the tables that hold them back are flushed.
pub const STORE_JOURNAL_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Longest key of a table.
pub const STORE_KEY_BYTES_MAX: usize = 1_024;
/// Memtable of one table; with the sealed ones a table holds at most five times this.
pub const STORE_MEMTABLE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Bytes that may wait for the committer, in all batches together.
pub const STORE_QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Batches that may wait for the committer.
pub const STORE_QUEUE_LEN_MAX: usize = 4_096;
/// Event ids that the first sweeps of slots keep for the late ones.
pub const SWEPT_IDS_MAX: usize = 64 * 1024;
/// Watermarks of single slots that are written in one second, and at one time.
pub const WATERMARKS_PER_TICK: usize = 100;
pub const WATERMARKS_AT_ONCE: usize = 16;
