//! Queues, and what streams and registries in memory hold.

pub const CHANNEL_QUEUE_MAX: usize = 1024;
pub const GUILD_QUEUE_MAX: usize = 1024;
pub const SUBSCRIPTION_QUEUE_MAX: usize = 16 * 1024;
pub const GAP_BUFFER_EVENTS_MAX: usize = 16 * 1024;
pub const ACTOR_IDLE_MS: u64 = 60_000;
/// Event ids that one in-process stream remembers at most, within [`DUPLICATE_WINDOW_MS`](super::DUPLICATE_WINDOW_MS).
pub const DUPLICATE_IDS_MAX: usize = 128 * 1024;
/// Event ids that a reader of one partition remembers at most, to drop what was published again.
pub const FENCE_IDS_MAX: usize = 2048;
/// Batches that wait for one pod at most.
pub const POD_INBOX_BATCHES_MAX: usize = 64;
/// Users whose pods one in-memory registry holds at most.
pub const REGISTRY_USERS_MAX: usize = 4_000_000;
/// Sessions whose owners one in-memory registry holds at most.
pub const REGISTRY_SESSIONS_MAX: usize = 4_000_000;
/// What a session may leave for its next owner.
pub const SESSION_RECORD_BYTES_MAX: usize = 1024 * 1024;
/// Events that one read of a repair asks for at most.
pub const REPAIR_EVENTS_MAX: usize = 1000;
/// What one in-process stream keeps at most, whatever its age.
pub const STREAM_BYTES_MAX: usize = 32 * 1024 * 1024;
pub const STREAM_EVENTS_MAX: usize = 64 * 1024;
/// What users are told that waits for a router.
pub const TOLD_USERS_MAX: usize = 4096;
/// What is told and not stored is worth nothing later.
pub const FANOUT_TELL_MS: u64 = 1_000;
