//! The state machine of one partition's reader in *partition mode*: it finds what was missed, says what has to be read
//! again, and gives every event once and in order. It does no I/O and knows no time; [`crate::follow`] drives it.
//!
//! Sequences of a partition are contiguous, so `seen`, the sequence up to which nothing is missing, is all that it has
//! to remember: `seen + 1` is given, what is not above `seen` is a repeat, and anything higher shows a hole. (The
//! `previous` of a delivery is for [`crate::chains`].) While something is missing, nothing behind the hole is given; it
//! waits in a bounded buffer, and one that overflows is emptied, since the stream has it all.
//!
//! A hole is closed by a [`Repair`]: read the range, *then* ask for the stream's state. In that order, because only a
//! state that is younger than the read shows whether the range had expired, or was another incarnation's. What is
//! missing from a stream that should have it is [`Output::Lost`], never silence.

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;

use crate::port::StreamState;

/// What the reader has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output<E> {
    /// The next event.
    Deliver { sequence: u64, event: E },
    /// Events above `after` are lost for good, `count` of them.
    Lost { cause: LostCause, after: u64, count: u64 },
    /// Everything known is void: the stream begins anew, and `seen` is where it stands.
    NewIncarnation { incarnation: u64, seen: u64 },
}

/// Why events are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LostCause {
    /// The stream no longer had them: the reader was away for too long.
    Expired,
    /// The stream should have had them, and has not.
    Missing,
}

/// A question to the stream: read the range, if there is one, and then ask for the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    pub range: Option<RangeInclusive<u64>>,
    incarnation: u64,
    seen: u64,
    target: u64,
    marks: u64,
}

impl Repair {
    /// Whether a state that was asked for after this question shows that the stream is another one.
    pub fn is_foreign(&self, state: &StreamState) -> bool {
        state.incarnation != self.incarnation || state.last < self.seen
    }
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    InOrder,
    /// It was dropped: it had been given already.
    Repeat,
    /// It waits behind a hole.
    Buffered,
    /// The buffer was full and is empty now.
    Overflow,
}

/// The reader's state.
#[derive(Debug)]
pub struct Chain<E> {
    incarnation: u64,
    seen: u64,
    /// The highest sequence that is known to have been published.
    target: u64,
    /// Events above `seen + 1`.
    buffer: BTreeMap<u64, E>,
    buffer_max: usize,
    /// How often something was lost without knowing what.
    marks: u64,
    doubt: Doubt,
    outputs: VecDeque<Output<E>>,
}

/// What has to be asked of the stream's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Doubt {
    Nothing,
    /// Something was lost, up to nobody knows where.
    End,
    /// The stream may be another one: nothing is given until that is known.
    Incarnation,
}

impl<E> Chain<E> {
    /// A reader that lacks nothing up to the state's last event. The state has to be younger than the subscription.
    pub fn new(state: StreamState, buffer_max: usize) -> Self {
        Self {
            incarnation: state.incarnation,
            seen: state.last,
            target: state.last,
            buffer: BTreeMap::new(),
            buffer_max,
            marks: 0,
            doubt: Doubt::Nothing,
            outputs: VecDeque::new(),
        }
    }

    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Nothing is missing up to here, what waits in [`Self::pop`] included.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// The next thing to do.
    pub fn pop(&mut self) -> Option<Output<E>> {
        self.outputs.pop_front()
    }

    pub fn is_gap_open(&self) -> bool {
        self.doubt != Doubt::Nothing || self.target > self.seen
    }

    /// Whether nothing is missing up to here, and the stream is known to be the same still.
    pub fn has_come_to(&self, sequence: u64) -> bool {
        self.doubt != Doubt::Incarnation && self.seen >= sequence
    }

    /// What has to be asked now. The same until it is answered, or something happens.
    pub fn repair(&self) -> Option<Repair> {
        if !self.is_gap_open() {
            return None;
        }
        let range = (self.doubt == Doubt::Nothing).then(|| self.seen + 1..=self.hole_end());
        Some(Repair {
            range,
            incarnation: self.incarnation,
            seen: self.seen,
            target: self.target,
            marks: self.marks,
        })
    }

