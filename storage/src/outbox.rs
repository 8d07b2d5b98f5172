//! The outbox: what was stored and must be published, kept until that is certain.
//!
//! A change is first stored, then published, then answered. A crash between the first two would lose the event,
//! so the batch that stores a change also holds a row with its events ([`OutboxRow`]). A message is its own
//! row; for it there is one [`Marker`] per channel and 10-second bucket, which says where to look.
//!
//! Nothing is deleted after a publish: that would be a second write for each event. Instead the owner writes a
//! watermark about once a second ([`Outbox::put_watermark`]): the time up to which everything is published.
//! When a later epoch starts, [`Outbox::sweep`] gives everything above the watermark of each earlier epoch to a
//! [`Republish`] and then marks the epoch as swept. What had been published already is published again with
//! the same event ids; readers drop repeats. Rows expire after 15 minutes ([`Outbox::prune`]).
//!
//! **Time here is the time of ids.** Bucket and watermark come from snowflakes ([`Bucket::of_snowflake`]), which
//! rise even when the clock steps back, so the order of rows is the order of changes.

mod keeper;
mod prune;
mod seen;
mod sweep;
pub(crate) mod value;

pub use keeper::{OutboxKeeper, OutboxStore, Scope, Watermark};
pub use prune::{PruneError, PruneReport};
pub use seen::Seen;
pub use sweep::{Republish, RepublishError, SWEEP_TRIES, SweepError, SweepReport, Unpublished};

use crate::{
    engine::{Batch, Engine, OpenError, ReadError, Table},
    keys::{
        EventKey, KeyError, META_TABLE, MarkerKey, OUTBOX_TABLE, RowKind, SweptKey, WatermarkKey,
        bucket_prefix, epoch_prefix,
    },
    leases::{Epoch, Lease},
    slots::{Slot, SlotSet},
};
use bytes::Bytes;
pub use model::Subject;
use model::limits::OUTBOX_BUCKET_MS;
use proto::{Envelope, envelope::EnvelopeError};
use std::sync::{Arc, atomic::AtomicU64};

/// Ten seconds of time, counted from 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket(pub u64);

/// One event of a change, as it is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxEvent {
    /// Where to.
    pub subject: Subject,
    /// By which readers drop repeats.
    pub event_id: u64,
    /// The encoded envelope.
    pub envelope: Bytes,
}

/// All events of one change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRow {
    /// The slot set of the writer.
    pub set: SlotSet,
    /// The slot of what was changed.
    pub slot: Slot,
    /// The writer's epoch.
    pub epoch: Epoch,
    /// The bucket of the change's snowflake.
    pub bucket: Bucket,
    /// The change's snowflake. It orders the changes of a slot; unique within slot and bucket.
    pub id: u64,
    /// The events, in the order in which to publish them.
    pub events: Vec<OutboxEvent>,
}

/// Says that a channel has messages whose ids lie in a bucket. Written with the first of them; writing it
/// again changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker {
    /// The slot set of the writer.
    pub set: SlotSet,
    /// The channel's slot.
    pub slot: Slot,
    /// The writer's epoch.
    pub epoch: Epoch,
    /// The bucket of the messages' ids.
    pub bucket: Bucket,
    /// The channel.
    pub channel: u64,
}

/// Why the outbox could not be read.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The disk.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A key or a number that is none.
    #[error("read the outbox: {0}; restore the data directory from a backup")]
    Key(#[from] KeyError),
    /// A row that does not decode.
    #[error("read outbox row {key:02x?}: {source}; restore the data directory from a backup")]
    Value {
        /// Its key.
        key: Vec<u8>,
        /// What is wrong.
        source: prost::DecodeError,
    },
    /// A row from a newer version.
    #[error(
        "read outbox row {key:02x?}: it has version {version}, this version knows up to {}; use a newer one",
        value::VERSION
    )]
    Version {
        /// Its key.
        key: Vec<u8>,
        /// Its version.
        version: u32,
    },
    /// A subject that does not exist.
    #[error("read outbox row {key:02x?}: unknown subject of kind {kind} with id {id}; use a newer version")]
    Subject {
        /// The row's key.
        key: Vec<u8>,
        /// The kind.
        kind: u32,
        /// The id, never 0.
        id: u64,
    },
}

/// The outbox of a database. Clones share it.
#[derive(Clone)]
pub struct Outbox {
    engine: Engine,
    rows: Table,
    meta: Table,
    /// Per set, the bucket below which expiry has left nothing of this start's epoch: the next one begins there
    /// and not at the front, where the engine would walk over all that was deleted.
    pruned: Arc<[AtomicU64; SlotSet::ALL.len()]>,
}

// === impl OutboxEvent ===

