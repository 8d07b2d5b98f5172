//! Leases: who may write to a slot, and since when.
//!
//! A lease has an epoch. Whoever takes a slot gets a higher epoch than everybody before, and what is written
//! or published carries it: readers drop what has a lower one than they have seen, so an owner that does not
//! know yet that it was replaced can do no harm. A service asks [`Leases::lease`] on the first touch of a slot,
//! [`Leases::check`] before each write, and answers NOT_OWNER when either refuses.
//!
//! How slots come and go is [`Ownership`]: a service gives it a [`SlotService`] and is told when a slot has to be swept
//! and when it has to be let go. Two adapters: [`EmbeddedLeases`], where one process owns everything at once, and
//! [`Replica`](crate::Replica), which shares the slots with others.
//!
//! ```text
//! unowned ──taken──> sweeping ──swept──> owned ──to go──> draining ──drained, released──> unowned
//!    ^                  │                  │                 │
//!    └──────────────── lost: the lease has ended ────────────┘
//! ```

mod embedded;
mod table;

pub use embedded::EmbeddedLeases;
pub(crate) use table::{Phase, SlotTable};

use crate::{
    engine::{CommitError, OpenError, ReadError},
    keys::KeyError,
    slots::{Slot, SlotSet},
};
use async_trait::async_trait;
use model::snowflake::EPOCH_MS;
use proto::Writer;
use std::{fmt, sync::Arc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The generation of an owner; a later owner of the same slot has a higher one. The first is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// The right to write to a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lease {
    /// The set.
    pub set: SlotSet,
    /// The slot in it.
    pub slot: Slot,
    /// The owner's epoch.
    pub epoch: Epoch,
}

/// Another replica owns the slot, or nobody does yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use slot {} of {set:?}: this replica does not own it; ask {}", slot.get(), owner.as_deref().unwrap_or("its owner"))]
pub struct NotOwner {
    /// The set.
    pub set: SlotSet,
    /// The slot in it.
    pub slot: Slot,
    /// Whom to ask, where that is known: the owner as it was seen last. Nobody, when this replica has taken the slot and
    /// does not serve it yet.
    pub owner: Option<Arc<str>>,
}

/// Why the leases could not be had at all.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
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

/// What a service asks before it writes.
pub trait Leases: Send + Sync {
    /// The lease of a slot that is served at this moment.
    fn lease(&self, set: SlotSet, slot: Slot) -> Result<Lease, NotOwner>;

    /// Whether the lease still holds at this moment, also while its slot is being swept or drained. Cheap: called before
    /// every write.
    fn check(&self, lease: &Lease) -> Result<(), NotOwner>;

    /// Cancelled once nothing more is to be accepted under a lease: its slot is drained, or lost.
    fn end_of(&self, lease: &Lease) -> CancellationToken;

    /// When what is written under leases has to be done: before any of them can pass on. `None` when they never do.
    fn write_until(&self) -> Option<Instant>;
}

/// Any error of a service.
pub type ServiceError = Box<dyn std::error::Error + Send + Sync>;

/// Which look a sweep takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Before anything is accepted: what was stored and perhaps not published is published.
    First,
    /// Half a minute later: what was not there the first time was written by an owner who had lost the slot, and was
    /// never acknowledged.
    Late,
}

/// What a service does when slots come and go.
#[async_trait]
pub trait SlotService: Send + Sync {
    /// Publishes what earlier epochs of these slots left. Once it returns they are served. It is called again until it
    /// succeeds, and may find things half done.
    async fn sweep(&self, leases: &[Lease], pass: Pass) -> Result<(), ServiceError>;

    /// Takes nothing more for these slots, finishes what is under way, and forgets what it holds of them. When it returns
    /// nothing more is written under the leases. They may have ended already: then there is nothing to finish.
    async fn drain(&self, leases: &[Lease]);
}

/// Why a service can't own anything.
#[derive(Debug, thiserror::Error)]
pub enum OwnershipError {
    /// What an earlier owner left can't be published.
    #[error("publish what the last run left: {0}; start again when what it needs answers")]
    Sweep(#[source] ServiceError),
}

/// How slots come to be owned, and go.
#[async_trait]
pub trait Ownership: Leases {
    /// Owns slots of these sets for a service until it is stopped; then all are drained and given up. One service for
    /// each set.
    async fn run(
        &self,
        sets: &[SlotSet],
        service: &dyn SlotService,
        stop: &CancellationToken,
    ) -> Result<(), OwnershipError>;

    /// Waits until all slots of these sets that this process is to have are served, for the first time; those that could
    /// not be swept are not waited for.
    async fn settled(&self, sets: &[SlotSet]);
}

/// About four seconds, so that 42 bits of milliseconds become 30.
const FIRST_STEP_MS: u64 = 1 << 12;

// === impl Lease ===

impl Lease {
    /// How envelopes name the owner.
    pub fn writer(&self) -> Writer {
        Writer { set: self.set.code(), slot: self.slot.get(), epoch: self.epoch.0 }
    }
}

// === impl Epoch ===

impl Epoch {
    /// The first epoch of a slot that nobody has ever owned, in a register that was perhaps emptied: later than what
    /// anybody can have reached who began earlier and took the slot every four seconds. In 2154, when snowflakes end, it
    /// still fits into 30 bits.
    pub fn first_at(unix_ms: u64) -> Self {
        Self((unix_ms.saturating_sub(EPOCH_MS) / FIRST_STEP_MS).max(1))
    }

    /// The one after it.
    pub fn next(self) -> Self {
        Self(self.0.checked_add(1).expect("nobody starts 2^64 times"))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
