//! Worker ids in Cassandra: a partition for each, changed by conditional writes.

use super::{
    Cassandra, ConnectError,
    conditional::answer,
    register::{failed, no_answer},
};
use crate::{
    replica::RegisterError,
    worker::WorkerId,
    workers::{WorkerRegister, WorkerRow},
};
use async_trait::async_trait;
use scylla::statement::prepared::PreparedStatement;
use std::sync::Arc;

/// The worker ids of one keyspace.
pub struct CassandraWorkers {
    cassandra: Arc<Cassandra>,
    read: PreparedStatement,
    write: PreparedStatement,
}

impl CassandraWorkers {
    /// On this session.
    pub async fn prepare(cassandra: &Arc<Cassandra>) -> Result<Self, ConnectError> {
        let read = cassandra
            .prepare_serial_read("SELECT holder, version, last_ms FROM workers WHERE id = ?")
            .await?;
        let write = cassandra
            .prepare_conditional(
                "UPDATE workers SET holder = ?, version = ?, last_ms = ? WHERE id = ? IF version = ? AND holder = ?",
            )
            .await?;
        Ok(Self { cassandra: cassandra.clone(), read, write })
    }
}

#[async_trait]
impl WorkerRegister for CassandraWorkers {
    async fn read(&self, worker: WorkerId) -> Result<Option<WorkerRow>, RegisterError> {
        let row = self.cassandra.first::<(Option<i64>, i64, i64)>(&self.read, (id(worker),)).await;
        Ok(row.map_err(failed)?.map(|(holder, version, last_ms)| WorkerRow {
            holder: holder.map(i64::cast_unsigned),
            version: version.cast_unsigned(),
            last_ms: last_ms.cast_unsigned(),
        }))
    }

    async fn write(
        &self,
        worker: WorkerId,
        seen: Option<WorkerRow>,
        row: WorkerRow,
    ) -> Result<bool, RegisterError> {
        let WorkerRow { holder, version, last_ms } = row;
        let seen_version = seen.map(|seen| seen.version.cast_signed());
        let seen_holder = seen.and_then(|seen| seen.holder).map(u64::cast_signed);
        let values = (
            holder.map(u64::cast_signed),
            version.cast_signed(),
            last_ms.cast_signed(),
            id(worker),
            seen_version,
            seen_holder,
        );
        let result = self.cassandra.session().execute_unpaged(&self.write, values).await.map_err(failed)?;
        Ok(answer(result).ok_or_else(no_answer)?.is_applied)
    }
}

fn id(worker: WorkerId) -> i16 {
    i16::try_from(worker.get()).expect("there are 1,024 workers")
}
