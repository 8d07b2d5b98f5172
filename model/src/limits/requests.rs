//! Requests of clients to the HTTP edge, and how many of them.

pub const REQUEST_BODY_BYTES_MAX: usize = 1024 * 1024;
pub const REQUEST_TIMEOUT_MS: u64 = 15_000;
pub const RPC_DEADLINE_MS: u64 = 5_000;
pub const RPC_MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
pub const SENDS_PER_WINDOW: u32 = 5;
pub const SENDS_WINDOW_MS: u64 = 5_000;
pub const GLOBAL_REQUESTS_PER_SEC: u32 = 50;
pub const INVALID_REQUESTS_PER_10_MIN: u32 = 10_000;
/// Connections to the HTTP edge at one time.
pub const API_CONNECTIONS_MAX: usize = 8192;
/// How long a connection may stay without a whole request head: clients keep connections alive between requests.
pub const API_IDLE_MS: u64 = 60_000;
/// How long a pod of the HTTP edge counts as one of those that share a limit, and how often it says that it is there.
pub const API_POD_LEASE_MS: u64 = 15_000;
pub const API_POD_RENEW_MS: u64 = 5_000;
pub const API_REQUESTS_MAX: usize = 1024;
pub const COMPONENTS_BYTES_MAX: usize = 64 * 1024;
/// Logins and registrations of one address.
pub const LOGINS_PER_MIN: u32 = 60;
/// Questions for more of a user's allowance that wait, and those that are asked at one time.
pub const RATE_ASKS_MAX: usize = 4096;
pub const RATE_ASKS_BATCH_MAX: usize = 256;
/// Counters of one kind that the HTTP edge keeps.
pub const RATE_BUCKETS_MAX: usize = 64 * 1024;
/// All request bodies that are held at one time.
pub const REQUEST_BODIES_BYTES_MAX: usize = 128 * 1024 * 1024;
pub const ROUTE_READS_PER_WINDOW: u32 = 100;
pub const ROUTE_WINDOW_MS: u64 = 5_000;
pub const ROUTE_WRITES_PER_WINDOW: u32 = 50;
