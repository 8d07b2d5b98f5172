//! Fan-out as a process of its own. It serves nobody: it takes events from their streams and gives them to gateways.

use std::sync::Arc;

use ::fanout::{Config, Fanout as Service};
use tasks::Ended;

use super::part::{Ground, Part};
use crate::admin::metrics::{self, Readings};
use crate::role::Role;

/// The part of the role `fanout`.
pub(crate) struct Fanout(Service);

impl Part for Fanout {
    const ROLE: Role = Role::Fanout;

    async fn open(ground: Ground<'_>) -> anyhow::Result<Self> {
        let (backplane, registry) = (ground.cluster.backplane(), ground.cluster.registry());
        Ok(Self(Service::start(Config { backplane, registry })))
    }

    fn readings(&self) -> Readings {
        let service = self.0.clone();
        Arc::new(move || metrics::fanout(&service.stats()))
    }

    async fn ended(&self) -> Ended {
        self.0.ended().await
    }

    async fn shutdown(self) -> anyhow::Result<()> {
        self.0.shutdown().await;
        Ok(())
    }
}
