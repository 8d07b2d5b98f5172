//! The task that fetches slices, many at a time, and tells Redis that this pod lives.

use std::sync::Arc;
use std::time::Duration;

use model::clock::SharedClock;
use model::limits::{API_POD_LEASE_MS, API_POD_RENEW_MS, RATE_ASKS_BATCH_MAX};
use redis_link::{Deadlines, Link, Script};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::slices::{Ask, Grant, Slices};

pub(super) struct Fetcher {
    link: Link,
    pods: Deadlines,
    pod: String,
    clock: SharedClock,
    slices: Arc<Slices>,
}

impl Fetcher {
    pub(super) fn new(link: Link, pod: &str, clock: SharedClock, slices: Arc<Slices>) -> Self {
        let pods = Deadlines::new(link.clone(), "apis");
        Self { link, pods, pod: pod.to_owned(), clock, slices }
    }

    /// Runs until nobody asks any more.
    pub(super) async fn run(self, mut asked: mpsc::Receiver<Ask>) {
        let mut renew = interval(Duration::from_millis(API_POD_RENEW_MS));
        renew.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut changes = self.link.changes();
        let mut asks = Vec::with_capacity(RATE_ASKS_BATCH_MAX);
        loop {
            tokio::select! {
                _ = renew.tick() => self.renew().await,
                // Where Redis is back, it may have forgotten us.
                Ok(()) = changes.changed() => self.renew().await,
                count = asked.recv_many(&mut asks, RATE_ASKS_BATCH_MAX) => {
                    if count == 0 {
                        return;
                    }
                    self.fetch(std::mem::take(&mut asks)).await;
                }
            }
        }
    }

    /// While Redis is away the pods that were known last count.
    async fn renew(&self) {
        let lease = Duration::from_millis(API_POD_LEASE_MS);
        if let Ok(pods) = self.pods.renew(&self.pod, lease).await {
            self.slices.set_pods(u32::try_from(pods).unwrap_or(u32::MAX));
        }
    }

    async fn fetch(&self, asks: Vec<Ask>) {
        let limit = self.slices.limit();
        let call = |ask: &Ask| {
            let call = GRANT.on([&self.link.key("limit", ask.user)]).arg(ask.want);
            call.arg(limit.requests).arg(limit.window_ms)
        };
        let answers = self.link.run_all::<(u32, u64)>(asks.iter().map(call).collect()).await;
        let now_ms = self.clock.now_ms();
        match answers {
            Ok(answers) => {
                for (ask, (requests, left_ms)) in asks.into_iter().zip(answers) {
                    self.slices.give(now_ms, ask, Some(Grant { requests, left_ms }));
                }
            }
            Err(_) => asks.into_iter().for_each(|ask| self.slices.give(now_ms, ask, None)),
        }
    }
}

/// ARGV: how many are wanted, the limit, the length of a window. Answers how many are given, and when the window ends. The
/// first who asks begins the window.
static GRANT: Script = Script::new(
    "local used = tonumber(redis.call('GET', KEYS[1]) or 0)
local given = math.max(0, math.min(tonumber(ARGV[1]), tonumber(ARGV[2]) - used))
if used == 0 then
  redis.call('SET', KEYS[1], given, 'PX', ARGV[3])
elseif given > 0 then
  redis.call('INCRBY', KEYS[1], given)
end
return { given, math.max(0, redis.call('PTTL', KEYS[1])) }",
);
