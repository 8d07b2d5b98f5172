//! How often a user may send to a channel: a window that opens with the first message and holds a number of them.
//!
//! A window and not a sliding log: clients read "remaining" and "reset after" as a window that is full again at its end,
//! and with anything else a client that obeys the headers would be refused now and then.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use model::{MessageId, UserId};
use proto::{Failure, FailureKind, failure::code, v1};
use tokio::time::Instant;

use crate::cache::Cache;
use crate::config::RateLimitConfig;
use crate::limits::SLOW_SENDERS_MAX;

/// The name that clients know the bucket by.
const BUCKET: &str = "channel-message-create";
/// Windows that a new sender looks at, in turn, to drop those that have ended: more than it adds, so that they become
/// fewer, and so few that no message pays for a search of all.
const STEPS: usize = 4;

pub(super) struct Limiter {
    config: RateLimitConfig,
    windows: HashMap<UserId, Window>,
    /// Their users, in the order in which they are looked at.
    turns: VecDeque<UserId>,
    /// Last messages under slow mode: what the store may not have yet. It says the same of all that was sent before.
    sent: Cache<UserId, MessageId>,
}

struct Window {
    ends: Instant,
    count: u32,
}

impl Limiter {
    pub(super) fn new(config: RateLimitConfig) -> Self {
        let sent = Cache::new(SLOW_SENDERS_MAX);
        Self { config, windows: HashMap::new(), turns: VecDeque::new(), sent }
    }

    /// Counts a message, or says when the next may come.
    pub(super) fn take(&mut self, user: UserId) -> Result<v1::RateLimit, Failure> {
        let now = Instant::now();
        if !self.windows.contains_key(&user) {
            self.sweep(now);
            self.turns.push_back(user);
        }
        let length = Duration::from_millis(self.config.window_ms);
        let window = self.windows.entry(user).or_insert(Window { ends: now + length, count: 0 });
        if window.ends <= now {
            *window = Window { ends: now + length, count: 0 };
        }
        // Rounded up: who waits as long as this is let through.
        let left = window.ends - now;
        let reset_after_ms =
            left.as_millis() as u64 + u64::from(!left.subsec_nanos().is_multiple_of(1_000_000));
        let state = |remaining| v1::RateLimit {
            limit: self.config.messages,
            remaining,
            reset_after_ms,
            bucket: BUCKET.to_owned(),
        };
        if window.count >= self.config.messages {
            return Err(Failure::rate_limited(reset_after_ms, Some(state(0))));
        }
        window.count += 1;
        Ok(state(self.config.messages - window.count))
    }

    /// Refuses a message before the slow mode's time has passed. What the store knows may lack what is under way.
    pub(super) fn check_slow_mode(
        &mut self,
        user: UserId,
        secs: u32,
        stored: Option<MessageId>,
        now_ms: u64,
    ) -> Result<(), Failure> {
        let Some(last) = self.sent.get(&user).map(|id| *id).max(stored) else { return Ok(()) };
        let next_ms = last.created_at_ms() + u64::from(secs) * 1000;
        if now_ms >= next_ms {
            return Ok(());
        }
        let message = "This action cannot be performed due to slowmode rate limit.";
        let failure = Failure::new(FailureKind::RateLimited, code::SLOWMODE, message);
        Err(Failure { retry_after_ms: Some(next_ms - now_ms), ..failure })
    }

    /// The user has sent a message under slow mode.
    pub(super) fn note_sent(&mut self, user: UserId, id: MessageId) {
        self.sent.insert(user, id);
    }

    fn sweep(&mut self, now: Instant) {
        for _ in 0..STEPS {
            let Some(user) = self.turns.pop_front() else { return };
            if self.windows.get(&user).is_some_and(|window| window.ends > now) {
                self.turns.push_back(user);
            } else {
                self.windows.remove(&user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_mode_holds_for_whom_the_store_does_not_have_yet_and_is_bounded() {
        let mut limiter = Limiter::new(RateLimitConfig::default());
        let id = |ms: u64| MessageId::new(model::snowflake::lowest_at(NOW_MS + ms)).unwrap();
        let user = |number: u64| UserId::new(number).unwrap();
        limiter.note_sent(user(1), id(0));
        let failure = limiter.check_slow_mode(user(1), 60, None, NOW_MS + 59_000).unwrap_err();
        assert_eq!(failure.retry_after_ms, Some(1_000));
        limiter.check_slow_mode(user(1), 60, None, NOW_MS + 60_000).unwrap();
        limiter.check_slow_mode(user(2), 60, Some(id(0)), NOW_MS + 59_000).unwrap_err();
        limiter.check_slow_mode(user(2), 60, None, NOW_MS + 59_000).unwrap();
        let many = SLOW_SENDERS_MAX as u64;
        (0..2 * many).for_each(|number| limiter.note_sent(user(10 + number), id(1)));
        // The older half may be gone by now; the younger is kept.
        (many + many / 2..2 * many).for_each(|number| {
            limiter.check_slow_mode(user(10 + number), 60, None, NOW_MS + 2).unwrap_err();
        });
        limiter.check_slow_mode(user(10), 60, None, NOW_MS + 2).expect("the oldest are forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn senders_are_forgotten_a_few_at_a_time() {
        let mut limiter = Limiter::new(RateLimitConfig { messages: 1, window_ms: 500 });
        let user = |number: u64| UserId::new(number).unwrap();
        (1..=5_000).for_each(|number| drop(limiter.take(user(number)).unwrap()));
        limiter.take(user(1)).unwrap_err();
        assert_eq!((limiter.windows.len(), limiter.turns.len()), (5_000, 5_000));
        tokio::time::advance(Duration::from_millis(500)).await;
        for number in 10_000..12_000 {
            let before = limiter.windows.len();
            limiter.take(user(number)).unwrap();
            assert!(limiter.windows.len() + STEPS > before, "one message looks at few windows");
        }
        assert_eq!((limiter.windows.len(), limiter.turns.len()), (2_000, 2_000), "the new ones are left");
        limiter.take(user(10_000)).unwrap_err();
    }

    const NOW_MS: u64 = 1_790_000_000_000;
}
