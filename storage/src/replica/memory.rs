//! The register in memory, for replicas that share a process. With the process it is gone, so it is for tests: of replicas
//! in virtual time, and of services several of which run in one test.

use super::register::{Holding, Member, Register, RegisterError, ReplicaId, View};
use crate::{
    leases::{Epoch, Lease},
    slots::{Slot, SlotSet},
};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::collections::BTreeMap;

/// See the module. It answers always and at once.
#[derive(Debug, Default)]
pub struct MemoryRegister {
    rows: Mutex<Rows>,
}

#[derive(Debug, Default)]
struct Rows {
    members: BTreeMap<ReplicaId, Member>,
    slots: BTreeMap<(SlotSet, Slot), (Option<ReplicaId>, Epoch)>,
}

impl Rows {
    /// Owner and epoch of a slot.
    fn slot(&self, set: SlotSet, slot: Slot) -> (Option<ReplicaId>, Epoch) {
        self.slots.get(&(set, slot)).copied().unwrap_or((None, Epoch(0)))
    }
}

#[async_trait]
impl Register for MemoryRegister {
    async fn join(&self, member: &Member) -> Result<(), RegisterError> {
        let mut rows = self.rows.lock();
        if rows.members.contains_key(&member.id) {
            return Err(RegisterError("the replica's id is taken".into()));
        }
        rows.members.insert(member.id, member.clone());
        Ok(())
    }

    async fn raise(&self, id: ReplicaId, from: u64, is_leaving: bool) -> Result<Option<u64>, RegisterError> {
        let mut rows = self.rows.lock();
        Ok(rows.members.get_mut(&id).map(|member| {
            if member.version == from {
                (member.version, member.is_leaving) = (from + 1, is_leaving);
            }
            member.version
        }))
    }

    async fn remove(&self, id: ReplicaId, version: u64) -> Result<bool, RegisterError> {
        let mut rows = self.rows.lock();
        let is_same = rows.members.get(&id).is_some_and(|member| member.version == version);
        Ok(is_same && rows.members.remove(&id).is_some())
    }

    async fn look(&self, sets: &[SlotSet]) -> Result<View, RegisterError> {
        let rows = self.rows.lock();
        let holding = |(&(set, slot), &(owner, epoch)): (&_, &_)| Holding { set, slot, owner, epoch };
        let holdings = rows.slots.iter().map(holding).filter(|row: &Holding| sets.contains(&row.set));
        Ok(View { holdings: holdings.collect(), members: rows.members.values().cloned().collect() })
    }

    async fn take(&self, owner: ReplicaId, slots: &[(Holding, Epoch)]) -> Result<bool, RegisterError> {
        let mut rows = self.rows.lock();
        let is_same = |seen: &Holding| rows.slot(seen.set, seen.slot) == (seen.owner, seen.epoch);
        let are_same = slots.iter().all(|(seen, _)| is_same(seen));
        if are_same {
            let taken = slots.iter().map(|(seen, epoch)| ((seen.set, seen.slot), (Some(owner), *epoch)));
            rows.slots.extend(taken);
        }
        Ok(are_same)
    }

    async fn release(&self, owner: ReplicaId, leases: &[Lease]) -> Result<bool, RegisterError> {
        let mut rows = self.rows.lock();
        let is_ours = |lease: &Lease| rows.slot(lease.set, lease.slot) == (Some(owner), lease.epoch);
        let are_ours = leases.iter().all(is_ours);
        if are_ours {
            rows.slots.extend(leases.iter().map(|lease| ((lease.set, lease.slot), (None, lease.epoch))));
        }
        Ok(are_ours)
    }
}
