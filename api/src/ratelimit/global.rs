//! The limit of a user over all routes, as a port: one process counts alone, many count together.
//!
//! To add an adapter: implement [`GlobalLimit`], and run the conformance suite on it
//! (`testkit::global_limit_conformance!`).

use model::UserId;
use model::clock::SharedClock;
use proto::v1;

use super::gate::{Subject, anywhere};
use super::windows::Windows;
use crate::config::WindowLimit;

/// Counts requests of users over all routes.
pub trait GlobalLimit: Send + Sync + 'static {
    /// Counts one request, if the user's limit has room for it. Never waits: it stands in the way of every request. `None`
    /// without a limit.
    fn take(&self, user: UserId) -> Option<Count>;
}

/// The state of a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    pub allowed: bool,
    pub limit: u32,
    pub remaining: u32,
    pub reset_after_ms: u64,
}

impl Count {
    pub(crate) fn as_rate_limit(self, bucket: String) -> v1::RateLimit {
        let Self { limit, remaining, reset_after_ms, .. } = self;
        v1::RateLimit { limit, remaining, reset_after_ms, bucket }
    }
}

/// Counts what comes to this process.
pub struct LocalLimit {
    limit: WindowLimit,
    windows: Windows,
}

impl LocalLimit {
    pub fn new(clock: SharedClock, limit: WindowLimit, users_max: usize) -> Self {
        Self { limit, windows: Windows::new(clock, users_max) }
    }
}

impl GlobalLimit for LocalLimit {
    fn take(&self, user: UserId) -> Option<Count> {
        self.windows.take(anywhere(Subject::User(user.get())), self.limit)
    }
}
