//! Who in a guild sees what: the audience table of one guild on one shard.
//!
//! Members with sessions on this shard fall into *classes*: all members of a class see the same channels. A member's
//! class follows from a signature (owner or not, the roles that matter for viewing, whether an overwrite names the
//! member), and signatures with equal sets of visible channels share a class. A role matters when it is `@everyone`,
//! grants VIEW_CHANNEL or ADMINISTRATOR, or is named in an overwrite that touches VIEW_CHANNEL. By whole role sets a
//! guild with self-assigned roles would have nearly as many groups as members; by class it has a few hundred.
//!
//! A class has its sessions by the intents that they asked for. To deliver an event of a channel: the channel's classes,
//! their groups that want it, their sessions; what nobody wants visits nobody. A change of a role, an overwrite or a
//! member moves only those whom it concerns, and says for them which channels appeared and vanished.

use model::view::{GuildView, MemberView, ViewChange};
use model::{ChannelId, Intents, OverwriteKind, Permissions, RoleId, Timestamp, UserId};
use rustc_hash::{FxHashMap, FxHashSet};
use slab::Slab;

use crate::growth::reserve_some;

mod class;

use class::{ClassIndex, Classes, Occupant, Signature};

/// The key of a session in its shard.
pub type SessionKey = usize;
/// The same in half the bytes: a process has far fewer sessions than 2³².
type SessionIndex = u32;
type MemberIndex = u32;

/// The audience of one guild.
#[derive(Debug)]
pub struct Audience {
    view: GuildView,
    /// Events up to this revision are in the view already.
    base_revision: u64,
    members: Slab<Local>,
    by_user: FxHashMap<UserId, MemberIndex>,
    holders: FxHashMap<RoleId, FxHashSet<MemberIndex>>,
    relevant: FxHashSet<RoleId>,
    named: FxHashSet<UserId>,
    classes: Classes,
}

/// A member with sessions on this shard.
#[derive(Debug)]
struct Local {
    user_id: UserId,
    view: MemberView,
    /// The revision of the guild that `view` is from.
    revision: u64,
    class: ClassIndex,
    seats: Vec<Seat>,
}

/// A session of a member.
#[derive(Debug, Clone, Copy)]
struct Seat {
    session: SessionIndex,
    intents: Intents,
    /// Where it stands in its class, among those with the same intents.
    place: u32,
}

/// Sessions whose view of the guild's channels has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shift {
    pub sessions: Vec<SessionKey>,
    pub gained: Vec<ChannelId>,
    pub lost: Vec<ChannelId>,
}

impl Audience {
    /// An audience without members.
    pub fn new(view: GuildView) -> Self {
        let mut audience = Self {
            base_revision: view.revision,
            view,
            members: Slab::new(),
            by_user: FxHashMap::default(),
            holders: FxHashMap::default(),
            relevant: FxHashSet::default(),
            named: FxHashSet::default(),
            classes: Classes::default(),
        };
        audience.find_relevant();
        audience
    }

    pub fn view(&self) -> &GuildView {
        &self.view
    }

    /// Whether the table was made from a snapshot that held this revision.
    pub fn has(&self, revision: u64) -> bool {
        revision <= self.base_revision
    }

    /// Whether nobody is left.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// What a member with one session takes in the table itself.
    #[cfg(test)]
    pub(crate) fn member_bytes() -> usize {
        size_of::<Local>() + size_of::<Seat>() + size_of::<Occupant>()
    }

    /// How many classes there are.
    pub fn class_count(&self) -> usize {
        self.classes.len()
    }

    /// A session of a member, whose roles are known as of `revision`. What that changes for the member's other sessions is
    /// answered.
    #[must_use]
    pub fn join(
        &mut self,
        user_id: UserId,
        view: MemberView,
        revision: u64,
        session: SessionKey,
        intents: Intents,
    ) -> Vec<Shift> {
        let seat = Seat { session: index_of(session), intents, place: 0 };
        let Some(index) = self.by_user.get(&user_id).copied() else {
            self.insert(user_id, view, revision, seat);
            return Vec::new();
        };
        let others: Vec<SessionKey> =
            self.local(index).sessions().filter(|known| *known != session).collect();
        if others.len() == self.local(index).seats.len() {
            self.sit(index, seat);
        }
        if revision <= self.local(index).revision {
            return Vec::new();
        }
        self.move_member(index, view, revision, others)
    }

    /// The session leaves; the member goes with the last one.
    pub fn leave(&mut self, user_id: UserId, session: SessionKey) {
        let Some(index) = self.by_user.get(&user_id).copied() else { return };
        let Some(at) = self.local(index).sessions().position(|known| known == session) else { return };
        let seat = self.local_mut(index).seats.swap_remove(at);
        self.stand_up(self.local(index).class, seat);
        if self.local(index).seats.is_empty() {
            self.remove(index);
        }
    }

