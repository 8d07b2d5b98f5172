//! The other roles that this process calls, and whether they are there.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::{join_all, select_all};
use proto::transport::remote::{Config, Counts, Remote, Targets};
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

    /// Presence is divided among the replicas of a list by who calls, so each is a way of its own, in the order of the list.
    /// Behind a name all are taken for one, of which one answers at a time.
    fn parts(self, targets: Targets) -> Vec<Targets> {
        match (self, targets) {
            (Self::Presence, Targets::List(list)) => {
                list.into_iter().map(|one| Targets::List(vec![one])).collect()
            }
            (_, targets) => vec![targets],
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
pub(crate) struct Peers {
    role: Role,
    remotes: BTreeMap<Callee, Vec<Remote>>,
}

impl Peers {
    /// Begins to connect to those that the role takes and the settings name.
    pub(crate) fn connect(settings: &Settings, role: Role) -> anyhow::Result<Self> {
        let tls = tls::of_callers(settings)?;
        // The replicas of one's own role matter only where they share a store.
        let is_called = |callee: &Callee| callee.name() != role.name() || settings.cassandra().is_some();
        let called = Callee::ALL.into_iter().filter(|callee| role.takes(callee.setting()));
        let called = called.filter(is_called);
        let start = |callee: Callee, targets: Targets| {
            let secret = settings.grpc_secret.0.clone();
            let config = Config { secret, tls: tls.clone(), ..Config::new(callee.name(), targets) };
            Remote::start(config, Handle::current())
        };
        let connect = |callee: Callee| {
            let parts = callee.parts(callee.replicas(settings).0.clone()?);
            Some((callee, parts.into_iter().map(|targets| start(callee, targets)).collect()))
        };
        Ok(Self { role, remotes: called.filter_map(connect).collect() })
    }

    /// The replicas of one that is called.
    ///
    /// # Panics
    /// When the role does not call it.
    pub(crate) fn get(&self, callee: Callee) -> &Remote {
        &self.parts(callee)[0]
    }

    /// The same, part by part, where the caller knows who has what.
    ///
    /// # Panics
    /// When the role does not call it.
    pub(crate) fn parts(&self, callee: Callee) -> &[Remote] {
        self.remotes.get(&callee).expect("a role needs the settings of those that it calls")
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (Callee, &Remote)> {
        self.remotes.iter().flat_map(|(callee, parts)| parts.iter().map(|remote| (*callee, remote)))
    }

    /// The first that has no replica and is needed. Who is one of the replicas does not wait for them.
    pub(super) fn missing(&self) -> Option<&'static str> {
        let others = self.all().filter(|(callee, _)| callee.name() != self.role.name());
        others.filter(|(_, remote)| !remote.is_up()).find_map(|(callee, _)| callee.missing())
    }

    /// What became of calls, by the service that was called.
    pub(super) fn readings(&self) -> Readings {
        let peers = self.remotes.clone();
        Arc::new(move || {
            let all = peers.iter().flat_map(|(callee, parts)| {
                let Counts { calls, redirects, repeats, refused, lost } =
                    parts.iter().map(Remote::counts).fold(Counts::default(), sum);
                let replicas = parts.iter().flat_map(Remote::replicas);
                let up = replicas.filter(|replica| replica.is_up).count() as u64;
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
        if self.remotes.is_empty() {
            return std::future::pending().await;
        }
        select_all(self.all().map(|(_, remote)| remote.ended().boxed_local())).await.0
    }

    pub(crate) async fn shutdown(&self) {
        join_all(self.all().map(|(_, remote)| remote.shutdown())).await;
    }
}

fn sum(a: Counts, b: Counts) -> Counts {
    Counts {
        calls: a.calls + b.calls,
        redirects: a.redirects + b.redirects,
        repeats: a.repeats + b.repeats,
        refused: a.refused + b.refused,
        lost: a.lost + b.lost,
    }
}
