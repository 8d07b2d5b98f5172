//! The outbox in Cassandra: what was stored and must be published, kept for 15 minutes, by slot.
//!
//! A partition holds ten minutes of a slot, so that none grows for ever and a sweep reads two or three. Its rows are written
//! with the data that they speak of and never deleted: a deleted row costs more than one that expires. Their timestamps are
//! times, unlike those of the data: rows of an outbox are never overwritten, and files whose rows have all expired are
//! dropped whole.

mod sweep;

pub use sweep::CassandraSweepError;

use super::{
    Cassandra, ConnectError, WriteBatch, WriteError,
    register::{set_code, slot_number},
};
use crate::{
    outbox::{Bucket, Marker, OutboxRow, Watermark, value},
    slots::{Slot, SlotSet},
};
use model::limits::{OUTBOX_BUCKET_MS, OUTBOX_PAGE_LEN};
use scylla::statement::prepared::PreparedStatement;
use std::sync::Arc;

/// The outbox of one keyspace.
pub struct CassandraOutbox {
    cassandra: Arc<Cassandra>,
    put: PreparedStatement,
    put_watermark: PreparedStatement,
    put_swept: PreparedStatement,
    watermarks: PreparedStatement,
    next_epoch: PreparedStatement,
    rows: PreparedStatement,
}

/// In a bucket markers come before rows, as a message's edit may lie in a row of the bucket in which it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
enum Kind {
    Marker = 0,
    Event = 1,
}

/// Buckets in a partition: ten minutes.
const BUCKETS_PER_PARTITION: u64 = 600_000 / OUTBOX_BUCKET_MS;

impl CassandraOutbox {
    /// On this session.
    pub async fn prepare(cassandra: &Arc<Cassandra>) -> Result<Self, ConnectError> {
        let mut rows = cassandra
            .prepare_read(
                "SELECT bucket, kind, id, value FROM outbox
                 WHERE slot_set = ? AND slot = ? AND ten_minutes = ? AND epoch = ? AND bucket >= ?",
            )
            .await?;
        rows.set_page_size(i32::try_from(OUTBOX_PAGE_LEN).expect("a page is short"));
        Ok(Self {
            put: cassandra
                .prepare_write(
                    "INSERT INTO outbox (slot_set, slot, ten_minutes, epoch, bucket, kind, id, value)
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?",
                )
                .await?,
            put_watermark: cassandra
                .prepare_write(
                    "INSERT INTO watermarks (slot_set, slot, epoch, published_ms) VALUES (?, ?, ?, ?)
                     USING TIMESTAMP ?",
                )
                .await?,
            put_swept: cassandra
                .prepare_write(
                    "INSERT INTO watermarks (slot_set, slot, epoch, is_swept) VALUES (?, ?, ?, true)",
                )
                .await?,
            watermarks: cassandra
                .prepare_read(
                    "SELECT epoch, published_ms, is_swept FROM watermarks WHERE slot_set = ? AND slot = ?",
                )
                .await?,
            next_epoch: cassandra
                .prepare_read(
                    "SELECT epoch FROM outbox
                     WHERE slot_set = ? AND slot = ? AND ten_minutes = ? AND epoch > ? LIMIT 1",
                )
                .await?,
            rows,
            cassandra: cassandra.clone(),
        })
    }

    /// Adds a row to the batch that stores its change.
    pub fn put_row(&self, batch: &mut WriteBatch, row: &OutboxRow) {
        let value = Some(value::encode(&row.events));
        self.put(batch, row.set, row.slot, (row.epoch.0, row.bucket, Kind::Event, row.id), value);
    }

    /// Adds a marker to the batch that stores the first message in its bucket.
    pub fn put_marker(&self, batch: &mut WriteBatch, marker: &Marker) {
        let key = (marker.epoch.0, marker.bucket, Kind::Marker, marker.channel);
        self.put(batch, marker.set, marker.slot, key, None);
    }

    fn put(
        &self,
        batch: &mut WriteBatch,
        set: SlotSet,
        slot: Slot,
        (epoch, bucket, kind, id): (u64, Bucket, Kind, u64),
        value: Option<Vec<u8>>,
    ) {
        let partition = (set_code(set), slot_number(slot), partition(bucket));
        let (epoch, number, id) = (epoch.cast_signed(), bucket.0.cast_signed(), id.cast_signed());
        let (set, slot, ten_minutes) = partition;
        batch.add(
            &self.put,
            (set, slot, ten_minutes, epoch, number, kind as i8, id, value, micros(bucket.start_ms())),
        );
    }

    /// Stores the watermark of a slot. A later one has a later timestamp, whoever writes it down first.
    pub async fn put_watermark(&self, watermark: Watermark) -> Result<(), WriteError> {
        let Watermark { set, slot, epoch, published_ms } = watermark;
        let slot = slot.expect("a store that keeps watermarks of slots is given no others");
        let row = (
            set_code(set),
            slot_number(slot),
            epoch.0.cast_signed(),
            published_ms.cast_signed(),
            micros(published_ms),
        );
        self.cassandra.write(&self.put_watermark, row).await
    }
}

fn partition(bucket: Bucket) -> i64 {
    (bucket.0 / BUCKETS_PER_PARTITION).cast_signed()
}

fn micros(ms: u64) -> i64 {
    ms.saturating_mul(1_000).cast_signed()
}
