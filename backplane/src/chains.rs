//! The state machine of one partition's reader in *guild mode*: it listens to single guilds, and gives every event of
//! each once and in order. It does no I/O and knows no time; [`crate::follow`] drives it.
//!
//! The sequences of one guild have holes, so each event tells the one before it of the same guild. `mine` of a guild is
//! the sequence up to which nothing of it is missing: an event whose previous one is not above `mine` is the next. A
//! previous one above it shows a hole, and so does a tail that stays above it. A previous one of 0 (none, or expired) is
//! believed while no hole is open, and looked into when the stream's first sequence is known.
//!
//! While something of a guild is missing, nothing behind the hole is given; other guilds go on. After a mark (something
//! was lost, nobody knows where) only what the chain itself proves is given, and after a reconnect nothing at all, until
//! it is known where each guild ends.
//!
//! `seen`, the sequence of the *partition* up to which nothing of any open guild is missing, moves by a check: the
//! stream's last sequence V is asked, then where each guild ends; once every guild has come that far, `seen` is V. A
//! position means the same in both modes.
//!
//! Where something is lost all the time there is no moment without a mark or a hole. So a check that is under way goes on,
//! questions for ends and for ranges take turns, and so do the guilds that have holes.

mod link;

use std::collections::{BTreeMap, VecDeque};
use std::ops::{Bound, RangeInclusive};

use model::GuildId;

use crate::chain::{Doubt, LostCause, Taken};
use crate::port::StreamState;
use link::Link;

/// What the reader has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output<E> {
    /// The next event of the guild.
    Deliver { guild: GuildId, sequence: u64, event: E },
    /// Events of the guild above `after` may be lost for good.
    Lost { guild: GuildId, cause: LostCause, after: u64 },
    /// Nothing of any open guild is missing up to here.
    Seen(u64),
}

/// A question to the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub about: About,
    incarnation: u64,
    /// The stream had at least this sequence.
    floor: u64,
    /// While nothing is in doubt: the last sequence with which there is nothing to be found.
    quiet_at: Option<u64>,
    /// Whether the answer needs the stream's first sequence even if every guild has an end.
    has_believed: bool,
    marks: u64,
    serial: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// Ask for the state, then where each guild ends, then, if [`Question::needs_first`] says so, for the state again.
    Ends(Vec<GuildId>),
    /// Read the guild's range, which ends with an event of it, then ask for the state.
    Range(GuildId, RangeInclusive<u64>),
}

impl Question {
    /// Whether a state that was asked for after this question shows that the stream is another one.
    pub fn is_foreign(&self, state: &StreamState) -> bool {
        state.incarnation != self.incarnation || state.last < self.floor
    }

    /// Whether nothing has come since the last check: then there is no need to ask for the ends.
    pub fn is_quiet(&self, state: &StreamState) -> bool {
        self.quiet_at == Some(state.last)
    }

    /// Whether what these ends say depends on what has expired.
    pub fn needs_first(&self, ends: &[u64]) -> bool {
        self.has_believed || ends.contains(&0)
    }
}

/// The reader's state. It belongs to one incarnation of the stream.
#[derive(Debug)]
pub struct Chains<E> {
    incarnation: u64,
    seen: u64,
    links: BTreeMap<GuildId, Link<E>>,
    held: usize,
    held_max: usize,
    /// How often something was lost without knowing what.
    marks: u64,
    doubt: Doubt,
    /// Questions for the ends so far: a 0 that was believed before one is looked into by its answer.
    serial: u64,
    /// Whether the last question was one for the ends: while there is reason for both kinds, they take turns.
    has_asked_ends: bool,
    /// The guild of the last question for a range: the one behind it is the next.
    repaired: Option<GuildId>,
    /// What `seen` will be once every guild that was asked for has come to its end.
    check: Option<u64>,
    outputs: VecDeque<Output<E>>,
}

impl<E> Chains<E> {
    /// A reader of no guilds yet, which lacks nothing up to `seen`.
    pub fn new(incarnation: u64, seen: u64, held_max: usize) -> Self {
        Self {
            incarnation,
            seen,
            links: BTreeMap::new(),
            held: 0,
            held_max,
            marks: 0,
            doubt: Doubt::Nothing,
            serial: 0,
            has_asked_ends: false,
            repaired: None,
            check: None,
            outputs: VecDeque::new(),
        }
    }

