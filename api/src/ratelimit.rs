//! Counting requests: per user over all routes, per user and route, per address.
//!
//! Windows are fixed, as Discord's headers describe them. The tables are bounded: what has expired is dropped when a
//! table is full, and while it is still full, new callers go uncounted. It takes as many callers as the table has entries
//! to get there, and the services behind have limits of their own.

mod gate;

use std::net::IpAddr;

use model::clock::SharedClock;
use parking_lot::Mutex;
use proto::v1;
use rustc_hash::FxHashMap;

use crate::config::WindowLimit;

pub(crate) use gate::{Gate, Subject};

/// What is counted: whose requests, to which route, at which channel or guild.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) subject: Subject,
    /// The place of the route in the table of routes.
    pub(crate) route: u16,
    pub(crate) major_id: u64,
}

/// One table of counters.
pub(crate) struct Windows {
    clock: SharedClock,
    entries_max: usize,
    windows: Mutex<FxHashMap<Key, Window>>,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    ends_at_ms: u64,
    used: u32,
}

/// The state of a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) allowed: bool,
    pub(crate) limit: u32,
    pub(crate) remaining: u32,
    pub(crate) reset_after_ms: u64,
}

impl Count {
    pub(crate) fn as_rate_limit(self, bucket: String) -> v1::RateLimit {
        let Self { limit, remaining, reset_after_ms, .. } = self;
        v1::RateLimit { limit, remaining, reset_after_ms, bucket }
    }
}

impl Windows {
    pub(crate) fn new(clock: SharedClock, entries_max: usize) -> Self {
        Self { clock, entries_max, windows: Mutex::default() }
    }

    /// Counts one request if the limit has room for it. `None` without a limit.
    pub(crate) fn take(&self, key: Key, limit: WindowLimit) -> Option<Count> {
        self.count(key, limit, 1)
    }

    /// The same without counting.
    pub(crate) fn look(&self, key: Key, limit: WindowLimit) -> Option<Count> {
        self.count(key, limit, 0)
    }

    fn count(&self, key: Key, limit: WindowLimit, requests: u32) -> Option<Count> {
        if limit.requests == 0 {
            return None;
        }
        let now_ms = self.clock.now_ms();
        let fresh = Window { ends_at_ms: now_ms + limit.window_ms, used: 0 };
        let mut windows = self.windows.lock();
        let mut window = windows.get(&key).copied().unwrap_or(fresh);
        // A window that ends too far ahead was begun before the clock stepped back.
        if now_ms >= window.ends_at_ms || window.ends_at_ms > fresh.ends_at_ms {
            window = fresh;
        }
        let allowed = window.used < limit.requests;
        if allowed && requests > 0 {
            window.used += requests;
            if windows.len() >= self.entries_max && !windows.contains_key(&key) {
                windows.retain(|_, window| window.ends_at_ms > now_ms);
            }
            if windows.len() < self.entries_max || windows.contains_key(&key) {
                windows.insert(key, window);
            }
        }
        Some(Count {
            allowed,
            limit: limit.requests,
            remaining: limit.requests - window.used.min(limit.requests),
            reset_after_ms: window.ends_at_ms - now_ms,
        })
    }
}

/// The subject of an address: a whole /64 in IPv6, which is what one customer gets.
pub(crate) fn address(ip: IpAddr) -> Subject {
    match ip.to_canonical() {
        IpAddr::V4(ip) => Subject::Address(u64::from(u32::from(ip))),
        IpAddr::V6(ip) => Subject::Network((u128::from(ip) >> 64) as u64),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::clock::ManualClock;

    use super::*;

    fn key(user: u64) -> Key {
        Key { subject: Subject::User(user), route: 0, major_id: 0 }
    }

    #[test]
    fn a_window_refuses_what_is_too_much_and_opens_again() {
        let clock = ManualClock::at(1_000);
        let windows = Windows::new(Arc::new(clock.clone()), 10);
        let limit = WindowLimit::new(2, 500);
        let take = || windows.take(key(1), limit).unwrap();
        assert_eq!(take(), Count { allowed: true, limit: 2, remaining: 1, reset_after_ms: 500 });
        clock.advance(100);
        assert_eq!(take(), Count { allowed: true, limit: 2, remaining: 0, reset_after_ms: 400 });
        assert_eq!(take(), Count { allowed: false, limit: 2, remaining: 0, reset_after_ms: 400 });
        assert!(windows.take(key(2), limit).unwrap().allowed);
        clock.advance(400);
        assert!(take().allowed);
        clock.set(5);
        assert_eq!(take().remaining, 1, "a step back of the clock begins a window");
    }

    #[test]
    fn the_table_is_bounded_and_forgets_what_has_expired() {
        let clock = ManualClock::at(1_000);
        let windows = Windows::new(Arc::new(clock.clone()), 100);
        let limit = WindowLimit::new(1, 500);
        for user in 0..1_000 {
            assert!(windows.take(key(user), limit).unwrap().allowed);
        }
        assert_eq!(windows.windows.lock().len(), 100);
        assert!(!windows.take(key(5), limit).unwrap().allowed);
        clock.advance(500);
        windows.take(key(2_000), limit);
        assert_eq!(windows.windows.lock().len(), 1);
    }
}
