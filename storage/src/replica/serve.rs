//! Taking, sweeping, serving and giving up slots, for as long as the replica has its row.
//!
//! Rounds and jobs run beside each other. A round looks at the register, decides, and carries out what was decided; rounds
//! follow each other, so no answer of the register is older than what was last asked of it. Jobs are what the service does
//! with slots, which may take long.

mod jobs;

use super::{
    Replica, Timing,
    decide::{Ended, Memory, Mine, Orders, State},
    register::{Holding, RegisterError, ReplicaId, View},
};
use crate::{
    leases::{Epoch, Lease, Pass, Phase, SlotService},
    slots::SlotSet,
};
use futures_util::{
    future::BoxFuture,
    stream::{FuturesUnordered, StreamExt},
};
use jobs::Done;
use model::limits::SLOT_BATCH_LEN;
use std::{
    collections::{BTreeSet, VecDeque},
    future::pending,
};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

/// A replica at work.
pub(super) struct Server<'a> {
    replica: &'a Replica,
    id: ReplicaId,
    sets: &'a [SlotSet],
    service: &'a dyn SlotService,
    memory: Memory,
    mine: Mine,
    jobs: FuturesUnordered<BoxFuture<'a, Done>>,
    /// Sweeps that wait for a place among the jobs.
    sweeps: VecDeque<(Lease, Pass)>,
    /// What is being swept.
    swept: BTreeSet<Lease>,
    /// Slots that will be swept once more, in order of time.
    late: VecDeque<(Instant, Lease)>,
}

/// Why a replica serves no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It was stopped, and has given up everything.
    Left,
    /// The register says that it is dead.
    Lost,
}

/// What has come of a round.
struct Round {
    taken: Vec<Lease>,
    released: Vec<Lease>,
    /// Whether everything that was ordered was done.
    is_complete: bool,
}

/// The round that is under way.
enum Step {
    Rested,
    Looked(Result<View, RegisterError>),
    Done(Round),
}

impl<'a> Server<'a> {
    pub(super) fn new(
        replica: &'a Replica,
        id: ReplicaId,
        sets: &'a [SlotSet],
        service: &'a dyn SlotService,
    ) -> Self {
        let ended = replica.lineage.as_ref().map_or_else(Ended::default, |lineage| Ended {
            ids: lineage.ended().to_vec(),
            settled_at: Some(lineage.ended_by() + replica.timing.settle),
        });
        let memory = Memory::new(id, replica.address.clone(), replica.timing, ended);
        Self {
            replica,
            id,
            sets,
            service,
            memory,
            mine: Mine::new(),
            jobs: FuturesUnordered::new(),
            sweeps: VecDeque::new(),
            swept: BTreeSet::new(),
            late: VecDeque::new(),
        }
    }

    /// Runs until it is stopped and everything is given up, or until it is found to be dead.
    pub(super) async fn serve(&mut self, stop: &CancellationToken) -> End {
        let mut step = self.look();
        let mut is_stopping = false;
        // The rest after the round that is under way.
        let mut rest = self.replica.timing.look_soon;
        loop {
            self.begin_sweeps();
            let late_at = self.late.front().map(|(at, _)| *at);
            tokio::select! {
                () = stop.cancelled(), if !is_stopping => {
                    is_stopping = true;
                    self.drain_all();
                }
                Some(done) = self.jobs.next() => self.finish(done),
                () = until(late_at) => {
                    let due = self.late.pop_front();
                    self.sweeps.extend(due.map(|(_, lease)| (lease, Pass::Late)));
                }
                ended = &mut step => step = match ended {
                    Step::Rested => self.look(),
                    Step::Looked(Ok(view)) => {
                        let orders = self.decide(&view, is_stopping);
                        if orders.is_lost {
                            return End::Lost;
                        }
                        let Timing { look, look_soon, .. } = self.replica.timing;
                        rest = if orders.awaits || is_stopping { look_soon } else { look };
                        self.carry_out(orders)
                    }
                    Step::Looked(Err(error)) => {
                        tracing::warn!(%error, "nobody knows how the slots stand");
                        self.rest(rest)
                    }
                    Step::Done(round) => {
                        let is_complete = round.is_complete;
                        self.apply(round, is_stopping);
                        if is_stopping && is_complete && self.mine.is_empty() {
                            return End::Left;
                        }
                        self.rest(rest)
                    }
                },
            }
        }
    }

    /// Everything that the replica had, which is not its own any more.
    pub(super) fn abandon(&mut self) -> Vec<Lease> {
        self.jobs.clear();
        let lost: Vec<Lease> = self.leases(|_| true);
        lost.iter().for_each(|lease| self.replica.table.clear(lease));
        self.mine.clear();
        lost
    }

