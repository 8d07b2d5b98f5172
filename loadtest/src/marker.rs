//! What is sent: a marker of fixed width at the beginning of a message's content.
//!
//! A receiver finds it by searching the bytes, and reads three numbers; the JSON around it is parsed by nobody.

use std::sync::LazyLock;

use memchr::memmem::Finder;

const BEGIN: &str = "~load~";
const RUN_DIGITS: usize = 8;
const INDEX_DIGITS: usize = 8;
const DUE_DIGITS: usize = 12;
/// Length of the marker.
pub const LENGTH: usize = BEGIN.len() + RUN_DIGITS + INDEX_DIGITS + DUE_DIGITS;

static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(BEGIN));

/// One message of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker {
    /// Tells this run's messages from others'.
    pub run: u32,
    /// The message's number in the run.
    pub index: u32,
    /// When it was due, in microseconds since the run began.
    pub due_us: u64,
}

impl Marker {
    /// The content of a message of `size` bytes, at least the marker.
    pub fn content(self, size: usize) -> String {
        let Self { run, index, due_us } = self;
        let mut content = format!("{BEGIN}{:08}{index:08}{due_us:012}", run % 100_000_000);
        content.extend(std::iter::repeat_n('.', size.saturating_sub(LENGTH)));
        content
    }

    /// The marker in an event, if it has one.
    pub fn find(event: &[u8]) -> Option<Self> {
        let start = FINDER.find(event)? + BEGIN.len();
        let digits = event.get(start..start + LENGTH - BEGIN.len())?;
        let (run, rest) = digits.split_at(RUN_DIGITS);
        let (index, due_us) = rest.split_at(INDEX_DIGITS);
        Some(Self { run: number(run)? as u32, index: number(index)? as u32, due_us: number(due_us)? })
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_are_found_again() {
        let marker = Marker { run: 12_345_678, index: 42, due_us: 123_456_789 };
        let content = marker.content(100);
        assert_eq!(content.len(), 100);
        let event = format!(r#"{{"t":"MESSAGE_CREATE","s":1,"op":0,"d":{{"content":"{content}"}}}}"#);
        assert_eq!(Marker::find(event.as_bytes()), Some(marker));
        assert_eq!(Marker::find(b"~load~123"), None);
        assert_eq!(Marker::find(b"nothing"), None);
        assert_eq!(marker.content(0).len(), LENGTH);
    }
}
