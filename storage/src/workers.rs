//! Worker ids that processes lease: ten bits of every snowflake, so that no two processes ever make the same one.
//!
//! An id is leased as a replica's row is (see [`Replica`](crate::Replica)): its holder raises a version every 15 s and
//! stops at 45 s after the last raise that succeeded was sent; who has seen the same version for 60 s takes it over. With
//! each raise the holder writes down a time that its snowflakes stay below; the next holder of the id waits until its own
//! clock has passed that time, and makes none below it, should the clock be set back afterwards. So also a holder whose
//! clock runs ahead has no twin. Where its clock jumps towards that time it raises at once. (Where it has to follow another's
//! ids by more than a minute it is beyond the time until it has raised: two clocks that are so far apart, and a kill in
//! that moment, could still make one id twice.)
//!
//! There are 1,024 of them. A process looks at some, beginning anywhere, until it finds one that nobody has; only when all
//! that it looked at are taken does it watch them until one is given up.

mod memory;

pub use memory::MemoryWorkers;

use crate::{
    ledger::SharedSnowflakes,
    observed::Observed,
    replica::RegisterError,
    worker::{Snowflakes, WorkerId},
};
use async_trait::async_trait;
use model::{
    clock::SharedClock,
    entropy,
    limits::{
        WORKER_AHEAD_MS, WORKER_LEASE_MS, WORKER_LOOKS, WORKER_RENEW_MS, WORKER_RETRY_MS, WORKER_SPARE_MS,
        WORKER_STOP_MS, WORKER_WAIT_MS,
    },
};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

/// The row of a worker id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerRow {
    /// Who has it; `None` when it was given up.
    pub holder: Option<u64>,
    /// What the holder raises, and whoever takes it.
    pub version: u64,
    /// The time that the holder's snowflakes stay below, in Unix milliseconds.
    pub last_ms: u64,
}

/// Where it is written down who has which worker id. Every write is conditional; an error means that nobody knows whether
/// it was done.
#[async_trait]
pub trait WorkerRegister: Send + Sync {
    /// The row of an id; `None` for one that nobody has ever had.
    async fn read(&self, worker: WorkerId) -> Result<Option<WorkerRow>, RegisterError>;

    /// Replaces a row that is still as it was seen. Whether it did.
    async fn write(
        &self,
        worker: WorkerId,
        seen: Option<WorkerRow>,
        row: WorkerRow,
    ) -> Result<bool, RegisterError>;
}

/// Why there is no worker id.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The register fails.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// This machine's clock is behind by more than can be waited for.
    #[error("worker id {worker} was used until {ahead_ms} ms from now; set this machine's clock")]
    Clock {
        /// The id.
        worker: u16,
        /// How far the clock is behind.
        ahead_ms: u64,
    },
    /// There are more processes than ids, or as many have died lately.
    #[error("no worker id is free; are there more than a thousand processes?")]
    NoneFree,
}

/// A worker id that is held.
pub struct WorkerLease {
    register: Arc<dyn WorkerRegister>,
    clock: SharedClock,
    worker: WorkerId,
    row: WorkerRow,
    /// The time that all snowflakes of earlier holders are below.
    floor_ms: u64,
    /// When what made it ours was sent.
    sent_at: Instant,
}

impl WorkerLease {
    /// Takes one, and waits until no earlier holder can have made a snowflake of this moment.
    pub async fn take(register: Arc<dyn WorkerRegister>, clock: SharedClock) -> Result<Self, WorkerError> {
        Self::take_of(register, clock, WorkerId::COUNT).await
    }

    /// Takes one of the first so many: the others are given out in another way.
    pub async fn take_of(
        register: Arc<dyn WorkerRegister>,
        clock: SharedClock,
        count: u16,
    ) -> Result<Self, WorkerError> {
        let holder = entropy::number();
        let first = u16::try_from(entropy::below(u64::from(count))).expect("below 1,024");
        let looked_at = (0..WORKER_LOOKS.min(count)).map(|step| WorkerId::new((first + step) % count));
        let looked_at: Vec<WorkerId> = looked_at.flatten().collect();
        let mut observed = Observed::new();
        let give_up_at = Instant::now() + Duration::from_millis(WORKER_WAIT_MS);
        loop {
            for worker in &looked_at {
                let seen = register.read(*worker).await?;
                let now = Instant::now();
                let is_free = seen.is_none_or(|row| {
                    let age = observed.note(*worker, row, now);
                    row.holder.is_none() || age >= Duration::from_millis(WORKER_LEASE_MS)
                });
                if !is_free {
                    continue;
                }
                let floor_ms = seen.map_or(0, |row| row.last_ms);
                wait_until(&clock, floor_ms, *worker).await?;
                let version = seen.map_or(0, |row| row.version) + 1;
                let last_ms = clock.now_ms().max(floor_ms) + WORKER_AHEAD_MS;
                let row = WorkerRow { holder: Some(holder), version, last_ms };
                let sent_at = Instant::now();
                // One that somebody else was faster with, or of which nobody knows, is left alone: it becomes free.
                if let Ok(true) = register.write(*worker, seen, row).await {
                    return Ok(Self { register, clock, worker: *worker, row, floor_ms, sent_at });
                }
            }
            if Instant::now() >= give_up_at {
                return Err(WorkerError::NoneFree);
            }
            sleep(Duration::from_millis(WORKER_RETRY_MS)).await;
        }
    }

