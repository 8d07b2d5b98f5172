//! Every role as a process of its own, on real servers: what one edge takes, the other gives out, and what is killed comes
//! back without a loss.
//!
//! `cargo test -p testkit --test cluster` needs the servers that `make servers` installs.

#![expect(clippy::unwrap_used, reason = "a test ends where it unwraps")]

mod commands;
mod database;
mod faults;
mod kept;
mod private;
mod replaced;
mod resumed;
mod roles;

use std::path::PathBuf;

use tempfile::TempDir;
use testkit::cluster::{Cluster, Options};
use testkit::gateway_client::{ALL_INTENTS, GatewayClient};
use testkit::rest::Rest;

/// A cluster, and its folder.
pub struct House {
    pub cluster: Cluster,
    pub folder: TempDir,
}

impl House {
    /// With two of everything that may be there twice. `None` where Redis or Cassandra is not installed.
    pub async fn open() -> Option<Self> {
        Self::open_with(Options::small).await
    }

    pub async fn open_with(options: impl FnOnce(PathBuf) -> Options) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let started = Cluster::start(options(folder.path().to_owned())).await;
        let cluster = started.unwrap_or_else(|error| panic!("{error}"))?;
        Some(Self { cluster, folder })
    }

    pub fn token(&self, name: &str) -> &str {
        let users = &self.cluster.demo.demo.users;
        &users.iter().find(|user| user.name == name).unwrap().token
    }

    pub fn general(&self) -> &str {
        &self.cluster.demo.demo.channels.general
    }

    /// A user at one of the APIs.
    pub fn rest(&self, api: usize, name: &str) -> Rest {
        self.cluster.rest(api, self.token(name))
    }

    /// A user's session on one of the gateways.
    pub async fn login(&self, gateway: usize, name: &str) -> GatewayClient {
        GatewayClient::login(&self.cluster.demo.gateways[gateway], self.token(name), ALL_INTENTS).await
    }
}
