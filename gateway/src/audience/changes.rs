//! Changes of a guild: which members see other channels for them.

use model::view::{ChannelView, GuildView, MemberView, ViewChange};
use model::{ChannelId, OverwriteKind, Permissions, RoleId, Timestamp, UserId};
use rustc_hash::{FxHashMap, FxHashSet};

use super::class::{ClassIndex, Signature};
use super::{Audience, MemberIndex, SessionKey, Shift, index_of};

impl Audience {
    /// Takes a change of the guild's revision `revision`, and says whose view it changed and how. What is older than the
    /// table is ignored.
    pub fn apply(&mut self, revision: u64, change: &ViewChange) -> Vec<Shift> {
        if let ViewChange::Member { id, after, .. } = change {
            return self.apply_member(*id, revision, after.as_ref());
        }
        let is_sight_changed = self.changes_sight(change);
        if self.has(revision) || !self.view.apply(revision, change) || !is_sight_changed {
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

    fn apply_member(&mut self, user_id: UserId, revision: u64, after: Option<&MemberView>) -> Vec<Shift> {
        let Some(index) = self.by_user.get(&user_id).copied() else { return Vec::new() };
        let (Some(after), true) = (after, revision > self.local(index).revision) else { return Vec::new() };
        let sessions = self.local(index).sessions().collect();
        self.move_member(index, after.clone(), revision, sessions)
    }

    /// Gives a member another view, and says what that changes for these sessions.
    pub(super) fn move_member(
        &mut self,
        index: MemberIndex,
        view: MemberView,
        revision: u64,
        sessions: Vec<SessionKey>,
    ) -> Vec<Shift> {
        let before = self.local(index).class;
        self.drop_roles(index);
        let local = self.local_mut(index);
        (local.revision, local.roles) = (revision, view.roles.into());
        self.note_time_out(index, view.timed_out_until);
        self.hold_roles(index);
        self.move_to_class(index);
        let shifts = self.shift(sessions, before, self.local(index).class);
        self.prune_if_many();
        shifts
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