    /// The id.
    pub fn worker(&self) -> WorkerId {
        self.worker
    }

    /// Its generator: one, for the whole process.
    pub fn snowflakes(&self) -> Snowflakes {
        Snowflakes::new(self.worker, self.floor_ms).below(ceiling_ms(&self.row))
    }

    /// Renews it until it is stopped, and gives it up then: the last thing that a process does. Returns an error when it is
    /// lost: then no snowflake may be made any more, and the process should end.
    pub async fn keep(mut self, ids: &SharedSnowflakes, stop: &CancellationToken) -> Result<(), LostWorker> {
        let at_ceiling = ids.lock().at_ceiling();
        loop {
            let stop_at = self.sent_at + Duration::from_millis(WORKER_STOP_MS);
            let renewed = timeout_at(stop_at, async {
                tokio::select! {
                    () = stop.cancelled() => return None,
                    () = at_ceiling.notified() => {}
                    () = sleep(Duration::from_millis(WORKER_RENEW_MS)) => {}
                }
                Some(self.renew(ids).await)
            });
            match renewed.await {
                Ok(Some(true)) => {}
                Ok(Some(false)) | Err(_) => return Err(LostWorker(self.worker.get())),
                Ok(None) => return self.give_up(ids).await,
            }
        }
    }

    async fn renew(&mut self, ids: &SharedSnowflakes) -> bool {
        let sent_at = Instant::now();
        let newest_ms = ids.lock().last_ms().max(self.clock.now_ms());
        let row = WorkerRow {
            version: self.row.version + 1,
            last_ms: self.row.last_ms.max(newest_ms + WORKER_AHEAD_MS),
            ..self.row
        };
        loop {
            match self.register.write(self.worker, Some(self.row), row).await {
                Ok(true) => break,
                // Perhaps it is an attempt before, which was not answered.
                Ok(false) => match self.register.read(self.worker).await {
                    Ok(found) if found == Some(row) => break,
                    Ok(found) if found == Some(self.row) => {}
                    Ok(_) => return false,
                    Err(error) => tracing::warn!(%error, "nobody knows whether the worker id is renewed"),
                },
                Err(error) => tracing::warn!(%error, "the worker id is not renewed yet"),
            }
            sleep(Duration::from_millis(WORKER_RETRY_MS)).await;
        }
        (self.row, self.sent_at) = (row, sent_at);
        ids.lock().raise_ceiling(ceiling_ms(&row));
        true
    }

    /// The next holder need not wait for longer than snowflakes were made for. Nobody makes one any more.
    async fn give_up(self, ids: &SharedSnowflakes) -> Result<(), LostWorker> {
        let last_ms = ids.lock().last_ms();
        let row = WorkerRow { holder: None, version: self.row.version + 1, last_ms };
        match self.register.write(self.worker, Some(self.row), row).await {
            Ok(true) => {}
            Ok(false) => tracing::warn!("the worker id is another's already"),
            Err(error) => tracing::warn!(%error, "the worker id is given up by silence"),
        }
        Ok(())
    }
}

/// Somebody else may have the worker id by now.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("worker id {0} could not be renewed in time; no id may be made any more")]
pub struct LostWorker(pub u16);

/// The time up to which snowflakes follow the clock.
fn ceiling_ms(row: &WorkerRow) -> u64 {
    row.last_ms - WORKER_SPARE_MS
}

async fn wait_until(clock: &SharedClock, last_ms: u64, worker: WorkerId) -> Result<(), WorkerError> {
    let ahead_ms = last_ms.saturating_sub(clock.now_ms());
    if ahead_ms > WORKER_WAIT_MS {
        return Err(WorkerError::Clock { worker: worker.get(), ahead_ms });
    }
    while clock.now_ms() <= last_ms {
        sleep(Duration::from_millis(last_ms.saturating_sub(clock.now_ms()) + 1)).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
