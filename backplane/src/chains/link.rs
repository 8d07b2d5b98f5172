//! One guild's part of the chains.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

#[derive(Debug)]
pub(super) struct Link<E> {
    /// Nothing of the guild is missing up to here.
    pub(super) mine: u64,
    /// The highest sequence that is known to be the guild's, and missing if it is above `mine`.
    pub(super) target: u64,
    /// What lies behind a hole: the previous sequence of each, and the event.
    pub(super) held: BTreeMap<u64, (u64, E)>,
    /// Where the guild ended at the check that is under way.
    pub(super) end: Option<u64>,
    /// The tail at the last look.
    tail: u64,
    /// Events before which nothing was said to be: nothing is, if nothing above this had expired.
    believed: Option<Believed>,
}

#[derive(Debug, Clone, Copy)]
struct Believed {
    above: u64,
    /// The last question for the ends before.
    serial: u64,
}

impl<E> Link<E> {
    pub(super) fn new(mine: u64) -> Self {
        Self { mine, target: mine, held: BTreeMap::new(), end: None, tail: 0, believed: None }
    }

    pub(super) fn has_hole(&self) -> bool {
        self.target > self.mine
    }

    /// What has to be read: up to the end of the last hole, which is an event of the guild, so that an answer without it
    /// shows a replica that lags.
    pub(super) fn hole(&self) -> RangeInclusive<u64> {
        let (mut before, mut end) = (self.mine, self.target);
        for (sequence, (previous, _)) in &self.held {
            if *previous > before || *previous == 0 {
                end = *sequence;
            }
            before = *sequence;
        }
        let end = if self.target > before { self.target } else { end };
        self.mine + 1..=end
    }

    pub(super) fn advance(&mut self, sequence: u64) {
        self.mine = self.mine.max(sequence);
        self.target = self.target.max(self.mine);
    }

    /// An event is taken although nothing is known of the one before it. There is none if nothing lies between.
    pub(super) fn believe(&mut self, sequence: u64, previous: u64, serial: u64) {
        if previous == 0 && sequence > self.mine + 1 && self.believed.is_none() {
            self.believed = Some(Believed { above: self.mine, serial });
        }
    }

    pub(super) fn has_believed(&self) -> bool {
        self.believed.is_some()
    }

    /// Whether the guild is behind the tail of the last look.
    pub(super) fn look(&mut self, tail: u64) -> bool {
        let is_behind = self.tail > self.mine;
        if is_behind {
            self.target = self.target.max(self.tail);
        }
        self.tail = tail.max(self.end.unwrap_or(0));
        is_behind
    }

    /// The guild ends at `end`, and the stream begins at `first`: after what events may be lost that nothing shows.
    pub(super) fn lost_unseen(&mut self, end: u64, first: u64, serial: u64) -> Option<u64> {
        let answered = self.believed.take_if(|believed| believed.serial < serial);
        let mut after = answered.map(|believed| believed.above).filter(|above| first > above + 1);
        if end == 0 && first > self.mine + 1 {
            after = after.or(Some(self.mine));
            self.advance(first - 1);
        }
        after
    }

    pub(super) fn forget_tail(&mut self) {
        (self.target, self.tail) = (self.mine, 0);
    }

    /// Answers how many there were.
    pub(super) fn drop_held(&mut self) -> usize {
        std::mem::take(&mut self.held).len()
    }

    /// The same up to a sequence.
    pub(super) fn drop_held_to(&mut self, last: u64) -> usize {
        let before = self.held.len();
        self.held = self.held.split_off(&(last + 1));
        before - self.held.len()
    }
}
