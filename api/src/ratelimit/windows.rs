//! Counters in this process: per user over all routes, per user and route, per address.
//!
//! Windows are fixed, as Discord's headers describe them. The tables are bounded ([`Turns`]): while one is full, new callers
//! go uncounted. It takes as many callers as the table has entries to get there, and the services behind have limits of
//! their own.

use model::clock::SharedClock;
use parking_lot::Mutex;

use super::gate::Subject;
use super::global::Count;
use super::turns::Turns;
use crate::config::WindowLimit;

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
    table: Mutex<Turns<Key, Window>>,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    ends_at_ms: u64,
    length_ms: u64,
    used: u32,
}

impl Window {
    /// A window that ends too far ahead was begun before the clock stepped back.
    fn is_over(&self, now_ms: u64) -> bool {
        now_ms >= self.ends_at_ms || self.ends_at_ms > now_ms + self.length_ms
    }
}

impl Windows {
    pub(crate) fn new(clock: SharedClock, entries_max: usize) -> Self {
        Self { clock, table: Mutex::new(Turns::new(entries_max)) }
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
        let fresh = Window { ends_at_ms: now_ms + limit.window_ms, length_ms: limit.window_ms, used: 0 };
        let mut table = self.table.lock();
        let known = table.get(&key).copied();
        let mut window = known.filter(|window| !window.is_over(now_ms)).unwrap_or(fresh);
        let allowed = window.used < limit.requests;
        if allowed && requests > 0 {
            window.used += requests;
            table.insert(key, window, |window| window.is_over(now_ms));
        }
        Some(Count {
            allowed,
            limit: limit.requests,
            remaining: limit.requests - window.used.min(limit.requests),
            reset_after_ms: window.ends_at_ms - now_ms,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::clock::ManualClock;

    use super::super::turns::STEPS;
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
        let sizes = || windows.table.lock().sizes();
        assert_eq!(sizes(), (100, 100));
        assert!(!windows.take(key(5), limit).unwrap().allowed);
        clock.advance(500);
        for user in 2_000..2_040 {
            let before = sizes().0;
            windows.take(key(user), limit);
            assert!(before - sizes().0.min(before) < STEPS, "one request looks at few entries");
        }
        assert_eq!(sizes(), (40, 40), "what is over is gone, what is new is there");
        clock.set(1);
        windows.take(key(3_000), limit);
        assert_eq!(sizes().0, 37, "windows from before the clock stepped back are over");
    }
}
