//! What the HTTP edge is given by whoever starts it.

use std::sync::Arc;

use backplane::Starts;
use bytes::Bytes;
use model::clock::SharedClock;
use model::limits;
use proto::clients::{AccountsClient, GuildsClient, MessagesClient};

use crate::ratelimit::GlobalLimit;

/// Everything that an [`crate::App`] needs.
#[derive(Clone)]
pub struct Config {
    pub accounts: AccountsClient,
    pub guilds: GuildsClient,
    pub messages: MessagesClient,
    /// `ws://host[:port][/path]`, what clients are told to connect to.
    pub public_gateway_url: String,
    /// `http://host[:port]`, without `/api`.
    pub public_api_url: String,
    pub clock: SharedClock,
    /// The page at `/`.
    pub index_html: Bytes,
    /// How many IDENTIFYs at once the gateway lets a bot do.
    pub identify_concurrency: u32,
    /// Knows how often bots have identified; `None` where nobody does, and nothing is said to be used up.
    pub starts: Option<Arc<dyn Starts>>,
    /// Believe the last address of `X-Forwarded-For`: only behind a proxy that sets it.
    pub behind_proxy: bool,
    pub limits: Limits,
    /// Counts users over all pods of the edge; `None` where this is the only one.
    pub global_limit: Option<Arc<dyn GlobalLimit>>,
}

/// So many requests in a window; 0 requests means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowLimit {
    pub requests: u32,
    pub window_ms: u64,
}

impl WindowLimit {
    pub const fn new(requests: u32, window_ms: u64) -> Self {
        Self { requests, window_ms }
    }
}

/// The limits of the HTTP edge that an operator can change.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub body_bytes_max: usize,
    /// Of all bodies that are held at one time.
    pub body_bytes_total_max: usize,
    pub connections_max: usize,
    /// Requests that are being worked on at one time.
    pub requests_max: usize,
    /// For the body to arrive, and then for the answer to be made.
    pub request_timeout_ms: u64,
    /// For a connection without a (whole) request head.
    pub idle_timeout_ms: u64,
    /// Entries of each table of counters.
    pub buckets_max: usize,
    /// Per user, over all routes.
    pub global: WindowLimit,
    /// Per user, route and channel or guild.
    pub reads: WindowLimit,
    pub writes: WindowLimit,
    /// Logins and registrations per address.
    pub logins: WindowLimit,
    /// Answers of 401, 403 and 429 per address; those of a limit that all share are not among them.
    pub invalid: WindowLimit,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: limits::REQUEST_BODY_BYTES_MAX,
            body_bytes_total_max: limits::REQUEST_BODIES_BYTES_MAX,
            connections_max: limits::API_CONNECTIONS_MAX,
            requests_max: limits::API_REQUESTS_MAX,
            request_timeout_ms: limits::REQUEST_TIMEOUT_MS,
            idle_timeout_ms: limits::API_IDLE_MS,
            buckets_max: limits::RATE_BUCKETS_MAX,
            global: WindowLimit::new(limits::GLOBAL_REQUESTS_PER_SEC, 1000),
            reads: WindowLimit::new(limits::ROUTE_READS_PER_WINDOW, limits::ROUTE_WINDOW_MS),
            writes: WindowLimit::new(limits::ROUTE_WRITES_PER_WINDOW, limits::ROUTE_WINDOW_MS),
            logins: WindowLimit::new(limits::LOGINS_PER_MIN, 60_000),
            invalid: WindowLimit::new(limits::INVALID_REQUESTS_PER_10_MIN, 600_000),
        }
    }
}
