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

use model::view::{GuildView, MemberView};
use model::{ChannelId, Intents, Permissions, RoleId, Timestamp, UserId};
use rustc_hash::{FxHashMap, FxHashSet};
use slab::Slab;

mod changes;
mod class;
mod members;
mod seats;

use class::Classes;
use members::Local;
use seats::Seat;

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
    /// Until when members are timed out, as few are.
    timed_out: FxHashMap<MemberIndex, Timestamp>,
    holders: FxHashMap<RoleId, FxHashSet<MemberIndex>>,
    relevant: FxHashSet<RoleId>,
    named: FxHashSet<UserId>,
    classes: Classes,
    /// Members who were put into a class, or found to be in the right one.
    #[cfg(test)]
    members_looked_at: usize,
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
            timed_out: FxHashMap::default(),
            holders: FxHashMap::default(),
            relevant: FxHashSet::default(),
            named: FxHashSet::default(),
            classes: Classes::default(),
            #[cfg(test)]
            members_looked_at: 0,
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

    /// The class of a member who has no session here, and the channels that it sees, in ascending order. Classes keep
    /// their numbers as long as nobody joins or leaves and nothing changes.
    pub(crate) fn class_for(&mut self, user_id: UserId, view: &MemberView) -> (u32, &[ChannelId]) {
        let class = self.class_of(user_id, &view.roles);
        (class, self.classes.visible(class))
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
        if others.len() == self.local(index).seats.as_slice().len() {
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
        let Some(seat) = self.local_mut(index).seats.take(index_of(session)) else { return };
        self.stand_up(self.local(index).class, seat);
        if self.local(index).seats.as_slice().is_empty() {
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
            self.view.in_channel(user_id, &self.view_of(*index), channel_id, now)
        })
    }

    /// Whether an event about a member is newer than what the table has of them.
    pub fn is_newer_member(&self, user_id: UserId, revision: u64) -> bool {
        self.by_user.get(&user_id).is_some_and(|index| revision > self.local(*index).revision)
    }
}

fn index_of(key: usize) -> u32 {
    u32::try_from(key).expect("a process has fewer sessions than 2³²")
}

#[cfg(test)]
mod tests;
