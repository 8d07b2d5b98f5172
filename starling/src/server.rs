//! Joins the parts, starts them in order, and stops them in the opposite one.
//!
//! 1. The admin listener, so that `/livez` and `/readyz` answer from the beginning.
//! 2. The engine, and the services on it; they publish what an earlier run left before they answer anything.
//! 3. The demo data, if it is asked for.
//! 4. Gateway and API. Then the server is ready.

mod address;
mod services;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use api::Api;
use backplane::PodName;
use gateway::Gateway;
use model::limits::{API_STOP_MS, GATEWAY_STOP_MS, windows_fit};
use tasks::Tasks;
use tokio::net::TcpListener;

use crate::admin::{Admin, Credentials, Readiness};
use crate::demo::{self, Demo, page};
use crate::settings::Settings;
pub use address::Urls;
pub use services::{Clients, Services, Wrap};

/// A running server.
pub struct Server {
    pub api_addr: SocketAddr,
    pub gateway_addr: SocketAddr,
    pub admin_addr: SocketAddr,
    /// How clients reach it.
    pub urls: Urls,
    /// With `demo`: the demo data.
    pub demo: Option<Demo>,
    pub clients: Clients,
    /// For calls of the admin listener.
    pub credentials: Credentials,
    settings: Settings,
    admin: Admin,
    gateway: Gateway,
    api: Api,
    services: Services,
    chores: Tasks,
}

impl Server {
    /// Starts everything. Must be called on a multi-threaded runtime, which then runs the services.
    pub async fn start(settings: Settings) -> anyhow::Result<Self> {
        Self::start_on(settings, |streams| streams).await
    }

    /// The same, on whatever `wrap` makes of the streams.
    pub async fn start_on(settings: Settings, wrap: Wrap) -> anyhow::Result<Self> {
        windows_fit().map_err(anyhow::Error::msg).context("check that the windows fit together")?;
        let admin_listener = bind("admin", settings.admin_listen).await?;
        let admin = Admin::start(admin_listener).context("start the admin listener")?;
        admin.readiness.set(Readiness::Starting("the database is being opened"));
        let services = Services::open(&settings, &admin.readiness, wrap).await?;

        let gateway_listener = bind("gateway", settings.gateway_listen).await?;
        let api_listener = bind("api", settings.api_listen).await?;
        let (gateway_addr, api_addr) = (gateway_listener.local_addr()?, api_listener.local_addr()?);
        let urls = Urls::new(&settings, api_addr, gateway_addr);
        let demo = match settings.demo {
            true => Some(demo::prepare(&services.clients, &urls, &settings.data_dir).await?),
            false => None,
        };
        let gateway = start_gateway(gateway_listener, &settings, &urls, &services).await?;
        let api = start_api(api_listener, &settings, &urls, &services)?;

        admin.add_metrics(services.readings());
        admin.add_metrics(Arc::new(crate::admin::metrics::gateway(gateway.stats_reader())));
        let credentials = Credentials::new(admin.addr);
        credentials.write(&settings.data_dir).context("write admin.json")?;
        admin.serve_calls(services.clients.clone(), &credentials);
        admin.readiness.set(Readiness::Ready);
        let chores = Tasks::new("process");
        chores.spawner().spawn_lasting("the expiry of its streams", services.expire());
        Ok(Self {
            api_addr,
            gateway_addr,
            admin_addr: admin.addr,
            urls,
            demo,
            clients: services.clients.clone(),
            credentials,
            settings,
            admin,
            gateway,
            api,
            services,
            chores,
        })
    }

    /// Answers when a part that must not end has ended.
    pub async fn failed(&self) -> anyhow::Error {
        let ended = tokio::select! {
            ended = self.admin.ended() => ended,
            ended = self.gateway.ended() => ended,
            ended = self.api.ended() => ended,
            ended = self.services.messages.ended() => ended,
            ended = self.services.directory.ended() => ended,
            ended = self.services.presence.ended() => ended,
            ended = self.services.fanout.ended() => ended,
            ended = self.chores.ended() => ended,
        };
        ended.into()
    }

    /// Stops everything in order. What was accepted is finished and stored.
    pub async fn shutdown(self) -> anyhow::Result<()> {
        self.admin.readiness.set(Readiness::Draining);
        self.gateway.shutdown(Duration::from_millis(GATEWAY_STOP_MS)).await;
        self.api.shutdown(Duration::from_millis(API_STOP_MS)).await;
        self.chores.kill().await;
        self.admin.shutdown().await;
        drop(self.clients);
        let closed = self.services.shutdown().await;
        Credentials::remove(&self.settings.data_dir).context("remove admin.json")?;
        closed
    }
}

async fn bind(what: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("listen on {address}; choose another address with --{what}-listen, or end who has it")
    })
}

async fn start_gateway(
    listener: TcpListener,
    settings: &Settings,
    urls: &Urls,
    services: &Services,
) -> anyhow::Result<Gateway> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from).min(64);
    let shards = match settings.gateway_shards.get() {
        0 => cores,
        count => count as usize,
    };
    let clients = services.clients.clone();
    let config = gateway::Config {
        listener,
        public_url: urls.gateway.clone(),
        pod: PodName::new(format!("starling-{:016x}", model::entropy::number())),
        shards,
        backplane: services.backplane.clone(),
        registry: services.registry.clone(),
        roster: services.roster.clone(),
        accounts: clients.accounts,
        guilds: clients.guilds,
        messages: clients.messages,
        presence: vec![clients.presence],
        clock: services.clock.clone(),
        settings: gateway::Settings {
            heartbeat_interval_ms: settings.heartbeat_interval_ms.get(),
            max_concurrency: settings.max_concurrency.get_u32(),
            connections_max: settings.gateway_connections_max.get() as usize,
            ..gateway::Settings::default()
        },
    };
    Gateway::start(config).await.context("start the gateway")
}

fn start_api(
    listener: TcpListener,
    settings: &Settings,
    urls: &Urls,
    services: &Services,
) -> anyhow::Result<Api> {
    let mut limits = api::Limits::default();
    limits.global.requests = settings.requests_per_sec.get_u32();
    if !settings.route_limits {
        for limit in [&mut limits.reads, &mut limits.writes, &mut limits.logins, &mut limits.invalid] {
            limit.requests = 0;
        }
    }
    let clients = services.clients.clone();
    let config = api::Config {
        accounts: clients.accounts,
        guilds: clients.guilds,
        messages: clients.messages,
        public_gateway_url: urls.gateway.clone(),
        public_api_url: urls.api_origin.clone(),
        clock: services.clock.clone(),
        index_html: page::html(urls, settings.demo).into(),
        identify_concurrency: settings.max_concurrency.get_u32(),
        behind_proxy: settings.behind_proxy,
        global_limit: None,
        limits,
    };
    Api::start(listener, config).context("start the API")
}
