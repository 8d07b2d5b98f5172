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

/// Of Knuth's generator.
const MULTIPLIER: u64 = 6_364_136_223_846_793_005;

/// Some of the commonest of English, and some that people say to one another.
const WORDS: [&str; 48] = [
    "the", "be", "to", "of", "and", "in", "that", "have", "it", "for", "not", "on", "with", "you", "this",
    "but", "from", "they", "say", "will", "would", "there", "what", "about", "which", "when", "make", "like",
    "time", "just", "know", "people", "think", "really", "tomorrow", "build", "server", "again", "thanks",
    "maybe", "broken", "channel", "yes", "sorry", "release", "works", "game", "tonight",
];

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
        self.words(&mut content, size);
        content
    }

    /// Fills the content up to `size` bytes with words, other ones for each message: to a compressor that remembers what came
    /// before, the same text again would cost nothing.
    fn words(self, content: &mut String, size: usize) {
        let mut state = (u64::from(self.run) << 32 | u64::from(self.index)).wrapping_mul(MULTIPLIER);
        while content.len() < size {
            state = state.wrapping_mul(MULTIPLIER).wrapping_add(1);
            content.push(' ');
            content.push_str(WORDS[(state >> 33) as usize % WORDS.len()]);
        }
        content.truncate(size.max(LENGTH));
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
        let next = Marker { index: 43, ..marker }.content(100);
        assert_eq!((content.len(), next.len()), (100, 100));
        assert_ne!(content[LENGTH..], next[LENGTH..]);
        assert!(content[LENGTH..].chars().all(|c| c == ' ' || c.is_ascii_lowercase()), "{content}");
    }
}
