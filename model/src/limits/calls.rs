//! Calls between services.

/// Replicas that one call asks, one after another. With two of them a slot that passes from one to the other is waited for
/// for two to three seconds.
pub const RPC_ATTEMPTS_MAX: u32 = 16;
/// Repeats in a hundred calls, and those that are free before anything was called.
pub const RPC_BUDGET_PERCENT: u32 = 20;
pub const RPC_BUDGET_RESERVE: u32 = 10;
/// Calls that one caller has under way to all replicas of a service.
pub const RPC_CALLS_MAX: usize = 4096;
/// For TCP and TLS together.
pub const RPC_CONNECT_MS: u64 = 2_000;
/// Connections of callers to one server.
pub const RPC_CONNECTIONS_MAX: usize = 1024;
/// After this long, less or more by a tenth, a connection takes no further call, so that callers find new replicas.
pub const RPC_CONNECTION_AGE_MS: u64 = 30 * 60_000;
/// What the calls of a connection that has ended get to finish.
pub const RPC_CONNECTION_GRACE_MS: u64 = RPC_DEADLINE_MAX_MS + 5_000;
/// The longest deadline that a server grants.
pub const RPC_DEADLINE_MAX_MS: u64 = 30_000;
/// For the TLS handshake, and for the first byte of a connection.
pub const RPC_HANDSHAKE_MS: u64 = 5_000;
pub const RPC_HEADER_BYTES_MAX: u32 = 16 * 1024;
/// What a caller gets to close a connection after the server's goodbye.
pub const RPC_LINGER_MS: u64 = 1_000;
/// A connection without traffic for this long is tried with a ping, which must be answered in time. Together no longer than
/// [`SLOT_LEASE_MS`](super::SLOT_LEASE_MS): who stands still is left when others take its slots.
pub const RPC_KEEPALIVE_MS: u64 = 5_000;
pub const RPC_KEEPALIVE_TIMEOUT_MS: u64 = 5_000;
/// A replica that can't be reached is tried again after this long, then twice as long.
pub const RPC_RECONNECT_MS_MAX: u64 = 5_000;
pub const RPC_RECONNECT_MS_MIN: u64 = 50;
/// The same while calls want it.
pub const RPC_RECONNECT_WANTED_MS: u64 = 250;
/// Addresses of one service that a caller connects to.
pub const RPC_REPLICAS_MAX: usize = 256;
/// How often a DNS name is asked for its addresses.
pub const RPC_RESOLVE_MS: u64 = 5_000;
/// Between two attempts of a call that nobody else can answer.
pub const RPC_RETRY_MS_MAX: u64 = 800;
pub const RPC_RETRY_MS_MIN: u64 = 25;
/// Calls that one server has under way; what comes beyond is told to come again.
pub const RPC_SERVER_CALLS_MAX: usize = 4096;
/// What calls that are under way get to finish when a server ends.
pub const RPC_STOP_MS: u64 = 10_000;
/// Calls on one connection at one time.
pub const RPC_STREAMS_MAX: u32 = 1024;
