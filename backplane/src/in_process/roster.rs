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
    pods: Mutex<FxHashMap<PodName, Entry>>,
}

struct Entry {
    until_ms: u64,
    address: Option<String>,
}

impl InMemoryRoster {
    pub fn new(clock: SharedClock) -> Self {
        Self { clock, pods: Mutex::default() }
    }

    /// What there is of the pods that live.
    fn select<T>(&self, now_ms: u64, what: impl Fn(&Entry) -> Option<T>) -> Vec<(PodName, T)> {
        let pods = self.pods.lock();
        let living = pods.iter().filter(|(_, entry)| entry.until_ms > now_ms);
        living.filter_map(|(pod, entry)| Some((pod.clone(), what(entry)?))).collect()
    }
}

#[async_trait]
impl Roster for InMemoryRoster {
    async fn renew(
        &self,
        pod: &PodName,
        address: Option<&str>,
        lifetime: Duration,
    ) -> Result<(), Unavailable> {
        let now_ms = self.clock.now_ms();
        let mut pods = self.pods.lock();
        pods.retain(|_, entry| entry.until_ms > now_ms);
        if pods.len() >= PRESENCE_PODS_MAX && !pods.contains_key(pod) {
            return Err(Unavailable(format!("the roster is full with {} pods", pods.len())));
        }
        let until_ms = now_ms + lifetime.as_millis() as u64;
        pods.insert(pod.clone(), Entry { until_ms, address: address.map(str::to_owned) });
        Ok(())
    }

    async fn living(&self) -> Result<Vec<(PodName, Duration)>, Unavailable> {
        let now_ms = self.clock.now_ms();
        Ok(self.select(now_ms, |entry| Some(Duration::from_millis(entry.until_ms - now_ms))))
    }

    async fn addresses(&self) -> Result<Vec<(PodName, String)>, Unavailable> {
        Ok(self.select(self.clock.now_ms(), |entry| entry.address.clone()))
    }
}
