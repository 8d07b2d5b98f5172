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
    sessions: Sitting,
}

/// Where nobody has the same roles there is one in each row, which is read and kept without a block of its own.
#[derive(Debug)]
enum Sitting {
    One(SessionIndex),
    Some(Vec<SessionIndex>),
}

#[derive(Debug, Default)]
pub(super) struct Rows(Slab<Row>);

impl Row {
    pub(super) fn sessions(&self) -> &[SessionIndex] {
        match &self.sessions {
            Sitting::One(session) => std::slice::from_ref(session),
            Sitting::Some(sessions) => sessions,
        }
    }

    /// The row behind it.
    pub(super) fn next(&self) -> Option<RowIndex> {
        Some(self.next).filter(|next| *next != NONE)
    }

    pub(super) fn is_full(&self) -> bool {
        self.sessions().len() >= ROW_SESSIONS_MAX
    }

    pub(super) fn push(&mut self, session: SessionIndex) {
        match &mut self.sessions {
            Sitting::One(one) => self.sessions = Sitting::Some(vec![*one, session]),
            Sitting::Some(sessions) if sessions.is_empty() => self.sessions = Sitting::One(session),
            Sitting::Some(sessions) => {
                let len = sessions.len();
                if len == sessions.capacity() {
                    sessions.reserve_exact((len / 8).clamp(1, ROW_SESSIONS_MAX - len));
                }
                sessions.push(session);
            }
        }
    }

    pub(super) fn pop(&mut self) -> Option<SessionIndex> {
        match &mut self.sessions {
            Sitting::One(one) => {
                let one = *one;
                self.sessions = Sitting::Some(Vec::new());
                Some(one)
            }
            Sitting::Some(sessions) => {
                let last = sessions.pop();
                if let [one] = sessions[..] {
                    self.sessions = Sitting::One(one);
                } else if sessions.len() < sessions.capacity() / 2 {
                    sessions.shrink_to_fit();
                }
                last
            }
        }
    }

    pub(super) fn replace(&mut self, session: SessionIndex, by: SessionIndex) {
        let sessions = match &mut self.sessions {
            Sitting::One(one) => std::slice::from_mut(one),
            Sitting::Some(sessions) => sessions,
        };
        if let Some(known) = sessions.iter_mut().find(|known| **known == session) {
            *known = by;
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
        self.0.insert(Row { standing, intents, place: 0, next, sessions: Sitting::Some(Vec::new()) })
            as RowIndex
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
