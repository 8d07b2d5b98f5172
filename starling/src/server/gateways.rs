//! The way from this gateway to the others: a connection to each that it has asked for a session.

use std::collections::HashMap;

use model::limits::PRESENCE_PODS_MAX;
use parking_lot::Mutex;
use proto::clients::{GatewayClient, remote_gateway};
use proto::transport::remote::{Config, Remote, Targets};
use proto::{Secret, tls::ClientTls};
use tokio::runtime::Handle;

use super::tls;
use crate::settings::Settings;

/// See the module. A connection ends when there are too many and others were asked later.
pub(super) struct Gateways {
    secret: Option<Secret>,
    tls: Option<ClientTls>,
    runtime: Handle,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    remotes: HashMap<String, (u64, Remote)>,
    /// Counts what was asked for.
    turn: u64,
}

impl Gateways {
    /// Connects on the runtime that this is called on.
    pub(super) fn new(settings: &Settings) -> anyhow::Result<Self> {
        let (secret, tls) = (settings.grpc_secret.0.clone(), tls::of_callers(settings)?);
        Ok(Self { secret, tls, runtime: Handle::current(), known: Mutex::default() })
    }

    fn connect(&self, address: &str) -> Remote {
        let targets = Targets::List(vec![address.to_owned()]);
        let config = Config {
            secret: self.secret.clone(),
            tls: self.tls.clone(),
            ..Config::new("another gateway", targets)
        };
        Remote::start(config, self.runtime.clone())
    }
}

impl ::gateway::Ways for Gateways {
    fn to(&self, address: &str) -> GatewayClient {
        let mut known = self.known.lock();
        known.turn += 1;
        let turn = known.turn;
        if !known.remotes.contains_key(address) && known.remotes.len() >= PRESENCE_PODS_MAX {
            let oldest = known.remotes.iter().min_by_key(|(_, (turn, _))| *turn);
            if let Some(oldest) = oldest.map(|(address, _)| address.clone()) {
                known.remotes.remove(&oldest);
            }
        }
        let entry = known.remotes.entry(address.to_owned());
        let (used, remote) = entry.or_insert_with(|| (turn, self.connect(address)));
        *used = turn;
        remote_gateway(remote)
    }
}
