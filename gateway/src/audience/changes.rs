//! Changes of a guild: which members see other channels for them.

use model::view::{ChannelView, GuildView, MemberView, ViewChange};
use model::{ChannelId, OverwriteKind, Permissions, RoleId, Timestamp, UserId};
use rustc_hash::FxHashSet;

use super::class::{ClassIndex, Signature};
use super::seats::Seats;
use super::standings::StandingIndex;
use super::{Audience, Moves, SessionKey, Shift};

impl Audience {
    /// Takes a change of the guild's revision `revision`, and says whose view it changed and how. What is older than the
    /// table is ignored.
    pub fn apply(&mut self, seats: &mut impl Seats, revision: u64, change: &ViewChange) -> Vec<Shift> {
        self.note(revision);
        if let ViewChange::Member { id, after, .. } = change {
            return self.apply_member(seats, *id, revision, after.as_ref());
        }
        let is_sight_changed = self.changes_sight(change);
        if self.has(revision) || !self.view.apply(revision, change) || !is_sight_changed {
            return Vec::new();
        }
        match change {
            ViewChange::Role { id, .. } => self.role_changed(*id),
            ViewChange::Owner { before, after } => self.owner_changed(seats, [*before, *after]),
            ViewChange::Channel { id, .. } => self.channel_changed(seats, *id),
            ViewChange::Member { .. } | ViewChange::Deleted => Vec::new(),
        }
    }

    /// Whether somebody might see other channels for it: most edits of roles and channels are about something else.
    fn changes_sight(&self, change: &ViewChange) -> bool {
        match change {
            ViewChange::Role { id, after, .. } => {
                let before = self.view.roles.get(id).copied();
                sight_of_role(before) != sight_of_role(*after)
            }
            ViewChange::Channel { id, after, .. } => {
                let before = self.view.channels.get(id).map(sight_of_channel);
                before != after.as_ref().map(sight_of_channel)
            }
            ViewChange::Owner { .. } | ViewChange::Member { .. } | ViewChange::Deleted => true,
        }
    }

    fn apply_member(
        &mut self,
        seats: &mut impl Seats,
        user_id: UserId,
        revision: u64,
        after: Option<&MemberView>,
    ) -> Vec<Shift> {
        let sessions = seats.sessions_of(user_id);
        let Some(after) = after.filter(|_| !sessions.is_empty()) else { return Vec::new() };
        if !self.is_newer_member(user_id, revision) {
            return Vec::new();
        }
        self.noted.set_recent(user_id, revision);
        self.move_member(seats, (user_id, after), sessions)
    }

    /// Gives a member another view, and says what that changes for these sessions, which are all that they have.
    pub(super) fn move_member(
        &mut self,
        seats: &mut impl Seats,
        (user_id, view): (UserId, &MemberView),
        sessions: Vec<SessionKey>,
    ) -> Vec<Shift> {
        self.noted.set_timed_out(user_id, view.timed_out_until);
        let lifted = self.lift(seats, sessions);
        let mut moves = Moves::default();
        self.seat_again(seats, (user_id, &view.roles), lifted, &mut moves);
        let shifts = self.shifts(moves);
        self.prune_if_many();
        shifts
    }

    fn role_changed(&mut self, role: RoleId) -> Vec<Shift> {
        let was_relevant = self.relevant.contains(&role);
        self.find_relevant();
        let is_everyone = role.get() == self.view.id.get();
        if is_everyone {
            self.classes.forget(|_| true);
            return self.reclass_all(self.standings.all());
        }
        if !was_relevant && !self.relevant.contains(&role) {
            return Vec::new();
        }
        self.classes.forget(|signature| signature.roles().contains(&role));
        self.reclass_all(self.standings.with([role]))
    }

    fn owner_changed(&mut self, seats: &mut impl Seats, [before, after]: [UserId; 2]) -> Vec<Shift> {
        // While somebody owns the guild they see everything, so what they would see by name is not kept right.
        self.classes.forget(|signature| signature.names(after));
        self.rename(seats, FxHashSet::from_iter([before, after]), FxHashSet::default())
    }

    /// Of a channel that was made, changed or deleted.
    fn channel_changed(&mut self, seats: &mut impl Seats, channel: ChannelId) -> Vec<Shift> {
        let (relevant, named) = (self.relevant.clone(), self.named.clone());
        self.find_relevant();
        let view = &self.view;
        let classes = self.classes.recheck(channel, |signature| sees(view, signature, channel));
        let users: FxHashSet<UserId> = self.named.symmetric_difference(&named).copied().collect();
        let mut standings = self.standings.with(self.relevant.symmetric_difference(&relevant).copied());
        let rows = classes.into_iter().flat_map(|class| self.classes.rows(class));
        standings.extend(rows.map(|row| self.rows[row].standing));
        self.rename(seats, users, standings)
    }

