//! Key and value of the last start's epoch.

use super::{KeyError, RowKind, decode_number};
use crate::leases::Epoch;

/// One row: the highest epoch ever taken.
pub struct EpochKey;

impl EpochKey {
    /// The bytes.
    pub fn encode() -> [u8; 1] {
        [RowKind::Epoch as u8]
    }

    /// The value's bytes.
    pub fn encode_value(epoch: Epoch) -> [u8; 8] {
        epoch.0.to_be_bytes()
    }

    /// The value.
    pub fn decode_value(bytes: &[u8]) -> Result<Epoch, KeyError> {
        decode_number(RowKind::Epoch, bytes).map(Epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trip(epoch: u64) {
            prop_assert_eq!(EpochKey::decode_value(&EpochKey::encode_value(Epoch(epoch))), Ok(Epoch(epoch)));
        }
    }
}
