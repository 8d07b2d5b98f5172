//! The limit of a user over all pods, on Redis: pods fetch slices of it ahead.
//!
//! A request never waits for Redis. It is counted against what this pod has been given of the user's allowance in the
//! present window ([`slices`]); when half of that is used, a task fetches more, twice as much each time. Until the first
//! answer in a window, and whenever Redis is away, the pod admits its own share: the limit divided by the pods that were
//! known last.
//!
//! How exact it is: what all pods admit together in a window is at most the limit and, beyond it, what pods admitted on
//! their shares before they were answered. What is fetched and not used is lost to other pods until the window ends, at
//! most half of what each was given.
//!
//! | key | type | holds | ends |
//! |---|---|---|---|
//! | `limit:{user}` | number | requests of the user given to pods in this window | with the window |
//! | `deadlines:{apis}` | sorted set | pods of the HTTP edge with their deadlines | with the last deadline |

mod fetch;
mod slices;

use std::sync::Arc;

use model::UserId;
use model::clock::SharedClock;
use model::limits::RATE_ASKS_MAX;
use redis_link::Link;
use tasks::{Ended, Tasks};
use tokio::sync::mpsc;

use super::global::{Count, GlobalLimit};
use crate::config::WindowLimit;
use fetch::Fetcher;
use slices::{Ask, Slices};

/// See the module.
pub struct SlicedLimit {
    clock: SharedClock,
    link: Link,
    slices: Arc<Slices>,
    asks: mpsc::Sender<Ask>,
    /// The task that fetches; it ends with this.
    tasks: Tasks,
}

impl SlicedLimit {
    /// Begins to count, on the runtime that this is called on. The name of the pod is unique for ever.
    pub fn start(link: Link, pod: &str, clock: SharedClock, limit: WindowLimit, users_max: usize) -> Self {
        let slices = Arc::new(Slices::new(limit, users_max));
        let (asks, asked) = mpsc::channel(RATE_ASKS_MAX);
        let fetcher = Fetcher::new(link.clone(), pod, clock.clone(), slices.clone());
        let tasks = Tasks::new("global rate limit");
        tasks.spawner().spawn_lasting("its fetcher of slices", fetcher.run(asked));
        Self { clock, link, slices, asks, tasks }
    }

    /// Waits for a task that ends by itself, which only a defect does.
    pub async fn ended(&self) -> Ended {
        self.tasks.ended().await
    }

    /// How many pods share the limit, as far as is known.
    pub fn pods(&self) -> u32 {
        self.slices.pods()
    }
}

impl GlobalLimit for SlicedLimit {
    fn take(&self, user: UserId) -> Option<Count> {
        let now_ms = self.clock.now_ms();
        let (count, ask) = self.slices.take(now_ms, user)?;
        if let Some(ask) = ask
            && (!self.link.is_up() || self.asks.try_send(ask).is_err())
        {
            self.slices.give(now_ms, ask, None);
        }
        Some(count)
    }
}
