//! The door of a gateway: what comes in, at which pace, and when a pod is too busy for more.

use super::DRAIN_SESSIONS_PER_SEC;

/// How often it is looked whether the certificate of the listener has been renewed.
pub const CERTIFICATE_CHECK_MS: u64 = 60_000;
/// Connections that are accepted before others get their turn.
pub const ACCEPT_BATCH_MAX: usize = 256;
/// Connections that the system holds until they are accepted; it has a ceiling of its own (`net.core.somaxconn`).
pub const ACCEPT_BACKLOG: u32 = 16_384;
/// Connections that are being told to come back later. Any more are closed without an answer.
pub const REFUSALS_MAX: usize = 1024;
/// How long such a connection has to ask, and to take its answer.
pub const REFUSAL_TIMEOUT_MS: u64 = 1_000;
/// What `Retry-After` says at least, and how far apart those are spread at most who are told it.
pub const RETRY_AFTER_S_MIN: u64 = 1;
pub const RETRY_AFTER_SPREAD_S_MAX: u64 = 30;
/// For each shard (core).
pub const CONNECTIONS_PER_SEC: u32 = 1000;
/// IDENTIFYs, likewise.
pub const STARTS_PER_SEC: u32 = 500;
/// RESUMEs that come in where one IDENTIFY would. On the pod that has the session a RESUME asks nobody anything; from another one
/// it is an IDENTIFY without READY, and without the guilds' GUILD_CREATE.
pub const RESUMES_PER_START: u64 = 2;
const _: () = assert!(2 * DRAIN_SESSIONS_PER_SEC <= CONNECTIONS_PER_SEC as u64);
const _: () = assert!(2 * DRAIN_SESSIONS_PER_SEC <= STARTS_PER_SEC as u64 * RESUMES_PER_START);
/// What of a quiet time may be made up for at once.
pub const ADMISSION_BURST_MS: u64 = 2_000;
/// How long an IDENTIFY or a RESUME waits for its turn. The least patient library gives up its connection after 15 s without
/// READY, and within these READY has to be made, too.
pub const START_PATIENCE_MS: u64 = 5_000;
/// IDENTIFYs that wait at most, and RESUMEs.
pub const STARTS_WAITING_MAX: usize = 16 * 1024;
/// Those who wait are looked at this often at most.
pub const START_STEP_MS: u64 = 5;
/// How often each shard is asked how late it is.
pub const PROBE_MS: u64 = 100;
/// A shard that answers later than this is late: half of what a message may take to everybody.
pub const LATE_MS: u64 = 100;
/// A shard that has been late for so long without a break has too much to do.
pub const OVERLOAD_MS: u64 = 500;
/// While a shard has too much to do, the pod takes in this part of what it otherwise would.
pub const OVERLOAD_PACE_DIVISOR: u64 = 8;
