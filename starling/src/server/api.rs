//! The HTTP edge: as a part of the whole, and as a process of its own that calls the services of others.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ::api::{Api, Config, Limits};
use anyhow::Context as _;
use model::clock::{SharedClock, SystemClock};
use model::limits::API_STOP_MS;
use proto::clients::{AccountsClient, GuildsClient, MessagesClient};
use tasks::Tasks;
use tokio::net::TcpListener;

use super::address::Urls;
use super::peers::Peers;
use super::{Clients, Running, bind};
use crate::admin::{Admin, Readiness};
use crate::demo::page;
use crate::settings::Settings;

/// What the edge calls.
pub(super) struct Callees {
    pub(super) accounts: AccountsClient,
    pub(super) guilds: GuildsClient,
    pub(super) messages: MessagesClient,
}

impl From<Clients> for Callees {
    fn from(Clients { accounts, guilds, messages, .. }: Clients) -> Self {
        Self { accounts, guilds, messages }
    }
}

/// Starts the edge on a bound listener.
pub(super) fn start(
    listener: TcpListener,
    settings: &Settings,
    urls: &Urls,
    callees: Callees,
    clock: &SharedClock,
) -> anyhow::Result<Api> {
    let mut limits = Limits::default();
    limits.global.requests = settings.requests_per_sec.get_u32();
    if !settings.route_limits {
        for limit in [&mut limits.reads, &mut limits.writes, &mut limits.logins, &mut limits.invalid] {
            limit.requests = 0;
        }
    }
    let Callees { accounts, guilds, messages } = callees;
    let config = Config {
        accounts,
        guilds,
        messages,
        public_gateway_url: urls.gateway.clone(),
        public_api_url: urls.api_origin.clone(),
        clock: clock.clone(),
        index_html: page::html(urls, settings.demo).into(),
        identify_concurrency: settings.max_concurrency.get_u32(),
        behind_proxy: settings.behind_proxy,
        global_limit: None,
        limits,
    };
    Api::start(listener, config).context("start the API")
}

/// The process of the role `api`.
pub struct ApiServer {
    pub api_addr: SocketAddr,
    pub admin_addr: SocketAddr,
    admin: Admin,
    api: Api,
    peers: Arc<Peers>,
    chores: Tasks,
}

impl ApiServer {
    /// Starts the edge once the services that it calls are there; until then `/readyz` says which is not.
    pub async fn start(settings: Settings) -> anyhow::Result<Self> {
        let admin_listener = bind("admin", settings.admin_listen).await?;
        let admin = Admin::start(admin_listener).context("start the admin listener")?;
        admin.answers_no_calls();
        let peers = Arc::new(Peers::connect(&settings)?);
        admin.add_metrics(peers.readings());
        peers.connected(&admin.readiness).await;
        let listener = bind("api", settings.api_listen).await?;
        let api_addr = listener.local_addr()?;
        let urls = Urls::new(&settings, api_addr, settings.gateway_listen);
        let api = start(listener, &settings, &urls, peers.callees(), &SystemClock::shared())?;
        let chores = Tasks::new("process");
        let (watched, gate) = (peers.clone(), admin.readiness.clone());
        let watch = async move { watched.watch(&gate).await };
        chores.spawner().spawn_lasting("the watch over the services that it calls", watch);
        Ok(Self { api_addr, admin_addr: admin.addr, admin, api, peers, chores })
    }
}

impl Running for ApiServer {
    fn lines(&self) -> Vec<String> {
        vec![
            format!("admin listening on http://{}", self.admin_addr),
            format!("api listening on http://{}/api/v10", self.api_addr),
        ]
    }

    async fn failed(&self) -> anyhow::Error {
        let ended = tokio::select! {
            ended = self.admin.ended() => ended,
            ended = self.api.ended() => ended,
            ended = self.peers.ended() => ended,
            ended = self.chores.ended() => ended,
        };
        ended.into()
    }

    async fn shutdown(self) -> anyhow::Result<()> {
        // First, so that nothing says "ready" again.
        self.chores.kill().await;
        self.admin.readiness.set(Readiness::Draining);
        self.api.shutdown(Duration::from_millis(API_STOP_MS)).await;
        self.peers.shutdown().await;
        self.admin.shutdown().await;
        Ok(())
    }
}
