//! Up to where the GUILD_CREATEs of a guild went, each under a number that the session has.
//!
//! A GUILD_CREATE had the guild's directory events up to a revision and others up to a sequence; whoever is given it is not given
//! those that are still on their way. That concerns a session for as long as they are, so what lies behind is forgotten: numbers that
//! are not known any more stand for sessions that lack whatever comes. What a session is said to have in a checkpoint is
//! as of some time ago, so it is forgotten when it has been behind for as long as rings go back.

use model::limits::RING_AGE_MS;

use crate::live::LiveEvent;

/// Directory events up to the revision, others up to the sequence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::shard) struct Known {
    pub(in crate::shard) revision: u64,
    pub(in crate::shard) after: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(in crate::shard) struct Marks {
    /// The numbers from one on, up to the next such entry, stand for the same.
    runs: Vec<(u32, Known)>,
    next: u32,
    /// Up to where events have come.
    come: Known,
    /// The sequence of the newest directory event.
    revised_at: u64,
    /// Where there are many runs.
    behind: Option<Box<Behind>>,
}

/// What can be forgotten.
#[derive(Debug)]
struct Behind {
    /// Up to where events had come at this time, and at a time that lies before it by as much as rings go back.
    since: (u64, Known),
    long_since: Known,
    /// With so many runs they are looked through.
    runs_max: usize,
}

impl Known {
    pub(in crate::shard) fn lacks(self, event: &LiveEvent) -> bool {
        event.is_after(self.revision, self.after)
    }
}

impl Marks {
    /// Takes note of an event, before it is given to anybody.
    pub(in crate::shard) fn note(&mut self, event: &LiveEvent) {
        self.come.after = self.come.after.max(event.sequence);
        if let Some(revision) = event.envelope.revision.filter(|revision| *revision > self.come.revision) {
            self.come.revision = revision;
            self.revised_at = event.sequence;
        }
    }

    /// The highest sequence that has come.
    pub(in crate::shard) fn taken(&self) -> u64 {
        self.come.after
    }

    /// The highest revision of an event that came with this sequence or before; 0 if another came since.
    pub(in crate::shard) fn revision_at(&self, sequence: u64) -> u64 {
        if self.revised_at <= sequence { self.come.revision } else { 0 }
    }

    /// The number of what a GUILD_CREATE had. Whatever has come until now has been given.
    pub(in crate::shard) fn number(&mut self, known: Known, now_ms: u64) -> u32 {
        if let Some((number, _)) = self.runs.last().filter(|(_, last)| *last == known) {
            return *number;
        }
        if self.runs.len() >= RUNS_KEPT {
            self.forget(now_ms);
        }
        let number = self.next;
        self.next += 1;
        self.runs.reserve_exact((self.runs.len() / 8).max(1));
        self.runs.push((number, known));
        number
    }

    /// What stands behind a number.
    pub(in crate::shard) fn of(&self, number: u32) -> Known {
        let place = self.runs.partition_point(|(first, _)| *first <= number);
        place.checked_sub(1).map(|place| self.runs[place].1).unwrap_or_default()
    }

    fn forget(&mut self, now_ms: u64) {
        let begin =
            || Box::new(Behind { since: (now_ms, self.come), long_since: Known::default(), runs_max: 0 });
        let behind = self.behind.get_or_insert_with(begin);
        if now_ms >= behind.since.0 + RING_AGE_MS {
            behind.long_since = behind.since.1;
            behind.since = (now_ms, self.come);
        }
        if self.runs.len() < behind.runs_max {
            return;
        }
        let Known { revision, after } = behind.long_since;
        for (_, known) in &mut self.runs {
            known.revision = if known.revision <= revision { 0 } else { known.revision };
            known.after = if known.after <= after { 0 } else { known.after };
        }
        let mut last = Known::default();
        self.runs.retain(|(_, known)| std::mem::replace(&mut last, *known) != *known);
        behind.runs_max = 2 * self.runs.len();
    }
}

/// As many are not worth looking through.
const RUNS_KEPT: usize = 8;

#[cfg(test)]
mod tests {
    use model::EventKind;
    use proto::{Envelope, Writer};

    use super::*;

    fn event(revision: Option<u64>, sequence: u64) -> LiveEvent {
        let writer = Writer { set: 1, slot: 0, epoch: 1 };
        let envelope = Envelope::new(1, EventKind::MessageCreate, writer, Vec::new());
        LiveEvent::ephemeral(sequence, Envelope { revision, ..envelope })
    }

    fn known(revision: u64, after: u64) -> Known {
        Known { revision, after }
    }

    #[test]
    fn what_was_given_at_the_same_time_has_one_number() {
        let mut marks = Marks::default();
        let first = marks.number(known(5, 10), 0);
        assert_eq!(marks.number(known(5, 10), 0), first);
        let second = marks.number(known(5, 11), 0);
        assert_ne!(first, second);
        assert_eq!((marks.of(first), marks.of(second)), (known(5, 10), known(5, 11)));
    }

    #[test]
    fn what_is_still_on_its_way_is_remembered_and_the_rest_forgotten() {
        let mut marks = Marks::default();
        let numbers: Vec<u32> = (1..=1_000_u64)
            .map(|sequence| {
                marks.note(&event(None, sequence));
                marks.number(known(5, sequence + 3), sequence * RING_AGE_MS / 10)
            })
            .collect();
        assert!(marks.runs.len() < 100, "{}", marks.runs.len());
        assert_eq!(marks.of(numbers[999]), known(5, 1_003));
        assert_eq!(marks.of(numbers[990]), known(5, 994), "some time ago a checkpoint may need it");
        assert_eq!(marks.of(numbers[0]), known(5, 0), "no directory event has come");
        assert!(!marks.of(numbers[0]).lacks(&event(Some(5), 1_001)));
        marks.note(&event(Some(6), 1_001));
        for step in 0..100 {
            marks.number(known(7, 2_000 + step), (1_000 + step) * RING_AGE_MS);
        }
        assert_eq!(marks.of(numbers[0]), known(0, 0));
        assert!(marks.of(numbers[0]).lacks(&event(Some(7), 1_002)));
    }
}
