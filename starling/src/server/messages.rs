//! The message service: as a part of the whole, and as a process of its own.

use std::sync::Arc;

use ::messages::{FilterConfig, Messages as Service, RateLimitConfig};
use anyhow::Context as _;
use backplane::Backplane;
use model::clock::{SharedClock, SystemClock};
use proto::clients::messages_server;
use proto::serving::Services;
use tasks::Ended;

use super::clients::DirectoryClients;
use super::keep::Keep;
use super::part::{Ground, Missing, Part};
use super::peers::Callee;
use crate::admin::Readiness;
use crate::admin::metrics::{self, Readings};
use crate::role::Role;
use crate::settings::Settings;

/// Opens it. What an earlier run stored and did not publish is published when this answers.
pub(super) async fn open(
    keep: &Keep,
    backplane: Arc<dyn Backplane>,
    directory: DirectoryClients,
    clock: &SharedClock,
    settings: &Settings,
) -> anyhow::Result<Service> {
    let config = ::messages::Config {
        store: keep.message_store(clock).await?,
        leases: keep.leases.clone(),
        backplane,
        guilds: directory.guilds,
        accounts: directory.accounts,
        clock: clock.clone(),
        ids: keep.ids.clone(),
        rate_limit: RateLimitConfig {
            messages: settings.sends_per_window.get_u32(),
            window_ms: settings.sends_window_ms.get(),
        },
        filter: FilterConfig {
            words: settings.filter_words.0.clone(),
            patterns: settings.filter_patterns.0.clone(),
        },
    };
    Service::open(config).await.context("open the message service")
}

/// The part of the role `messages`.
pub(crate) struct Messages {
    settings: Settings,
    keep: Keep,
    service: Service,
}

impl Part for Messages {
    const ROLE: Role = Role::Messages;

    async fn open(ground: Ground<'_>) -> anyhow::Result<Self> {
        let Ground { settings, cluster, gate } = ground;
        gate.set(Readiness::Starting("the database is being opened"));
        let keep = Keep::open(settings, Role::Messages, gate).await?;
        gate.set(Readiness::Starting("what an earlier run left is being published"));
        let directory = DirectoryClients::remote(cluster.peer(Callee::Guilds));
        let service = open(&keep, cluster.backplane(), directory, &SystemClock::shared(), settings).await?;
        Ok(Self { settings: settings.clone(), keep, service })
    }

    fn serves(&self) -> Option<Services> {
        Some(Services::new().with(messages_server(self.service.clone())))
    }

    async fn begin(&mut self, _: Ground<'_>) -> anyhow::Result<()> {
        self.service.settled().await;
        Ok(())
    }

    fn missing(&self) -> Missing {
        Box::new(self.keep.missing())
    }

    fn readings(&self) -> Readings {
        let (store, service) = (self.keep.readings(), self.service.clone());
        Arc::new(move || [store(), metrics::messages(&service)].concat())
    }

    fn lines(&self) -> Vec<String> {
        vec![self.keep.line(&self.settings)]
    }

    async fn ended(&self) -> Ended {
        tokio::select! {
            ended = self.service.ended() => ended,
            ended = self.keep.ended() => ended,
        }
    }

    async fn shutdown(self) -> anyhow::Result<()> {
        self.service.shutdown().await;
        self.keep.close().await
    }
}
