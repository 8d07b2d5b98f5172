//! Which replicas there are, kept up to date by one task.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use model::limits::{RPC_REPLICAS_MAX, RPC_RESOLVE_MS};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use super::connect::Connector;
use super::replica::Replica;
use super::targets::Targets;

/// The port to names: what addresses a host has at the moment.
#[async_trait]
pub trait Resolve: Send + Sync + 'static {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// Names as this machine resolves them.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }
}

/// The replicas of a service as they are known.
#[derive(Clone, Default)]
pub(super) struct Known {
    /// In order of their names.
    pub(super) replicas: Arc<[Arc<Replica>]>,
    /// Why the last look found nothing new.
    pub(super) trouble: Option<Arc<str>>,
}

/// Looks for replicas.
pub(super) struct Discovery {
    pub(super) service: &'static str,
    pub(super) targets: Targets,
    pub(super) resolver: Arc<dyn Resolve>,
    pub(super) every: Duration,
    pub(super) connector: Connector,
    /// Somebody believes that there is news.
    pub(super) look: Arc<Notify>,
}

impl Discovery {
    /// Looks again and again; for a list, which does not change, once. Replicas that are still there keep their
    /// connections, those that are not finish the calls that are under way.
    pub(super) async fn run(&self, known: &watch::Sender<Known>) {
        match &self.targets {
            Targets::List(names) => {
                self.take(known, names);
                std::future::pending().await
            }
            Targets::Dns { host, port } => loop {
                self.look_up(known, host, *port).await;
                self.pause().await;
            },
        }
    }

    async fn look_up(&self, known: &watch::Sender<Known>, host: &str, port: u16) {
        let limit = Duration::from_millis(RPC_RESOLVE_MS);
        match timeout(limit, self.resolver.resolve(host, port)).await {
            Ok(Ok(addresses)) if !addresses.is_empty() => {
                let names: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
                self.take(known, &names);
            }
            Ok(Ok(_)) => self.keep_last(known, "it has no address"),
            Ok(Err(error)) => self.keep_last(known, &error.to_string()),
            Err(_) => self.keep_last(known, "no answer in time"),
        }
    }

    /// Until the next look is due, or somebody asks for it.
    async fn pause(&self) {
        let every = self.every.as_millis() as u64;
        let due = Duration::from_millis(every / 2 + model::entropy::below(every + 1));
        let asked = async {
            self.look.notified().await;
            sleep(Duration::from_millis(LOOK_MS_MIN)).await;
        };
        tokio::select! {
            () = sleep(due) => {}
            () = asked => {}
        }
    }

    fn take(&self, known: &watch::Sender<Known>, names: &[String]) {
        let mut names: Vec<&String> = names.iter().collect();
        names.sort_unstable();
        names.dedup();
        if names.len() > RPC_REPLICAS_MAX {
            tracing::warn!(
                service = self.service,
                count = names.len(),
                "too many addresses; some are not used"
            );
            names.truncate(RPC_REPLICAS_MAX);
        }
        let before = known.borrow().replicas.clone();
        let replicas: Arc<[Arc<Replica>]> = names
            .into_iter()
            .filter_map(|name| {
                let same = before.iter().find(|replica| **replica.name() == **name);
                same.cloned().or_else(|| self.start(name))
            })
            .collect();
        let is_same = before.len() == replicas.len()
            && before.iter().zip(replicas.iter()).all(|(old, new)| Arc::ptr_eq(old, new));
        if !is_same {
            tracing::info!(
                service = self.service,
                before = before.len(),
                now = replicas.len(),
                "replicas changed"
            );
        }
        known.send_replace(Known { replicas, trouble: None });
    }

    fn start(&self, name: &str) -> Option<Arc<Replica>> {
        let origin = self.connector.origin(name)?;
        Some(Arc::new(Replica::start(origin, self.connector.clone())))
    }

    /// A name that can't be resolved takes nobody away: the connections know better who is there.
    fn keep_last(&self, known: &watch::Sender<Known>, why: &str) {
        let is_news = known.borrow().trouble.as_deref() != Some(why);
        if is_news {
            let (service, targets) = (self.service, &self.targets);
            tracing::warn!(service, %targets, why, "no addresses; keeping those known");
            known.send_modify(|known| known.trouble = Some(why.into()));
        }
    }
}

/// However many calls ask for it, names are not resolved more often.
const LOOK_MS_MIN: u64 = 250;
