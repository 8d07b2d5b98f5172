//! The sweep of one slot: epoch by epoch, and in each in order of time.
//!
//! Which partitions can hold rows is said by two things, neither of which trusts anybody's clock alone: the watermarks of
//! the earlier epochs, which are in their owners' time, and the time of whoever sweeps. An owner therefore writes a
//! watermark before it accepts anything, too ([`OutboxKeeper::begin`](crate::OutboxKeeper::begin)).
//!
//! An epoch counts as swept once the late pass over it is done. If its owner dies before that, the next one's first pass
//! publishes everything again, which readers know by its ids.

use super::{CassandraOutbox, Kind, partition};
use crate::{
    cassandra::{
        ReadError, WriteError,
        register::{set_code, slot_number},
    },
    leases::{Epoch, Lease, Pass},
    outbox::{Bucket, Marker, OutboxError, OutboxRow, Republish, RepublishError, Unpublished, value},
};
use futures_util::TryStreamExt;
use model::limits::{OUTBOX_AHEAD_MS, OUTBOX_ROW_MS};
use std::collections::{BTreeMap, BTreeSet};

/// Why a sweep stopped. It can be begun again.
#[derive(Debug, thiserror::Error)]
pub enum CassandraSweepError {
    /// The outbox could not be read.
    #[error("sweep the outbox: {0}")]
    Read(#[from] ReadError),
    /// A row of it.
    #[error(transparent)]
    Row(#[from] OutboxError),
    /// Publishing failed.
    #[error("publish what epoch {epoch} of {lease:?} left: {source}")]
    Republish {
        /// Of whoever sweeps.
        lease: Lease,
        /// The epoch that is swept.
        epoch: Epoch,
        /// The publisher's error.
        source: RepublishError,
    },
    /// It could not be written down.
    #[error("write down what was swept: {0}")]
    Write(#[from] WriteError),
}

/// What is known of an epoch.
#[derive(Clone, Copy, Default)]
struct Mark {
    published_ms: u64,
    is_swept: bool,
}

impl CassandraOutbox {
    /// Gives everything above the watermarks of earlier epochs of this slot to the publisher, oldest epoch first. At the
    /// end of the late pass they are written down as swept.
    pub async fn sweep(
        &self,
        lease: &Lease,
        pass: Pass,
        now_ms: u64,
        republish: &mut dyn Republish,
    ) -> Result<(), CassandraSweepError> {
        let marks = self.marks(lease).await?;
        let partitions = partitions(&marks, now_ms);
        for epoch in self.epochs(lease, &partitions).await? {
            let mark = marks.get(&epoch).copied().unwrap_or_default();
            if mark.is_swept {
                continue;
            }
            for partition in &partitions {
                self.partition(lease, *partition, epoch, mark.published_ms, pass, republish).await?;
            }
            if pass == Pass::Late {
                let row = (set_code(lease.set), slot_number(lease.slot), epoch.0.cast_signed());
                self.cassandra.write(&self.put_swept, row).await?;
            }
        }
        Ok(())
    }

    async fn marks(&self, lease: &Lease) -> Result<BTreeMap<Epoch, Mark>, ReadError> {
        let slot = (set_code(lease.set), slot_number(lease.slot));
        let rows = self.cassandra.all::<(i64, Option<i64>, Option<bool>)>(&self.watermarks, slot).await?;
        let mark = |(epoch, published_ms, is_swept): (i64, Option<i64>, Option<bool>)| {
            let published_ms = published_ms.map_or(0, i64::cast_unsigned);
            (Epoch(epoch.cast_unsigned()), Mark { published_ms, is_swept: is_swept.unwrap_or(false) })
        };
        Ok(rows.into_iter().map(mark).collect())
    }

    /// The epochs below ours that have rows, in order.
    async fn epochs(&self, lease: &Lease, partitions: &BTreeSet<i64>) -> Result<BTreeSet<Epoch>, ReadError> {
        let mut epochs = BTreeSet::new();
        for partition in partitions {
            let mut last = 0_i64;
            loop {
                let place = (set_code(lease.set), slot_number(lease.slot), *partition, last);
                match self.cassandra.first::<(i64,)>(&self.next_epoch, place).await? {
                    Some((epoch,)) if epoch.cast_unsigned() < lease.epoch.0 => {
                        epochs.insert(Epoch(epoch.cast_unsigned()));
                        last = epoch;
                    }
                    _ => break,
                }
            }
        }
        Ok(epochs)
    }

    async fn partition(
        &self,
        lease: &Lease,
        partition: i64,
        epoch: Epoch,
        published_ms: u64,
        pass: Pass,
        republish: &mut dyn Republish,
    ) -> Result<(), CassandraSweepError> {
        let Lease { set, slot, .. } = *lease;
        let from = Bucket::of_ms(published_ms).0.cast_signed();
        let values = (set_code(set), slot_number(slot), partition, epoch.0.cast_signed(), from);
        let pages = self.cassandra.session().execute_iter(self.rows.clone(), values).await;
        let pages = pages.map_err(ReadError::paging)?;
        let mut rows = pages.rows_stream::<(i64, i8, i64, Option<Vec<u8>>)>().map_err(ReadError::corrupt)?;
        while let Some((bucket, kind, id, stored)) = rows.try_next().await.map_err(ReadError::paging)? {
            let (bucket, id) = (Bucket(bucket.cast_unsigned()), id.cast_unsigned());
            let unpublished = if kind == Kind::Marker as i8 {
                let marker = Marker { set, slot, epoch, bucket, channel: id };
                Unpublished::Marker { marker, published_ms }
            } else {
                let events = value::decode(&id.to_be_bytes(), stored.unwrap_or_default())?;
                Unpublished::Row(OutboxRow { set, slot, epoch, bucket, id, events })
            };
            let outcome = match pass {
                Pass::First => republish.republish(unpublished).await,
                Pass::Late => republish.too_late(unpublished).await,
            };
            outcome.map_err(|source| CassandraSweepError::Republish { lease: *lease, epoch, source })?;
        }
        Ok(())
    }
}

/// Where rows can be that have not expired: by our time, and after the watermarks of others.
fn partitions(marks: &BTreeMap<Epoch, Mark>, now_ms: u64) -> BTreeSet<i64> {
    let between =
        |from_ms: u64, to_ms: u64| partition(Bucket::of_ms(from_ms))..=partition(Bucket::of_ms(to_ms));
    let ours = between(now_ms.saturating_sub(OUTBOX_ROW_MS), now_ms + OUTBOX_AHEAD_MS);
    let unswept = marks.values().filter(|mark| !mark.is_swept && mark.published_ms > 0);
    let theirs = unswept.flat_map(|mark| between(mark.published_ms, mark.published_ms + 2 * OUTBOX_AHEAD_MS));
    ours.chain(theirs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_those_of_the_last_quarter_of_an_hour_and_of_watermarks_in_other_times() {
        const TEN_MINUTES_MS: u64 = 600_000;
        let now_ms = 1_000 * TEN_MINUTES_MS + 30_000;
        assert_eq!(partitions(&BTreeMap::new(), now_ms).into_iter().collect::<Vec<_>>(), [998, 999, 1_000]);
        let mark =
            |partition: u64, is_swept| Mark { published_ms: partition * TEN_MINUTES_MS + 599_000, is_swept };
        let marks = BTreeMap::from([(Epoch(1), mark(900, true)), (Epoch(2), mark(1_007, false))]);
        let found: Vec<_> = partitions(&marks, now_ms).into_iter().collect();
        assert_eq!(found, [998, 999, 1_000, 1_007, 1_008]);
    }
}
