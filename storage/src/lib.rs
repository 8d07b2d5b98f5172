//! The embedded storage engine and the machinery of "one writer".
//!
//! Two services keep durable data, `guilds` and `messages`. Both need the same four things, and this crate
//! has each of them once:
//!
//! 1. **A durable write that many callers share** ([`Engine`]). Fill a [`Batch`], `engine.commit(batch).await`,
//!    and when it returns the rows are on the disk. One thread gathers all batches that wait, writes them,
//!    calls fdatasync once, and wakes all of them. Reads ([`Table`]) are plain calls.
//! 2. **Who may write** ([`slots`] of `model`, [`leases`]). Channels, guilds and users hash onto 1,024 slots each; a
//!    [`Lease`] with an [`Epoch`] says who owns a slot. Embedded, the sole process owns them all, and each
//!    start is the next epoch.
//! 3. **What was stored but perhaps not published** ([`Outbox`]). Rows and markers are put into the same
//!    batch as the data they speak of; the next epoch sweeps what the one before left unpublished.
//! 4. **Ids** ([`Snowflakes`]): unique over restarts, monotone through steps of the clock. A [`Ledger`] gives them to a
//!    service and knows which changes are on their way.
//!
//! A service starts like this:
//!
//! ```no_run
//! # use storage::*;
//! # async fn start(republish: &mut dyn Republish) -> Result<(), Box<dyn std::error::Error>> {
//! let engine = Engine::open("starling-data/store".as_ref(), EngineOptions::default())?;
//! let leases = EmbeddedLeases::start(&engine).await?;          // this start's epoch, durable
//! let outbox = Outbox::open(&engine)?;
//! outbox.sweep(SlotSet::Channels, leases.epoch(), republish).await?;   // as the service is told by `Ownership`
//! let floor = IdFloor::open(&engine)?;
//! let mut ids = Snowflakes::new(WorkerId::of_epoch(leases.epoch()), floor.recorded_ms());
//!
//! let messages = engine.table("messages")?;
//! let now_ms = 1_700_000_000_000;
//! let id = ids.next(now_ms);
//! let mut batch = Batch::new();
//! batch.put(&messages, id.to_be_bytes(), b"hello");
//! let marker = Marker {
//!     set: SlotSet::Channels,
//!     slot: Slot::of(7),
//!     epoch: leases.epoch(),
//!     bucket: Bucket::of_snowflake(id),
//!     channel: 7,
//! };
//! outbox.put_marker(&mut batch, &marker);
//! floor.record_if_due(&mut batch, ids.last_ms());
//! engine.commit(batch).await?;                                  // message and marker, or neither
//! # Ok(()) }
//! ```
//!
//! Rules that hold everywhere here:
//! - *Visible means durable.* A batch reaches readers only after its fsync, so nobody acts on a row that a
//!   power cut could take back.
//! - *A failed fsync stops the process* (see [`engine`]).
//! - Time comes from the caller as milliseconds; this crate reads no clock.
//! - Whatever is persisted has its key in [`keys`] and a version in its value.

pub mod cassandra;
pub mod engine;
pub mod keys;
pub mod leases;
pub mod ledger;
mod observed;
pub mod outbox;
pub mod replica;
pub mod worker;
pub mod workers;

pub use engine::{
    Batch, BatchError, CloseError, CommitError, Engine, EngineOptions, EngineStats, OpenError, ReadError,
    Row, Rows, SyncHook, Table,
};
pub use leases::{
    EmbeddedLeases, Epoch, Lease, LeaseError, Leases, NotOwner, Ownership, OwnershipError, Pass,
    ServiceError, SlotService,
};
pub use ledger::{Ledger, Open, SharedSnowflakes};
pub use model::slots::{self, Slot, SlotSet};
pub use outbox::{
    Bucket, Marker, Outbox, OutboxError, OutboxEvent, OutboxKeeper, OutboxRow, OutboxStore, PruneError,
    PruneReport, Republish, RepublishError, SWEEP_TRIES, Scope, Seen, Subject, SweepError, SweepReport,
    Unpublished, Watermark,
};
pub use replica::{
    Holding, Lineage, Member, MemoryRegister, Register, RegisterError, Replica, ReplicaId, Timing, View,
};
pub use worker::{IdFloor, Snowflakes, WorkerId};
pub use workers::{LostWorker, MemoryWorkers, WorkerError, WorkerLease, WorkerRegister, WorkerRow};