    /// Every session that asks for events of this intent; with [`Intents::NONE`], every session.
    pub fn sessions(&self, intent: Intents) -> impl Iterator<Item = SessionKey> + '_ {
        self.classes.sessions(intent)
    }

    /// The sessions of one user.
    pub fn sessions_of(&self, user_id: UserId) -> impl Iterator<Item = SessionKey> + '_ {
        self.by_user.get(&user_id).into_iter().flat_map(|index| self.local(*index).sessions())
    }

    /// The sessions that see a channel and ask for events of this intent.
    pub fn viewers(&self, channel_id: ChannelId, intent: Intents) -> impl Iterator<Item = SessionKey> + '_ {
        self.classes.viewers(channel_id, intent)
    }

    pub fn sees(&self, user_id: UserId, channel_id: ChannelId) -> bool {
        let class = self.by_user.get(&user_id).map(|index| self.local(*index).class);
        class.is_some_and(|class| self.classes.sees(class, channel_id))
    }

    /// What the member may do in a channel.
    pub fn permissions(&self, user_id: UserId, channel_id: ChannelId, now: Timestamp) -> Permissions {
        self.by_user.get(&user_id).map_or(Permissions::NONE, |index| {
            self.view.in_channel(user_id, &self.local(*index).view, channel_id, now)
        })
    }

    /// Takes a change of the guild's revision `revision`, and says whose view it changed and how. What is older than the
    /// table is ignored.
    pub fn apply(&mut self, revision: u64, change: &ViewChange) -> Vec<Shift> {
        if let ViewChange::Member { id, after, .. } = change {
            return self.apply_member(*id, revision, after.as_ref());
        }
        if self.has(revision) || !self.view.apply(revision, change) {
            return Vec::new();
        }
        match change {
            ViewChange::Role { id, .. } => self.role_changed(*id),
            ViewChange::Owner { before, after } => {
                // While somebody owns the guild they see everything, so what they would see by name is not kept right.
                self.classes.forget(|signature| signature.names(*after));
                let members =
                    [*before, *after].iter().filter_map(|user| self.by_user.get(user).copied()).collect();
                self.reclass(members)
            }
            ViewChange::Channel { id, .. } => self.channel_changed(*id),
            ViewChange::Member { .. } | ViewChange::Deleted => Vec::new(),
        }
    }

    fn apply_member(&mut self, user_id: UserId, revision: u64, after: Option<&MemberView>) -> Vec<Shift> {
        let Some(index) = self.by_user.get(&user_id).copied() else { return Vec::new() };
        let (Some(after), true) = (after, revision > self.local(index).revision) else { return Vec::new() };
        let sessions = self.local(index).sessions().collect();
        self.move_member(index, after.clone(), revision, sessions)
    }

    /// Gives a member another view, and says what that changes for these sessions.
    fn move_member(
        &mut self,
        index: MemberIndex,
        view: MemberView,
        revision: u64,
        sessions: Vec<SessionKey>,
    ) -> Vec<Shift> {
        let before = self.local(index).class;
        self.drop_roles(index);
        let local = self.local_mut(index);
        (local.revision, local.view) = (revision, view);
        self.hold_roles(index);
        self.move_to_class(index);
        let shifts = self.shift(sessions, before, self.local(index).class);
        self.prune_if_many();
        shifts
    }

    /// Whether an event about a member is newer than what the table has of them.
    pub fn is_newer_member(&self, user_id: UserId, revision: u64) -> bool {
        self.by_user.get(&user_id).is_some_and(|index| revision > self.local(*index).revision)
    }

    fn insert(&mut self, user_id: UserId, view: MemberView, revision: u64, seat: Seat) {
        let class = self.class_of(user_id, &view);
        let local = Local { user_id, view, revision, class, seats: Vec::new() };
        reserve_some(&mut self.members);
        let index = index_of(self.members.insert(local));
        self.by_user.insert(user_id, index);
        self.hold_roles(index);
        self.sit(index, seat);
    }

    /// Of a member without sessions.
    fn remove(&mut self, index: MemberIndex) {
        self.drop_roles(index);
        let local = self.members.remove(index as usize);
        self.by_user.remove(&local.user_id);
        self.prune_if_many();
    }

    fn local(&self, index: MemberIndex) -> &Local {
        &self.members[index as usize]
    }

    fn local_mut(&mut self, index: MemberIndex) -> &mut Local {
        &mut self.members[index as usize]
    }

    fn prune_if_many(&mut self) {
        if self.classes.len() > self.members.len() + CLASSES_SPARE_MAX {
            self.classes.prune();
        }
    }

    fn hold_roles(&mut self, index: MemberIndex) {
        for role in &self.members[index as usize].view.roles {
            self.holders.entry(*role).or_default().insert(index);
        }
    }

    fn drop_roles(&mut self, index: MemberIndex) {
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
    fn move_to_class(&mut self, index: MemberIndex) -> (ClassIndex, ClassIndex) {
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

    fn sit(&mut self, index: MemberIndex, seat: Seat) {
        let place = self.enter(index, seat);
        let seats = &mut self.local_mut(index).seats;
        // Nearly everybody has one session.
        seats.reserve_exact(1);
        seats.push(Seat { place, ..seat });
    }

    /// Frees a place in a class; whoever is moved there is told.
    fn stand_up(&mut self, class: ClassIndex, seat: Seat) {
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

    fn role_changed(&mut self, role: RoleId) -> Vec<Shift> {
        let was_relevant = self.relevant.contains(&role);
        self.find_relevant();
        let is_everyone = role.get() == self.view.id.get();
        if is_everyone {
            self.classes.forget(|_| true);
            return self.reclass(self.everybody());
        }
        if !was_relevant && !self.relevant.contains(&role) {
            return Vec::new();
        }
        self.classes.forget(|signature| signature.roles().contains(&role));
        self.reclass(self.holders_of([role]))
    }

    /// Of a channel that was made, changed or deleted.
    fn channel_changed(&mut self, channel: ChannelId) -> Vec<Shift> {
        let (relevant, named) = (self.relevant.clone(), self.named.clone());
        self.find_relevant();
        let view = &self.view;
        let classes = self.classes.recheck(channel, |signature| sees(view, signature, channel));
        let users =
            self.named.symmetric_difference(&named).filter_map(|user| self.by_user.get(user)).copied();
        let mut members: FxHashSet<MemberIndex> = users.collect();
        members.extend(self.holders_of(self.relevant.symmetric_difference(&relevant).copied()));
        members.extend(classes.into_iter().flat_map(|class| self.classes.members(class)));
        self.reclass(members.into_iter().collect())
    }

    fn everybody(&self) -> Vec<MemberIndex> {
        self.members.iter().map(|(index, _)| index_of(index)).collect()
    }

    fn holders_of(&self, roles: impl IntoIterator<Item = RoleId>) -> Vec<MemberIndex> {
        let holders = roles.into_iter().filter_map(|role| self.holders.get(&role)).flatten();
        holders.copied().collect::<FxHashSet<_>>().into_iter().collect()
    }

    /// Puts these members into the classes that they belong to now, and gathers what that changed for them.
    fn reclass(&mut self, members: Vec<MemberIndex>) -> Vec<Shift> {
        let mut moves: FxHashMap<(ClassIndex, ClassIndex), Vec<SessionKey>> = FxHashMap::default();
        for index in members {
            let (before, after) = self.move_to_class(index);
            if before != after {
                moves.entry((before, after)).or_default().extend(self.local(index).sessions());
            }
        }
        let shifts =
            moves.into_iter().flat_map(|((before, after), sessions)| self.shift(sessions, before, after));
        let shifts = shifts.collect();
        self.classes.prune();
        shifts
    }

    fn shift(&self, sessions: Vec<SessionKey>, before: ClassIndex, after: ClassIndex) -> Vec<Shift> {
        let (gained, lost) = self.classes.difference(before, after);
        if gained.is_empty() && lost.is_empty() { Vec::new() } else { vec![Shift { sessions, gained, lost }] }
    }

    /// Which roles and users matter for viewing.
    fn find_relevant(&mut self) {
        let view = Permissions::VIEW_CHANNEL;
        let grants = |permissions: Permissions| {
            permissions.contains(view) || permissions.contains(Permissions::ADMINISTRATOR)
        };
        self.relevant =
            self.view.roles.iter().filter(|(_, granted)| grants(**granted)).map(|(id, _)| *id).collect();
        self.named.clear();
        for overwrite in self.view.channels.values().flat_map(|channel| &channel.overwrites) {
            if (overwrite.allow | overwrite.deny).contains(view) {
                match overwrite.target {
                    OverwriteKind::Role(role) => self.relevant.insert(role),
                    OverwriteKind::Member(user) => self.named.insert(user),
                };
            }
        }
        self.relevant.remove(&self.view.id.cast());
    }
}

impl Local {
    fn sessions(&self) -> impl Iterator<Item = SessionKey> + '_ {
        self.seats.iter().map(|seat| seat.session as SessionKey)
    }
}

fn index_of(key: usize) -> u32 {
    u32::try_from(key).expect("a process has fewer sessions than 2³²")
}

fn visible_channels(view: &GuildView, signature: &Signature) -> Vec<ChannelId> {
    view.channels.keys().copied().filter(|channel| sees(view, signature, *channel)).collect()
}

fn sees(view: &GuildView, signature: &Signature, channel: ChannelId) -> bool {
    // A time-out does not take VIEW_CHANNEL away, so the time does not matter here.
    let member = MemberView { roles: signature.roles().to_vec(), timed_out_until: None };
    let user = signature.user(view.owner_id, view.id);
    view.in_channel(user, &member, channel, Timestamp::default()).contains(Permissions::VIEW_CHANNEL)
}

/// How many empty classes are kept for members who come back.
const CLASSES_SPARE_MAX: usize = 64;

#[cfg(test)]
mod tests;
