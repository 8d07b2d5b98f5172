//! Writes under a lease: in time, and in the order of owners.
//!
//! **In time.** A write is sent only while its lease holds, and is given up before any lease of this process can pass on.
//!
//! **In the order of owners.** Of two writes to one cell Cassandra keeps the one with the higher timestamp, whichever comes
//! first. Timestamps of clocks would let a deposed owner, whose write was under way for long or whose clock is ahead,
//! overwrite what its successor has acknowledged. So they are no times here: the epoch of the slot stands in front, and
//! behind it counts how often this process has written to the slot. What an owner writes late loses to everything that a
//! later one has written. None is positive, that is, after 1970, as ScyllaDB refuses what is far in the future.
//! It follows that every row belongs to one slot, and is written in no other way.
//!
//! **Until it is known.** A write of unknown outcome is repeated with the same timestamp, which changes nothing when the
//! first time was written: "nothing was written" is said only when that is sure of all its attempts.

mod certain;

use super::{Cassandra, WriteError};
use crate::{
    leases::{Epoch, Lease, Leases, NotOwner},
    slots::SlotSet,
};
use model::limits::SLOTS_PER_SET;
use scylla::{
    serialize::row::SerializeRow,
    statement::{
        batch::{Batch, BatchType},
        prepared::PreparedStatement,
    },
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// Statements that are written together: all of them or none, though readers may see some of them first when they lie in
/// several partitions.
#[derive(Default)]
pub struct WriteBatch {
    statements: Vec<PreparedStatement>,
    rows: Vec<Box<dyn SerializeRow + Send + Sync>>,
}

/// What has become of a write under a lease that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum LeasedWriteError {
    /// The lease has ended: nothing was written.
    #[error(transparent)]
    NotOwner(#[from] NotOwner),
    /// The store.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Writes under the leases of one process.
pub struct LeasedWrites {
    cassandra: Arc<Cassandra>,
    leases: Arc<dyn Leases>,
    stamps: Stamps,
}

/// Counts the writes to each slot.
struct Stamps([Box<[AtomicU64]>; SlotSet::ALL.len()]);

/// Enough for a hundred writes a second to one slot for two years.
const COUNT_BITS: u32 = 33;

// === impl WriteBatch ===

impl WriteBatch {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a statement that was prepared as a write.
    pub fn add(&mut self, statement: &PreparedStatement, row: impl SerializeRow + Send + Sync + 'static) {
        self.statements.push(statement.clone());
        self.rows.push(Box::new(row));
    }

    /// How many statements there are.
    pub fn len(&self) -> usize {
        self.statements.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.statements.is_empty()
    }
}

// === impl LeasedWrites ===

impl LeasedWrites {
    /// Over this session, under these leases. One for all stores of a process: two would count the same slot twice.
    pub fn new(cassandra: Arc<Cassandra>, leases: Arc<dyn Leases>) -> Arc<Self> {
        Arc::new(Self { cassandra, leases, stamps: Stamps::new() })
    }

    /// Writes all of it, and returns when that is certain, or too late.
    pub async fn write(&self, lease: &Lease, batch: &WriteBatch) -> Result<(), LeasedWriteError> {
        if batch.is_empty() {
            return Ok(());
        }
        let stamp = self.stamps.next(lease);
        certain::repeat(&*self.leases, lease, |patience| self.attempt(batch, stamp, patience)).await
    }

    async fn attempt(&self, batch: &WriteBatch, stamp: i64, patience: Duration) -> Result<(), WriteError> {
        let session = self.cassandra.session();
        if let ([statement], [row]) = (&batch.statements[..], &batch.rows[..]) {
            let mut statement = statement.clone();
            statement.set_timestamp(Some(stamp));
            statement.set_request_timeout(Some(patience));
            session.execute_unpaged(&statement, row).await?;
            return Ok(());
        }
        let mut statements = Batch::new(BatchType::Logged);
        batch.statements.iter().cloned().for_each(|statement| statements.append_statement(statement));
        let mut statements = self.cassandra.batch(statements);
        statements.set_timestamp(Some(stamp));
        statements.set_request_timeout(Some(patience));
        session.batch(&statements, &batch.rows[..]).await?;
        Ok(())
    }
}

// === impl Stamps ===

impl Stamps {
    fn new() -> Self {
        let set = || (0..SLOTS_PER_SET).map(|_| AtomicU64::new(0)).collect();
        Self([set(), set(), set()])
    }

    fn next(&self, lease: &Lease) -> i64 {
        let counter = &self.0[usize::from(lease.set.code()) - 1][usize::from(lease.slot.get())];
        stamp(lease.epoch, counter.fetch_add(1, Relaxed))
    }
}

fn stamp(epoch: Epoch, count: u64) -> i64 {
    assert!(epoch.0 >> (i64::BITS - 1 - COUNT_BITS) == 0, "epochs are taken every few seconds until 2154");
    assert!(count >> COUNT_BITS == 0, "a process is restarted sooner than it writes so often to one slot");
    // The lowest number there is means "no timestamp".
    i64::MIN + 1 + (epoch.0 << COUNT_BITS | count).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Slot;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn later_owners_win_and_so_do_later_writes(
            one in (0_u64..1 << 30, 0_u64..1 << 33),
            other in (0_u64..1 << 30, 0_u64..1 << 33),
        ) {
            let stamped = |(epoch, count)| stamp(Epoch(epoch), count);
            prop_assert_eq!(stamped(one).cmp(&stamped(other)), one.cmp(&other));
            prop_assert!(stamped(one) > i64::MIN && stamped(one) <= 0);
        }
    }

    #[test]
    fn each_slot_counts_for_itself() {
        let stamps = Stamps::new();
        let lease = |set, slot| Lease { set, slot: Slot::new(slot).unwrap(), epoch: Epoch(5) };
        let one = lease(SlotSet::Channels, 1);
        let first = stamps.next(&one);
        assert_eq!(stamps.next(&one), first + 1);
        assert_eq!(stamps.next(&lease(SlotSet::Channels, 2)), first);
        assert_eq!(stamps.next(&lease(SlotSet::Users, 1)), first);
        assert!(stamps.next(&Lease { epoch: Epoch(6), ..one }) > first + 2);
    }

    #[test]
    fn the_last_epoch_of_all_fits() {
        let end_of_snowflakes_ms = model::snowflake::EPOCH_MS + (1 << 42) - 1;
        assert!(stamp(Epoch::first_at(end_of_snowflakes_ms), (1 << COUNT_BITS) - 1) <= 0);
    }
}
