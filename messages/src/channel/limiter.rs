//! How often a user may send to a channel: a window that opens with the first message and holds a number of them.
//!
//! A window and not a sliding log: clients read "remaining" and "reset after" as a window that is full again at its end,
//! and with anything else a client that obeys the headers would be refused now and then.

use std::collections::HashMap;
use std::time::Duration;

use model::{MessageId, UserId};
use proto::{Failure, FailureKind, failure::code, v1};
use tokio::time::Instant;

use crate::config::RateLimitConfig;

/// The name that clients know the bucket by.
const BUCKET: &str = "channel-message-create";
/// Entries above which those that have run out are looked for.
const SWEEP_LEN: usize = 1024;

pub(super) struct Limiter {
    config: RateLimitConfig,
    windows: HashMap<UserId, Window>,
    /// Last messages under slow mode.
    sent: HashMap<UserId, (MessageId, u32)>,
    sweep_len: usize,
}

struct Window {
    ends: Instant,
    count: u32,
}

impl Limiter {
    pub(super) fn new(config: RateLimitConfig) -> Self {
        Self { config, windows: HashMap::new(), sent: HashMap::new(), sweep_len: SWEEP_LEN }
    }

    /// Counts a message, or says when the next may come.
    pub(super) fn take(&mut self, user: UserId) -> Result<v1::RateLimit, Failure> {
        let now = Instant::now();
        self.sweep(now);
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
        &self,
        user: UserId,
        secs: u32,
        stored: Option<MessageId>,
        now_ms: u64,
    ) -> Result<(), Failure> {
        let Some(last) = self.sent.get(&user).map(|(id, _)| *id).max(stored) else { return Ok(()) };
        let next_ms = last.created_at_ms() + u64::from(secs) * 1000;
        if now_ms >= next_ms {
            return Ok(());
        }
        let message = "This action cannot be performed due to slowmode rate limit.";
        let failure = Failure::new(FailureKind::RateLimited, code::SLOWMODE, message);
        Err(Failure { retry_after_ms: Some(next_ms - now_ms), ..failure })
    }

    /// The user has sent a message under slow mode.
    pub(super) fn note_sent(&mut self, user: UserId, id: MessageId, secs: u32) {
        self.sent.insert(user, (id, secs));
        if self.sent.len() >= self.sweep_len {
            let now_ms = id.created_at_ms();
            self.sent.retain(|_, (id, secs)| now_ms < id.created_at_ms() + u64::from(*secs) * 1000);
        }
    }

    fn sweep(&mut self, now: Instant) {
        if self.windows.len() >= self.sweep_len {
            self.windows.retain(|_, window| window.ends > now);
            self.sweep_len = SWEEP_LEN.max(self.windows.len() * 2);
        }
    }
}
