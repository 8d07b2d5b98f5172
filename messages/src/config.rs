//! What the service is opened with.

use std::sync::Arc;

use backplane::{Backplane, Unavailable};
use model::clock::SharedClock;
use model::limits::{SENDS_PER_WINDOW, SENDS_WINDOW_MS};
use proto::clients::{AccountsClient, GuildsClient};
use storage::{Ownership, OwnershipError, SharedSnowflakes};

use crate::filter::{FilterConfig, FilterError};
use crate::store::MessageStore;

/// What the service stands on, and its settings.
#[derive(Clone)]
pub struct Config {
    pub store: Arc<dyn MessageStore>,
    /// Which channels are this process's.
    pub leases: Arc<dyn Ownership>,
    pub backplane: Arc<dyn Backplane>,
    pub guilds: GuildsClient,
    pub accounts: AccountsClient,
    pub clock: SharedClock,
    /// The same generator for every service of the process: event ids are unique on a guild's subject.
    pub ids: SharedSnowflakes,
    pub rate_limit: RateLimitConfig,
    pub filter: FilterConfig,
}

/// How often a user may send to one channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimitConfig {
    pub messages: u32,
    pub window_ms: u64,
}

impl Default for RateLimitConfig {
    fn default() -> Self {
        Self { messages: SENDS_PER_WINDOW, window_ms: SENDS_WINDOW_MS }
    }
}

/// Why the service could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Filter(#[from] FilterError),
    #[error("own the channels: {0}")]
    Own(#[from] OwnershipError),
    #[error("own the channels: the service was stopped before it had any")]
    Stopped,
    #[error("follow the guilds' events: {0}; start again when the backplane answers")]
    Backplane(#[from] Unavailable),
}
