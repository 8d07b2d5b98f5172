//! How often bots have begun sessions: in a day, and within the few seconds of `max_concurrency`. Gateways count, and the
//! API tells.
//!
//! Losing it lets a bot begin anew with its day, no more.

use async_trait::async_trait;
use model::UserId;

use crate::port::Unavailable;

/// Which of a bot's IDENTIFYs may not come at once with this one, and how many may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lane {
    pub key: u32,
    pub allowed: u32,
}

/// IDENTIFYs since the bot's day began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartCount {
    pub count: u32,
    /// When the next day begins. One without an IDENTIFY has not begun.
    pub reset_after_ms: u64,
}

/// See the module.
#[async_trait]
pub trait Starts: Send + Sync + 'static {
    /// Counts one more, and answers how many that makes; `None` when it came too soon after others of its lane, and does not
    /// count.
    async fn begin(&self, bot: UserId, lane: Lane) -> Result<Option<StartCount>, Unavailable>;

    /// How many there have been.
    async fn count(&self, bot: UserId) -> Result<StartCount, Unavailable>;
}
