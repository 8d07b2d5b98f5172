//! Cassandra, for the roles that share it: the session, and a worker id by lease.
//!
//! A process that loses its worker id can make no ids any more, and ends; its next start takes another one.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use model::clock::SharedClock;
use model::limits::{CLUSTER_RETRY_MS, WORKER_GIVE_UP_MS};
use parking_lot::Mutex;
use storage::cassandra::{self, Cassandra, CassandraWorkers, Config, ConnectError, Schema, SchemaError};
use storage::{SharedSnowflakes, WorkerError, WorkerLease};
use tasks::{Ended, Tasks};
use tokio::time::sleep;

use super::workers::Workers;
use crate::admin::{Gate, Readiness};

/// The tables of everything that is kept.
pub(crate) const SCHEMAS: [&Schema; 3] =
    [&cassandra::SCHEMA, &::guilds::store::cassandra::SCHEMA, &::messages::store::cassandra::SCHEMA];

/// Connects as soon as it can be done, and says what is waited for.
pub(super) async fn connect(config: &Config, gate: &Gate) -> anyhow::Result<Arc<Cassandra>> {
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

/// The ids of a process that has a worker id by lease.
pub(super) struct LeasedIds {
    pub(super) ids: SharedSnowflakes,
    /// Keeps the lease, and gives it up at the end.
    tasks: Tasks,
}

impl LeasedIds {
    pub(super) async fn take(
        cassandra: &Arc<Cassandra>,
        clock: &SharedClock,
        gate: &Gate,
    ) -> anyhow::Result<Self> {
        gate.set(Readiness::Starting("a worker id is being taken"));
        let register = Arc::new(CassandraWorkers::prepare(cassandra).await?);
        let lease = loop {
            match WorkerLease::take_of(register.clone(), clock.clone(), Workers::LEASED).await {
                Ok(lease) => break lease,
                Err(WorkerError::Register(error)) => {
                    gate.set(Readiness::Waiting(format!("no worker id yet: {error}").into()));
                    tracing::warn!(%error, "no worker id yet");
                    sleep(Duration::from_millis(CLUSTER_RETRY_MS)).await;
                }
                Err(error) => return Err(error).context("take a worker id"),
            }
        };
        let ids: SharedSnowflakes = Arc::new(Mutex::new(lease.snowflakes()));
        let tasks = Tasks::new("lease of a worker id");
        let (stop, kept) = (tasks.spawner().stop_token().clone(), ids.clone());
        tasks.spawner().spawn_lasting("its renewal", async move {
            if let Err(error) = lease.keep(&kept, &stop).await {
                tracing::error!(%error, "the process ends");
            }
        });
        Ok(Self { ids, tasks })
    }

    /// Waits until it is lost.
    pub(super) async fn ended(&self) -> Ended {
        self.tasks.ended().await
    }

    /// Once nobody makes an id any more.
    pub(super) async fn give_up(self) {
        self.tasks.shutdown(Duration::from_millis(WORKER_GIVE_UP_MS)).await;
    }
}
