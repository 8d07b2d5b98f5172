//! What a session has been given, for a resume: references in order of their sequence, bounded by count, bytes and age.

use std::collections::VecDeque;
use std::sync::Arc;

use model::{GuildId, limits};

use crate::live::LiveEvent;
use crate::wire::SharedBody;

/// One numbered event. Shared ones are references; a GUILD_CREATE is a recipe, made anew from the present snapshot each
/// time that it is sent.
#[derive(Debug, Clone)]
pub enum Entry {
    Shared(Arc<LiveEvent>),
    Own(SharedBody),
    GuildCreate(GuildId),
}

impl Entry {
    /// What it holds alone. Shared events are counted by whoever shares them.
    fn bytes(&self) -> usize {
        match self {
            Self::Own(body) => body.frame_len(),
            Self::Shared(_) | Self::GuildCreate(_) => 0,
        }
    }
}

#[derive(Debug)]
struct Kept {
    at_ms: u64,
    entry: Entry,
}

/// The entries with the sequences `first_seq()..=last_seq()`.
#[derive(Debug, Default)]
pub struct Ring {
    entries: VecDeque<Kept>,
    /// How many entries are gone from the front.
    gone: u64,
    bytes: usize,
}

impl Ring {
    /// The sequence of the oldest entry that is still there: `last_seq() + 1` when none is.
    pub fn first_seq(&self) -> u64 {
        self.gone + 1
    }

    /// The sequence of the newest entry; 0 before the first.
    pub fn last_seq(&self) -> u64 {
        self.gone + self.entries.len() as u64
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps an entry and answers its sequence.
    pub fn push(&mut self, now_ms: u64, entry: Entry) -> u64 {
        self.bytes += entry.bytes();
        self.entries.push_back(Kept { at_ms: now_ms, entry });
        self.trim(now_ms);
        self.last_seq()
    }

    pub fn get(&self, seq: u64) -> Option<&Entry> {
        let index = seq.checked_sub(self.first_seq())?;
        self.entries.get(usize::try_from(index).ok()?).map(|kept| &kept.entry)
    }

    /// The client has everything up to here.
    pub fn confirm(&mut self, seq: u64) {
        while self.first_seq() <= seq && self.drop_oldest() {}
        if self.entries.is_empty() {
            self.entries = VecDeque::new();
        }
    }

    /// The newest entry is always kept.
    fn trim(&mut self, now_ms: u64) {
        let over = |ring: &Self| {
            ring.entries.len() > limits::RING_EVENTS_MAX
                || ring.bytes > limits::RING_BYTES_MAX
                || ring.entries.front().is_some_and(|kept| kept.at_ms + limits::RING_AGE_MS < now_ms)
        };
        while self.entries.len() > 1 && over(self) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) -> bool {
        let Some(kept) = self.entries.pop_front() else { return false };
        self.bytes -= kept.entry.bytes();
        self.gone += 1;
        true
    }
}
