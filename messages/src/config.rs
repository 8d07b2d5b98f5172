//! What the service is opened with.

use std::sync::Arc;

use backplane::{Backplane, Unavailable};
use model::clock::SharedClock;
use model::limits::{SENDS_PER_WINDOW, SENDS_WINDOW_MS};
use proto::clients::{AccountsClient, GuildsClient};
use storage::{Engine, IdFloor, LeaseError, Leases, SharedSnowflakes};

use crate::filter::{FilterConfig, FilterError};
use crate::store::StoreError;

/// What the service stands on, and its settings.
#[derive(Clone)]
pub struct Config {
    pub engine: Engine,
    pub leases: Arc<dyn Leases>,
    pub backplane: Arc<dyn Backplane>,
    pub guilds: GuildsClient,
    pub accounts: AccountsClient,
    pub clock: SharedClock,
    /// The same generator for every service of the process: event ids are unique on a guild's subject.
    pub ids: SharedSnowflakes,
    /// Likewise.
    pub floor: Arc<IdFloor>,
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
    Storage(#[from] storage::OpenError),
    #[error("take the lease of the channels: {0}")]
    Lease(#[from] LeaseError),
    #[error(transparent)]
    Filter(#[from] FilterError),
    #[error("publish what the last run left: {0}; start again when the directory and the backplane answer")]
    Sweep(#[source] StoreError),
    #[error("follow the guilds' events: {0}; start again when the backplane answers")]
    Backplane(#[from] Unavailable),
}
