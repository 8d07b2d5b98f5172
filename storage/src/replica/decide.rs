//! What a replica does next, from what it sees: a function of its arguments.

use super::{
    Timing,
    register::{Holding, Member, ReplicaId, View},
};
use crate::{
    leases::{Epoch, Lease},
    observed::Observed,
    slots::{Slot, SlotSet},
};
use model::limits::SLOT_GIVES_AT_ONCE;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};
use tokio::time::Instant;

/// What this replica does with a slot that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Swept before it is served.
    Sweeping,
    /// The same again and again, as it can't be done yet.
    Failing,
    /// Served.
    Owned,
    /// Served no more; something may still be under way.
    Draining,
    /// Nothing is under way; it is to be released.
    Drained,
}

/// The slots that a replica has, by what the register has confirmed.
pub(super) type Mine = BTreeMap<(SlotSet, Slot), (Epoch, State)>;

/// What to do.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Orders {
    /// Rows of replicas that are dead: they have shown no sign of life, or are known to have ended.
    pub(super) remove: Vec<(ReplicaId, u64)>,
    /// Slots to take, as they were seen.
    pub(super) take: Vec<Holding>,
    /// Slots to drain.
    pub(super) drain: Vec<Lease>,
    /// Slots to release.
    pub(super) release: Vec<Lease>,
    /// Whether the register says that we are not alive, or do not own what we have. Then nothing else is ordered.
    pub(super) is_lost: bool,
    /// Slots that were released, and are not ours any more.
    pub(super) gone: Vec<(SlotSet, Slot)>,
    /// Who has the others.
    pub(super) owners: HashMap<(SlotSet, Slot), Arc<str>>,
    /// Whether slots are on their way from one to another.
    pub(super) awaits: bool,
    /// Whether one that is known to have ended still has a row: then what it had is not free yet.
    pub(super) awaits_ended: bool,
}

/// What a replica remembers from look to look.
pub(super) struct Memory {
    me: ReplicaId,
    address: Arc<str>,
    timing: Timing,
    ended: Ended,
    versions: Observed<ReplicaId, u64>,
    first_seen: HashMap<ReplicaId, Instant>,
}

/// Replicas that are known to have ended.
#[derive(Debug, Default)]
pub(super) struct Ended {
    pub(super) ids: Vec<ReplicaId>,
    /// From this moment nothing of theirs can be written any more.
    pub(super) settled_at: Option<Instant>,
}

/// Replicas that a slot may go to.
struct Candidates<'a>(Vec<&'a Member>);

// === impl Memory ===

impl Memory {
    pub(super) fn new(me: ReplicaId, address: Arc<str>, timing: Timing, ended: Ended) -> Self {
        Self { me, address, timing, ended, versions: Observed::new(), first_seen: HashMap::new() }
    }

    /// From a look that was answered at this moment.
    pub(super) fn decide(&mut self, view: &View, sets: &[SlotSet], mine: &Mine, now: Instant) -> Orders {
        if !view.members.iter().any(|member| member.id == self.me) {
            return Orders { is_lost: true, ..Orders::default() };
        }
        let mut orders = Orders::default();
        let (wanted, settled) = self.candidates(&view.members, now, &mut orders);
        let rows: HashMap<_, _> = view.holdings.iter().map(|row| ((row.set, row.slot), row)).collect();
        let members: HashMap<_, _> = view.members.iter().map(|member| (member.id, member)).collect();
        let (mut gives, mut given) = (Vec::new(), 0);
        for place in sets.iter().flat_map(|set| Slot::all().map(move |slot| (*set, slot))) {
            let (set, slot) = place;
            let nobodys = Holding { set, slot, owner: None, epoch: Epoch(0) };
            let row = rows.get(&place).copied().copied().unwrap_or(nobodys);
            let lease = Lease { set, slot, epoch: row.epoch };
            let has = mine.get(&place).copied();
            let preferred = wanted.preferred(set, slot);
            let is_preferred = preferred.is_some_and(|member| member.address == self.address);
            let owner = row.owner.and_then(|id| members.get(&id)).filter(|owner| owner.id != self.me);
            if row.owner == Some(self.me) {
                match has {
                    Some((epoch, State::Drained)) if epoch == row.epoch => orders.release.push(lease),
                    Some((epoch, State::Draining)) if epoch == row.epoch => given += 1,
                    Some((epoch, state)) if epoch == row.epoch => {
                        let to = settled.preferred(set, slot);
                        if state == State::Owned && to.is_some_and(|member| member.address != self.address) {
                            gives.push(lease);
                        }
                    }
                    // A taking or a release whose answer was lost. Only what is confirmed counts: it is taken anew.
                    _ if is_preferred => orders.take.push(row),
                    _ => orders.release.push(lease),
                }
                continue;
            }
            match has {
                None => {}
                Some((_, State::Drained)) => orders.gone.push(place),
                Some(_) => return Orders { is_lost: true, ..Orders::default() },
            }
            match (owner, preferred) {
                (Some(owner), _) => {
                    orders.owners.insert(place, owner.address.clone());
                    orders.awaits |= is_preferred;
                }
                (None, _) if is_preferred => orders.take.push(row),
                (None, Some(member)) => {
                    orders.owners.insert(place, member.address.clone());
                    given += 1;
                }
                (None, None) => {}
            }
        }
        let room = SLOT_GIVES_AT_ONCE.saturating_sub(given + orders.release.len());
        orders.drain = gives.into_iter().take(room).collect();
        orders.awaits |= given + orders.drain.len() > 0;
        orders
    }

    /// Who may take free slots, and who is given slots that are served.
    fn candidates<'a>(
        &mut self,
        members: &'a [Member],
        now: Instant,
        orders: &mut Orders,
    ) -> (Candidates<'a>, Candidates<'a>) {
        let (mut wanted, mut settled) = (Vec::new(), Vec::new());
        orders.awaits_ended = members.iter().any(|member| self.ended.ids.contains(&member.id));
        for member in members {
            let first_seen = *self.first_seen.entry(member.id).or_insert(now);
            let silence = self.versions.note(member.id, member.version, now);
            if member.id == self.me {
                if !member.is_leaving {
                    wanted.push(member);
                    settled.push(member);
                }
            } else if silence >= self.timing.lease || self.ended.is_settled(member.id, now) {
                orders.remove.push((member.id, member.version));
            } else if !member.is_leaving {
                wanted.push(member);
                if now.duration_since(first_seen) >= self.timing.newcomer && silence < self.timing.stop {
                    settled.push(member);
                }
            }
        }
        let is_there = |id: &ReplicaId| members.iter().any(|member| member.id == *id);
        self.first_seen.retain(|id, _| is_there(id));
        self.versions.retain(is_there);
        (Candidates(wanted), Candidates(settled))
    }
}

// === impl Ended ===

impl Ended {
    fn is_settled(&self, id: ReplicaId, now: Instant) -> bool {
        self.settled_at.is_some_and(|at| now >= at) && self.ids.contains(&id)
    }
}

// === impl Candidates ===

impl Candidates<'_> {
    /// The one by whom callers look for a slot first.
    fn preferred(&self, set: SlotSet, slot: Slot) -> Option<&Member> {
        self.0.iter().copied().max_by_key(|member| model::slots::replica_weight(&member.address, set, slot))
    }
}
