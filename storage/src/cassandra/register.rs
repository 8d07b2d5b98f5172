//! The register of replicas and slots, by conditional writes (Paxos), each in one partition.

use super::{
    Cassandra, ConnectError,
    conditional::{Answer, answer},
};
use crate::{
    leases::{Epoch, Lease},
    replica::{Holding, Member, Register, RegisterError, ReplicaId, View},
    slots::{Slot, SlotSet},
};
use async_trait::async_trait;
use scylla::{
    serialize::row::SerializeRow,
    statement::{
        batch::{Batch, BatchType},
        prepared::PreparedStatement,
    },
};
use std::sync::Arc;

/// The register of one service.
pub struct CassandraRegister {
    cassandra: Arc<Cassandra>,
    service: String,
    join: PreparedStatement,
    raise: PreparedStatement,
    remove: PreparedStatement,
    slots: PreparedStatement,
    members: PreparedStatement,
    change: PreparedStatement,
}

/// A change of one slot: its new owner and epoch, set and slot, the owner and epoch that it must have.
type Change = (Option<i64>, i64, i8, i16, Option<i64>, Option<i64>);

impl CassandraRegister {
    /// Of the service with this name.
    pub async fn prepare(cassandra: &Arc<Cassandra>, service: &str) -> Result<Self, ConnectError> {
        let conditional = async |cql| cassandra.prepare_conditional(cql).await;
        Ok(Self {
            service: service.to_owned(),
            join: conditional(
                "INSERT INTO replicas (service, id, address, version, is_leaving) VALUES (?, ?, ?, ?, ?) IF NOT EXISTS",
            )
            .await?,
            raise: conditional(
                "UPDATE replicas SET version = ?, is_leaving = ? WHERE service = ? AND id = ? IF version = ?",
            )
            .await?,
            remove: conditional("DELETE FROM replicas WHERE service = ? AND id = ? IF version = ?").await?,
            change: conditional(
                "UPDATE slots SET owner = ?, epoch = ? WHERE slot_set = ? AND slot = ? IF owner = ? AND epoch = ?",
            )
            .await?,
            slots: cassandra.prepare_read("SELECT slot, owner, epoch FROM slots WHERE slot_set = ?").await?,
            members: cassandra
                .prepare_read("SELECT id, address, version, is_leaving FROM replicas WHERE service = ?")
                .await?,
            cassandra: cassandra.clone(),
        })
    }

    async fn ask(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<Answer, RegisterError> {
        let result = self.cassandra.session().execute_unpaged(statement, values).await;
        answer(result.map_err(failed)?).ok_or_else(no_answer)
    }

    async fn change(&self, changes: Vec<Change>) -> Result<bool, RegisterError> {
        let mut batch = Batch::new(BatchType::Unlogged);
        changes.iter().for_each(|_| batch.append_statement(self.change.clone()));
        let mut batch = self.cassandra.batch(batch);
        batch.set_is_idempotent(false);
        let result = self.cassandra.session().batch(&batch, changes).await;
        Ok(answer(result.map_err(failed)?).ok_or_else(no_answer)?.is_applied)
    }

    async fn holdings(&self, set: SlotSet) -> Result<Vec<Holding>, RegisterError> {
        let rows = self.cassandra.all::<(i16, Option<i64>, Option<i64>)>(&self.slots, (set_code(set),)).await;
        let holding = |(slot, owner, epoch): (i16, Option<i64>, Option<i64>)| {
            // A slot that this version does not know is another's matter.
            let slot = u16::try_from(slot).ok().and_then(Slot::new)?;
            let owner = owner.map(|id| ReplicaId(id.cast_unsigned()));
            Some(Holding { set, slot, owner, epoch: Epoch(epoch.map_or(0, i64::cast_unsigned)) })
        };
        Ok(rows.map_err(failed)?.into_iter().filter_map(holding).collect())
    }
}

#[async_trait]
impl Register for CassandraRegister {
    async fn join(&self, member: &Member) -> Result<(), RegisterError> {
        let Member { id, address, version, is_leaving } = member;
        let row = (&self.service, id.0.cast_signed(), &**address, version.cast_signed(), is_leaving);
        let answer = self.ask(&self.join, row).await?;
        if answer.is_applied { Ok(()) } else { Err(RegisterError("the replica's id is taken".into())) }
    }

    async fn raise(&self, id: ReplicaId, from: u64, is_leaving: bool) -> Result<Option<u64>, RegisterError> {
        let (to, from) = ((from + 1).cast_signed(), from.cast_signed());
        let answer = self.ask(&self.raise, (to, is_leaving, &self.service, id.0.cast_signed(), from)).await?;
        let version = if answer.is_applied { Some(to) } else { answer.found };
        Ok(version.map(i64::cast_unsigned))
    }

    async fn remove(&self, id: ReplicaId, version: u64) -> Result<bool, RegisterError> {
        let row = (&self.service, id.0.cast_signed(), version.cast_signed());
        Ok(self.ask(&self.remove, row).await?.is_applied)
    }

    async fn look(&self, sets: &[SlotSet]) -> Result<View, RegisterError> {
        let mut view = View::default();
        for set in sets {
            view.holdings.extend(self.holdings(*set).await?);
        }
        let members = self.cassandra.all::<(i64, String, i64, bool)>(&self.members, (&self.service,)).await;
        for (id, address, version, is_leaving) in members.map_err(failed)? {
            let (id, version) = (ReplicaId(id.cast_unsigned()), version.cast_unsigned());
            view.members.push(Member { id, address: address.into(), version, is_leaving });
        }
        Ok(view)
    }

    async fn take(&self, owner: ReplicaId, slots: &[(Holding, Epoch)]) -> Result<bool, RegisterError> {
        let change = |(seen, epoch): &(Holding, Epoch)| {
            // A slot without a row has neither owner nor epoch.
            let seen_epoch = (seen.epoch != Epoch(0)).then(|| seen.epoch.0.cast_signed());
            let seen_owner = seen.owner.map(|id| id.0.cast_signed());
            let (set, slot) = (set_code(seen.set), slot_number(seen.slot));
            (Some(owner.0.cast_signed()), epoch.0.cast_signed(), set, slot, seen_owner, seen_epoch)
        };
        self.change(slots.iter().map(change).collect()).await
    }

    async fn release(&self, owner: ReplicaId, leases: &[Lease]) -> Result<bool, RegisterError> {
        let change = |lease: &Lease| {
            let (owner, epoch) = (owner.0.cast_signed(), lease.epoch.0.cast_signed());
            (None, epoch, set_code(lease.set), slot_number(lease.slot), Some(owner), Some(epoch))
        };
        self.change(leases.iter().map(change).collect()).await
    }
}

pub(super) fn set_code(set: SlotSet) -> i8 {
    i8::try_from(set.code()).expect("there are three sets")
}

pub(super) fn slot_number(slot: Slot) -> i16 {
    i16::try_from(slot.get()).expect("there are 1,024 slots")
}

pub(super) fn failed<E: std::error::Error + Send + Sync + 'static>(error: E) -> RegisterError {
    RegisterError(Box::new(error))
}

pub(super) fn no_answer() -> RegisterError {
    RegisterError("no answer to a condition".into())
}
