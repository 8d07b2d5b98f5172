//! What a session is to be told of a guild that it had elsewhere, without I/O.
//!
//! The client knows the guild as it was; this pod knows it as it is, and has the events in between. Those that change who
//! sees what say how it was before, so taking them back from what is now gives what the client sees; taking them again, one
//! by one, gives what appears and vanishes for it, and when. A message is given if it is visible now, and lies behind the
//! last moment at which its channel appeared.

use model::view::{GuildView, MemberView, ViewChange};
use model::{ChannelId, ChannelKind, EventKind, Permissions, Timestamp, UserId};
use proto::Envelope;
use rustc_hash::{FxHashMap, FxHashSet};

/// Something to tell the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// This event, if it is visible now.
    Give(usize),
    Appears(ChannelId),
    /// By this event, if it is the channel's end.
    Vanishes(ChannelId, ChannelKind, Option<usize>),
}

/// What follows from the events.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    Steps(Vec<Step>),
    /// The user has left meanwhile, and come back.
    Rejoined,
}

/// The guild as it is now for the user, who is a member of it.
pub(crate) struct Now<'a> {
    pub(crate) view: &'a GuildView,
    pub(crate) user: UserId,
    pub(crate) member: &'a MemberView,
    /// The client may have been given any of the events before: what came and went meanwhile, it may have.
    pub(crate) repeats: bool,
}

/// What one user sees, as events change it.
struct Sight {
    view: GuildView,
    member: MemberView,
    user: UserId,
    channels: FxHashSet<ChannelId>,
}

/// `events` are those of the guild that the client was not given, in order.
pub(crate) fn plan(now: &Now<'_>, events: &[&Envelope]) -> Plan {
    let is_new = |change: &ViewChange| {
        let is_break = |id: &UserId, is_one: bool| *id == now.user && is_one;
        match change {
            ViewChange::Member { id, before, after } => is_break(id, before.is_none() || after.is_none()),
            _ => false,
        }
    };
    if events.iter().any(|event| event.view.as_ref().is_some_and(is_new)) {
        return Plan::Rejoined;
    }
    let mut sight = Sight::before(now, events);
    let mut known = sight.channels.clone();
    let mut appeared_at: FxHashMap<ChannelId, usize> = FxHashMap::default();
    let sees_now = Sight::of(now).channels;
    let mut steps = Vec::new();
    for (index, event) in events.iter().enumerate() {
        let change = event.view.as_ref().zip(event.revision).filter(|_| concerns(now.user, event));
        let kind_before = event.channel_id.and_then(|channel| sight.kind(channel));
        let (gained, lost) =
            change.map(|(change, revision)| sight.apply(revision, change)).unwrap_or_default();
        let is_of_channel = is_of_channel(event.kind);
        if !is_of_channel {
            steps.push(Step::Give(index));
        }
        for channel in &lost {
            if known.remove(channel) || now.repeats {
                let kind = sight.kind(*channel).or(kind_before).unwrap_or(ChannelKind::Text);
                let is_end = event.kind == EventKind::ChannelDelete && event.channel_id == Some(*channel);
                steps.push(Step::Vanishes(*channel, kind, is_end.then_some(index)));
            }
        }
        for channel in &gained {
            appeared_at.insert(*channel, index);
            if sees_now.contains(channel) && known.insert(*channel) {
                steps.push(Step::Appears(*channel));
            }
        }
        let has_moved =
            event.channel_id.is_some_and(|channel| gained.contains(&channel) || lost.contains(&channel));
        if event.kind == EventKind::ChannelUpdate && !has_moved {
            steps.push(Step::Give(index));
        }
    }
    steps.retain(|step| match step {
        Step::Give(index) => {
            let appeared = events[*index].channel_id.and_then(|channel| appeared_at.get(&channel));
            appeared.is_none_or(|appeared| index > appeared)
        }
        Step::Appears(_) | Step::Vanishes(..) => true,
    });
    Plan::Steps(steps)
}

/// The highest revision that is known from these events, or was before them.
pub(crate) fn reached<'a>(known: u64, events: impl Iterator<Item = &'a Envelope>) -> u64 {
    events.filter_map(|event| event.revision).fold(known, u64::max)
}

/// What is told by what appears and vanishes, and not by the event itself; of an update, for those whose view it changes.
fn is_of_channel(kind: EventKind) -> bool {
    matches!(kind, EventKind::ChannelCreate | EventKind::ChannelUpdate | EventKind::ChannelDelete)
}

/// Whether an event can change what the user sees.
fn concerns(user: UserId, event: &Envelope) -> bool {
    match &event.view {
        Some(ViewChange::Member { id, .. }) => *id == user,
        Some(_) => true,
        None => false,
    }
}

impl Sight {
    fn of(now: &Now<'_>) -> Self {
        let (view, member) = (now.view.clone(), now.member.clone());
        let mut sight = Self { view, member, user: now.user, channels: FxHashSet::default() };
        sight.channels = sight.all();
        sight
    }

    /// As it was before these events.
    fn before(now: &Now<'_>, events: &[&Envelope]) -> Self {
        let mut sight = Self::of(now);
        for event in events.iter().rev().filter(|event| concerns(now.user, event)) {
            match (&event.view, event.revision) {
                (Some(ViewChange::Member { before: Some(before), .. }), _) => sight.member = before.clone(),
                // What is newer than the guild as it is known is no change of this user's view.
                (Some(change), Some(revision)) if revision <= now.view.revision => {
                    sight.view.revert(revision, change);
                }
                _ => {}
            }
        }
        sight.channels = sight.all();
        sight
    }

    /// Answers which channels appear and vanish.
    fn apply(&mut self, revision: u64, change: &ViewChange) -> (Vec<ChannelId>, Vec<ChannelId>) {
        match change {
            ViewChange::Member { after: Some(after), .. } => self.member = after.clone(),
            ViewChange::Channel { id, .. } => {
                self.view.apply(revision, change);
                return match (self.channels.contains(id), self.sees(*id)) {
                    (false, true) => {
                        self.channels.insert(*id);
                        (vec![*id], Vec::new())
                    }
                    (true, false) => {
                        self.channels.remove(id);
                        (Vec::new(), vec![*id])
                    }
                    _ => Default::default(),
                };
            }
            _ => drop(self.view.apply(revision, change)),
        }
        let after = self.all();
        let before = std::mem::replace(&mut self.channels, after);
        let mut gained: Vec<ChannelId> = self.channels.difference(&before).copied().collect();
        let mut lost: Vec<ChannelId> = before.difference(&self.channels).copied().collect();
        gained.sort_unstable();
        lost.sort_unstable();
        (gained, lost)
    }

    fn all(&self) -> FxHashSet<ChannelId> {
        self.view.channels.keys().copied().filter(|channel| self.sees(*channel)).collect()
    }

    fn sees(&self, channel: ChannelId) -> bool {
        // A time-out takes no sight away, so the time does not matter.
        let permissions = self.view.in_channel(self.user, &self.member, channel, Timestamp::default());
        permissions.contains(Permissions::VIEW_CHANNEL)
    }

    fn kind(&self, channel: ChannelId) -> Option<ChannelKind> {
        self.view.channels.get(&channel).map(|channel| channel.kind)
    }
}

#[cfg(test)]
mod tests;
