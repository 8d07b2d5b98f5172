//! The members with sessions on this shard: their roles, their class, and their sessions' places in it.

use model::view::MemberView;
use model::{Intents, UserId};

use super::changes::visible_channels;
use super::class::{ClassIndex, Occupant, Signature};
use super::{Audience, MemberIndex, SessionIndex, SessionKey, index_of};
use crate::growth::reserve_some;

/// A member with sessions on this shard.
#[derive(Debug)]
pub(super) struct Local {
    pub(super) user_id: UserId,
    pub(super) view: MemberView,
    /// The revision of the guild that `view` is from.
    pub(super) revision: u64,
    pub(super) class: ClassIndex,
    pub(super) seats: Vec<Seat>,
}

/// A session of a member.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seat {
    pub(super) session: SessionIndex,
    pub(super) intents: Intents,
    /// Where it stands in its class, among those with the same intents.
    pub(super) place: u32,
}

impl Audience {
    pub(super) fn insert(&mut self, user_id: UserId, view: MemberView, revision: u64, seat: Seat) {
        let class = self.class_of(user_id, &view);
        let local = Local { user_id, view, revision, class, seats: Vec::new() };
        reserve_some(&mut self.members);
        let index = index_of(self.members.insert(local));
        self.by_user.insert(user_id, index);
        self.hold_roles(index);
        self.sit(index, seat);
    }

    /// Of a member without sessions.
    pub(super) fn remove(&mut self, index: MemberIndex) {
        self.drop_roles(index);
        let local = self.members.remove(index as usize);
        self.by_user.remove(&local.user_id);
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

    pub(super) fn hold_roles(&mut self, index: MemberIndex) {
        for role in &self.members[index as usize].view.roles {
            self.holders.entry(*role).or_default().insert(index);
        }
    }

    pub(super) fn drop_roles(&mut self, index: MemberIndex) {
        for role in &self.members[index as usize].view.roles {
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
        let (user_id, view) = (self.local(index).user_id, self.local(index).view.clone());
        let (before, after) = (self.local(index).class, self.class_of(user_id, &view));
        if before != after {
            self.local_mut(index).class = after;
            for at in 0..self.local(index).seats.len() {
                let seat = self.local(index).seats[at];
                self.stand_up(before, seat);
                self.local_mut(index).seats[at].place = self.enter(index, seat);
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
        let seats = &mut self.local_mut(index).seats;
        // Nearly everybody has one session.
        seats.reserve_exact(1);
        seats.push(Seat { place, ..seat });
    }

    /// Frees a place in a class; whoever is moved there is told.
    pub(super) fn stand_up(&mut self, class: ClassIndex, seat: Seat) {
        let Some(moved) = self.classes.exit(class, seat.intents, seat.place) else { return };
        let seats = &mut self.local_mut(moved.member).seats;
        if let Some(other) = seats.iter_mut().find(|other| other.session == moved.session) {
            other.place = seat.place;
        }
    }

    fn class_of(&mut self, user_id: UserId, member: &MemberView) -> ClassIndex {
        let roles = member.roles.iter().filter(|role| self.relevant.contains(*role)).copied().collect();
        let named = self.named.contains(&user_id).then_some(user_id);
        let signature = Signature::new(user_id == self.view.owner_id, roles, named);
        self.classes.of(signature, |signature| visible_channels(&self.view, signature))
    }
}

impl Local {
    pub(super) fn sessions(&self) -> impl Iterator<Item = SessionKey> + '_ {
        self.seats.iter().map(|seat| seat.session as SessionKey)
    }
}

/// How many empty classes are kept for members who come back.
const CLASSES_SPARE_MAX: usize = 64;
