//! A process: its admin port, its start and its end.

pub const ADMIN_BODY_BYTES_MAX: usize = 64 * 1024;
pub const ADMIN_CONNECTIONS_MAX: usize = 64;
/// After this long an admin connection ends when its request is answered: who reads nothing holds no place for ever.
pub const ADMIN_CONNECTION_MS: u64 = 300_000;
/// For a connection of the admin listener without a (whole) request head.
pub const ADMIN_IDLE_MS: u64 = 30_000;
pub const ADMIN_REQUEST_MS: u64 = 10_000;
/// A request that came before the end gets its answer.
pub const ADMIN_STOP_MS: u64 = ADMIN_REQUEST_MS + 1_000;
/// What requests to the API get to finish at the end of the process.
pub const API_STOP_MS: u64 = 5_000;
/// How long `starling check` waits for a replica.
pub const CHECK_PATIENCE_MS: u64 = 5_000;
/// How often a role that starts tries again what it needs of a server that is not ready.
pub const CLUSTER_RETRY_MS: u64 = 500;
/// How long accepting rests after it failed, most likely for want of file descriptors.
pub const LISTENER_PAUSE_MS: u64 = 50;
/// How often a role looks whether those that it calls are there.
pub const PEERS_CHECK_MS: u64 = 250;
/// Members that one call of `starling admin seed` makes: few enough for its deadline, and for progress to be seen.
pub const SEED_CALL_MEMBERS: u32 = 1_000;
/// Calls of `starling admin seed` at one time, each of which makes a guild.
pub const SEED_CALLS_AT_ONCE: usize = 8;
/// How long killed tasks get to be gone.
pub const TASKS_KILL_MS: u64 = 2_000;
/// How often streams that nobody touches are freed of what is too old.
pub const STREAM_EXPIRE_MS: u64 = 60_000;
