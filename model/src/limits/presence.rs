//! Presence, voice and fan-out.

/// Failed deliveries of a batch after which the registry is asked whether the pod is still there.
pub const FANOUT_ATTEMPTS_MAX: u32 = 8;
pub const FANOUT_BACKOFF_MS_MAX: u64 = 2_000;
pub const FANOUT_BACKOFF_MS_MIN: u64 = 20;
pub const FANOUT_BATCH_EVENTS_MAX: usize = 256;
pub const FANOUT_DELIVER_MS: u64 = 5_000;
/// A user's presence is published at most once in this time.
pub const PRESENCE_COALESCE_MS: u64 = 1_000;
/// Guilds that are compared in one call.
pub const PRESENCE_COMPARE_MAX: usize = 1000;
/// Ended sessions whose epoch is remembered, so that a late message does not revive them.
pub const PRESENCE_ENDED_MAX: usize = 262_144;
pub const PRESENCE_ENDED_MS: u64 = 300_000;
pub const PRESENCE_LIST_MAX: usize = 100_000;
pub const PRESENCE_POD_SESSIONS_MAX: usize = 1_000_000;
pub const PRESENCE_PODS_MAX: usize = 1024;
pub const PRESENCE_QUEUE_MAX: usize = 1024;
/// Sessions of pods whose lease has ended that become offline in a second.
pub const PRESENCE_RELEASES_PER_SEC: usize = 1_000;
/// How often the roster is read: seldom, and while a lease waits for its word.
pub const PRESENCE_ROSTER_MS: u64 = 5_000;
pub const PRESENCE_ROSTER_URGENT_MS: u64 = 500;
pub const PRESENCE_SESSION_ID_BYTES_MAX: usize = 128;
pub const PRESENCE_USER_SESSIONS_MAX: usize = 1024;
pub const VOICE_PUBLISHES_MAX: usize = 64;
pub const VOICE_QUEUE_MAX: usize = 4096;
pub const VOICE_STATES_MAX: usize = 1_000_000;
pub const VOICE_TOKEN_MS: u64 = 300_000;
