//! Gives pods the events of their users, as the service for that does: in order, until each pod has answered or is gone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use backplane::port::DeliverError;
use backplane::{Backplane, InProcess, Partition, PodName, Registry, UserEvent};
use model::UserId;

use super::super::fakes::mix;

/// See the module; answers of pods get lost at times, and then what they have taken comes again.
pub struct Router {
    pub backplane: Arc<InProcess>,
    pub registry: Arc<dyn Registry>,
    pub seed: u64,
    pub drawn: u64,
}

impl Router {
    pub async fn run(mut self) {
        let mut consumer = self.backplane.consume_users(Partition(0)).await.expect("it is in this process");
        loop {
            let events = consumer.next(BATCH_MAX).await.expect("it is in this process");
            let Some(last) = events.last().map(|event| event.sequence) else { continue };
            self.route(events).await;
            consumer.acknowledge(last).await.expect("it is in this process");
        }
    }

    fn draw(&mut self, bound: u64) -> u64 {
        self.drawn += 1;
        mix(self.seed ^ mix(self.drawn)) % bound
    }

    async fn route(&mut self, events: Vec<UserEvent>) {
        let mut batches: BTreeMap<PodName, Vec<UserEvent>> = BTreeMap::new();
        for event in events {
            let pods = self.registry.pods(&[event.user]).await.expect("it is in this process");
            for pod in pods.into_iter().flatten() {
                batches.entry(pod).or_default().push(event.clone());
            }
        }
        for (pod, batch) in batches {
            let pause_ms = [0, 1, 20, 200][self.draw(4) as usize];
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            self.deliver(&pod, batch).await;
        }
    }

    async fn deliver(&mut self, pod: &PodName, batch: Vec<UserEvent>) {
        loop {
            match self.backplane.deliver(pod, batch.clone()).await {
                Ok(()) if self.draw(8) == 0 => {}
                Ok(()) => return,
                Err(DeliverError::NoPod(_)) => return self.forget(pod, &batch).await,
                Err(_) => {}
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn forget(&self, pod: &PodName, batch: &[UserEvent]) {
        let mut users: Vec<UserId> = batch.iter().map(|event| event.user).collect();
        users.dedup();
        for user in users {
            self.registry.unregister(pod, user).await.expect("it is in this process");
        }
    }
}

const BATCH_MAX: usize = 16;