    fn look(&self) -> BoxFuture<'a, Step> {
        let (register, sets) = (&self.replica.register, self.sets);
        Box::pin(async move { Step::Looked(register.look(sets).await) })
    }

    fn rest(&self, rest: std::time::Duration) -> BoxFuture<'a, Step> {
        Box::pin(async move {
            sleep(rest).await;
            Step::Rested
        })
    }

    fn decide(&mut self, view: &View, is_stopping: bool) -> Orders {
        let mut orders = self.memory.decide(view, self.sets, &self.mine, Instant::now());
        self.replica.table.note_owners(std::mem::take(&mut orders.owners));
        self.mine.retain(|place, _| !orders.gone.contains(place));
        if is_stopping {
            orders.take.clear();
            orders.drain.clear();
        }
        if !orders.drain.is_empty() {
            tracing::info!(slots = orders.drain.len(), "slots are given to another replica");
        }
        self.begin_drain(std::mem::take(&mut orders.drain));
        // A slot that can't be swept holds back itself and nobody else.
        let is_tried = self.mine.values().all(|(_, state)| matches!(state, State::Owned | State::Failing));
        let may_get_more = !orders.take.is_empty() || orders.awaits_ended;
        if !may_get_more && is_tried && !is_stopping && !orders.is_lost {
            self.replica.table.note_settled(self.sets);
        }
        orders
    }

    /// Writes what was ordered, a batch at a time. What fails is ordered again after the next look.
    fn carry_out(&self, orders: Orders) -> BoxFuture<'a, Step> {
        let (register, id) = (&self.replica.register, self.id);
        let first = Epoch::first_at(self.replica.clock.now_ms());
        Box::pin(async move {
            let mut round = Round { taken: Vec::new(), released: Vec::new(), is_complete: true };
            for (dead, version) in orders.remove {
                match register.remove(dead, version).await {
                    Ok(is_removed) => {
                        tracing::warn!(replica = dead.0, is_removed, "the row of a dead replica is removed")
                    }
                    Err(error) => {
                        tracing::warn!(%error, replica = dead.0, "a dead replica is not removed yet")
                    }
                }
            }
            for batch in batches(&orders.release, |lease| lease.set) {
                match register.release(id, batch).await {
                    Ok(true) => round.released.extend(batch),
                    Ok(false) => round.is_complete = false,
                    Err(error) => {
                        round.is_complete = false;
                        tracing::warn!(%error, slots = batch.len(), "slots are not released yet");
                    }
                }
            }
            for batch in batches(&orders.take, |seen| seen.set) {
                let next = |seen: &Holding| if seen.epoch == Epoch(0) { first } else { seen.epoch.next() };
                let batch: Vec<_> = batch.iter().map(|seen| (*seen, next(seen))).collect();
                match register.take(id, &batch).await {
                    Ok(true) => round.taken.extend(batch.iter().map(|(seen, epoch)| seen.lease(*epoch))),
                    Ok(false) => round.is_complete = false,
                    Err(error) => {
                        round.is_complete = false;
                        tracing::warn!(%error, slots = batch.len(), "slots are not taken yet");
                    }
                }
            }
            Step::Done(round)
        })
    }

    fn apply(&mut self, round: Round, is_stopping: bool) {
        for lease in round.released {
            self.mine.remove(&(lease.set, lease.slot));
        }
        if !round.taken.is_empty() {
            tracing::info!(slots = round.taken.len(), "slots are taken");
        }
        if is_stopping {
            return self.begin_drain(round.taken);
        }
        for lease in round.taken {
            self.mine.insert((lease.set, lease.slot), (lease.epoch, State::Sweeping));
            self.replica.table.set(&lease, Phase::Sweeping);
            self.sweeps.push_back((lease, Pass::First));
        }
    }

    fn leases(&self, is_meant: impl Fn(State) -> bool) -> Vec<Lease> {
        let meant = self.mine.iter().filter(|(_, (_, state))| is_meant(*state));
        meant.map(|((set, slot), (epoch, _))| Lease { set: *set, slot: *slot, epoch: *epoch }).collect()
    }
}

/// Pieces of one set each, of a bounded length.
fn batches<T>(all: &[T], set: impl Fn(&T) -> SlotSet) -> impl Iterator<Item = &[T]> {
    all.chunk_by(move |one, other| set(one) == set(other))
        .flat_map(|of_one_set| of_one_set.chunks(SLOT_BATCH_LEN))
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => pending().await,
    }
}
