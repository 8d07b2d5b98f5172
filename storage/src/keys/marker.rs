//! Key of a marker: a channel that had messages in a bucket.

use super::{KeyError, OutboxKey, RowKind};
use crate::{
    leases::Epoch,
    outbox::Bucket,
    slots::{Slot, SlotSet},
};

/// Where to look for messages that are their own outbox rows. The row has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarkerKey {
    /// The slot set.
    pub set: SlotSet,
    /// The writer's epoch.
    pub epoch: Epoch,
    /// The bucket of the messages' ids.
    pub bucket: Bucket,
    /// The channel's slot.
    pub slot: Slot,
    /// The channel.
    pub channel: u64,
}

impl MarkerKey {
    /// The bytes.
    pub fn encode(&self) -> Vec<u8> {
        let Self { set, epoch, bucket, slot, channel } = *self;
        OutboxKey { set, epoch, bucket, slot, last: channel }.encode(RowKind::Marker)
    }

    /// The key with those bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, KeyError> {
        let OutboxKey { set, epoch, bucket, slot, last } = OutboxKey::decode(RowKind::Marker, bytes)?;
        Ok(Self { set, epoch, bucket, slot, channel: last })
    }
}

#[cfg(test)]
mod tests {
    use super::super::strategies::{set, slot};
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trip(set in set(), epoch: u64, bucket: u64, slot in slot(), channel: u64) {
            let key = MarkerKey { set, epoch: Epoch(epoch), bucket: Bucket(bucket), slot, channel };
            prop_assert_eq!(MarkerKey::decode(&key.encode()), Ok(key));
        }

        #[test]
        fn any_bytes_decode_or_fail(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(key) = MarkerKey::decode(&bytes) {
                prop_assert_eq!(key.encode(), bytes);
            }
        }
    }
}
