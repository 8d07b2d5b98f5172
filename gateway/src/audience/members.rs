//! The members with sessions on this shard: their roles, their class, and their sessions' places in it.

use model::view::MemberView;
use model::{RoleId, Timestamp, UserId};

use super::changes::visible_channels;
use super::class::{ClassIndex, Occupant, Signature};
use super::seats::{Seat, Seats};
use super::{Audience, MemberIndex, SessionKey, index_of};
use crate::growth::reserve_some;

/// A member with sessions on this shard. There is one for each membership, so nothing here is larger than it must be.
#[derive(Debug)]
pub(super) struct Local {
    pub(super) user_id: UserId,
    pub(super) roles: Box<[RoleId]>,
    /// The revision of the guild that the roles are from.
    pub(super) revision: u64,
    pub(super) class: ClassIndex,
    pub(super) seats: Seats,
}

impl Audience {
    pub(super) fn insert(&mut self, user_id: UserId, view: MemberView, revision: u64, seat: Seat) {
        let class = self.class_of(user_id, &view.roles);
        let local = Local { user_id, roles: view.roles.into(), revision, class, seats: Seats::None };
        reserve_some(&mut self.members);
        let index = index_of(self.members.insert(local));
        self.by_user.insert(user_id, index);
        self.note_time_out(index, view.timed_out_until);
        self.hold_roles(index);
        self.sit(index, seat);
    }

    /// Of a member without sessions.
    pub(super) fn remove(&mut self, index: MemberIndex) {
        self.drop_roles(index);
        let local = self.members.remove(index as usize);
        self.by_user.remove(&local.user_id);
        self.note_time_out(index, None);
        self.prune_if_many();
    }

    pub(super) fn local(&self, index: MemberIndex) -> &Local {
        &self.members[index as usize]
    }

    pub(super) fn local_mut(&mut self, index: MemberIndex) -> &mut Local {
        &mut self.members[index as usize]
    }

    pub(super) fn prune_if_many(&mut self) {
        if self.classes.len() > self.members.len() + CLASSES_SPARE_MAX {
            self.classes.prune();
        }
    }

    /// The member as the algorithm wants it.
    pub(super) fn view_of(&self, index: MemberIndex) -> MemberView {
        let timed_out_until = self.timed_out.get(&index).copied();
        MemberView { roles: self.local(index).roles.to_vec(), timed_out_until }
    }

    pub(super) fn note_time_out(&mut self, index: MemberIndex, until: Option<Timestamp>) {
        match until {
            Some(until) => drop(self.timed_out.insert(index, until)),
            None => drop(self.timed_out.remove(&index)),
        }
    }

    pub(super) fn hold_roles(&mut self, index: MemberIndex) {
        for role in &self.members[index as usize].roles {
            self.holders.entry(*role).or_default().insert(index);
        }
    }

    pub(super) fn drop_roles(&mut self, index: MemberIndex) {
        for role in &self.members[index as usize].roles {
            if let Some(holders) = self.holders.get_mut(role) {
                holders.remove(&index);
                if holders.is_empty() {
                    self.holders.remove(role);
                }
            }
        }
    }

    /// Puts the member where it belongs now; says from which class to which it went.
    pub(super) fn move_to_class(&mut self, index: MemberIndex) -> (ClassIndex, ClassIndex) {
        #[cfg(test)]
        (self.members_looked_at += 1);
        let local = self.local(index);
        let (before, signature) = (local.class, self.signature(local.user_id, &local.roles));
        let after = self.class_with(signature);
        if before != after {
            self.local_mut(index).class = after;
            for at in 0..self.local(index).seats.as_slice().len() {
                let seat = self.local(index).seats.as_slice()[at];
                self.stand_up(before, seat);
                let place = self.enter(index, seat);
                self.local_mut(index).seats.as_mut_slice()[at].place = place;
            }
        }
        (before, after)
    }

    /// Gives a session its place in the class of its member.
    fn enter(&mut self, index: MemberIndex, seat: Seat) -> u32 {
        let occupant = Occupant { session: seat.session, member: index };
        self.classes.enter(self.local(index).class, seat.intents, occupant)
    }

    pub(super) fn sit(&mut self, index: MemberIndex, seat: Seat) {
        let place = self.enter(index, seat);
        self.local_mut(index).seats.push(Seat { place, ..seat });
    }

    /// Frees a place in a class; whoever is moved there is told.
    pub(super) fn stand_up(&mut self, class: ClassIndex, seat: Seat) {
        let Some(moved) = self.classes.exit(class, seat.intents, seat.place) else { return };
        let seats = self.local_mut(moved.member).seats.as_mut_slice();
        if let Some(other) = seats.iter_mut().find(|other| other.session == moved.session) {
            other.place = seat.place;
        }
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

impl Local {
    pub(super) fn sessions(&self) -> impl Iterator<Item = SessionKey> + '_ {
        self.seats.as_slice().iter().map(|seat| seat.session as SessionKey)
    }
}

/// How many empty classes are kept for members who come back.
const CLASSES_SPARE_MAX: usize = 64;
