//! Key and value of the time below which no new id may lie.

use super::{KeyError, RowKind, decode_number};

/// One row: Unix time in milliseconds of the newest id, as last recorded.
pub struct FloorKey;

impl FloorKey {
    /// The bytes.
    pub fn encode() -> [u8; 1] {
        [RowKind::IdFloor as u8]
    }

    /// The value's bytes.
    pub fn encode_value(ms: u64) -> [u8; 8] {
        ms.to_be_bytes()
    }

    /// The value.
    pub fn decode_value(bytes: &[u8]) -> Result<u64, KeyError> {
        decode_number(RowKind::IdFloor, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trip(ms: u64) {
            prop_assert_eq!(FloorKey::decode_value(&FloorKey::encode_value(ms)), Ok(ms));
        }
    }
}
