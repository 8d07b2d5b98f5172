//! Those who wait for the start of their session: RESUMEs ahead of IDENTIFYs, each in the order in which they came.

use std::collections::VecDeque;

use model::limits;

use super::bucket::Cost;

/// What somebody wants to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// It costs less, and whoever waits for it is missing events.
    Resume,
    Identify,
}

impl Start {
    /// How many of them come in for one token.
    pub(super) fn per_token(self) -> u64 {
        match self {
            Self::Resume => limits::RESUMES_PER_START,
            Self::Identify => 1,
        }
    }

    pub(super) fn cost(self) -> Cost {
        Cost::one_of(self.per_token())
    }
}

/// The place of one who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) ticket: Ticket,
    pub(super) since_ms: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    resumes: VecDeque<Place>,
    identifies: VecDeque<Place>,
    next: u64,
}

impl Waiting {
    pub(super) fn len(&self) -> usize {
        self.resumes.len() + self.identifies.len()
    }

    pub(super) fn count(&self, start: Start) -> usize {
        match start {
            Start::Resume => self.resumes.len(),
            Start::Identify => self.identifies.len(),
        }
    }

    /// Whether somebody waits who comes before one who asks now.
    pub(super) fn is_before(&self, start: Start) -> bool {
        match start {
            Start::Resume => !self.resumes.is_empty(),
            Start::Identify => self.len() > 0,
        }
    }

    pub(super) fn push(&mut self, now_ms: u64, start: Start) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        self.of(start).push_back(Place { ticket, since_ms: now_ms });
        ticket
    }

    /// What the next one wants to begin.
    pub(super) fn next_kind(&self) -> Option<Start> {
        [Start::Resume, Start::Identify].into_iter().find(|start| self.count(*start) > 0)
    }

    /// Whose turn it is.
    pub(super) fn pop(&mut self) -> Option<Place> {
        self.resumes.pop_front().or_else(|| self.identifies.pop_front())
    }

    /// One who has waited since then, or longer.
    pub(super) fn pop_since(&mut self, since_ms: u64) -> Option<Place> {
        let mut queues = [&mut self.resumes, &mut self.identifies].into_iter();
        let has_one =
            |queue: &&mut VecDeque<Place>| queue.front().is_some_and(|place| place.since_ms <= since_ms);
        queues.find(has_one).and_then(VecDeque::pop_front)
    }

    /// Since when the one has waited who has waited longest.
    pub(super) fn oldest_ms(&self) -> Option<u64> {
        let fronts = [self.resumes.front(), self.identifies.front()];
        fronts.into_iter().flatten().map(|place| place.since_ms).min()
    }

    pub(super) fn remove(&mut self, ticket: Ticket) -> bool {
        [&mut self.resumes, &mut self.identifies].into_iter().any(|queue| {
            let place = queue.binary_search_by_key(&ticket, |place| place.ticket);
            place.is_ok_and(|place| queue.remove(place).is_some())
        })
    }

    fn of(&mut self, start: Start) -> &mut VecDeque<Place> {
        match start {
            Start::Resume => &mut self.resumes,
            Start::Identify => &mut self.identifies,
        }
    }
}
