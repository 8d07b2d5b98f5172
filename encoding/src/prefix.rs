//! The beginning of a dispatch, the only part of it that differs from session to session.

use std::fmt;

/// What stands before the shared bytes of a dispatch, and where in it the session's sequence number goes.
///
/// It has the same length for every number, so the length of the whole is known before the session is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    bytes: [u8; Prefix::BYTES_MAX],
    len: u8,
    seq_at: u8,
    number: Number,
}

/// How a sequence number is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// Digits, with spaces behind them, which JSON permits there.
    Decimal,
    /// The four bytes of a big-endian integer of ETF. They are signed: the number must not be above `i32::MAX`.
    BigEndian,
}

// What ends a session keeps its numbers within the four bytes.
const _: () = assert!(model::limits::SEQUENCE_MAX <= i32::MAX as u64);

// === impl Prefix ===

impl Prefix {
    /// The longest prefix of any form: ETF behind the header of a stored block.
    pub const BYTES_MAX: usize = 31;

    /// `before`, a number, `after`.
    pub(crate) const fn new(before: &[u8], number: Number, after: &[u8]) -> Self {
        let empty = Self { bytes: [b' '; Self::BYTES_MAX], len: 0, seq_at: before.len() as u8, number };
        let mut prefix = empty.append(before);
        prefix.len += number.width() as u8;
        prefix.append(after)
    }

    /// The same behind `header`.
    pub(crate) const fn behind(self, header: &[u8]) -> Self {
        let seq_at = header.len() as u8 + self.seq_at;
        let empty = Self { bytes: [b' '; Self::BYTES_MAX], len: 0, seq_at, number: self.number };
        empty.append(header).append(self.as_slice())
    }

    const fn append(mut self, bytes: &[u8]) -> Self {
        let mut at = 0;
        while at < bytes.len() {
            self.bytes[self.len as usize] = bytes[at];
            self.len += 1;
            at += 1;
        }
        self
    }

    /// The bytes, with whatever the field of the number holds.
    pub const fn as_slice(&self) -> &[u8] {
        self.bytes.split_at(self.len as usize).0
    }

    pub const fn len(&self) -> usize {
        self.len as usize
    }

    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where the field of the number begins.
    pub const fn seq_at(&self) -> usize {
        self.seq_at as usize
    }

    /// How the number is written into its field.
    pub const fn number(&self) -> Number {
        self.number
    }

    /// The same with this number.
    pub fn with_seq(mut self, seq: u32) -> Self {
        self.number.write(&mut self.bytes[usize::from(self.seq_at)..], seq);
        self
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prefix({})", self.as_slice().escape_ascii())
    }
}

// === impl Number ===

impl Number {
    /// Bytes of the field.
    pub const fn width(self) -> usize {
        match self {
            Self::Decimal => DECIMAL_WIDTH,
            Self::BigEndian => 4,
        }
    }

    /// Writes `seq` into the field that `bytes` begins with.
    ///
    /// # Panics
    /// When `bytes` is shorter than the field.
    pub fn write(self, bytes: &mut [u8], seq: u32) {
        let field = &mut bytes[..self.width()];
        match self {
            Self::Decimal => write_decimal(field, seq),
            Self::BigEndian => field.copy_from_slice(&seq.to_be_bytes()),
        }
    }
}

fn write_decimal(field: &mut [u8], seq: u32) {
    let digits = seq.checked_ilog10().map_or(1, |log| log as usize + 1);
    let (number, padding) = field.split_at_mut(digits);
    padding.fill(b' ');
    let mut rest = seq;
    for place in number.iter_mut().rev() {
        *place = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

/// Wide enough for every `u32`.
const DECIMAL_WIDTH: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_the_same_width() {
        let decimal = Prefix::new(b"<", Number::Decimal, b">");
        let binary = Prefix::new(b"<", Number::BigEndian, b">").behind(b"##");
        assert_eq!((decimal.len(), decimal.seq_at()), (12, 1));
        assert_eq!((binary.len(), binary.seq_at()), (8, 3));
        let mut reused = decimal;
        for seq in [u32::MAX, 0, 9, 10, 99, 100, 123_456_789, 2_000_000_000] {
            let expected = format!("<{seq:<10}>");
            assert_eq!(decimal.with_seq(seq).as_slice(), expected.as_bytes());
            reused = reused.with_seq(seq);
            assert_eq!(reused.as_slice(), expected.as_bytes(), "what was there before is gone");
            let expected = [b"##<", &seq.to_be_bytes()[..], b">"].concat();
            assert_eq!(binary.with_seq(seq).as_slice(), expected);
        }
    }
}