    fn reclass_all(&mut self, standings: FxHashSet<StandingIndex>) -> Vec<Shift> {
        let mut moves = Moves::default();
        standings.into_iter().for_each(|standing| self.reclass(standing, &mut moves));
        self.end_moves(moves)
    }

    /// Puts these standings where they belong now, and users into the standing that is theirs, whose own it begins or ceases to
    /// be. Users get up first, so that each session moves once.
    fn rename(
        &mut self,
        seats: &mut impl Seats,
        users: FxHashSet<UserId>,
        mut standings: FxHashSet<StandingIndex>,
    ) -> Vec<Shift> {
        let mut moves = Moves::default();
        let mut standing_up = Vec::new();
        for user in users {
            let sessions = seats.sessions_of(user);
            let Some(row) = sessions.first().and_then(|session| seats.row_of(*session)) else { continue };
            let roles = self.standings[self.rows[row].standing].roles.clone();
            standing_up.push((user, roles, self.lift(seats, sessions)));
        }
        standings.retain(|standing| self.standings.contains(*standing));
        standings.into_iter().for_each(|standing| self.reclass(standing, &mut moves));
        for (user, roles, lifted) in standing_up {
            self.seat_again(seats, (user, &roles), lifted, &mut moves);
        }
        self.end_moves(moves)
    }

    fn end_moves(&mut self, moves: Moves) -> Vec<Shift> {
        let shifts = self.shifts(moves);
        self.classes.prune();
        shifts
    }

    fn shifts(&self, moves: Moves) -> Vec<Shift> {
        let moves = moves.into_iter();
        moves.flat_map(|((before, after), sessions)| self.shift(sessions, before, after)).collect()
    }

    fn shift(&self, sessions: Vec<SessionKey>, before: ClassIndex, after: ClassIndex) -> Vec<Shift> {
        let (gained, lost) = self.classes.difference(before, after);
        if gained.is_empty() && lost.is_empty() { Vec::new() } else { vec![Shift { sessions, gained, lost }] }
    }

    /// Which roles and users matter for viewing.
    pub(super) fn find_relevant(&mut self) {
        let grants = |granted: Permissions| !sight_of_role(Some(granted)).is_empty();
        // `@everyone` is had by all, so it tells nobody apart.
        let everyone = self.view.id.cast();
        let granting = self.view.roles.iter().filter(|(id, granted)| **id != everyone && grants(**granted));
        self.relevant = granting.map(|(id, _)| *id).collect();
        self.named.clear();
        for (target, _) in self.view.channels.values().flat_map(sight_of_channel) {
            match target {
                OverwriteKind::Role(role) => self.relevant.extend((role != everyone).then_some(role)),
                OverwriteKind::Member(user) => self.named.extend([user]),
            }
        }
    }
}

/// What of a role's permissions matters for viewing.
fn sight_of_role(permissions: Option<Permissions>) -> Permissions {
    permissions.unwrap_or_default() & (Permissions::VIEW_CHANNEL | Permissions::ADMINISTRATOR)
}

/// The overwrites of a channel that matter for viewing: for whom, and whether they allow it, or deny it.
fn sight_of_channel(channel: &ChannelView) -> Vec<(OverwriteKind, [bool; 2])> {
    let view = Permissions::VIEW_CHANNEL;
    let overwrites = channel.overwrites.iter();
    let sights = overwrites
        .map(|overwrite| (overwrite.target, [overwrite.allow.contains(view), overwrite.deny.contains(view)]));
    sights.filter(|(_, sight)| *sight != [false; 2]).collect()
}

pub(super) fn visible_channels(view: &GuildView, signature: &Signature) -> Vec<ChannelId> {
    view.channels.keys().copied().filter(|channel| sees(view, signature, *channel)).collect()
}

fn sees(view: &GuildView, signature: &Signature, channel: ChannelId) -> bool {
    // A time-out does not take VIEW_CHANNEL away, so the time does not matter here.
    let member = MemberView { roles: signature.roles().to_vec(), timed_out_until: None };
    let user = signature.user(view.owner_id, view.id);
    view.in_channel(user, &member, channel, Timestamp::default()).contains(Permissions::VIEW_CHANNEL)
}
