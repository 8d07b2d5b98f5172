//! Members come, go and change: which standing their sessions have, and in which row they sit.

use model::view::MemberView;
use model::{Intents, RoleId, UserId};
use rustc_hash::FxHashMap;

use super::changes::visible_channels;
use super::class::{ClassIndex, Signature};
use super::rows::Row;
use super::seats::{RowIndex, Seats};
use super::standings::StandingIndex;
use super::{Audience, SessionKey, index_of};

/// A session that has left its row for another one.
pub(super) struct Lifted {
    pub(super) session: SessionKey,
    intents: Intents,
    class: ClassIndex,
}

/// Sessions by the classes between which they have moved.
pub(super) type Moves = FxHashMap<(ClassIndex, ClassIndex), Vec<SessionKey>>;

impl Audience {
    /// A session takes its seat in a row of this standing.
    pub(super) fn sit(
        &mut self,
        seats: &mut impl Seats,
        standing: StandingIndex,
        intents: Intents,
        session: SessionKey,
    ) {
        let first = self.standings[standing].first_row(intents);
        let row = match first {
            Some(row) if !self.rows[row].is_full() => row,
            full => self.begin_row(standing, intents, full),
        };
        self.rows[row].push(index_of(session));
        self.session_count += 1;
        seats.put(session, row);
    }

    fn begin_row(&mut self, standing: StandingIndex, intents: Intents, next: Option<RowIndex>) -> RowIndex {
        let row = self.rows.insert(standing, intents, next);
        self.standings.set_first_row(standing, intents, Some(row));
        self.rows[row].place = self.classes.enter(self.standings[standing].class, intents, row);
        row
    }

    /// A session leaves its seat, which the last one of the first row takes.
    pub(super) fn stand_up(&mut self, seats: &mut impl Seats, row: RowIndex, session: SessionKey) {
        let (standing, intents) = (self.rows[row].standing, self.rows[row].intents);
        let Some(first) = self.standings[standing].first_row(intents) else { return };
        let Some(last) = self.rows[first].pop() else { return };
        if last != index_of(session) {
            self.rows[row].replace(index_of(session), last);
            if first != row {
                seats.put(last as SessionKey, row);
            }
        }
        self.session_count -= 1;
        if self.rows[first].sessions().is_empty() {
            let gone = self.rows.remove(first);
            self.leave_class(self.standings[standing].class, intents, gone.place);
            self.standings.set_first_row(standing, intents, gone.next());
        }
    }

    /// Frees a row's place in a class; the row that is moved there is told.
    fn leave_class(&mut self, class: ClassIndex, intents: Intents, place: u32) {
        if let Some(moved) = self.classes.exit(class, intents, place) {
            self.rows[moved].place = place;
        }
    }

    /// Takes sessions out of their rows, to seat them again when it is clear where they belong.
    pub(super) fn lift(&mut self, seats: &mut impl Seats, sessions: Vec<SessionKey>) -> Vec<Lifted> {
        let mut lifted = Vec::with_capacity(sessions.len());
        for session in sessions {
            let Some(row) = seats.row_of(session) else { continue };
            let Row { standing, intents, .. } = self.rows[row];
            lifted.push(Lifted { session, intents, class: self.standings[standing].class });
            self.stand_up(seats, row, session);
        }
        lifted
    }

    /// Seats them by these roles of their member.
    pub(super) fn seat_again(
        &mut self,
        seats: &mut impl Seats,
        (user_id, roles): (UserId, &[RoleId]),
        lifted: Vec<Lifted>,
        moves: &mut Moves,
    ) {
        if lifted.is_empty() {
            return;
        }
        let standing = self.standing_of(user_id, roles);
        let after = self.standings[standing].class;
        for Lifted { session, intents, class } in lifted {
            #[cfg(test)]
            (self.members_looked_at += 1);
            self.sit(seats, standing, intents, session);
            if class != after {
                moves.entry((class, after)).or_default().push(session);
            }
        }
    }

    /// The standing of a member with these roles; without sessions so far, it is to get one.
    pub(super) fn standing_of(&mut self, user_id: UserId, roles: &[RoleId]) -> StandingIndex {
        let user = self.stands_alone(user_id).then_some(user_id);
        let mut roles = roles.to_vec();
        roles.sort_unstable();
        roles.dedup();
        self.standings.find(user, &roles).unwrap_or_else(|| {
            let class = self.class_of(user_id, &roles);
            self.standings.insert(user, roles.into(), class)
        })
    }

    fn stands_alone(&self, user_id: UserId) -> bool {
        user_id == self.view.owner_id || self.named.contains(&user_id)
    }

    /// Puts all who have the standing where they belong now.
    pub(super) fn reclass(&mut self, index: StandingIndex, moves: &mut Moves) {
        let standing = &self.standings[index];
        let before = standing.class;
        let signature = self.signature(standing.user.unwrap_or(self.view.id.cast()), &standing.roles);
        let after = self.class_with(signature);
        let rows: Vec<RowIndex> =
            self.standings[index].first_rows().flat_map(|first| self.rows.from(first)).collect();
        #[cfg(test)]
        (self.members_looked_at += rows.iter().map(|row| self.rows[*row].sessions().len()).sum::<usize>());
        if before == after {
            return;
        }
        self.standings.set_class(index, after);
        let moved = moves.entry((before, after)).or_default();
        for row in &rows {
            moved.extend(self.rows[*row].sessions().iter().map(|session| *session as SessionKey));
        }
        for row in rows {
            let (intents, place) = (self.rows[row].intents, self.rows[row].place);
            self.leave_class(before, intents, place);
            self.rows[row].place = self.classes.enter(after, intents, row);
        }
    }

    pub(super) fn prune_if_many(&mut self) {
        if self.classes.len() > self.session_count + CLASSES_SPARE_MAX {
            self.classes.prune();
        }
    }

    /// The member as the algorithm wants it.
    pub(super) fn view_of(&self, user_id: UserId, row: RowIndex) -> MemberView {
        let roles = self.standings[self.rows[row].standing].roles.to_vec();
        MemberView { roles, timed_out_until: self.noted.timed_out_until(user_id) }
    }

    pub(super) fn class_of(&mut self, user_id: UserId, roles: &[RoleId]) -> ClassIndex {
        self.class_with(self.signature(user_id, roles))
    }

    fn signature(&self, user_id: UserId, roles: &[RoleId]) -> Signature {
        let roles = roles.iter().filter(|role| self.relevant.contains(*role)).copied().collect();
        let named = self.named.contains(&user_id).then_some(user_id);
        Signature::new(user_id == self.view.owner_id, roles, named)
    }

    fn class_with(&mut self, signature: Signature) -> ClassIndex {
        self.classes.of(signature, |signature| visible_channels(&self.view, signature))
    }
}

/// How many empty classes are kept for members who come back.
const CLASSES_SPARE_MAX: usize = 64;
