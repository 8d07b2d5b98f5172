//! How Redis is spoken to.

/// Without an answer for this long Redis is away.
pub const REDIS_ANSWER_MS: u64 = 1_000;
pub const REDIS_CONNECT_MS: u64 = 1_000;
/// A connection on which nothing is acknowledged for this long is dead.
pub const REDIS_DEAD_MS: u64 = 5_000;
/// How often a Redis that is away is asked whether it is back: more and more seldom.
pub const REDIS_PROBE_MS_MAX: u64 = 1_000;
pub const REDIS_PROBE_MS_MIN: u64 = 20;
/// Pipelines that wait for the connection, beyond which callers wait.
pub const REDIS_QUEUE_MAX: usize = 1024;
