//! Key of an outbox row: the events of one change.

use super::{KeyError, OutboxKey, RowKind};
use crate::{
    leases::Epoch,
    outbox::Bucket,
    slots::{Slot, SlotSet},
};

/// Where the events of one change lie. `id` orders the changes of a slot within a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventKey {
    /// The slot set.
    pub set: SlotSet,
    /// The writer's epoch.
    pub epoch: Epoch,
    /// The bucket of its time.
    pub bucket: Bucket,
    /// The slot.
    pub slot: Slot,
    /// The change.
    pub id: u64,
}

impl EventKey {
    /// The bytes.
    pub fn encode(&self) -> Vec<u8> {
        let Self { set, epoch, bucket, slot, id } = *self;
        OutboxKey { set, epoch, bucket, slot, last: id }.encode(RowKind::Event)
    }

    /// The key with those bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, KeyError> {
        let OutboxKey { set, epoch, bucket, slot, last } = OutboxKey::decode(RowKind::Event, bytes)?;
        Ok(Self { set, epoch, bucket, slot, id: last })
    }
}

#[cfg(test)]
mod tests {
    use super::super::strategies::{set, slot};
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trip_and_order(
            a in (set(), any::<u64>(), any::<u64>(), slot(), any::<u64>()),
            b in (set(), any::<u64>(), any::<u64>(), slot(), any::<u64>()),
        ) {
            let key = |(set, epoch, bucket, slot, id)| {
                EventKey { set, epoch: Epoch(epoch), bucket: Bucket(bucket), slot, id }
            };
            prop_assert_eq!(EventKey::decode(&key(a).encode()), Ok(key(a)));
            prop_assert_eq!(key(a).encode().cmp(&key(b).encode()), a.cmp(&b));
        }

        #[test]
        fn any_bytes_decode_or_fail(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(key) = EventKey::decode(&bytes) {
                prop_assert_eq!(key.encode(), bytes);
            }
        }
    }

    #[test]
    fn layout_is_as_documented() {
        let key = EventKey {
            set: SlotSet::Guilds,
            epoch: Epoch(3),
            bucket: Bucket(4),
            slot: Slot::new(0x0102).unwrap(),
            id: 5,
        };
        let expected: Vec<u8> = [
            &[1, 2][..],
            &[0, 0, 0, 0, 0, 0, 0, 3],
            &[0, 0, 0, 0, 0, 0, 0, 4],
            &[1, 2],
            &[0, 0, 0, 0, 0, 0, 0, 5],
        ]
        .concat();
        assert_eq!(key.encode(), expected);
        let mut other = expected;
        other[0] = RowKind::Marker as u8;
        assert_eq!(EventKey::decode(&other).unwrap_err().what, "another kind");
    }
}
