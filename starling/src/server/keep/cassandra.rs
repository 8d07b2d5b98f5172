//! Cassandra, which all replicas share: each owns some slots by lease, and has a worker id by lease.
//!
//! A replica that loses its leases joins again by itself. One that loses its worker id can make no ids any more, and ends.

use std::sync::Arc;
use std::time::Duration;

use ::guilds::store::DirectoryStore;
use ::messages::store::MessageStore;
use anyhow::Context as _;
use model::clock::{SharedClock, SystemClock};
use model::limits::{CLUSTER_RETRY_MS, WORKER_GIVE_UP_MS};
use parking_lot::Mutex;
use storage::cassandra::{
    self, Cassandra, CassandraRegister, CassandraWorkers, Config, ConnectError, LeasedWrites, Schema,
    SchemaError,
};
use storage::{Replica, SharedSnowflakes, Snowflakes, Timing, WorkerLease};
use tasks::{Ended, Tasks};
use tokio::time::sleep;

use crate::admin::{Gate, Readiness};
use crate::role::Role;
use crate::server::workers::Workers;
use crate::settings::Settings;

/// The tables of everything that is kept.
pub(crate) const SCHEMAS: [&Schema; 3] =
    [&cassandra::SCHEMA, &::guilds::store::cassandra::SCHEMA, &::messages::store::cassandra::SCHEMA];

/// A session, and what this replica has by lease.
pub(super) struct Shared {
    cassandra: Arc<Cassandra>,
    writes: Arc<LeasedWrites>,
    address: String,
    pub(super) replica: Arc<Replica>,
    pub(super) ids: SharedSnowflakes,
    /// Keeps the worker id, and gives it up at the end.
    tasks: Tasks,
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
        let cassandra = connect(config, gate).await?;
        gate.set(Readiness::Starting("a worker id is being taken"));
        let workers = Arc::new(CassandraWorkers::prepare(&cassandra).await?);
        let lease = WorkerLease::take_of(workers, clock.clone(), Workers::LEASED).await;
        let lease = lease.context("take a worker id")?;
        let ids = Snowflakes::new(lease.worker(), clock.now_ms()).below(lease.ceiling_ms());
        let ids: SharedSnowflakes = Arc::new(Mutex::new(ids));
        let tasks = Tasks::new("store");
        let (stop, kept) = (tasks.spawner().stop_token().clone(), ids.clone());
        tasks.spawner().spawn_lasting("the lease of its worker id", async move {
            if let Err(error) = lease.keep(&kept, &stop).await {
                tracing::error!(%error, "the process ends");
            }
        });
        let register = Arc::new(CassandraRegister::prepare(&cassandra, role.name()).await?);
        let replica = Replica::new(register, &address, clock, Timing::default());
        let writes = LeasedWrites::new(cassandra.clone(), replica.clone());
        Ok(Self { cassandra, writes, address, replica, ids, tasks })
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

    pub(super) fn line(&self) -> String {
        format!("data in Cassandra, keyspace {}; a replica at {}", self.cassandra.keyspace(), self.address)
    }

    pub(super) async fn ended(&self) -> Ended {
        self.tasks.ended().await
    }

    pub(super) async fn close(self) {
        self.tasks.shutdown(Duration::from_millis(WORKER_GIVE_UP_MS)).await;
    }
}

/// Connects as soon as it can be done.
async fn connect(config: &Config, gate: &Gate) -> anyhow::Result<Arc<Cassandra>> {
    let mut last = None;
    loop {
        let error = match Cassandra::connect(config, &SCHEMAS).await {
            Ok(cassandra) => return Ok(cassandra),
            Err(error) if may_pass(&error) => error.to_string(),
            Err(error) => return Err(error).context("connect to Cassandra"),
        };
        gate.set(Readiness::Waiting(error.clone().into()));
        if last.as_ref() != Some(&error) {
            tracing::warn!(error, "waiting for Cassandra");
        }
        last = Some(error);
        sleep(Duration::from_millis(CLUSTER_RETRY_MS)).await;
    }
}

/// Whether it may be otherwise in a moment: a server that starts, a migration that runs.
fn may_pass(error: &ConnectError) -> bool {
    matches!(
        error,
        ConnectError::Refused { .. }
            | ConnectError::NoKeyspace { .. }
            | ConnectError::Schema(SchemaError::Behind { .. } | SchemaError::Read(_))
    )
}
