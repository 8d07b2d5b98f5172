//! Key of the mark that an epoch is swept.

use super::{KeyError, RowKind, decode_epoch_prefix, epoch_prefix};
use crate::{leases::Epoch, slots::SlotSet};

/// Present when everything of the epoch was published. The row has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SweptKey {
    /// The slot set.
    pub set: SlotSet,
    /// The epoch that was swept.
    pub epoch: Epoch,
}

impl SweptKey {
    /// The bytes.
    pub fn encode(&self) -> Vec<u8> {
        epoch_prefix(RowKind::Swept, self.set, self.epoch)
    }

    /// The key with those bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, KeyError> {
        let (set, epoch) = decode_epoch_prefix(RowKind::Swept, bytes)?;
        Ok(Self { set, epoch })
    }
}

#[cfg(test)]
mod tests {
    use super::super::strategies::set;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trip(set in set(), epoch: u64) {
            let key = SweptKey { set, epoch: Epoch(epoch) };
            prop_assert_eq!(SweptKey::decode(&key.encode()), Ok(key));
        }
    }
}
