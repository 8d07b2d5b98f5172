//! Every key that this crate persists, and where its value is described.
//!
//! All numbers are big-endian, so the order of bytes is the order of numbers. The first byte is the kind of
//! row, unique over both tables; a kind is never reused.
//!
//! | kind | table | key after the kind | value |
//! |---|---|---|---|
//! | [`RowKind::Event`] | `outbox` | set u8, epoch u64, bucket u64, slot u16, id u64 | `outbox::value` |
//! | [`RowKind::Marker`] | `outbox` | set u8, epoch u64, bucket u64, slot u16, channel u64 | empty |
//! | [`RowKind::Swept`] | `meta` | set u8, epoch u64 | empty |
//! | [`RowKind::Watermark`] | `meta` | set u8, epoch u64 | ms u64 |
//! | [`RowKind::Epoch`] | `meta` | nothing | epoch u64 |
//! | [`RowKind::IdFloor`] | `meta` | nothing | ms u64 |
//! | [`RowKind::Format`] | `meta` | nothing | format u32 |
//!
//! The bucket comes before the slot because both readers go by time: the sweep publishes an epoch's rows in
//! the order in which they were made, and expiry removes one range per epoch. Values that are a single number
//! have no version of their own; the format row covers them.

mod epoch;
mod event;
mod floor;
mod format;
mod marker;
mod swept;
mod watermark;

pub use epoch::EpochKey;
pub use event::EventKey;
pub use floor::FloorKey;
pub use format::FormatKey;
pub use marker::MarkerKey;
pub use swept::SweptKey;
pub use watermark::WatermarkKey;

use crate::{
    leases::Epoch,
    outbox::Bucket,
    slots::{Slot, SlotSet},
};

/// Table of the outbox.
pub const OUTBOX_TABLE: &str = "outbox";
/// Table of single facts: few and small rows.
pub const META_TABLE: &str = "meta";

/// The first byte of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RowKind {
    /// Events of one change: [`EventKey`].
    Event = 1,
    /// A channel that had messages in a bucket: [`MarkerKey`].
    Marker = 2,
    /// An epoch of which nothing is left to publish: [`SweptKey`].
    Swept = 3,
    /// The time up to which an epoch's events are published: [`WatermarkKey`].
    Watermark = 4,
    /// The epoch of the last start: [`EpochKey`].
    Epoch = 5,
    /// The time of the newest id: [`FloorKey`].
    IdFloor = 6,
    /// The layout of everything here: [`FormatKey`].
    Format = 7,
}

/// Bytes that are no key or value of the kind they should be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("decode a row of kind {kind:?}: {what} in {bytes:02x?}")]
pub struct KeyError {
    /// The kind that was expected.
    pub kind: RowKind,
    /// What is wrong.
    pub what: &'static str,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Length of kind, set and epoch.
const EPOCH_PREFIX_LEN: usize = 10;
/// Length of the keys in the outbox.
const OUTBOX_KEY_LEN: usize = 28;

/// The part that event and marker keys share; the last field is what differs in meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutboxKey {
    pub(crate) set: SlotSet,
    pub(crate) epoch: Epoch,
    pub(crate) bucket: Bucket,
    pub(crate) slot: Slot,
    pub(crate) last: u64,
}

impl OutboxKey {
    pub(crate) fn encode(&self, kind: RowKind) -> Vec<u8> {
        let mut key = bucket_prefix(kind, self.set, self.epoch, self.bucket);
        key.extend(self.slot.get().to_be_bytes());
        key.extend(self.last.to_be_bytes());
        key
    }

    pub(crate) fn decode(kind: RowKind, bytes: &[u8]) -> Result<Self, KeyError> {
        let error = |what| KeyError { kind, what, bytes: bytes.to_vec() };
        if bytes.len() != OUTBOX_KEY_LEN {
            return Err(error("wrong length"));
        }
        let (set, epoch) = decode_epoch_prefix(kind, &bytes[..EPOCH_PREFIX_LEN])?;
        let slot = u16::from_be_bytes([bytes[18], bytes[19]]);
        Ok(Self {
            set,
            epoch,
            bucket: Bucket(number(&bytes[10..18])),
            slot: Slot::new(slot).ok_or_else(|| error("unknown slot"))?,
            last: number(&bytes[20..28]),
        })
    }
}

/// Prefix of all rows of an epoch, and the whole key of rows that there is one of per epoch.
pub(crate) fn epoch_prefix(kind: RowKind, set: SlotSet, epoch: Epoch) -> Vec<u8> {
    let mut key = Vec::with_capacity(OUTBOX_KEY_LEN);
    key.extend([kind as u8, set.code()]);
    key.extend(epoch.0.to_be_bytes());
    key
}

/// Prefix of all rows of a bucket.
pub(crate) fn bucket_prefix(kind: RowKind, set: SlotSet, epoch: Epoch, bucket: Bucket) -> Vec<u8> {
    let mut key = epoch_prefix(kind, set, epoch);
    key.extend(bucket.0.to_be_bytes());
    key
}

fn decode_epoch_prefix(kind: RowKind, bytes: &[u8]) -> Result<(SlotSet, Epoch), KeyError> {
    let error = |what| KeyError { kind, what, bytes: bytes.to_vec() };
    if bytes.len() != EPOCH_PREFIX_LEN {
        return Err(error("wrong length"));
    }
    if bytes[0] != kind as u8 {
        return Err(error("another kind"));
    }
    let set = SlotSet::from_code(bytes[1]).ok_or_else(|| error("unknown slot set"))?;
    Ok((set, Epoch(number(&bytes[2..10]))))
}

fn decode_number(kind: RowKind, bytes: &[u8]) -> Result<u64, KeyError> {
    let error = KeyError { kind, what: "value is not eight bytes", bytes: bytes.to_vec() };
    <[u8; 8]>::try_from(bytes).map(u64::from_be_bytes).map_err(|_| error)
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes.try_into().expect("callers pass eight bytes"))
}

#[cfg(test)]
pub(crate) mod strategies {
    //! Random parts of keys.

    use super::*;
    use proptest::prelude::*;

    pub(crate) fn set() -> impl Strategy<Value = SlotSet> {
        (0_usize..3).prop_map(|index| SlotSet::ALL[index])
    }

    pub(crate) fn slot() -> impl Strategy<Value = Slot> {
        any::<u64>().prop_map(Slot::of)
    }
}
