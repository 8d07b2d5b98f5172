//! The other roles that this process calls, and whether they are there.

use std::sync::Arc;
use std::time::Duration;

use model::limits::PEERS_CHECK_MS;
use proto::clients::{remote_accounts, remote_guilds, remote_messages};
use proto::transport::remote::{Config, Counts, Remote};
use tasks::Ended;
use tokio::runtime::Handle;
use tokio::time::sleep;

use super::api::Callees;
use super::tls;
use crate::admin::metrics::{Readings, counter, gauge};
use crate::admin::{Gate, Readiness};
use crate::settings::Settings;
use crate::settings::value::Replicas;

/// Connections to the replicas of other roles.
pub(super) struct Peers {
    guilds: Remote,
    messages: Remote,
}

impl Peers {
    /// Begins to connect to those that the settings name.
    pub(super) fn connect(settings: &Settings) -> anyhow::Result<Self> {
        let tls = tls::of_callers(settings)?;
        let connect = |service: &'static str, replicas: &Replicas| {
            let targets =
                replicas.0.clone().ok_or_else(|| anyhow::anyhow!("no replicas of {service} are set"))?;
            let secret = settings.grpc_secret.0.clone();
            let config = Config { secret, tls: tls.clone(), ..Config::new(service, targets) };
            anyhow::Ok(Remote::start(config, Handle::current()))
        };
        let guilds = connect("guilds", &settings.guilds_grpc)?;
        Ok(Self { guilds, messages: connect("messages", &settings.messages_grpc)? })
    }

    pub(super) fn callees(&self) -> Callees {
        Callees {
            accounts: remote_accounts(&self.guilds),
            guilds: remote_guilds(&self.guilds),
            messages: remote_messages(&self.messages),
        }
    }

    /// Waits until there is a replica of each.
    pub(super) async fn connected(&self, gate: &Gate) {
        while let Some(reason) = self.missing() {
            gate.set(Readiness::Waiting(reason));
            sleep(Duration::from_millis(PEERS_CHECK_MS)).await;
        }
        gate.set(Readiness::Ready);
    }

    /// Keeps the readiness true, for ever.
    pub(super) async fn watch(&self, gate: &Gate) {
        loop {
            self.connected(gate).await;
            sleep(Duration::from_millis(PEERS_CHECK_MS)).await;
        }
    }

    fn missing(&self) -> Option<&'static str> {
        match (self.guilds.is_up(), self.messages.is_up()) {
            (false, _) => Some("no replica of guilds can be reached"),
            (_, false) => Some("no replica of messages can be reached"),
            (true, true) => None,
        }
    }

    /// What became of calls, by the service that was called.
    pub(super) fn readings(&self) -> Readings {
        let peers = [("guilds", self.guilds.clone()), ("messages", self.messages.clone())];
        Arc::new(move || {
            let all = peers.iter().flat_map(|(service, remote)| {
                let Counts { calls, redirects, repeats, refused, lost } = remote.counts();
                let up = remote.replicas().iter().filter(|replica| replica.is_up).count() as u64;
                let name = |what: &str| format!("starling_rpc_{service}_{what}");
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
        tokio::select! {
            ended = self.guilds.ended() => ended,
            ended = self.messages.ended() => ended,
        }
    }

    pub(super) async fn shutdown(&self) {
        self.guilds.shutdown().await;
        self.messages.shutdown().await;
    }
}
