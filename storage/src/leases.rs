//! Leases: who may write to a slot, and since when.
//!
//! A lease has an epoch. Whoever takes a slot gets a higher epoch than everybody before, and what is written
//! or published carries it: readers drop what has a lower one than they have seen, so an owner that does not
//! know yet that it was replaced can do no harm. A service calls [`Leases::acquire`] on the first touch of a
//! slot, [`Leases::check`] before each write, and answers NOT_OWNER when either refuses.
//!
//! Embedded, one process owns all slots for as long as it holds the lock on the database directory. Its epoch
//! is the number of the start, durable before the first use.

use crate::{
    engine::{Batch, CommitError, Engine, OpenError, ReadError},
    keys::{EpochKey, KeyError, META_TABLE},
    slots::{Slot, SlotSet},
};
use async_trait::async_trait;
use std::fmt;

/// The generation of an owner; a later owner of the same slot has a higher one. The first is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// The right to write to a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The set.
    pub set: SlotSet,
    /// The slot in it.
    pub slot: Slot,
    /// The owner's epoch.
    pub epoch: Epoch,
}

/// Another replica owns the slot, or nobody does yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use slot {} of {set:?}: this replica does not own it; ask its owner", slot.get())]
pub struct NotOwner {
    /// The set.
    pub set: SlotSet,
    /// The slot in it.
    pub slot: Slot,
}

/// Why a lease was not given.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Another replica owns the slot.
    #[error(transparent)]
    NotOwner(#[from] NotOwner),
    /// The database could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The last epoch could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What is stored as the last epoch is none.
    #[error("read the last epoch: {0}; restore the data directory from a backup")]
    Corrupt(#[from] KeyError),
    /// The new epoch could not be stored.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// The port through which a service owns slots.
#[async_trait]
pub trait Leases: Send + Sync {
    /// The lease of a slot: the present one when this replica has it, else a new one if it can be had.
    async fn acquire(&self, set: SlotSet, slot: Slot) -> Result<Lease, LeaseError>;

    /// Whether the lease still holds at this moment. Cheap: called before every write.
    fn check(&self, lease: &Lease) -> Result<(), NotOwner>;

    /// Gives a slot up, after the last write under the lease has returned.
    async fn release(&self, lease: Lease) -> Result<(), LeaseError>;
}

/// Leases of the only process there is.
#[derive(Clone, Debug)]
pub struct EmbeddedLeases {
    epoch: Epoch,
}

// === impl Epoch ===

impl Epoch {
    /// The one after it.
    pub fn next(self) -> Self {
        Self(self.0.checked_add(1).expect("nobody starts 2^64 times"))
    }
}

// === impl EmbeddedLeases ===

impl EmbeddedLeases {
    /// Takes the next epoch and makes it durable. Once per start of the process, not once per service.
    pub async fn start(engine: &Engine) -> Result<Self, LeaseError> {
        let meta = engine.table(META_TABLE)?;
        let last = match meta.get(EpochKey::encode())? {
            Some(value) => EpochKey::decode_value(&value)?,
            None => Epoch(0),
        };
        let epoch = last.next();
        let mut batch = Batch::new();
        batch.put(&meta, EpochKey::encode(), EpochKey::encode_value(epoch));
        engine.commit(batch).await?;
        Ok(Self { epoch })
    }

    /// The epoch of all leases of this process.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }
}

#[async_trait]
impl Leases for EmbeddedLeases {
    async fn acquire(&self, set: SlotSet, slot: Slot) -> Result<Lease, LeaseError> {
        Ok(Lease { set, slot, epoch: self.epoch })
    }

    fn check(&self, lease: &Lease) -> Result<(), NotOwner> {
        if lease.epoch == self.epoch { Ok(()) } else { Err(NotOwner { set: lease.set, slot: lease.slot }) }
    }

    async fn release(&self, _lease: Lease) -> Result<(), LeaseError> {
        Ok(())
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EngineOptions;

    #[tokio::test]
    async fn each_start_has_the_next_epoch() {
        let dir = tempfile::tempdir().unwrap();
        for expected in 1..=3 {
            let engine = Engine::open(dir.path(), EngineOptions::default()).unwrap();
            let leases = EmbeddedLeases::start(&engine).await.unwrap();
            assert_eq!(leases.epoch(), Epoch(expected));
            let lease = leases.acquire(SlotSet::Guilds, Slot::of(5)).await.unwrap();
            assert_eq!(lease.epoch, Epoch(expected));
            leases.check(&lease).unwrap();
            let old = Lease { epoch: Epoch(expected - 1), ..lease };
            assert_eq!(leases.check(&old), Err(NotOwner { set: old.set, slot: old.slot }));
            engine.close().await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_damaged_epoch_is_an_error_and_not_epoch_one() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::open(dir.path(), EngineOptions::default()).unwrap();
        let mut batch = Batch::new();
        batch.put(&engine.table(META_TABLE).unwrap(), EpochKey::encode(), [1, 2, 3]);
        engine.commit(batch).await.unwrap();
        assert!(matches!(EmbeddedLeases::start(&engine).await, Err(LeaseError::Corrupt(_))));
    }
}
