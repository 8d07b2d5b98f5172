//! Rows of sessions whose members have the same standing and who ask for the same events.
//!
//! A session is four bytes here. Of all rows of one standing and the same intents only the first has room: a gap in another is
//! filled from it. A row is short enough to look through for one session.

use std::ops::{Index, IndexMut};

use model::Intents;
use slab::Slab;

use super::SessionIndex;
use super::seats::RowIndex;
use super::standings::StandingIndex;
use crate::growth::reserve_some;

/// See the module.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) standing: StandingIndex,
    pub(super) intents: Intents,
    /// Where it stands among the rows of its class with the same intents.
    pub(super) place: u32,
    next: RowIndex,
    sessions: Vec<SessionIndex>,
}

#[derive(Debug, Default)]
pub(super) struct Rows(Slab<Row>);

impl Row {
    pub(super) fn sessions(&self) -> &[SessionIndex] {
        &self.sessions
    }

    /// The row behind it.
    pub(super) fn next(&self) -> Option<RowIndex> {
        Some(self.next).filter(|next| *next != NONE)
    }

    pub(super) fn is_full(&self) -> bool {
        self.sessions.len() >= ROW_SESSIONS_MAX
    }

    pub(super) fn push(&mut self, session: SessionIndex) {
        let len = self.sessions.len();
        if len == self.sessions.capacity() {
            self.sessions.reserve_exact((len / 8).clamp(1, ROW_SESSIONS_MAX - len));
        }
        self.sessions.push(session);
    }

    pub(super) fn pop(&mut self) -> Option<SessionIndex> {
        let last = self.sessions.pop();
        if self.sessions.len() < self.sessions.capacity() / 2 {
            self.sessions.shrink_to_fit();
        }
        last
    }

    pub(super) fn replace(&mut self, session: SessionIndex, by: SessionIndex) {
        if let Some(place) = self.sessions.iter().position(|other| *other == session) {
            self.sessions[place] = by;
        }
    }
}

impl Rows {
    pub(super) fn insert(
        &mut self,
        standing: StandingIndex,
        intents: Intents,
        next: Option<RowIndex>,
    ) -> RowIndex {
        reserve_some(&mut self.0);
        let next = next.unwrap_or(NONE);
        self.0.insert(Row { standing, intents, place: 0, next, sessions: Vec::new() }) as RowIndex
    }

    pub(super) fn remove(&mut self, row: RowIndex) -> Row {
        self.0.remove(row as usize)
    }

    /// A row and those behind it.
    pub(super) fn from(&self, first: RowIndex) -> impl Iterator<Item = RowIndex> + '_ {
        std::iter::successors(Some(first), |row| self[*row].next())
    }
}

impl Index<RowIndex> for Rows {
    type Output = Row;

    fn index(&self, row: RowIndex) -> &Row {
        &self.0[row as usize]
    }
}

impl IndexMut<RowIndex> for Rows {
    fn index_mut(&mut self, row: RowIndex) -> &mut Row {
        &mut self.0[row as usize]
    }
}

const NONE: RowIndex = RowIndex::MAX;

/// Looking through so many takes some tens of nanoseconds, and what a row itself takes is little beside them.
const ROW_SESSIONS_MAX: usize = 256;
