//! The directory: as a part of the whole, and as a process of its own, which also answers `starling admin` and makes the
//! demo data.

use std::sync::Arc;

use ::guilds::{Directory, PasswordCost};
use anyhow::Context as _;
use backplane::Backplane;
use model::clock::{SharedClock, SystemClock};
use proto::clients::GuildsClient;
use proto::serving::Services;
use tasks::Ended;
use tokio::runtime::Handle;

use super::clients::DirectoryClients;
use super::keep::Keep;
use super::part::{Ground, Missing, Part};
use super::peers::Callee;
use super::{Urls, grpc};
use crate::admin::metrics::Readings;
use crate::admin::{Admin, Credentials, Readiness};
use crate::demo::{self, Demo};
use crate::role::Role;
use crate::settings::Settings;

/// Opens it. What an earlier run stored and did not publish is published when this answers.
pub(super) async fn open(
    keep: &Keep,
    backplane: Arc<dyn Backplane>,
    replicas: Option<GuildsClient>,
    clock: &SharedClock,
) -> anyhow::Result<Directory> {
    let config = ::guilds::Config {
        store: keep.directory_store(clock).await?,
        leases: keep.leases.clone(),
        backplane,
        replicas,
        clock: clock.clone(),
        ids: keep.ids.clone(),
        password_cost: PasswordCost::default(),
        actor_idle_ms: None,
    };
    Directory::open(config).await.context("open the directory")
}

/// The part of the role `guilds`.
pub(crate) struct Guilds {
    settings: Settings,
    keep: Keep,
    directory: Directory,
    clients: DirectoryClients,
    demo: Option<Demo>,
}

impl Part for Guilds {
    const ROLE: Role = Role::Guilds;

    async fn open(ground: Ground<'_>) -> anyhow::Result<Self> {
        let Ground { settings, cluster, gate } = ground;
        gate.set(Readiness::Starting("the database is being opened"));
        let dir = &settings.data_dir;
        std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        let keep = Keep::open(settings, Role::Guilds, gate).await?;
        gate.set(Readiness::Starting("what an earlier run left is being published"));
        let replicas = keep.is_shared().then(|| DirectoryClients::remote(cluster.peer(Callee::Guilds)));
        let own = replicas.as_ref().map(|replicas| replicas.guilds.clone());
        let directory = open(&keep, cluster.backplane(), own, &SystemClock::shared()).await?;
        let clients = replicas.unwrap_or_else(|| DirectoryClients::local(&directory, &Handle::current()));
        Ok(Self { settings: settings.clone(), keep, directory, clients, demo: None })
    }

    fn serves(&self) -> Option<Services> {
        Some(grpc::directory_services(&self.directory))
    }

    /// The demo data may belong to other replicas, too: they are made over gRPC, as callers would.
    async fn begin(&mut self, ground: Ground<'_>) -> anyhow::Result<()> {
        let Ground { settings, cluster, gate } = ground;
        gate.set(Readiness::Starting("slots of the directory are being taken"));
        self.directory.settled().await;
        if settings.demo {
            gate.set(Readiness::Starting("the demo data are being made"));
            if self.keep.is_shared() {
                cluster.reach(Callee::Guilds).await;
            }
            let urls = Urls::new(settings, settings.api_listen, settings.gateway_listen);
            self.demo = Some(demo::prepare(&self.clients, &urls, &settings.data_dir).await?);
        }
        Ok(())
    }

    fn missing(&self) -> Missing {
        Box::new(self.keep.missing())
    }

    fn answer_calls(&self, admin: &Admin) -> anyhow::Result<()> {
        let credentials = Credentials::new(admin.addr);
        credentials.write(&self.settings.data_dir).context("write admin.json")?;
        admin.serve_calls(self.clients.clone(), &credentials);
        Ok(())
    }

    fn readings(&self) -> Readings {
        self.keep.readings()
    }

    fn lines(&self) -> Vec<String> {
        vec![self.keep.line(&self.settings)]
    }

    fn guide(&self) -> String {
        self.demo.as_ref().map_or_else(String::new, demo::guide)
    }

    async fn ended(&self) -> Ended {
        tokio::select! {
            ended = self.directory.ended() => ended,
            ended = self.keep.ended() => ended,
        }
    }

    async fn shutdown(self) -> anyhow::Result<()> {
        drop(self.clients);
        self.directory.shutdown().await;
        let closed = self.keep.close().await;
        Credentials::remove(&self.settings.data_dir).context("remove admin.json")?;
        closed
    }
}