    /// Takes a guild in, of which nothing is missing up to `last`. The subscription has to be older than that.
    pub fn open(&mut self, guild: GuildId, last: u64) {
        self.links.entry(guild).or_insert_with(|| Link::new(last));
    }

    pub fn close(&mut self, guild: GuildId) {
        if let Some(mut link) = self.links.remove(&guild) {
            self.held -= link.drop_held();
        }
        self.settle();
    }

    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Nothing of any guild is missing up to here, what waits in [`Self::pop`] included.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    pub fn is_open(&self, guild: GuildId) -> bool {
        self.links.contains_key(&guild)
    }

    /// Up to where nothing of each guild is missing.
    pub fn guilds(&self) -> impl Iterator<Item = (GuildId, u64)> {
        self.links.iter().map(|(guild, link)| (*guild, link.mine))
    }

    /// The next thing to do.
    pub fn pop(&mut self) -> Option<Output<E>> {
        self.outputs.pop_front()
    }

    pub fn is_gap_open(&self) -> bool {
        self.doubt != Doubt::Nothing || self.links.values().any(Link::has_hole)
    }

    /// What has to be asked now, `is_due` being whether it is time for a check. Only while no other is under way.
    pub fn question(&mut self, is_due: bool) -> Option<Question> {
        let wants_ends = self.doubt != Doubt::Nothing || is_due && self.check.is_none();
        let is_range_next = self.doubt != Doubt::Incarnation && (!wants_ends || self.has_asked_ends);
        let hole = if is_range_next { self.next_hole() } else { None };
        let about = match hole {
            Some((guild, range)) => {
                self.has_asked_ends = false;
                self.repaired = Some(guild);
                About::Range(guild, range)
            }
            None if wants_ends => {
                self.has_asked_ends = true;
                self.serial += 1;
                About::Ends(self.links.keys().copied().collect())
            }
            None => return None,
        };
        let floor = self.links.values().map(|link| link.mine).max().unwrap_or(0).max(self.seen);
        Some(Question {
            about,
            incarnation: self.incarnation,
            floor,
            quiet_at: (self.doubt == Doubt::Nothing).then_some(self.seen),
            has_believed: self.links.values().any(Link::has_believed),
            marks: self.marks,
            serial: self.serial,
        })
    }

    /// Of the guild whose turn it is.
    fn next_hole(&self) -> Option<(GuildId, RangeInclusive<u64>)> {
        let repaired = self.repaired.map_or(Bound::Unbounded, Bound::Excluded);
        let behind = self.links.range((repaired, Bound::Unbounded));
        let mut turns = behind.chain(&self.links);
        turns.find(|(_, link)| link.has_hole()).map(|(guild, link)| (*guild, link.hole()))
    }

