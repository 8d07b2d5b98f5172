//! The port: what all replicas of a service read and write about themselves and the slots.
//!
//! To add an adapter: implement [`Register`], and run the suite of `testkit` on it. Every write is conditional. An error
//! means that nobody knows whether it was done; whoever asked finds out by the next look or the next write.

use crate::{
    leases::{Epoch, Lease},
    slots::{Slot, SlotSet},
};
use async_trait::async_trait;
use std::sync::Arc;

/// A replica from when it joins until it leaves or is removed; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId(pub u64);

/// The row of a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Whose.
    pub id: ReplicaId,
    /// Where callers find it.
    pub address: Arc<str>,
    /// What it raises while it lives.
    pub version: u64,
    /// Whether it wants no more slots.
    pub is_leaving: bool,
}

/// The row of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    /// The set.
    pub set: SlotSet,
    /// The slot in it.
    pub slot: Slot,
    /// Who has taken it and not given it up. Without a row of its own in the register it is dead.
    pub owner: Option<ReplicaId>,
    /// Of the last owner; 0 for a slot that nobody has ever taken.
    pub epoch: Epoch,
}

impl Holding {
    /// The slot's lease with another epoch than the one that was seen.
    pub(crate) fn lease(&self, epoch: Epoch) -> Lease {
        Lease { set: self.set, slot: self.slot, epoch }
    }
}

/// How things stand.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The slots that have a row.
    pub holdings: Vec<Holding>,
    /// The replicas, as they were read *after* the slots: then whoever owns a slot and lives is among them.
    pub members: Vec<Member>,
}

/// Nobody knows whether it was done.
#[derive(Debug, thiserror::Error)]
#[error("the register of replicas does not answer: {0}")]
pub struct RegisterError(pub Box<dyn std::error::Error + Send + Sync>);

/// Where it is written down who is alive and who owns what, for one service.
#[async_trait]
pub trait Register: Send + Sync {
    /// Adds a row for a replica that has none.
    async fn join(&self, member: &Member) -> Result<(), RegisterError>;

    /// Raises a row's version by one, if it is `from`. The row as it is then; `None` when there is none.
    async fn raise(&self, id: ReplicaId, from: u64, is_leaving: bool) -> Result<Option<u64>, RegisterError>;

    /// Removes a row that has this version. Whether it did.
    async fn remove(&self, id: ReplicaId, version: u64) -> Result<bool, RegisterError>;

    /// Everything about these sets. The replicas are asked for after the slots are answered.
    async fn look(&self, sets: &[SlotSet]) -> Result<View, RegisterError>;

    /// Makes `owner` the owner of slots of one set that are all still as they were seen, each with the epoch beside it.
    /// All of them or none; whether it did.
    async fn take(&self, owner: ReplicaId, slots: &[(Holding, Epoch)]) -> Result<bool, RegisterError>;

    /// Gives up slots of one set that this owner has by these leases. All of them or none; whether it did.
    async fn release(&self, owner: ReplicaId, leases: &[Lease]) -> Result<bool, RegisterError>;
}
