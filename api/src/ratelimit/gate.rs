//! Which limits a request passes, in which order.

use std::net::IpAddr;
use std::sync::Arc;

use model::UserId;
use model::clock::SharedClock;
use proto::v1;

use super::address::subject;
use super::global::{GlobalLimit, LocalLimit};
use super::windows::{Key, Windows};
use crate::config::{Limits, WindowLimit};
use crate::error::{ApiError, ApiResult};
use crate::routes::{Limit, Route};

/// Whose requests are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    User(u64),
    /// An IPv4 address.
    Address(u64),
    /// An IPv6 network.
    Network(u64),
}

/// Lets requests pass, or says when to come back.
pub(crate) struct Gate {
    limits: Limits,
    global: Arc<dyn GlobalLimit>,
    routes: Windows,
    invalid: Windows,
}

impl Gate {
    /// With a `global` limit that many processes share, or one of this process alone.
    pub(crate) fn new(clock: &SharedClock, limits: Limits, global: Option<Arc<dyn GlobalLimit>>) -> Self {
        let table = || Windows::new(clock.clone(), limits.buckets_max);
        let alone = || LocalLimit::new(clock.clone(), limits.global, limits.buckets_max);
        let global = global.unwrap_or_else(|| Arc::new(alone()));
        Self { limits, global, routes: table(), invalid: table() }
    }

    /// Refuses an address that keeps sending what is refused.
    pub(crate) fn check_address(&self, ip: IpAddr) -> ApiResult<()> {
        match self.invalid.look(anywhere(subject(ip)), self.limits.invalid) {
            Some(count) if !count.allowed => Err(ApiError::limited(count.as_rate_limit(String::new()), true)),
            _ => Ok(()),
        }
    }

    /// Counts an answer of 401, 403, or 429 but for a shared limit.
    pub(crate) fn count_invalid(&self, ip: IpAddr) {
        self.invalid.take(anywhere(subject(ip)), self.limits.invalid);
    }

    /// Counts a user's request over all routes.
    pub(crate) fn pass_global(&self, user: UserId) -> ApiResult<()> {
        match self.global.take(user) {
            Some(count) if !count.allowed => Err(ApiError::limited(count.as_rate_limit(String::new()), true)),
            _ => Ok(()),
        }
    }

    /// Counts a request to a route, and gives the state that the answer tells.
    pub(crate) fn pass_route(
        &self,
        subject: Subject,
        route: &Route,
        major_id: u64,
    ) -> ApiResult<Option<v1::RateLimit>> {
        let limit = self.limit_of(route.limit);
        let key = Key { subject, route: route.index, major_id };
        let Some(count) = self.routes.take(key, limit) else { return Ok(None) };
        let state = count.as_rate_limit(route.bucket.clone());
        if count.allowed { Ok(Some(state)) } else { Err(ApiError::limited(state, false)) }
    }

    fn limit_of(&self, limit: Limit) -> WindowLimit {
        match limit {
            Limit::Reads => self.limits.reads,
            Limit::Writes => self.limits.writes,
            Limit::Logins => self.limits.logins,
            Limit::Service => WindowLimit::new(0, 0),
        }
    }
}

pub(super) fn anywhere(subject: Subject) -> Key {
    Key { subject, route: 0, major_id: 0 }
}