    /// An event came.
    pub fn delivered(&mut self, sequence: u64, event: E) -> Taken {
        if sequence <= self.seen {
            return Taken::Repeat;
        }
        self.target = self.target.max(sequence);
        if sequence == self.seen + 1 && self.doubt != Doubt::Incarnation {
            // Nothing is missing before it, whatever a mark said.
            self.doubt = Doubt::Nothing;
            self.deliver(sequence, event);
            self.drain();
            return Taken::InOrder;
        }
        if self.buffer.contains_key(&sequence) {
            return Taken::Repeat;
        }
        if self.buffer.len() >= self.buffer_max {
            self.buffer.clear();
            return Taken::Overflow;
        }
        self.buffer.insert(sequence, event);
        Taken::Buffered
    }

    /// Something before this point was lost.
    pub fn gap(&mut self) {
        self.marks += 1;
        self.doubt = self.doubt.max(Doubt::End);
    }

    /// The connection was away: anything may be lost, and the stream may be another one.
    pub fn reconnected(&mut self) {
        self.marks += 1;
        self.doubt = Doubt::Incarnation;
    }

    /// The partition is known to be published up to here, and what is missing should have come by now.
    pub fn tail(&mut self, sequence: u64) {
        self.target = self.target.max(sequence);
    }

    /// The answer to a repair: what the read gave in order (nothing without a range), whether it was full, and the
    /// state as it was asked for after the read.
    pub fn answered(&mut self, repair: &Repair, read: Vec<(u64, E)>, is_full: bool, state: StreamState) {
        let is_fresh = repair.marks == self.marks;
        if repair.is_foreign(&state) {
            self.restart(state);
            if !is_fresh {
                self.doubt = Doubt::Incarnation;
            }
            return;
        }
        if repair.incarnation != self.incarnation {
            return;
        }
        if is_fresh {
            self.doubt = Doubt::Nothing;
        }
        if state.last < repair.target {
            // What was taken for this stream's was left over from another.
            self.buffer.clear();
            self.target = self.seen.max(state.last);
        }
        self.target = self.target.max(state.last);
        if self.doubt == Doubt::Incarnation {
            return;
        }
        if let Some(range) = &repair.range {
            self.take_read(range, read, is_full, state.first);
        }
        self.drain();
    }

    /// Begins anew on a stream of which nothing is known, as [`Self::new`] does.
    pub fn restart(&mut self, state: StreamState) {
        self.incarnation = state.incarnation;
        self.seen = state.last;
        self.target = state.last;
        self.buffer.clear();
        self.marks += 1;
        self.doubt = Doubt::Nothing;
        self.outputs.push_back(Output::NewIncarnation { incarnation: state.incarnation, seen: state.last });
    }

    fn take_read(&mut self, range: &RangeInclusive<u64>, read: Vec<(u64, E)>, is_full: bool, first: u64) {
        for (sequence, event) in read {
            if sequence <= self.seen {
                continue;
            }
            self.drain_to(sequence, first);
            if sequence > self.seen {
                self.deliver(sequence, event);
            }
        }
        if !is_full && *range.end() <= self.target {
            self.drain_to(range.end() + 1, first);
        }
    }

    /// Gives what is buffered below `end`, and reports what is neither there nor in the stream as lost.
    fn drain_to(&mut self, end: u64, first: u64) {
        self.drain();
        while self.seen + 1 < end {
            let next = self.buffer.keys().next().map_or(end, |buffered| end.min(*buffered));
            let expired = first.min(next).saturating_sub(self.seen + 1);
            if expired > 0 {
                self.lose(LostCause::Expired, expired);
            }
            let missing = next - (self.seen + 1);
            if missing > 0 {
                self.lose(LostCause::Missing, missing);
            }
            self.drain();
        }
    }

    fn lose(&mut self, cause: LostCause, count: u64) {
        self.outputs.push_back(Output::Lost { cause, after: self.seen, count });
        self.seen += count;
    }

    fn deliver(&mut self, sequence: u64, event: E) {
        self.seen = sequence;
        self.target = self.target.max(sequence);
        self.outputs.push_back(Output::Deliver { sequence, event });
    }

    /// Gives what has become contiguous. Nothing of the buffer lies at or below `seen` afterwards.
    fn drain(&mut self) {
        while let Some(entry) = self.buffer.first_entry() {
            let sequence = *entry.key();
            if sequence > self.seen + 1 {
                break;
            }
            let event = entry.remove();
            if sequence > self.seen {
                self.deliver(sequence, event);
            }
        }
    }

    fn hole_end(&self) -> u64 {
        self.buffer.keys().next().map_or(self.target, |first| first - 1)
    }
}

#[cfg(test)]
mod tests;
