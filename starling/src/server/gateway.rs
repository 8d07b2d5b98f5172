//! The gateway: as a part of the whole, and as a process of its own.

use std::sync::Arc;

use ::gateway::{Config, Gateway as Service, Neighbours};
use anyhow::Context as _;
use backplane::{Backplane, PodName, Registry, Roster, Sessions, Starts};
use model::clock::{SharedClock, SystemClock};
use proto::clients::{gateway_server, remote_messages};
use proto::serving::Services;
use tasks::Ended;
use tokio::net::TcpListener;

use super::bind;
use super::clients::{Clients, DirectoryClients};
use super::gateways::Gateways;
use super::part::{Ground, Part};
use super::peers::Callee;
use crate::admin::Readiness;
use crate::admin::metrics::{self, Readings};
use crate::role::Role;
use crate::server::Urls;
use crate::settings::Settings;

/// What a gateway stands on besides its settings.
pub(super) struct Base {
    pub(super) clients: Clients,
    pub(super) backplane: Arc<dyn Backplane>,
    pub(super) registry: Arc<dyn Registry>,
    pub(super) roster: Arc<dyn Roster>,
    pub(super) sessions: Arc<dyn Sessions>,
    pub(super) neighbours: Option<Neighbours>,
    pub(super) starts: Arc<dyn Starts>,
    pub(super) clock: SharedClock,
    /// Guilds of one partition that are listened to one by one.
    pub(super) guild_subjects_max: usize,
}

/// Starts it on a bound listener.
pub(super) async fn start(
    listener: TcpListener,
    settings: &Settings,
    urls: &Urls,
    base: Base,
) -> anyhow::Result<Service> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from).min(64);
    let shards = match settings.gateway_shards.get() {
        0 => cores,
        count => count as usize,
    };
    let Base {
        clients,
        backplane,
        registry,
        roster,
        sessions,
        neighbours,
        starts,
        clock,
        guild_subjects_max,
    } = base;
    let config = Config {
        listener,
        tls: settings.gateway_tls(),
        public_url: urls.gateway.clone(),
        pod: PodName::new(format!("starling-{:016x}", model::entropy::number())),
        shards,
        backplane,
        registry,
        roster,
        sessions,
        neighbours,
        starts,
        accounts: clients.directory.accounts,
        guilds: clients.directory.guilds,
        messages: clients.messages,
        presence: clients.presence,
        clock,
        settings: ::gateway::Settings {
            heartbeat_interval_ms: settings.heartbeat_interval_ms.get(),
            max_concurrency: settings.max_concurrency.get_u32(),
            connections_max: settings.gateway_connections_max.get() as usize,
            connections_per_sec: settings.gateway_connections_per_sec.get_u32(),
            starts_per_sec: settings.gateway_starts_per_sec.get_u32(),
            admission_burst_ms: settings.gateway_burst_ms.get(),
            guild_subjects_max,
            compressing: settings.compression,
            drain_window_ms: settings.drain_window_ms.get(),
            drain_sessions_per_sec: settings.drain_sessions_per_sec.get(),
            ..::gateway::Settings::default()
        },
    };
    Service::start(config).await.context("start the gateway")
}

/// Other gateways, where this one can be called by them.
fn neighbours(settings: &Settings) -> anyhow::Result<Option<Neighbours>> {
    let Some(address) = settings.grpc_listen.0.and(settings.grpc_address()) else { return Ok(None) };
    Ok(Some(Neighbours { address, ways: Arc::new(Gateways::new(settings)?) }))
}

/// The part of the role `gateway`.
pub(crate) struct Gateway {
    /// Where it listens.
    url: String,
    service: Service,
}

impl Part for Gateway {
    const ROLE: Role = Role::Gateway;

    async fn open(ground: Ground<'_>) -> anyhow::Result<Self> {
        let Ground { settings, cluster, gate } = ground;
        gate.set(Readiness::Starting("the streams of events are being followed"));
        let listener = bind("gateway", settings.gateway_listen)?;
        let address = listener.local_addr()?;
        let urls = Urls::new(settings, settings.api_listen, address);
        let base = Base {
            clients: Clients {
                directory: DirectoryClients::remote(cluster.peer(Callee::Guilds)),
                messages: remote_messages(cluster.peer(Callee::Messages)),
                presence: cluster.presence(),
            },
            backplane: cluster.backplane(),
            registry: cluster.registry(),
            roster: cluster.roster(),
            sessions: cluster.sessions(),
            neighbours: neighbours(settings)?,
            starts: cluster.starts(),
            clock: SystemClock::shared(),
            guild_subjects_max: settings.guild_subjects_max.get() as usize,
        };
        let url = format!("{}://{address}", settings.gateway_scheme());
        Ok(Self { url, service: start(listener, settings, &urls, base).await? })
    }

    fn serves(&self) -> Option<Services> {
        Some(Services::new().with(gateway_server(self.service.giver())))
    }

    fn is_called_to_the_end(&self) -> bool {
        true
    }

    fn readings(&self) -> Readings {
        Arc::new(metrics::gateway(self.service.stats_reader()))
    }

    fn lines(&self) -> Vec<String> {
        vec![format!("gateway listening on {}", self.url)]
    }

    async fn ended(&self) -> Ended {
        self.service.ended().await
    }

    async fn shutdown(self) -> anyhow::Result<()> {
        self.service.shutdown().await;
        Ok(())
    }
}
