//! What a process keeps: the store, the right to write to it, and the ids that go with that.
//!
//! The store is the embedded one in the data directory, or Cassandra where the settings name it. It is chosen here and
//! nowhere else: the services get what they stand on from this, whichever it is.

mod cassandra;
mod embedded;
mod place;

use std::sync::Arc;

use ::guilds::store::DirectoryStore;
use ::messages::store::MessageStore;
use model::clock::SharedClock;
use storage::{Ownership, SharedSnowflakes};
use tasks::Ended;
use tokio::time::Instant;

use super::workers::Workers;
use crate::admin::Gate;
use crate::admin::metrics::Readings;
use crate::role::Role;
use crate::settings::Settings;
use cassandra::Shared;
pub(super) use embedded::Embedded;

/// The store as it is open.
pub(super) struct Keep {
    store: Store,
    pub(super) leases: Arc<dyn Ownership>,
    /// The process's one generator of ids.
    pub(super) ids: SharedSnowflakes,
}

enum Store {
    Embedded(Embedded),
    Cassandra(Shared),
}

impl Keep {
    /// Opens the store of a role; waits for Cassandra, and says so.
    pub(super) async fn open(settings: &Settings, role: Role, gate: &Gate) -> anyhow::Result<Self> {
        match settings.cassandra() {
            Some(config) => Ok(Shared::open(&config, settings, role, gate).await?.into()),
            None => {
                let workers = if role == Role::Guilds { Workers::Guilds } else { Workers::Messages };
                Ok(Embedded::open(settings, workers).await?.into())
            }
        }
    }

    pub(super) async fn directory_store(
        &self,
        clock: &SharedClock,
    ) -> anyhow::Result<Arc<dyn DirectoryStore>> {
        match &self.store {
            Store::Embedded(embedded) => embedded.directory_store(),
            Store::Cassandra(shared) => shared.directory_store(clock).await,
        }
    }

    pub(super) async fn message_store(&self, clock: &SharedClock) -> anyhow::Result<Arc<dyn MessageStore>> {
        match &self.store {
            Store::Embedded(embedded) => embedded.message_store(),
            Store::Cassandra(shared) => shared.message_store(clock).await,
        }
    }

    /// Whether other replicas own a part.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self.store, Store::Cassandra(_))
    }

    /// Says what the store lacks that the service can't do without.
    pub(super) fn missing(&self) -> impl Fn() -> Option<&'static str> + Send + Sync + use<> {
        let leases = self.leases.clone();
        move || {
            let is_over = leases.write_until().is_some_and(|until| until <= Instant::now());
            is_over.then_some("the leases can't be renewed: Cassandra does not answer")
        }
    }

    /// What it counts, for `/metrics`.
    pub(super) fn readings(&self) -> Readings {
        match &self.store {
            Store::Embedded(embedded) => embedded.readings(),
            Store::Cassandra(_) => Arc::new(Vec::new),
        }
    }

    /// A start-up line: where the data are.
    pub(super) fn line(&self, settings: &Settings) -> String {
        match &self.store {
            Store::Embedded(_) => format!("data in {}", settings.data_dir.display()),
            Store::Cassandra(shared) => shared.line(),
        }
    }

    /// Waits until it is lost; for ever where it can't be.
    pub(super) async fn ended(&self) -> Ended {
        match &self.store {
            Store::Embedded(_) => std::future::pending().await,
            Store::Cassandra(shared) => shared.leased.ended().await,
        }
    }

    /// Closes it, once nobody uses it any more.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        match self.store {
            Store::Embedded(embedded) => embedded.close().await,
            Store::Cassandra(shared) => {
                shared.leased.give_up().await;
                Ok(())
            }
        }
    }
}

impl From<Embedded> for Keep {
    fn from(embedded: Embedded) -> Self {
        let (leases, ids) = (embedded.leases.clone(), embedded.ids.clone());
        Self { store: Store::Embedded(embedded), leases, ids }
    }
}

impl From<Shared> for Keep {
    fn from(shared: Shared) -> Self {
        let (leases, ids) = (shared.replica.clone(), shared.leased.ids.clone());
        Self { store: Store::Cassandra(shared), leases, ids }
    }
}

/// Ids of events from a generator that may be shared with others.
pub(super) fn event_ids(ids: SharedSnowflakes, clock: SharedClock) -> presence::EventIds {
    Arc::new(move || ids.lock().next(clock.now_ms()))
}
