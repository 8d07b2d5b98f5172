//! `max_concurrency`: how many IDENTIFYs of one bot may come within 5 seconds.
//!
//! Source: Discord's gateway documentation, "Rate Limiting" of sharding: the key is `shard_id % max_concurrency`, one
//! IDENTIFY per key and window.

use model::UserId;
use model::limits::{IDENTIFY_KEYS_MAX, IDENTIFY_WINDOW_MS};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

/// When each key was last used.
#[derive(Debug)]
pub(crate) struct IdentifyLimit {
    max_concurrency: u32,
    used: Mutex<FxHashMap<(UserId, u32), Window>>,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    began_ms: u64,
    count: u32,
}

impl IdentifyLimit {
    pub(crate) fn new(max_concurrency: u32) -> Self {
        Self { max_concurrency: max_concurrency.max(1), used: Mutex::default() }
    }

    /// Whether this one may identify now. A bot with one shard gets all keys' worth: it has nothing to spread over them.
    pub(crate) fn admit(&self, now_ms: u64, bot: UserId, shard: crate::link::command::Shard) -> bool {
        let (key, allowed) = match shard.count {
            1 => (u32::MAX, self.max_concurrency),
            _ => (shard.index % self.max_concurrency, 1),
        };
        let mut used = self.used.lock();
        if used.len() >= IDENTIFY_KEYS_MAX {
            used.retain(|_, window| now_ms < window.began_ms + IDENTIFY_WINDOW_MS);
        }
        let window = used.entry((bot, key)).or_insert(Window { began_ms: now_ms, count: 0 });
        if now_ms >= window.began_ms + IDENTIFY_WINDOW_MS {
            *window = Window { began_ms: now_ms, count: 0 };
        }
        window.count += 1;
        window.count <= allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::command::Shard;

    #[test]
    fn one_identify_per_key_and_window() {
        let limit = IdentifyLimit::new(2);
        let bot = UserId::new(1).unwrap();
        let shard = |index| Shard { index, count: 4 };
        assert!(limit.admit(0, bot, shard(0)) && limit.admit(0, bot, shard(1)));
        assert!(!limit.admit(1, bot, shard(2)), "shard 2 has the key of shard 0");
        assert!(limit.admit(5_000, bot, shard(2)));
        assert!(limit.admit(5_001, UserId::new(2).unwrap(), shard(2)), "another bot has keys of its own");
    }
}
