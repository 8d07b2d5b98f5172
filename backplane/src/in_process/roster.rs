//! The roster in memory, for one process.

use std::time::Duration;

use async_trait::async_trait;
use model::clock::SharedClock;
use model::limits::PRESENCE_PODS_MAX;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::port::Unavailable;
use crate::registry::PodName;
use crate::roster::Roster;

/// See the module. Deadlines pass by the clock.
pub struct InMemoryRoster {
    clock: SharedClock,
    deadlines: Mutex<FxHashMap<PodName, u64>>,
}

impl InMemoryRoster {
    pub fn new(clock: SharedClock) -> Self {
        Self { clock, deadlines: Mutex::default() }
    }
}

#[async_trait]
impl Roster for InMemoryRoster {
    async fn renew(&self, pod: &PodName, lifetime: Duration) -> Result<(), Unavailable> {
        let now_ms = self.clock.now_ms();
        let mut deadlines = self.deadlines.lock();
        deadlines.retain(|_, until_ms| *until_ms > now_ms);
        if deadlines.len() >= PRESENCE_PODS_MAX && !deadlines.contains_key(pod) {
            return Err(Unavailable(format!("the roster is full with {} pods", deadlines.len())));
        }
        deadlines.insert(pod.clone(), now_ms + lifetime.as_millis() as u64);
        Ok(())
    }

    async fn living(&self) -> Result<Vec<(PodName, Duration)>, Unavailable> {
        let now_ms = self.clock.now_ms();
        let deadlines = self.deadlines.lock();
        let left = |until_ms: u64| Duration::from_millis(until_ms.saturating_sub(now_ms));
        let living = deadlines.iter().filter(|(_, until_ms)| **until_ms > now_ms);
        Ok(living.map(|(pod, until_ms)| (pod.clone(), left(*until_ms))).collect())
    }
}
