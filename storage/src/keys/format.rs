//! Key of the number that says how everything in the database is laid out; its value is four bytes.

use super::RowKind;

/// One row, written when the database is made.
pub struct FormatKey;

impl FormatKey {
    /// The bytes.
    pub fn encode() -> [u8; 1] {
        [RowKind::Format as u8]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_distinct() {
        let kinds = [
            RowKind::Event,
            RowKind::Marker,
            RowKind::Swept,
            RowKind::Watermark,
            RowKind::Epoch,
            RowKind::IdFloor,
            RowKind::Format,
        ];
        let codes: Vec<u8> = kinds.map(|kind| kind as u8).into();
        assert_eq!(codes, [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(FormatKey::encode(), [7]);
    }
}
