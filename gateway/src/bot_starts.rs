//! How often a bot may IDENTIFY: so many times within 5 seconds (`max_concurrency`), and so many in a day.
//!
//! Source: Discord's gateway documentation, "Rate Limiting" of sharding: the key is `shard_id % max_concurrency`, one
//! IDENTIFY per key and window; and "Session Start Limit".
//!
//! All pods count together. While the registry of starts is away each counts alone, and admits its own share: the
//! limit divided by the pods that were there last, at least one. Nobody's day is up then, since nobody knows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use backplane::{InMemoryStarts, Lane, Starts};
use model::UserId;
use model::clock::SharedClock;
use model::limits::identifies_per_day;
use tracing::warn;

use crate::link::command::Shard;

/// See the module.
pub(crate) struct BotStarts {
    max_concurrency: u32,
    shared: Arc<dyn Starts>,
    own: InMemoryStarts,
    pods: AtomicU32,
}

/// What a bot may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The IDENTIFY is one of so many today, if that is known.
    Go { today: Option<u32> },
    /// Too many at once: op 9, and it tries again.
    TooSoon,
}

impl Verdict {
    /// Whether a bot with so many guilds has had all IDENTIFYs of its day before this one.
    pub(crate) fn is_beyond_day(self, guilds: usize) -> bool {
        matches!(self, Self::Go { today: Some(count) } if count > identifies_per_day(guilds))
    }
}

impl BotStarts {
    pub(crate) fn new(max_concurrency: u32, shared: Arc<dyn Starts>, clock: SharedClock) -> Self {
        let own = InMemoryStarts::new(clock);
        Self { max_concurrency: max_concurrency.max(1), shared, own, pods: AtomicU32::new(1) }
    }

    /// So many pods share the limit.
    pub(crate) fn set_pods(&self, pods: usize) {
        self.pods.store(u32::try_from(pods).unwrap_or(u32::MAX).max(1), Ordering::Relaxed);
    }

    pub(crate) async fn begin(&self, bot: UserId, shard: Shard) -> Verdict {
        let lane = self.lane(shard);
        let begun = match self.shared.begin(bot, lane).await {
            Ok(begun) => begun.map(|begun| Some(begun.count)),
            Err(error) => {
                warn!(%error, "starts of bots are counted by this pod alone");
                let allowed = (lane.allowed / self.pods.load(Ordering::Relaxed)).max(1);
                self.own.begin_now(bot, Lane { allowed, ..lane }).map(|_| None)
            }
        };
        begun.map_or(Verdict::TooSoon, |today| Verdict::Go { today })
    }

    /// A bot with one shard gets all keys' worth: it has nothing to spread over them.
    fn lane(&self, shard: Shard) -> Lane {
        match shard.count {
            1 => Lane { key: u32::MAX, allowed: self.max_concurrency },
            _ => Lane { key: shard.index % self.max_concurrency, allowed: 1 },
        }
    }
}

#[cfg(test)]
mod tests {
    use backplane::{StartCount, Unavailable};
    use model::clock::SystemClock;
    use parking_lot::Mutex;

    use super::*;

    /// Starts that are away when the test says so.
    struct Shared {
        starts: InMemoryStarts,
        is_away: Mutex<bool>,
    }

    #[async_trait::async_trait]
    impl Starts for Shared {
        async fn begin(&self, bot: UserId, lane: Lane) -> Result<Option<StartCount>, Unavailable> {
            if *self.is_away.lock() {
                return Err(Unavailable("the test says so".to_owned()));
            }
            self.starts.begin(bot, lane).await
        }

        async fn count(&self, bot: UserId) -> Result<StartCount, Unavailable> {
            self.starts.count(bot).await
        }
    }

    fn starts(max_concurrency: u32) -> (BotStarts, Arc<Shared>) {
        let clock = SystemClock::shared();
        let starts = InMemoryStarts::with_windows_ms(clock.clone(), u64::MAX / 4, u64::MAX / 4);
        let shared = Arc::new(Shared { starts, is_away: Mutex::new(false) });
        (BotStarts::new(max_concurrency, shared.clone(), clock), shared)
    }

    fn bot(id: u64) -> UserId {
        UserId::new(id).unwrap()
    }

    async fn admitted(
        starts: &BotStarts,
        id: u64,
        shards: impl IntoIterator<Item = (u32, u32)>,
    ) -> Vec<bool> {
        let mut admitted = Vec::new();
        for (index, count) in shards {
            let verdict = starts.begin(bot(id), Shard { index, count }).await;
            admitted.push(verdict != Verdict::TooSoon);
        }
        admitted
    }

    #[tokio::test]
    async fn one_identify_per_key_and_window() {
        let (starts, _) = starts(2);
        let shards = [(0, 4), (1, 4), (2, 4)];
        assert_eq!(admitted(&starts, 1, shards).await, [true, true, false], "shard 2 has the key of shard 0");
        assert_eq!(admitted(&starts, 2, [(0, 4)]).await, [true], "another bot has keys of its own");
        assert_eq!(admitted(&starts, 3, [(0, 1); 3]).await, [true, true, false], "one shard has all keys");
    }

    #[tokio::test]
    async fn a_pod_that_counts_alone_admits_its_share() {
        let (starts, shared) = starts(16);
        *shared.is_away.lock() = true;
        starts.set_pods(5);
        let admitted_here = admitted(&starts, 1, [(0, 1); 16]).await;
        assert_eq!(admitted_here.into_iter().filter(|is_admitted| *is_admitted).count(), 3, "16 by 5");
        let (starts, shared) = self::starts(1);
        *shared.is_away.lock() = true;
        starts.set_pods(5);
        assert_eq!(admitted(&starts, 1, [(0, 1); 2]).await, [true, false], "one at least");
        assert_eq!(starts.begin(bot(2), Shard::WHOLE).await, Verdict::Go { today: None });
    }

    #[test]
    fn the_day_of_a_large_bot_is_longer() {
        let thousandth = Verdict::Go { today: Some(1000) };
        let next = Verdict::Go { today: Some(1001) };
        assert!(!thousandth.is_beyond_day(0) && next.is_beyond_day(149_999) && !next.is_beyond_day(150_000));
        assert!(!Verdict::Go { today: None }.is_beyond_day(0), "nobody knows");
    }
}
