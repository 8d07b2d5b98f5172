//! A session's position: up to where it has been given everything. Opaque to whoever carries it.
//!
//! Encoded as a version, the incarnation, and variable-length numbers: the user's sequence, the count of partitions and
//! `seen` of each. A version above the one written may carry more behind, which is ignored.

use crate::subject::Partition;

/// The version that is written.
pub const VERSION: u8 = 1;

/// Up to where a session lacks nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Position {
    /// The streams' incarnation: with another one, the numbers mean nothing.
    pub incarnation: u64,
    /// `seen` of each guild partition, in order.
    pub seen: Vec<u64>,
    /// The sequence in the stream of the user's own events.
    pub user: u64,
}

impl Position {
    /// What the partition has been seen up to; `None` when the position is of a layout with fewer.
    pub fn seen(&self, partition: Partition) -> Option<u64> {
        self.seen.get(usize::from(partition.0)).copied()
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(16 + self.seen.len() * 4);
        bytes.push(VERSION);
        bytes.extend(self.incarnation.to_le_bytes());
        put(&mut bytes, self.user);
        put(&mut bytes, self.seen.len() as u64);
        for seen in &self.seen {
            put(&mut bytes, *seen);
        }
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, PositionError> {
        let (version, rest) = bytes.split_first().ok_or(PositionError::Truncated)?;
        if !(VERSION..=VERSION + 1).contains(version) {
            return Err(PositionError::Version(*version));
        }
        let (incarnation, mut rest) = rest.split_first_chunk::<8>().ok_or(PositionError::Truncated)?;
        let user = take(&mut rest)?;
        let count = take(&mut rest)?;
        if count > u64::from(u16::MAX) || count > rest.len() as u64 {
            return Err(PositionError::Truncated);
        }
        let seen = (0..count).map(|_| take(&mut rest)).collect::<Result<_, _>>()?;
        if *version == VERSION && !rest.is_empty() {
            return Err(PositionError::Trailing(rest.len()));
        }
        Ok(Self { incarnation: u64::from_le_bytes(*incarnation), seen, user })
    }
}

/// The bytes are no position. Its session begins again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PositionError {
    #[error("position has version {0}, this binary reads {VERSION} and {next}: begin a new session", next = VERSION + 1)]
    Version(u8),
    #[error("position is cut off: begin a new session")]
    Truncated,
    #[error("position has {0} bytes too many: begin a new session")]
    Trailing(usize),
    #[error("position has a number of more than 64 bits: begin a new session")]
    Overlong,
}

/// Seven bits a byte, the lowest first; the highest bit says that more follow.
fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take(bytes: &mut &[u8]) -> Result<u64, PositionError> {
    let mut number = 0_u64;
    for shift in (0..u64::BITS).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or(PositionError::Truncated)?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        if bits << shift >> shift != bits {
            return Err(PositionError::Overlong);
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(PositionError::Overlong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trip(incarnation: u64, user: u64, seen in proptest::collection::vec(any::<u64>(), 0..100)) {
            let position = Position { incarnation, seen, user };
            prop_assert_eq!(Position::decode(&position.encode()), Ok(position));
        }

        #[test]
        fn garbage_is_an_error_and_never_a_panic(mut bytes: Vec<u8>) {
            let _ = Position::decode(&bytes);
            bytes.insert(0, VERSION);
            let _ = Position::decode(&bytes);
        }

        #[test]
        fn a_part_of_a_position_is_none(seen in proptest::collection::vec(any::<u64>(), 0..20), cut: usize) {
            let bytes = Position { incarnation: 1, seen, user: 9 }.encode();
            prop_assert_eq!(Position::decode(&bytes[..cut % bytes.len()]), Err(PositionError::Truncated));
        }
    }

    #[test]
    fn versions() {
        let position = Position { incarnation: 3, seen: vec![1, 300], user: 2 };
        let kept = doubles::fixture(env!("CARGO_MANIFEST_DIR"), "v1/position.bin", &position.encode());
        assert_eq!(Position::decode(&kept), Ok(position.clone()));
        assert_eq!(
            position.encode(),
            kept,
            "what is written has changed: raise the version, and keep this one"
        );
        let mut bytes = kept;
        bytes.push(7);
        assert_eq!(Position::decode(&bytes), Err(PositionError::Trailing(1)));
        bytes[0] = VERSION + 1;
        assert_eq!(Position::decode(&bytes), Ok(position.clone()));
        bytes[0] = VERSION + 2;
        assert_eq!(Position::decode(&bytes), Err(PositionError::Version(VERSION + 2)));
        assert_eq!(position.seen(Partition(1)), Some(300));
        assert_eq!(position.seen(Partition(2)), None);
    }

    #[test]
    fn numbers_of_more_than_64_bits_are_refused() {
        let mut bytes = vec![VERSION; 9];
        bytes.extend([0xff; 9]);
        bytes.extend([0x02, 0]);
        assert_eq!(Position::decode(&bytes), Err(PositionError::Overlong));
    }
}
