//! One stream's storage: contiguous sequences from 1, bounded by count, bytes and age.
//!
//! Entries lie in order, so that a sequence is an index. Each knows the one before it on its subject: that gives the
//! listeners their chain, and lets a subject be walked without looking at the others.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use bytes::Bytes;
use model::limits;
use rustc_hash::FxHashMap;

use super::Options;
use crate::port::{Ack, ReadError, Stored};
use crate::subject::Subject;

pub(super) struct Log {
    age_ms: u64,
    bytes_max: usize,
    events_max: usize,
    entries: VecDeque<Entry>,
    bytes: usize,
    last: u64,
    /// The latest time of those that went for want of room.
    pushed_out_ms: Option<u64>,
    /// The last stored sequence of each subject that has any.
    heads: FxHashMap<Subject, u64>,
    recent: Recent,
}

struct Entry {
    at_ms: u64,
    subject: Subject,
    event_id: u64,
    previous: u64,
    envelope: Bytes,
}

/// What an append gave.
pub(super) struct Appended {
    pub(super) ack: Ack,
    pub(super) previous: u64,
}

impl Log {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            age_ms: options.stream_age_ms,
            bytes_max: options.stream_bytes_max,
            events_max: options.stream_events_max.max(1),
            entries: VecDeque::new(),
            bytes: 0,
            last: 0,
            pushed_out_ms: None,
            heads: FxHashMap::default(),
            recent: Recent::default(),
        }
    }

    pub(super) fn append(
        &mut self,
        now_ms: u64,
        subject: Subject,
        event_id: u64,
        envelope: Bytes,
    ) -> Appended {
        if let Some(sequence) = self.recent.find(now_ms, (subject, event_id)) {
            return Appended { ack: Ack { sequence, duplicate: true }, previous: 0 };
        }
        self.expire(now_ms);
        self.last += 1;
        let sequence = self.last;
        self.recent.insert(now_ms, (subject, event_id), sequence);
        let previous = self.heads.insert(subject, sequence).unwrap_or(0);
        self.bytes += cost(&envelope);
        self.entries.push_back(Entry { at_ms: now_ms, subject, event_id, previous, envelope });
        while self.entries.len() > self.events_max || self.bytes > self.bytes_max && self.entries.len() > 1 {
            self.pushed_out_ms = self.pushed_out_ms.max(self.drop_first());
        }
        Appended { ack: Ack { sequence, duplicate: false }, previous }
    }

    pub(super) fn expire(&mut self, now_ms: u64) {
        let before = self.entries.len();
        while self.entries.front().is_some_and(|entry| now_ms.saturating_sub(entry.at_ms) >= self.age_ms) {
            self.drop_first();
        }
        self.recent.expire(now_ms);
        if before > 0 && self.entries.is_empty() {
            self.entries.shrink_to_fit();
            self.heads.shrink_to_fit();
        }
    }

    /// The first sequence that is still there; `last + 1` when none is.
    pub(super) fn first(&self) -> u64 {
        self.last + 1 - self.entries.len() as u64
    }

    pub(super) fn last(&self) -> u64 {
        self.last
    }

    pub(super) fn pushed_out_ms(&self) -> Option<u64> {
        self.pushed_out_ms
    }

    pub(super) fn last_of(&self, subject: Subject) -> u64 {
        self.heads.get(&subject).copied().unwrap_or(0)
    }

    pub(super) fn contains(&self, subject: Subject, event_id: u64) -> bool {
        let mut sequence = self.last_of(subject);
        while let Some(entry) = self.get(sequence) {
            if entry.event_id == event_id {
                return true;
            }
            sequence = entry.previous;
        }
        false
    }

    pub(super) fn read(&self, range: RangeInclusive<u64>, max: usize) -> Result<Vec<Stored>, ReadError> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        if *range.end() > self.last {
            return Err(ReadError::BeyondEnd(range, self.last));
        }
        let start = (*range.start()).max(self.first());
        let count = (range.end() + 1).saturating_sub(start).min(max as u64) as usize;
        let skip = (start - self.first()) as usize;
        let entries = self.entries.iter().skip(skip).take(count);
        let stored = entries.zip(start..).map(|(entry, sequence)| Stored {
            sequence,
            subject: entry.subject,
            envelope: entry.envelope.clone(),
        });
        Ok(stored.collect())
    }

    fn get(&self, sequence: u64) -> Option<&Entry> {
        let index = sequence.checked_sub(self.first())?;
        self.entries.get(usize::try_from(index).ok()?)
    }

    /// The time of what has gone.
    fn drop_first(&mut self) -> Option<u64> {
        let sequence = self.first();
        let entry = self.entries.pop_front()?;
        self.bytes -= cost(&entry.envelope);
        if self.heads.get(&entry.subject) == Some(&sequence) {
            self.heads.remove(&entry.subject);
        }
        Some(entry.at_ms)
    }
}

fn cost(envelope: &Bytes) -> usize {
    envelope.len() + size_of::<Entry>()
}

/// What makes an event known when it is published again.
type Known = (Subject, u64);

/// The event ids of the last two minutes, which outlive their events where these are pushed out.
#[derive(Default)]
struct Recent {
    order: VecDeque<(u64, Known)>,
    sequences: FxHashMap<Known, u64>,
}

impl Recent {
    fn find(&mut self, now_ms: u64, event: Known) -> Option<u64> {
        self.expire(now_ms);
        self.sequences.get(&event).copied()
    }

    fn insert(&mut self, now_ms: u64, event: Known, sequence: u64) {
        if self.order.len() >= limits::DUPLICATE_IDS_MAX {
            self.drop_first();
        }
        self.order.push_back((now_ms, event));
        self.sequences.insert(event, sequence);
    }

    fn expire(&mut self, now_ms: u64) {
        let before = self.order.len();
        while self
            .order
            .front()
            .is_some_and(|(at, _)| now_ms.saturating_sub(*at) >= limits::DUPLICATE_WINDOW_MS)
        {
            self.drop_first();
        }
        if before > 0 && self.order.is_empty() {
            self.order.shrink_to_fit();
            self.sequences.shrink_to_fit();
        }
    }

    fn drop_first(&mut self) {
        if let Some((_, event)) = self.order.pop_front() {
            self.sequences.remove(&event);
        }
    }
}
