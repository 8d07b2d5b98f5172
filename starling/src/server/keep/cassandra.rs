//! Cassandra, which all replicas share: each owns some slots by lease. One that loses its leases joins again by itself, one
//! that was killed is followed by whoever is started in its [place](super::place).

use std::sync::Arc;

use ::guilds::store::DirectoryStore;
use ::messages::store::MessageStore;
use anyhow::Context as _;
use model::clock::{SharedClock, SystemClock};
use storage::cassandra::{Cassandra, CassandraRegister, Config, LeasedWrites};
use storage::{Replica, Timing};

use super::place::Place;
use crate::admin::Gate;
use crate::role::Role;
use crate::server::cassandra::{LeasedIds, connect};
use crate::settings::Settings;

/// A session, and what this replica has by lease.
pub(super) struct Shared {
    cassandra: Arc<Cassandra>,
    writes: Arc<LeasedWrites>,
    address: String,
    pub(super) replica: Arc<Replica>,
    pub(super) leased: LeasedIds,
}

impl Shared {
    pub(super) async fn open(
        config: &Config,
        settings: &Settings,
        role: Role,
        gate: &Gate,
    ) -> anyhow::Result<Self> {
        let clock = SystemClock::shared();
        let address = settings.grpc_address().context("the role needs grpc_listen")?;
        let place = Arc::new(Place::take(&settings.data_dir, role)?);
        // It is the process's: what is sent last, in whatever task, is sent while the place is not yet another's.
        std::mem::forget(place.clone());
        let cassandra = connect(config, gate).await?;
        let leased = LeasedIds::take(&cassandra, &clock, gate).await?;
        let register = Arc::new(CassandraRegister::prepare(&cassandra, role.name()).await?);
        let replica = Replica::in_place(place, register, &address, clock, Timing::default());
        let writes = LeasedWrites::new(cassandra.clone(), replica.clone());
        Ok(Self { cassandra, writes, address, replica, leased })
    }

    pub(super) async fn directory_store(
        &self,
        clock: &SharedClock,
    ) -> anyhow::Result<Arc<dyn DirectoryStore>> {
        let (writes, clock) = (self.writes.clone(), clock.clone());
        let store = ::guilds::store::CassandraStore::prepare(&self.cassandra, writes, clock).await;
        Ok(Arc::new(store.context("use the directory's tables")?))
    }

    pub(super) async fn message_store(&self, clock: &SharedClock) -> anyhow::Result<Arc<dyn MessageStore>> {
        let (writes, clock) = (self.writes.clone(), clock.clone());
        let store = ::messages::store::CassandraStore::prepare(&self.cassandra, writes, clock).await;
        Ok(Arc::new(store.context("use the messages' tables")?))
    }

    /// A start-up line: where the data are.
    pub(super) fn line(&self) -> String {
        format!("data in Cassandra, keyspace {}; a replica at {}", self.cassandra.keyspace(), self.address)
    }
}
