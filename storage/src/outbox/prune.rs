//! Expiry: rows older than 15 minutes go, a bounded number at a time.
//!
//! The engine has no time to live, so somebody calls [`Outbox::prune`] now and then (every 30 s is plenty). It
//! removes one range per epoch from the front. Rows of an earlier epoch that was not swept stay whatever their
//! age, and so do rows of the running one above its watermark: they may never have been published. When nothing of an earlier epoch is left, its mark and its
//! watermark go too.

use super::{Bucket, Outbox, OutboxError};
use crate::{
    engine::{Batch, CommitError},
    keys::{RowKind, SweptKey, WatermarkKey, bucket_prefix, epoch_prefix},
    leases::Epoch,
    slots::SlotSet,
};
use model::limits::OUTBOX_ROW_MS;
use std::{ops::Range, sync::atomic::Ordering::Relaxed};

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
        let mut room = limit;
        let expired = Bucket::of_ms(now_ms.saturating_sub(OUTBOX_ROW_MS));
        for epoch in self.epochs_below(set, mine)? {
            if self.is_swept(set, epoch)? {
                self.prune_epoch(&mut batch, set, epoch, Bucket(0)..expired, &mut room)?;
            }
        }
        let mine_until = expired.min(Bucket::of_ms(self.watermark(set, mine)?));
        let pruned = &self.pruned[usize::from(set.code()) - 1];
        self.prune_epoch(&mut batch, set, mine, Bucket(pruned.load(Relaxed))..mine_until, &mut room)?;
        let marks = self.prune_marks(&mut batch, set, mine)?;
        self.engine.commit(batch).await?;
        if room > 0 {
            pruned.fetch_max(mine_until.0, Relaxed);
        }
        Ok(PruneReport { rows: limit - room, marks, more: room == 0 })
    }

    fn prune_epoch(
        &self,
        batch: &mut Batch,
        set: SlotSet,
        epoch: Epoch,
        buckets: Range<Bucket>,
        room: &mut usize,
    ) -> Result<(), OutboxError> {
        if buckets.is_empty() {
            return Ok(());
        }
        for kind in [RowKind::Marker, RowKind::Event] {
            let start = bucket_prefix(kind, set, epoch, buckets.start);
            let end = bucket_prefix(kind, set, epoch, buckets.end);
            for row in self.rows.range(start..end).take(*room) {
                batch.delete(&self.rows, row?.0);
                *room -= 1;
            }
        }
        Ok(())
    }

    /// Removes marks and watermarks of earlier epochs that have no rows any more.
    fn prune_marks(&self, batch: &mut Batch, set: SlotSet, mine: Epoch) -> Result<usize, OutboxError> {
        let mut marks = 0;
        for kind in [RowKind::Swept, RowKind::Watermark] {
            for row in self.meta.range(epoch_prefix(kind, set, Epoch(0))..epoch_prefix(kind, set, mine)) {
                let (key, _) = row?;
                let epoch = match kind {
                    RowKind::Swept => SweptKey::decode(&key)?.epoch,
                    _ => WatermarkKey::decode(&key)?.epoch,
                };
                if self.first(set, epoch, Bucket(0), epoch.next())?.is_none() {
                    batch.delete(&self.meta, key);
                    marks += 1;
                }
            }
        }
        Ok(marks)
    }
}
