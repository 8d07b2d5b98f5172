//! What the service does with slots, which may take long: sweeps, a bounded number of them at one time, and drains.

use super::Server;
use crate::{
    leases::{Lease, Pass, Phase},
    replica::decide::State,
};
use model::limits::SLOT_SWEEPS_AT_ONCE;
use tokio::time::{Instant, sleep, timeout};

/// A job that has ended.
pub(super) enum Done {
    Swept { lease: Lease, pass: Pass, is_done: bool },
    Drained(Vec<Lease>),
}

impl Server<'_> {
    /// As many sweeps as may run at one time.
    pub(super) fn begin_sweeps(&mut self) {
        while self.jobs.len() < SLOT_SWEEPS_AT_ONCE
            && let Some((lease, pass)) = self.sweeps.pop_front()
        {
            let (service, rest) = (self.service, self.replica.timing.look);
            if !self.is_mine(&lease) {
                continue;
            }
            let end = self.replica.table.end_of(&lease);
            self.swept.insert(lease);
            self.jobs.push(Box::pin(async move {
                let swept = end.run_until_cancelled(service.sweep(&[lease], pass)).await;
                if let Some(Err(error)) = &swept {
                    tracing::warn!(%error, ?lease, ?pass, "a slot can't be swept yet");
                    end.run_until_cancelled(sleep(rest)).await;
                }
                Done::Swept { lease, pass, is_done: matches!(swept, Some(Ok(()))) }
            }));
        }
    }

    pub(super) fn finish(&mut self, done: Done) {
        if let Done::Swept { lease, .. } = &done {
            self.swept.remove(lease);
        }
        match done {
            Done::Swept { lease, .. } if !self.is_mine(&lease) => {}
            Done::Swept { lease, pass, is_done: false } => {
                if pass == Pass::First {
                    self.mine.insert((lease.set, lease.slot), (lease.epoch, State::Failing));
                }
                self.sweeps.push_back((lease, pass));
            }
            Done::Swept { lease, pass: Pass::First, .. } => {
                self.mine.insert((lease.set, lease.slot), (lease.epoch, State::Owned));
                self.replica.table.set(&lease, Phase::Owned);
                self.late.push_back((Instant::now() + self.replica.timing.late, lease));
            }
            Done::Swept { pass: Pass::Late, .. } => {}
            Done::Drained(leases) => {
                for lease in leases {
                    self.replica.table.clear(&lease);
                    self.mine.insert((lease.set, lease.slot), (lease.epoch, State::Drained));
                }
            }
        }
    }

    /// Whether the slot is swept or served by this lease.
    fn is_mine(&self, lease: &Lease) -> bool {
        let found = self.mine.get(&(lease.set, lease.slot));
        found.is_some_and(|(epoch, state)| {
            *epoch == lease.epoch && matches!(state, State::Sweeping | State::Failing | State::Owned)
        })
    }

    pub(super) fn begin_drain(&mut self, leases: Vec<Lease>) {
        if leases.is_empty() {
            return;
        }
        for lease in &leases {
            self.mine.insert((lease.set, lease.slot), (lease.epoch, State::Draining));
            self.replica.table.set(lease, Phase::Draining);
        }
        let (service, replica) = (self.service, self.replica);
        // A sweep ends with its lease, wherever it is.
        let is_cut_short = leases.iter().any(|lease| self.swept.contains(lease));
        self.jobs.push(Box::pin(async move {
            let is_drained = timeout(replica.timing.drain, service.drain(&leases)).await.is_ok();
            if !is_drained {
                tracing::warn!(
                    slots = leases.len(),
                    "slots are not drained in time; what still runs there is refused"
                );
            }
            if !is_drained || is_cut_short {
                // What was sent by then is written before the next owner looks.
                leases.iter().for_each(|lease| replica.table.clear(lease));
                sleep(replica.timing.settle).await;
            }
            Done::Drained(leases)
        }));
    }

    /// Nothing is swept any more, and everything is drained together.
    pub(super) fn drain_all(&mut self) {
        self.sweeps.clear();
        self.late.clear();
        let all = self.leases(|state| !matches!(state, State::Draining | State::Drained));
        self.begin_drain(all);
    }
}
