//! Expiry: rows older than 15 minutes go, a bounded number at a time.
//!
//! The engine has no time to live, so somebody calls [`Outbox::prune`] now and then (every 30 s is plenty). It
//! removes one range per epoch from the front. Rows of an earlier epoch that was not swept stay whatever their
//! age: they may never have been published. When nothing of an earlier epoch is left, its mark and its
//! watermark go too.

use super::{Bucket, Outbox, OutboxError};
use crate::{
    engine::{Batch, CommitError},
    keys::{RowKind, SweptKey, WatermarkKey, bucket_prefix, set_prefix},
    leases::Epoch,
    slots::SlotSet,
};
use model::limits::OUTBOX_ROW_MS;

/// What a call removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PruneReport {
    /// Rows and markers.
    pub rows: usize,
    /// Marks and watermarks of epochs of which nothing is left.
    pub marks: usize,
    /// Whether the limit was reached: call again soon.
    pub more: bool,
}

/// Why nothing was pruned.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// The outbox could not be read.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// The removal could not be stored.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl Outbox {
    /// Removes up to `limit` expired rows of a set, as of Unix time `now_ms`.
    pub async fn prune(
        &self,
        set: SlotSet,
        mine: Epoch,
        now_ms: u64,
        limit: usize,
    ) -> Result<PruneReport, PruneError> {
        let mut batch = Batch::new();
        let mut report = PruneReport::default();
        let expired = Bucket::of_ms(now_ms.saturating_sub(OUTBOX_ROW_MS));
        for epoch in self.epochs_below(set, Epoch(mine.0 + 1))? {
            if epoch != mine && !self.is_swept(set, epoch)? {
                continue;
            }
            for kind in [RowKind::Marker, RowKind::Event] {
                let range =
                    bucket_prefix(kind, set, epoch, Bucket(0))..bucket_prefix(kind, set, epoch, expired);
                let room = limit - report.rows;
                for row in self.rows.range(range).take(room) {
                    batch.delete(&self.rows, row.map_err(OutboxError::from)?.0);
                    report.rows += 1;
                }
            }
        }
        report.more = report.rows == limit;
        report.marks = self.prune_marks(&mut batch, set, mine)?;
        self.engine.commit(batch).await?;
        Ok(report)
    }

    /// Removes marks and watermarks of earlier epochs that have no rows any more.
    fn prune_marks(&self, batch: &mut Batch, set: SlotSet, mine: Epoch) -> Result<usize, OutboxError> {
        let mut marks = 0;
        for kind in [RowKind::Swept, RowKind::Watermark] {
            for row in self.meta.prefix(set_prefix(kind, set)) {
                let (key, _) = row?;
                let epoch = match kind {
                    RowKind::Swept => SweptKey::decode(&key)?.epoch,
                    _ => WatermarkKey::decode(&key)?.epoch,
                };
                let left = self.first_from(set, epoch, Bucket(0))?.is_some_and(|(first, _)| first == epoch);
                if epoch < mine && !left {
                    batch.delete(&self.meta, key);
                    marks += 1;
                }
            }
        }
        Ok(marks)
    }
}
