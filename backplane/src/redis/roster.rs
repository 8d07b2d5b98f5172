//! The roster on Redis: one set of deadlines for the pods, and one for those that can be called, whose members name the
//! address behind the pod.

use std::time::Duration;

use async_trait::async_trait;
use redis_link::{Deadlines, Link};

use crate::port::Unavailable;
use crate::registry::PodName;
use crate::roster::Roster;

/// See the module.
pub struct RedisRoster {
    pods: Deadlines,
    addresses: Deadlines,
}

impl RedisRoster {
    pub fn new(link: Link) -> Self {
        Self {
            pods: Deadlines::new(link.clone(), "gateways"),
            addresses: Deadlines::new(link, "gateway-addresses"),
        }
    }
}

#[async_trait]
impl Roster for RedisRoster {
    async fn renew(
        &self,
        pod: &PodName,
        address: Option<&str>,
        lifetime: Duration,
    ) -> Result<(), Unavailable> {
        self.pods.renew(pod.as_str(), lifetime).await?;
        if let Some(address) = address {
            self.addresses.renew(&format!("{pod}{BETWEEN}{address}"), lifetime).await?;
        }
        Ok(())
    }

    async fn living(&self) -> Result<Vec<(PodName, Duration)>, Unavailable> {
        let living = self.pods.living().await?;
        Ok(living.into_iter().map(|(pod, left)| (PodName::new(pod), left)).collect())
    }

    async fn addresses(&self) -> Result<Vec<(PodName, String)>, Unavailable> {
        let living = self.addresses.living().await?;
        let parts = living.iter().filter_map(|(member, _)| member.rsplit_once(BETWEEN));
        Ok(parts.map(|(pod, address)| (PodName::new(pod), address.to_owned())).collect())
    }
}

/// Stands in no address.
const BETWEEN: char = ' ';
