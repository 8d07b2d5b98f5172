//! Key and value of a watermark: the time up to which an epoch's events were published.

use super::{KeyError, RowKind, decode_epoch_prefix, decode_number, epoch_prefix};
use crate::{leases::Epoch, slots::SlotSet};

/// One row per set and epoch, overwritten about once a second. The value is Unix time in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatermarkKey {
    /// The slot set.
    pub set: SlotSet,
    /// The writer's epoch.
    pub epoch: Epoch,
}

impl WatermarkKey {
    /// The bytes.
    pub fn encode(&self) -> Vec<u8> {
        epoch_prefix(RowKind::Watermark, self.set, self.epoch)
    }

    /// The key with those bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, KeyError> {
        let (set, epoch) = decode_epoch_prefix(RowKind::Watermark, bytes)?;
        Ok(Self { set, epoch })
    }

    /// The value's bytes.
    pub fn encode_value(published_ms: u64) -> [u8; 8] {
        published_ms.to_be_bytes()
    }

    /// The value.
    pub fn decode_value(bytes: &[u8]) -> Result<u64, KeyError> {
        decode_number(RowKind::Watermark, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::strategies::set;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trip(set in set(), epoch: u64, ms: u64) {
            let key = WatermarkKey { set, epoch: Epoch(epoch) };
            prop_assert_eq!(WatermarkKey::decode(&key.encode()), Ok(key));
            prop_assert_eq!(WatermarkKey::decode_value(&WatermarkKey::encode_value(ms)), Ok(ms));
        }
    }
}