    /// An event came; `None` when its guild is not open.
    pub fn delivered(&mut self, guild: GuildId, sequence: u64, previous: u64, event: E) -> Option<Taken> {
        let has_hole = previous == 0 && self.is_gap_open();
        let link = self.links.get_mut(&guild)?;
        if sequence <= link.mine {
            return Some(Taken::Repeat);
        }
        if self.doubt != Doubt::Incarnation && previous <= link.mine && !has_hole {
            link.believe(sequence, previous, self.serial);
            link.advance(sequence);
            self.outputs.push_back(Output::Deliver { guild, sequence, event });
            self.drain(guild);
            self.settle();
            return Some(Taken::InOrder);
        }
        link.target = link.target.max(sequence);
        if link.held.contains_key(&sequence) {
            return Some(Taken::Repeat);
        }
        if self.held >= self.held_max {
            self.held -= link.drop_held();
            return Some(Taken::Overflow);
        }
        link.held.insert(sequence, (previous, event));
        self.held += 1;
        Some(Taken::Buffered)
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

    /// Compares with the tails at the last look: a guild that is still behind its own has missed something. Answers how
    /// many are.
    pub fn look(&mut self, tail_of: impl Fn(GuildId) -> u64) -> usize {
        self.links.iter_mut().filter_map(|(guild, link)| link.look(tail_of(*guild)).then_some(())).count()
    }

    /// The answer to a question for the ends: the state before them, the ends in the order in which they were asked for,
    /// and the stream's first sequence, after them if that was needed. The state must not be foreign.
    pub fn answered_ends(&mut self, question: &Question, state: StreamState, ends: &[u64], first: u64) {
        let About::Ends(guilds) = &question.about else { return };
        let is_certain = self.doubt != Doubt::Nothing;
        // One that is under way goes on: if it were replaced by a later one each time, it might never end.
        let is_new = self.check.is_none() || self.doubt == Doubt::Incarnation;
        if question.marks == self.marks {
            self.doubt = Doubt::Nothing;
        }
        if is_new {
            self.check = Some(state.last);
            self.links.values_mut().for_each(|link| link.end = None);
        }
        for (guild, end) in guilds.iter().zip(ends) {
            let Some(link) = self.links.get_mut(guild) else { continue };
            if let Some(after) = link.lost_unseen(*end, first, question.serial) {
                let lost = Output::Lost { guild: *guild, cause: LostCause::Expired, after };
                self.outputs.push_back(lost);
            }
            if is_new {
                link.end = Some(*end);
            }
            if is_certain {
                link.target = link.target.max(*end);
            }
        }
        if self.doubt != Doubt::Incarnation {
            guilds.iter().for_each(|guild| self.drain(*guild));
        }
        self.settle();
    }

    /// The answer to a question for a range: what the read gave in order, whether it was full, and the state as it was
    /// asked for after the read, which must not be foreign.
    pub fn answered_range(
        &mut self,
        question: &Question,
        read: Vec<(u64, E)>,
        is_full: bool,
        state: StreamState,
    ) {
        let About::Range(guild, range) = &question.about else { return };
        let (guild, end) = (*guild, *range.end());
        let Some(link) = self.links.get_mut(&guild) else { return };
        if state.last < end {
            // What was taken for this stream's was left over from another.
            self.held -= link.drop_held();
            link.forget_tail();
            self.check = None;
            return self.gap();
        }
        if self.doubt == Doubt::Incarnation || link.mine >= end {
            return;
        }
        let mut lose = |link: &mut Link<E>, cause| {
            self.outputs.push_back(Output::Lost { guild, cause, after: link.mine });
        };
        let has_lost = state.first > link.mine + 1;
        if has_lost {
            lose(link, LostCause::Expired);
        }
        let is_whole = is_full || read.last().is_some_and(|(last, _)| *last >= end);
        if !is_whole && !has_lost {
            lose(link, LostCause::Missing);
        }
        for (sequence, event) in read {
            if sequence > link.mine {
                link.advance(sequence);
                self.outputs.push_back(Output::Deliver { guild, sequence, event });
            }
        }
        if !is_full {
            link.advance(end);
        }
        self.drain(guild);
        self.settle();
    }

    /// Gives what the guild's chain has come to.
    fn drain(&mut self, guild: GuildId) {
        let Some(link) = self.links.get_mut(&guild) else { return };
        while let Some(entry) = link.held.first_entry() {
            let (sequence, (previous, _)) = (*entry.key(), entry.get());
            let is_next = *previous <= link.mine && *previous > 0;
            if sequence > link.mine && !is_next {
                break;
            }
            let (_, event) = entry.remove();
            self.held -= 1;
            if sequence > link.mine {
                link.advance(sequence);
                self.outputs.push_back(Output::Deliver { guild, sequence, event });
            }
        }
    }

    /// Ends the check, if every guild that was asked for has come to its end. Of one that was opened meanwhile only what
    /// it has come to itself is known.
    fn settle(&mut self) {
        let Some(last) = self.check else { return };
        let is_behind = |link: &Link<E>| link.end.is_some_and(|end| end > link.mine);
        if self.doubt == Doubt::Incarnation || self.links.values().any(is_behind) {
            return;
        }
        self.check = None;
        let opened = self.links.values().filter(|link| link.end.is_none());
        let seen = opened.map(|link| link.mine).fold(last, u64::min);
        for (_, link) in self.links.iter_mut().filter(|(_, link)| link.end.is_some()) {
            link.end = None;
            link.mine = link.mine.max(last);
            self.held -= link.drop_held_to(last);
        }
        if seen > self.seen {
            self.seen = seen;
            self.outputs.push_back(Output::Seen(seen));
        }
    }
}

#[cfg(test)]
mod tests;
