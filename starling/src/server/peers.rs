//! The other roles that this process calls, and whether they are there.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::{join_all, select_all};
use proto::transport::remote::{Config, Counts, Remote};
use tasks::Ended;
use tokio::runtime::Handle;

use super::tls;
use crate::admin::metrics::{Readings, counter, gauge};
use crate::role::Role;
use crate::settings::Settings;
use crate::settings::value::Replicas;

/// A role that others call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Callee {
    Guilds,
    Messages,
    Presence,
}

impl Callee {
    pub(crate) const ALL: [Self; 3] = [Self::Guilds, Self::Messages, Self::Presence];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Guilds => "guilds",
            Self::Messages => "messages",
            Self::Presence => "presence",
        }
    }

    /// The setting that says where it is.
    fn setting(self) -> &'static str {
        match self {
            Self::Guilds => "guilds_grpc",
            Self::Messages => "messages_grpc",
            Self::Presence => "presence_grpc",
        }
    }

    fn replicas(self, settings: &Settings) -> &Replicas {
        match self {
            Self::Guilds => &settings.guilds_grpc,
            Self::Messages => &settings.messages_grpc,
            Self::Presence => &settings.presence_grpc,
        }
    }

    /// What is said while it is away, by who can't do without it. Gateways can do without presence: they show what they
    /// know, and tell what has changed when it is back.
    fn missing(self) -> Option<&'static str> {
        match self {
            Self::Guilds => Some("no replica of guilds can be reached"),
            Self::Messages => Some("no replica of messages can be reached"),
            Self::Presence => None,
        }
    }
}

/// Connections to the replicas of other roles.
pub(crate) struct Peers(BTreeMap<Callee, Remote>);

impl Peers {
    /// Begins to connect to those that the role takes and the settings name.
    pub(crate) fn connect(settings: &Settings, role: Role) -> anyhow::Result<Self> {
        let tls = tls::of_callers(settings)?;
        let called = Callee::ALL.into_iter().filter(|callee| role.takes(callee.setting()));
        let connect = |callee: Callee| {
            let targets = callee.replicas(settings).0.clone()?;
            let secret = settings.grpc_secret.0.clone();
            let config = Config { secret, tls: tls.clone(), ..Config::new(callee.name(), targets) };
            Some((callee, Remote::start(config, Handle::current())))
        };
        Ok(Self(called.filter_map(connect).collect()))
    }

    /// The replicas of one that is called.
    ///
    /// # Panics
    /// When the role does not call it.
    pub(crate) fn get(&self, callee: Callee) -> &Remote {
        self.0.get(&callee).expect("a role needs the settings of those that it calls")
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (Callee, &Remote)> {
        self.0.iter().map(|(callee, remote)| (*callee, remote))
    }

    /// The first that has no replica and is needed.
    pub(super) fn missing(&self) -> Option<&'static str> {
        self.all().filter(|(_, remote)| !remote.is_up()).find_map(|(callee, _)| callee.missing())
    }

    /// What became of calls, by the service that was called.
    pub(super) fn readings(&self) -> Readings {
        let peers = self.0.clone();
        Arc::new(move || {
            let all = peers.iter().flat_map(|(callee, remote)| {
                let Counts { calls, redirects, repeats, refused, lost } = remote.counts();
                let up = remote.replicas().iter().filter(|replica| replica.is_up).count() as u64;
                let name = |what: &str| format!("starling_rpc_{}_{what}", callee.name());
                [
                    gauge(name("replicas_up"), "Replicas with a connection", up),
                    counter(name("calls"), "Calls made", calls),
                    counter(name("redirects"), "Attempts at a replica that does not own the slot", redirects),
                    counter(name("repeats"), "Attempts after one without an answer", repeats),
                    counter(name("refused"), "Attempts that the budget did not allow", refused),
                    counter(name("lost"), "Calls whose answer was lost", lost),
                ]
            });
            all.collect()
        })
    }

    /// Waits for a task that ends by itself, which only a defect does.
    pub(super) async fn ended(&self) -> Ended {
        if self.0.is_empty() {
            return std::future::pending().await;
        }
        select_all(self.0.values().map(|remote| remote.ended().boxed_local())).await.0
    }

    pub(crate) async fn shutdown(&self) {
        join_all(self.0.values().map(Remote::shutdown)).await;
    }
}
