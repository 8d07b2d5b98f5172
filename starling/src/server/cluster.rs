//! The parts of the cluster that a role stands on: the streams on NATS, Redis, and the other roles that it calls.
//!
//! Which ones those are is said by the settings that the role needs. NATS and the roles that it calls are waited for at the
//! start, in whatever order everything is started. Presence is not, nor is Redis, as nothing in them is needed for
//! correctness: only fan-out stands still without Redis.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use backplane::nats::ConnectError;
use backplane::{
    Backplane, Nats, RedisRegistry, RedisRoster, RedisSessions, RedisStarts, Registry, Roster, Sessions,
    Starts, nats,
};
use model::limits::{CLUSTER_RETRY_MS, PEERS_CHECK_MS};
use proto::clients::{PresenceClient, remote_presence};
use proto::transport::remote::Remote;
use redis_link::Link;
use tasks::Ended;
use tokio::time::sleep;

use super::part::Missing;
use super::peers::{Callee, Peers};
use crate::admin::metrics::{self, Readings};
use crate::admin::{Gate, Readiness};
use crate::role::Role;
use crate::settings::Settings;

/// See the module.
pub(crate) struct Cluster {
    role: Role,
    /// Of a role that uses the streams.
    streams: Option<nats::Config>,
    nats: OnceLock<Arc<Nats>>,
    redis: Option<Link>,
    peers: Peers,
}

impl Cluster {
    /// Begins to connect.
    pub(super) fn begin(settings: &Settings, role: Role) -> anyhow::Result<Self> {
        let streams = role.needs("nats_urls").then(|| settings.nats(&format!("starling-{}", role.name())));
        let redis = settings.redis().filter(|_| role.takes("redis_url"));
        let redis = redis.map(Link::start).transpose().context("set up the connection to Redis")?;
        let peers = Peers::connect(settings, role)?;
        Ok(Self { role, streams, nats: OnceLock::new(), redis, peers })
    }

    /// Waits until everything is there that the role can't start without, and says what is not.
    pub(super) async fn join(&self, gate: &Gate) -> anyhow::Result<()> {
        if let Some(config) = &self.streams {
            let nats = connect(config, gate).await?;
            self.nats.get_or_init(|| nats);
        }
        while let Some(reason) = self.missing() {
            gate.set(Readiness::Waiting(reason.into()));
            sleep(Duration::from_millis(PEERS_CHECK_MS)).await;
        }
        Ok(())
    }

    /// Keeps the readiness true, for ever. What the part lacks of its own counts, too.
    pub(super) async fn watch(&self, gate: &Gate, part: &Missing) {
        loop {
            let missing = self.missing().or_else(part);
            gate.set(missing.map_or(Readiness::Ready, |reason| Readiness::Waiting(reason.into())));
            sleep(Duration::from_millis(PEERS_CHECK_MS)).await;
        }
    }

    fn missing(&self) -> Option<&'static str> {
        let is_away = |nats: &Arc<Nats>| !nats.is_connected();
        if self.nats.get().is_some_and(is_away) {
            return Some("NATS can't be reached");
        }
        let stands_still = self.role == Role::Fanout && self.redis.as_ref().is_some_and(|link| !link.is_up());
        if stands_still {
            return Some("Redis can't be reached");
        }
        self.peers.missing()
    }

    /// The streams.
    ///
    /// # Panics
    /// In a role that does not need them.
    pub(super) fn backplane(&self) -> Arc<dyn Backplane> {
        self.nats.get().expect("the role needs nats_urls, and has joined").clone()
    }

    /// Which pods hold sessions of whom.
    ///
    /// # Panics
    /// In a role that does not need Redis.
    pub(super) fn registry(&self) -> Arc<dyn Registry> {
        Arc::new(RedisRegistry::new(self.redis().expect("the role needs redis_url").clone()))
    }

    /// Which gateways live.
    ///
    /// # Panics
    /// In a role that does not need Redis.
    pub(super) fn roster(&self) -> Arc<dyn Roster> {
        Arc::new(RedisRoster::new(self.redis().expect("the role needs redis_url").clone()))
    }

    /// Who owns which session.
    ///
    /// # Panics
    /// In a role that does not need Redis.
    pub(super) fn sessions(&self) -> Arc<dyn Sessions> {
        Arc::new(RedisSessions::new(self.redis().expect("the role needs redis_url").clone()))
    }

    /// How often bots have begun sessions.
    ///
    /// # Panics
    /// In a role that does not need Redis.
    pub(super) fn starts(&self) -> Arc<dyn Starts> {
        Arc::new(RedisStarts::new(self.redis().expect("the role needs redis_url").clone()))
    }

    pub(super) fn redis(&self) -> Option<&Link> {
        self.redis.as_ref()
    }

    /// The replicas of a service that the role calls.
    pub(super) fn peer(&self, callee: Callee) -> &Remote {
        self.peers.get(callee)
    }

    /// Waits until a replica of a service can be called.
    pub(super) async fn reach(&self, callee: Callee) {
        while !self.peer(callee).is_up() {
            sleep(Duration::from_millis(PEERS_CHECK_MS)).await;
        }
    }

    /// A client of each replica of presence.
    pub(super) fn presence(&self) -> Vec<PresenceClient> {
        self.peers.parts(Callee::Presence).iter().map(remote_presence).collect()
    }

    /// What became of calls and connections.
    pub(super) fn readings(self: &Arc<Self>) -> Readings {
        let (peers, cluster) = (self.peers.readings(), self.clone());
        Arc::new(move || {
            let mut all = peers();
            all.extend(cluster.nats.get().into_iter().flat_map(|nats| metrics::nats(nats)));
            all.extend(cluster.redis.iter().flat_map(|link| metrics::redis(&link.stats())));
            all
        })
    }

    /// Waits for a task that ends by itself, which only a defect does.
    pub(super) async fn ended(&self) -> Ended {
        let nats = async {
            match self.nats.get() {
                Some(nats) => nats.ended().await,
                None => std::future::pending().await,
            }
        };
        let redis = async {
            match &self.redis {
                Some(link) => link.ended().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = nats => ended,
            ended = redis => ended,
            ended = self.peers.ended() => ended,
        }
    }

    /// Closes the connections to other roles; those to the servers end with this.
    pub(super) async fn shutdown(&self) {
        self.peers.shutdown().await;
    }
}

/// Connects as soon as it can be done.
async fn connect(config: &nats::Config, gate: &Gate) -> anyhow::Result<Arc<Nats>> {
    let mut last = None;
    loop {
        let error = match Nats::connect(config).await {
            Ok(nats) => return Ok(nats),
            Err(error) if may_pass(&error) => error,
            Err(error) => return Err(error).context("connect to NATS"),
        };
        gate.set(Readiness::Waiting(error.to_string().into()));
        if last.as_ref() != Some(&error) {
            tracing::warn!(%error, "waiting for the streams");
        }
        last = Some(error);
        sleep(Duration::from_millis(CLUSTER_RETRY_MS)).await;
    }
}

/// Whether it may be otherwise in a moment: a server that starts, a migration that runs.
fn may_pass(error: &ConnectError) -> bool {
    match error {
        ConnectError::Prefix(_) | ConnectError::TooOld(_) | ConnectError::NoJetStream => false,
        ConnectError::Refused { .. }
        | ConnectError::Missing(_)
        | ConnectError::Differs { .. }
        | ConnectError::Mixed
        | ConnectError::Unavailable(_) => true,
    }
}
