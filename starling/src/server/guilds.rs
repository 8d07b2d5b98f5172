//! The directory: as a part of the whole, and as a process of its own, which also answers `starling admin` and makes the
//! demo data.

use std::sync::Arc;

use ::guilds::{Directory, PasswordCost};
use anyhow::Context as _;
use backplane::Backplane;
use model::clock::{SharedClock, SystemClock};
use proto::serving::Services;
use tasks::Ended;
use tokio::runtime::Handle;

use super::clients::DirectoryClients;
use super::keep::Keep;
use super::part::{Ground, Part};
use super::workers::Workers;
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
    clock: &SharedClock,
) -> anyhow::Result<Directory> {
    let config = ::guilds::Config {
        engine: keep.engine.clone(),
        leases: keep.leases.clone(),
        backplane,
        clock: clock.clone(),
        ids: keep.ids.clone(),
        floor: keep.floor.clone(),
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
        let keep = Keep::open(settings, Workers::Guilds).await?;
        gate.set(Readiness::Starting("what an earlier run left is being published"));
        let directory = open(&keep, cluster.backplane(), &SystemClock::shared()).await?;
        let clients = DirectoryClients::local(&directory, &Handle::current());
        let demo = match settings.demo {
            true => {
                let urls = Urls::new(settings, settings.api_listen, settings.gateway_listen);
                Some(demo::prepare(&clients, &urls, &settings.data_dir).await?)
            }
            false => None,
        };
        Ok(Self { settings: settings.clone(), keep, directory, clients, demo })
    }

    fn serves(&self) -> Option<Services> {
        Some(grpc::directory_services(&self.directory))
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
        vec![format!("data in {}", self.settings.data_dir.display())]
    }

    fn guide(&self) -> String {
        self.demo.as_ref().map_or_else(String::new, demo::guide)
    }

    async fn ended(&self) -> Ended {
        self.directory.ended().await
    }

    async fn shutdown(self) -> anyhow::Result<()> {
        drop(self.clients);
        self.directory.shutdown().await;
        let closed = self.keep.close().await;
        Credentials::remove(&self.settings.data_dir).context("remove admin.json")?;
        closed
    }
}
