//! Joins the parts, starts them in order, and stops them in the opposite one: all of them in [`Server`], those of one role
//! in `part::RoleServer`. All of them:
//!
//! 1. The admin listener, so that `/livez` and `/readyz` answer from the beginning.
//! 2. The engine, and the services on it; they publish what an earlier run left before they answer anything.
//! 3. The demo data, if it is asked for.
//! 4. Gateway and API, and gRPC for other programs, if it is asked for. Then the server is ready.

mod address;
mod api;
mod cassandra;
mod clients;
mod cluster;
mod fanout;
mod gateway;
mod gateways;
mod grpc;
mod guilds;
mod keep;
mod messages;
mod part;
mod peers;
mod presence;
mod services;
mod tls;
mod workers;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ::api::Api;
use ::gateway::Gateway;
use anyhow::Context as _;
use model::limits::{ACCEPT_BACKLOG, API_STOP_MS};
use tasks::Tasks;
use tokio::net::{TcpListener, TcpSocket};

use crate::admin::{Admin, Credentials, Readiness};
use crate::demo::{self, Demo};
use crate::settings::Settings;
pub use address::Urls;
pub(crate) use cassandra::SCHEMAS;
pub use clients::{Clients, DirectoryClients};
pub(crate) use part::RoleServer;
pub(crate) use peers::{Callee, Peers};
pub use services::{Services, Wrap};

/// The parts of the roles.
pub(crate) mod roles {
    pub(crate) use super::api::Api;
    pub(crate) use super::fanout::Fanout;
    pub(crate) use super::gateway::Gateway;
    pub(crate) use super::guilds::Guilds;
    pub(crate) use super::messages::Messages;
    pub(crate) use super::presence::Presence;
}

/// What a process runs, once it is started.
pub trait Running {
    /// The start-up lines before `ready`: where it listens.
    fn lines(&self) -> Vec<String>;

    /// What people may want to read after it.
    fn guide(&self) -> String {
        String::new()
    }

    /// Answers when a part that must not end has ended.
    fn failed(&self) -> impl Future<Output = anyhow::Error>;

    /// Stops everything in order.
    fn shutdown(self) -> impl Future<Output = anyhow::Result<()>>;
}

/// A running server.
pub struct Server {
    pub api_addr: SocketAddr,
    pub gateway_addr: SocketAddr,
    pub admin_addr: SocketAddr,
    /// With `grpc_listen`.
    pub grpc_addr: Option<SocketAddr>,
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
    grpc: Option<proto::serving::Server>,
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
        let admin_listener = bind("admin", settings.admin_listen)?;
        let admin = Admin::start(admin_listener).context("start the admin listener")?;
        admin.readiness.set(Readiness::Starting("the database is being opened"));
        let services = Services::open(&settings, &admin.readiness, wrap).await?;

        let gateway_listener = bind("gateway", settings.gateway_listen)?;
        let api_listener = bind("api", settings.api_listen)?;
        let (gateway_addr, api_addr) = (gateway_listener.local_addr()?, api_listener.local_addr()?);
        let urls = Urls::new(&settings, api_addr, gateway_addr);
        let demo = match settings.demo {
            true => Some(demo::prepare(&services.clients.directory, &urls, &settings.data_dir).await?),
            false => None,
        };
        let base = gateway::Base {
            clients: services.clients.clone(),
            backplane: services.backplane.clone(),
            registry: services.registry.clone(),
            roster: services.roster.clone(),
            sessions: services.sessions.clone(),
            neighbours: None,
            starts: services.starts.clone(),
            clock: services.clock.clone(),
            guild_subjects_max: 0,
        };
        let gateway = gateway::start(gateway_listener, &settings, &urls, base).await?;
        let shared = api::Shared { global: None, starts: Some(services.starts.clone()) };
        let callees = services.clients.clone().into();
        let api = api::start(api_listener, &settings, &urls, callees, &services.clock, shared)?;
        let grpc = match settings.grpc_listen.0 {
            Some(address) => Some(grpc::start_all(address, &settings, &services).await?),
            None => None,
        };

        admin.add_metrics(services.readings());
        admin.add_metrics(Arc::new(crate::admin::metrics::gateway(gateway.stats_reader())));
        let credentials = Credentials::new(admin.addr);
        credentials.write(&settings.data_dir).context("write admin.json")?;
        admin.serve_calls(services.clients.directory.clone(), &credentials);
        if let Some(grpc) = &grpc {
            admin.add_metrics(Arc::new(grpc::readings(grpc.counts())));
            grpc.set_serving(true).await;
        }
        admin.readiness.set(Readiness::Ready);
        let chores = Tasks::new("process");
        chores.spawner().spawn_lasting("the expiry of its streams", services.expire());
        Ok(Self {
            api_addr,
            gateway_addr,
            admin_addr: admin.addr,
            grpc_addr: grpc.as_ref().map(proto::serving::Server::local_addr),
            urls,
            demo,
            clients: services.clients.clone(),
            credentials,
            settings,
            admin,
            gateway,
            api,
            grpc,
            services,
            chores,
        })
    }
}

impl Running for Server {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!("data in {}", self.settings.data_dir.display()),
            format!("admin listening on http://{}", self.admin_addr),
            format!("gateway listening on {}://{}", self.settings.gateway_scheme(), self.gateway_addr),
            format!("api listening on http://{}/api/v10", self.api_addr),
        ];
        lines.extend(self.grpc_addr.map(|address| format!("grpc listening on {address}")));
        lines
    }

    fn guide(&self) -> String {
        self.demo.as_ref().map_or_else(String::new, demo::guide)
    }

    async fn failed(&self) -> anyhow::Error {
        let ended = tokio::select! {
            ended = self.admin.ended() => ended,
            ended = self.gateway.ended() => ended,
            ended = self.api.ended() => ended,
            ended = grpc::ended(self.grpc.as_ref()) => ended,
            ended = self.services.messages.ended() => ended,
            ended = self.services.directory.ended() => ended,
            ended = self.services.presence.ended() => ended,
            ended = self.services.fanout.ended() => ended,
            ended = self.chores.ended() => ended,
        };
        ended.into()
    }

    /// What was accepted is finished and stored.
    async fn shutdown(self) -> anyhow::Result<()> {
        self.admin.readiness.set(Readiness::Draining);
        if let Some(grpc) = &self.grpc {
            grpc.set_serving(false).await;
        }
        self.gateway.shutdown().await;
        self.api.shutdown(Duration::from_millis(API_STOP_MS)).await;
        if let Some(grpc) = self.grpc {
            grpc.shutdown().await;
        }
        self.chores.kill().await;
        self.admin.shutdown().await;
        drop(self.clients);
        let closed = self.services.shutdown().await;
        Credentials::remove(&self.settings.data_dir).context("remove admin.json")?;
        closed
    }
}

/// With room for those who come while everybody comes.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(ACCEPT_BACKLOG)
}

fn bind(what: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    listen(address).with_context(|| {
        format!("listen on {address}; choose another address with --{what}-listen, or end who has it")
    })
}
