//! The roster on Redis.

use std::time::Duration;

use async_trait::async_trait;
use redis_link::{Deadlines, Link};

use crate::port::Unavailable;
use crate::registry::PodName;
use crate::roster::Roster;

/// See the module.
pub struct RedisRoster {
    deadlines: Deadlines,
}

impl RedisRoster {
    pub fn new(link: Link) -> Self {
        Self { deadlines: Deadlines::new(link, "gateways") }
    }
}

#[async_trait]
impl Roster for RedisRoster {
    async fn renew(&self, pod: &PodName, lifetime: Duration) -> Result<(), Unavailable> {
        self.deadlines.renew(pod.as_str(), lifetime).await?;
        Ok(())
    }

    async fn living(&self) -> Result<Vec<(PodName, Duration)>, Unavailable> {
        let living = self.deadlines.living().await?;
        Ok(living.into_iter().map(|(pod, left)| (PodName::new(pod), left)).collect())
    }
}
