//! Who in a guild sees what: the audience table of one guild on one shard.
//!
//! Members with sessions on this shard fall into *classes*: all members of a class see the same channels. A member's
//! class follows from a signature (owner or not, the roles that matter for viewing, whether an overwrite names the
//! member), and signatures with equal sets of visible channels share a class. A role matters when it is `@everyone`,
//! grants VIEW_CHANNEL or ADMINISTRATOR, or is named in an overwrite that touches VIEW_CHANNEL. By whole role sets a
//! guild with self-assigned roles would have nearly as many groups as members; by class it has a few hundred.
//!
//! Members whose class is the same for the same reasons have one *standing*, and their sessions sit in *rows*. A class has its rows
//! by the intents that were asked for. To deliver an event of a channel: the channel's classes, their groups that want it,
//! their rows; what nobody wants visits nobody. A change of a role, an overwrite or a member moves only whom it concerns, a row at
//! a time where it can, and says for them which channels appeared and vanished.
//!
//! There is a seat for each membership, so it is small: four bytes in a row, and the row's number with the session. Everything else
//! is there once for many.

use model::view::{GuildView, MemberView};
use model::{ChannelId, Intents, Permissions, RoleId, Timestamp, UserId};
use rustc_hash::FxHashSet;

mod changes;
mod class;
mod members;
mod noted;
mod rows;
mod seats;
mod standings;

use class::Classes;
use members::Moves;
use noted::Noted;
use rows::Rows;
pub use seats::{RowIndex, Seats};
use standings::Standings;

/// The key of a session in its shard.
pub type SessionKey = usize;
/// The same in half the bytes: a process has far fewer sessions than 2³².
type SessionIndex = u32;

/// The audience of one guild.
#[derive(Debug)]
pub struct Audience {
    view: GuildView,
    /// Events up to this revision are in the view already.
    base_revision: u64,
    /// The highest revision that is known, from the snapshot or from an event. Events come in order, so of members everything
    /// below it is known.
    reached: u64,
    /// Members of whom something is known as of `reached` or later, and who is timed out.
    noted: Noted,
    standings: Standings,
    rows: Rows,
    session_count: usize,
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
            reached: view.revision,
            view,
            noted: Noted::default(),
            standings: Standings::default(),
            rows: Rows::default(),
            session_count: 0,
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
        self.session_count == 0
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
    /// answered. They can't be newer than what the session has loaded, unless an event has told so.
    #[must_use]
    pub fn join(
        &mut self,
        seats: &mut impl Seats,
        (user_id, view): (UserId, &MemberView),
        revision: u64,
        (session, intents): (SessionKey, Intents),
    ) -> Vec<Shift> {
        let mut others = seats.sessions_of(user_id);
        others.retain(|other| *other != session);
        let other = others.first().and_then(|other| seats.row_of(*other));
        if let Some(other) = other.filter(|_| !self.is_newer_member(user_id, revision.max(self.reached))) {
            self.sit(seats, self.rows[other].standing, intents, session);
            return Vec::new();
        }
        if revision > self.reached {
            self.noted.set_recent(user_id, revision);
        }
        let shifts = self.move_member(seats, (user_id, view), others);
        let standing = self.standing_of(user_id, &view.roles);
        self.sit(seats, standing, intents, session);
        shifts
    }

    /// The session leaves the row in which it sits.
    pub fn leave(&mut self, seats: &mut impl Seats, user_id: UserId, session: SessionKey, row: RowIndex) {
        self.stand_up(seats, row, session);
        if self.noted.timed_out_until(user_id).is_some()
            && seats.sessions_of(user_id).iter().all(|other| *other == session)
        {
            self.noted.set_timed_out(user_id, None);
        }
        self.prune_if_many();
    }

    /// Every session that asks for events of this intent; with [`Intents::NONE`], every session.
    pub fn sessions(&self, intent: Intents) -> impl Iterator<Item = SessionKey> + '_ {
        self.sitting(self.classes.wanting(intent))
    }

    /// The sessions that see a channel and ask for events of this intent.
    pub fn viewers(&self, channel_id: ChannelId, intent: Intents) -> impl Iterator<Item = SessionKey> + '_ {
        self.sitting(self.classes.viewers(channel_id, intent))
    }

    fn sitting(&self, rows: impl Iterator<Item = RowIndex>) -> impl Iterator<Item = SessionKey> {
        rows.flat_map(|row| self.rows[row].sessions()).map(|session| *session as SessionKey)
    }

    /// Whether who sits in the row sees a channel.
    pub fn sees(&self, row: RowIndex, channel_id: ChannelId) -> bool {
        self.classes.sees(self.standings[self.rows[row].standing].class, channel_id)
    }

    /// What the member, whose session sits in the row, may do in a channel.
    pub fn permissions(
        &self,
        (user_id, row): (UserId, RowIndex),
        channel_id: ChannelId,
        now: Timestamp,
    ) -> Permissions {
        self.view.in_channel(user_id, &self.view_of(user_id, row), channel_id, now)
    }

    /// The highest revision that the table is known to hold, from its snapshot or from an event.
    pub fn reached(&self) -> u64 {
        self.reached
    }

    /// Learns that there is an event of this revision.
    pub fn note(&mut self, revision: u64) {
        if revision > self.reached {
            self.reached = revision;
            self.noted.forget_below(revision);
        }
    }

    /// Whether an event about a member is newer than what the table has of them.
    pub fn is_newer_member(&self, user_id: UserId, revision: u64) -> bool {
        revision >= self.reached && self.noted.recent(user_id).is_none_or(|known| revision > known)
    }
}

fn index_of(key: usize) -> u32 {
    u32::try_from(key).expect("a process has fewer sessions than 2³²")
}

#[cfg(test)]
mod tests;
