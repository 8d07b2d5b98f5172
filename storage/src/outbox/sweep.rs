//! The sweep: publishing what earlier epochs stored but perhaps did not publish.
//!
//! Epoch by epoch, bucket by bucket; within a bucket first the markers, then the rows, as a message's edit may
//! lie in a row of the bucket in which the message itself was made. Within a slot rows come in order of id.
//! Reads go in pages, so memory does not grow with what is left. A failure leaves the epoch unmarked: the sweep
//! can be called again and repeats from the epoch's start.
//!
//! In a cluster a deposed owner may still have a write under way, so there the sweep is repeated after 30 s.
//! Embedded, the lock on the directory rules that out: when it is ours, the writer before us is gone.

use super::{Bucket, Marker, Outbox, OutboxError, OutboxRow, value};
use crate::{
    engine::{Batch, CommitError, Row},
    keys::{EventKey, MarkerKey, RowKind, bucket_prefix},
    leases::Epoch,
    slots::SlotSet,
};
use async_trait::async_trait;
use model::limits::OUTBOX_PAGE_LEN;
use std::ops::Bound;

/// How often a publisher should try one event before it fails: a start shall not end because of one attempt.
pub const SWEEP_TRIES: u32 = 8;

/// What may not have been published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unpublished {
    /// Messages of the marker's channel with ids in its bucket and times from `published_ms` on.
    Marker {
        /// Where to look.
        marker: Marker,
        /// The watermark: what is older was published.
        published_ms: u64,
    },
    /// Events of a change.
    Row(OutboxRow),
}

/// Any error of a publisher.
pub type RepublishError = Box<dyn std::error::Error + Send + Sync>;

/// Publishes again, and waits for the acknowledgement; its own timeouts bound it. Event ids stay what they
/// were, so a repeat is recognised.
#[async_trait]
pub trait Republish: Send {
    /// Takes one row or marker; they come in order.
    async fn republish(&mut self, unpublished: Unpublished) -> Result<(), RepublishError>;

    /// Takes one row or marker that may have come too late (see [`Pass::Late`](crate::Pass::Late)). What of it the stream does not have was
    /// never acknowledged: a message is removed; a change of the directory, whose rows may hold, is told anew.
    async fn too_late(&mut self, unpublished: Unpublished) -> Result<(), RepublishError>;
}

/// What a sweep did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Epochs that are now marked as swept.
    pub epochs: Vec<Epoch>,
    /// Markers given to the publisher.
    pub markers: u64,
    /// Rows given to it.
    pub rows: u64,
    /// Their events.
    pub events: u64,
}

/// Why a sweep stopped.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The outbox could not be read.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// Publishing failed.
    #[error("publish what epoch {epoch} of {set:?} left: {source}; sweep again")]
    Republish {
        /// The set.
        set: SlotSet,
        /// The epoch.
        epoch: Epoch,
        /// The publisher's error.
        source: RepublishError,
    },
    /// The mark could not be stored.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// One epoch being swept.
struct EpochSweep<'a> {
    outbox: &'a Outbox,
    set: SlotSet,
    epoch: Epoch,
    published_ms: u64,
    report: &'a mut SweepReport,
}

impl Outbox {
    /// Publishes everything above the watermarks of all epochs below `mine` that are not swept, oldest first,
    /// and marks each as swept. Call it for every set that the service owns before it accepts anything.
    pub async fn sweep(
        &self,
        set: SlotSet,
        mine: Epoch,
        republish: &mut dyn Republish,
    ) -> Result<SweepReport, SweepError> {
        let mut report = SweepReport::default();
        for epoch in self.epochs_below(set, mine)? {
            if self.is_swept(set, epoch)? {
                continue;
            }
            let published_ms = self.watermark(set, epoch)?;
            EpochSweep { outbox: self, set, epoch, published_ms, report: &mut report }.run(republish).await?;
            let mut batch = Batch::new();
            self.put_swept(&mut batch, set, epoch);
            self.engine.commit(batch).await?;
            report.epochs.push(epoch);
        }
        Ok(report)
    }

    /// A page of rows of one kind in a bucket, after the key `after`.
    fn page(
        &self,
        kind: RowKind,
        set: SlotSet,
        epoch: Epoch,
        bucket: Bucket,
        after: Option<Vec<u8>>,
    ) -> Result<Vec<Row>, OutboxError> {
        let start = after.map_or(Bound::Included(bucket_prefix(kind, set, epoch, bucket)), Bound::Excluded);
        let end = Bound::Excluded(bucket_prefix(kind, set, epoch, Bucket(bucket.0 + 1)));
        Ok(self.rows.first_in_range((start, end), OUTBOX_PAGE_LEN)?)
    }
}

// === impl EpochSweep ===

impl EpochSweep<'_> {
    async fn run(&mut self, republish: &mut dyn Republish) -> Result<(), SweepError> {
        // Buckets that end at or below the watermark are published as a whole.
        let mut from = Bucket::of_ms(self.published_ms);
        let below = self.epoch.next();
        while let Some((_, bucket)) = self.outbox.first(self.set, self.epoch, from, below)? {
            for kind in [RowKind::Marker, RowKind::Event] {
                self.bucket(kind, bucket, republish).await?;
            }
            from = Bucket(bucket.0 + 1);
        }
        Ok(())
    }

    async fn bucket(
        &mut self,
        kind: RowKind,
        bucket: Bucket,
        republish: &mut dyn Republish,
    ) -> Result<(), SweepError> {
        let mut after = None;
        loop {
            let page = self.outbox.page(kind, self.set, self.epoch, bucket, after.take())?;
            after = page.last().map(|(key, _)| key.clone());
            if after.is_none() {
                return Ok(());
            }
            for (key, value) in page {
                let unpublished = self.decode(kind, &key, value)?;
                republish.republish(unpublished).await.map_err(|source| SweepError::Republish {
                    set: self.set,
                    epoch: self.epoch,
                    source,
                })?;
            }
        }
    }

    fn decode(&mut self, kind: RowKind, key: &[u8], value: Vec<u8>) -> Result<Unpublished, OutboxError> {
        if kind == RowKind::Marker {
            let MarkerKey { set, epoch, bucket, slot, channel } = MarkerKey::decode(key)?;
            self.report.markers += 1;
            let marker = Marker { set, slot, epoch, bucket, channel };
            return Ok(Unpublished::Marker { marker, published_ms: self.published_ms });
        }
        let EventKey { set, epoch, bucket, slot, id } = EventKey::decode(key)?;
        let events = value::decode(key, value)?;
        self.report.rows += 1;
        self.report.events += events.len() as u64;
        Ok(Unpublished::Row(OutboxRow { set, slot, epoch, bucket, id, events }))
    }
}
