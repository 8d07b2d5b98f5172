//! The HTTP edge: as a part of the whole, and as a process of its own that calls the services of others.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ::api::{Api as Service, Config, GlobalLimit, Limits, SlicedLimit};
use anyhow::Context as _;
use backplane::{RedisStarts, Starts};
use model::clock::{SharedClock, SystemClock};
use model::limits::API_STOP_MS;
use proto::clients::{MessagesClient, remote_messages};
use tasks::Ended;
use tokio::net::TcpListener;

use super::bind;
use super::clients::{Clients, DirectoryClients};
use super::part::{Ground, Part};
use super::peers::Callee;
use crate::admin::metrics::{Readings, gauge};
use crate::demo::page;
use crate::role::Role;
use crate::server::Urls;
use crate::settings::Settings;

/// What the edge calls.
pub(super) struct Callees {
    pub(super) directory: DirectoryClients,
    pub(super) messages: MessagesClient,
}

impl From<Clients> for Callees {
    fn from(Clients { directory, messages, .. }: Clients) -> Self {
        Self { directory, messages }
    }
}

/// What processes of the edge know together with others; nothing of it where there are none.
pub(super) struct Shared {
    /// Without it users' requests are counted by this process alone.
    pub(super) global: Option<Arc<dyn GlobalLimit>>,
    pub(super) starts: Option<Arc<dyn Starts>>,
}

/// Starts the edge on a bound listener.
pub(super) fn start(
    listener: TcpListener,
    settings: &Settings,
    urls: &Urls,
    callees: Callees,
    clock: &SharedClock,
    shared: Shared,
) -> anyhow::Result<Service> {
    let Callees { directory, messages } = callees;
    let config = Config {
        accounts: directory.accounts,
        guilds: directory.guilds,
        messages,
        public_gateway_url: urls.gateway.clone(),
        public_api_url: urls.api_origin.clone(),
        clock: clock.clone(),
        index_html: page::html(urls, settings.demo).into(),
        identify_concurrency: settings.max_concurrency.get_u32(),
        behind_proxy: settings.behind_proxy,
        starts: shared.starts,
        global_limit: shared.global,
        limits: limits(settings),
    };
    Service::start(listener, config).context("start the API")
}

fn limits(settings: &Settings) -> Limits {
    let mut limits = Limits::default();
    limits.global.requests = settings.requests_per_sec.get_u32();
    if !settings.route_limits {
        for limit in [&mut limits.reads, &mut limits.writes, &mut limits.logins, &mut limits.invalid] {
            limit.requests = 0;
        }
    }
    limits
}

/// The part of the role `api`.
pub(crate) struct Api {
    address: SocketAddr,
    service: Service,
    /// With `redis_url`.
    shared_limit: Option<Arc<SlicedLimit>>,
}

impl Part for Api {
    const ROLE: Role = Role::Api;

    async fn open(ground: Ground<'_>) -> anyhow::Result<Self> {
        let Ground { settings, cluster, .. } = ground;
        let listener = bind("api", settings.api_listen)?;
        let address = listener.local_addr()?;
        let urls = Urls::new(settings, address, settings.gateway_listen);
        let callees = Callees {
            directory: DirectoryClients::remote(cluster.peer(Callee::Guilds)),
            messages: remote_messages(cluster.peer(Callee::Messages)),
        };
        let clock = SystemClock::shared();
        let shared_limit = cluster.redis().map(|link| {
            let pod = format!("api-{:016x}", model::entropy::number());
            let Limits { global, buckets_max, .. } = limits(settings);
            Arc::new(SlicedLimit::start(link.clone(), &pod, clock.clone(), global, buckets_max))
        });
        let shared = Shared {
            global: shared_limit.clone().map(|limit| limit as Arc<dyn GlobalLimit>),
            starts: cluster.redis().map(|link| Arc::new(RedisStarts::new(link.clone())) as Arc<dyn Starts>),
        };
        let service = start(listener, settings, &urls, callees, &clock, shared)?;
        Ok(Self { address, service, shared_limit })
    }

    fn readings(&self) -> Readings {
        let limit = self.shared_limit.clone();
        Arc::new(move || {
            let pods = limit.as_ref().map_or(1, |limit| limit.pods());
            vec![gauge("starling_api_pods", "Processes that share the global rate limit", u64::from(pods))]
        })
    }

    fn lines(&self) -> Vec<String> {
        vec![format!("api listening on http://{}/api/v10", self.address)]
    }

    async fn ended(&self) -> Ended {
        let limit = async {
            match &self.shared_limit {
                Some(limit) => limit.ended().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = self.service.ended() => ended,
            ended = limit => ended,
        }
    }

    async fn shutdown(self) -> anyhow::Result<()> {
        self.service.shutdown(Duration::from_millis(API_STOP_MS)).await;
        Ok(())
    }
}