impl OutboxEvent {
    /// The same, published under another lease than it was made under: readers take nothing more of an owner who was
    /// followed by another.
    pub fn written_by(self, lease: &Lease) -> Result<Self, EnvelopeError> {
        let envelope = Envelope { writer: lease.writer(), ..Envelope::decode(self.envelope)? };
        Ok(Self { envelope: envelope.encode(), ..self })
    }
}

// === impl Bucket ===

impl Bucket {
    /// The bucket of a snowflake.
    pub fn of_snowflake(id: u64) -> Self {
        Self::of_ms(model::snowflake::timestamp_ms(id))
    }

    /// The bucket of a Unix time.
    pub fn of_ms(unix_ms: u64) -> Self {
        Self(unix_ms / OUTBOX_BUCKET_MS)
    }

    /// The first millisecond of the bucket.
    pub fn start_ms(self) -> u64 {
        self.0.saturating_mul(OUTBOX_BUCKET_MS)
    }

    /// The first millisecond after it.
    pub fn end_ms(self) -> u64 {
        Self(self.0.saturating_add(1)).start_ms()
    }
}

// === impl Outbox ===

impl Outbox {
    /// The outbox of this database.
    pub fn open(engine: &Engine) -> Result<Self, OpenError> {
        let rows = engine.table(OUTBOX_TABLE)?;
        let meta = engine.table(META_TABLE)?;
        Ok(Self { engine: engine.clone(), rows, meta, pruned: Arc::default() })
    }

    /// Adds a row to the batch that stores its change.
    pub fn put_row(&self, batch: &mut Batch, row: &OutboxRow) {
        let OutboxRow { set, slot, epoch, bucket, id, .. } = *row;
        let key = EventKey { set, epoch, bucket, slot, id };
        batch.put(&self.rows, key.encode(), value::encode(&row.events));
    }

    /// Adds a marker to the batch that stores the first message in its bucket.
    pub fn put_marker(&self, batch: &mut Batch, marker: &Marker) {
        let Marker { set, slot, epoch, bucket, channel } = *marker;
        batch.put(&self.rows, MarkerKey { set, epoch, bucket, slot, channel }.encode(), []);
    }

    /// Says that all events of this epoch with times below `published_ms` are published.
    pub fn put_watermark(&self, batch: &mut Batch, set: SlotSet, epoch: Epoch, published_ms: u64) {
        let value = WatermarkKey::encode_value(published_ms);
        batch.put(&self.meta, WatermarkKey { set, epoch }.encode(), value);
    }

    /// The watermark of an epoch; 0 before the first.
    pub fn watermark(&self, set: SlotSet, epoch: Epoch) -> Result<u64, OutboxError> {
        match self.meta.get(WatermarkKey { set, epoch }.encode())? {
            Some(value) => Ok(WatermarkKey::decode_value(&value)?),
            None => Ok(0),
        }
    }

    /// Says that nothing of an epoch is left to publish.
    pub fn put_swept(&self, batch: &mut Batch, set: SlotSet, epoch: Epoch) {
        batch.put(&self.meta, SweptKey { set, epoch }.encode(), []);
    }

    /// Whether an epoch was swept.
    pub fn is_swept(&self, set: SlotSet, epoch: Epoch) -> Result<bool, OutboxError> {
        Ok(self.meta.contains(SweptKey { set, epoch }.encode())?)
    }

    /// The epochs below `below` that have rows or markers, ascending.
    pub fn epochs_below(&self, set: SlotSet, below: Epoch) -> Result<Vec<Epoch>, OutboxError> {
        let mut epochs = Vec::new();
        let mut from = Epoch(0);
        while let Some((epoch, _)) = self.first(set, from, Bucket(0), below)? {
            epochs.push(epoch);
            from = epoch.next();
        }
        Ok(epochs)
    }

    /// Epoch and bucket of the first row or marker at or after a place, in epochs below `below`.
    fn first(
        &self,
        set: SlotSet,
        epoch: Epoch,
        bucket: Bucket,
        below: Epoch,
    ) -> Result<Option<(Epoch, Bucket)>, OutboxError> {
        let mut first: Option<(Epoch, Bucket)> = None;
        for kind in [RowKind::Marker, RowKind::Event] {
            let from = bucket_prefix(kind, set, epoch, bucket);
            let end = epoch_prefix(kind, set, below);
            if from >= end {
                return Ok(None);
            }
            let Some(row) = self.rows.range(from..end).next() else { continue };
            let key = crate::keys::OutboxKey::decode(kind, &row?.0)?;
            let place = (key.epoch, key.bucket);
            first = Some(first.map_or(place, |other| other.min(place)));
        }
        Ok(first)
    }
}

#[cfg(test)]
mod tests;
