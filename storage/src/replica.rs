//! Slots that several replicas of a service share: each has some, and when one goes the others take its slots.
//!
//! What everybody must agree on lies in a [`Register`]: a row for each replica and one for each slot, changed by
//! conditional writes. No clock is trusted, only that seconds are about as long everywhere:
//!
//! - **Alive** is who raises the version of its row every 3 s. Who has seen the same version of another's row for 10 s by
//!   its own monotonic clock removes the row, if it still has that version; from then on the other cannot raise it. That
//!   one has stopped at 8 s, counted from when it *sent* its last raise that succeeded, and its writes end a second
//!   sooner. So a lease never passes on while its holder believes in it.
//! - **Owned** is a slot whose row names a replica that has a row. Taking one raises its epoch by 1. A replica believes in
//!   a taking only when the register has confirmed it, and in no row that it merely reads.
//! - **Who should own** a slot is said by rendezvous hashing over those who are alive (`replica_weight`), by which
//!   callers choose whom to ask, too. An owner that has seen a newcomer for some seconds drains the slots that are the
//!   newcomer's, a few at a time, and gives them up; the newcomer finds them free.
//!
//! A replica that has lost its row owns nothing at once, and joins again as somebody new. One that was killed is known to be
//! dead, and not only silent, to whoever is started in its place ([`Lineage`]).

mod decide;
mod keep;
mod lineage;
mod memory;
mod register;
mod serve;

pub use lineage::Lineage;
pub use memory::MemoryRegister;
pub use register::{Holding, Member, Register, RegisterError, ReplicaId, View};

use crate::{
    leases::{Lease, Leases, NotOwner, Ownership, OwnershipError, SlotService, SlotTable},
    slots::{Slot, SlotSet},
};
use async_trait::async_trait;
use keep::Keeper;
use model::{clock::SharedClock, entropy, limits};
use serve::{End, Server};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How long things take. The defaults are those of `limits`; a test may be faster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Between two raises.
    pub renew: Duration,
    /// After the last raise that succeeded a replica stops.
    pub stop: Duration,
    /// Before that, by this, its writes end.
    pub write_margin: Duration,
    /// After the last change that was seen others take over.
    pub lease: Duration,
    /// Between two looks at the register, and between two while something is awaited.
    pub look: Duration,
    /// See `look`.
    pub look_soon: Duration,
    /// A newcomer is given slots once it was seen for this long.
    pub newcomer: Duration,
    /// After a slot is served, until it is swept for what came late.
    pub late: Duration,
    /// What a service gets to drain slots.
    pub drain: Duration,
    /// After nothing more is sent under a lease, until nothing of it can be written any more.
    pub settle: Duration,
}

/// One replica of a service, for as long as its process lives.
pub struct Replica {
    register: Arc<dyn Register>,
    /// As callers know it: `host:port`.
    address: Arc<str>,
    clock: SharedClock,
    timing: Timing,
    lineage: Option<Arc<dyn Lineage>>,
    table: SlotTable,
}

impl Default for Timing {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self {
            renew: ms(limits::SLOT_LEASE_RENEW_MS),
            stop: ms(limits::SLOT_LEASE_STOP_MS),
            write_margin: ms(limits::SLOT_WRITE_MARGIN_MS),
            lease: ms(limits::SLOT_LEASE_MS),
            look: ms(limits::SLOT_LOOK_MS),
            look_soon: ms(limits::SLOT_LOOK_SOON_MS),
            newcomer: ms(limits::SLOT_NEWCOMER_MS),
            late: ms(limits::SLOT_RESWEEP_MS),
            drain: ms(limits::SLOT_DRAIN_MS),
            settle: ms(limits::SLOT_SETTLE_MS),
        }
    }
}

// === impl Replica ===

impl Replica {
    /// One that owns nothing yet; [`Ownership::run`] does everything. The clock is asked for nothing but the first epoch
    /// of slots that nobody has ever owned.
    pub fn new(register: Arc<dyn Register>, address: &str, clock: SharedClock, timing: Timing) -> Arc<Self> {
        Arc::new(Self::of(register, address, clock, timing, None))
    }

    /// The same in the place of others.
    pub fn in_place(
        lineage: Arc<dyn Lineage>,
        register: Arc<dyn Register>,
        address: &str,
        clock: SharedClock,
        timing: Timing,
    ) -> Arc<Self> {
        Arc::new(Self::of(register, address, clock, timing, Some(lineage)))
    }

    fn of(
        register: Arc<dyn Register>,
        address: &str,
        clock: SharedClock,
        timing: Timing,
        lineage: Option<Arc<dyn Lineage>>,
    ) -> Self {
        let table = SlotTable::new();
        table.hold_until(Instant::now());
        Self { register, address: address.into(), clock, timing, lineage, table }
    }

    /// Becomes a member; `None` when it is stopped before it is one.
    async fn join(&self, stop: &CancellationToken) -> Option<Keeper<'_>> {
        loop {
            // Somebody new each time: of an attempt that failed nobody knows since when others have seen its row.
            let id = ReplicaId(entropy::number());
            let member = Member { id, address: self.address.clone(), version: 1, is_leaving: false };
            if let Some(lineage) = &self.lineage {
                stop.run_until_cancelled(lineage.note(id)).await?;
            }
            let sent_at = Instant::now();
            match stop.run_until_cancelled(self.register.join(&member)).await? {
                Ok(()) => return Some(Keeper::new(self, id, member.version, sent_at)),
                Err(error) => tracing::warn!(%error, address = %self.address, "the replica can't join"),
            }
            stop.run_until_cancelled(sleep(self.timing.look)).await?;
        }
    }
}

impl Leases for Replica {
    fn lease(&self, set: SlotSet, slot: Slot) -> Result<Lease, NotOwner> {
        self.table.lease(set, slot)
    }

    fn check(&self, lease: &Lease) -> Result<(), NotOwner> {
        self.table.check(lease)
    }

    fn end_of(&self, lease: &Lease) -> CancellationToken {
        self.table.end_of(lease)
    }

    fn write_until(&self) -> Option<Instant> {
        self.table.write_until(self.timing.write_margin)
    }
}

#[async_trait]
impl Ownership for Replica {
    async fn run(
        &self,
        sets: &[SlotSet],
        service: &dyn SlotService,
        stop: &CancellationToken,
    ) -> Result<(), OwnershipError> {
        while let Some(keeper) = self.join(stop).await {
            let mut server = Server::new(self, keeper.id(), sets, service);
            let end = tokio::select! {
                // Whatever else could be done: who has lost the lease does nothing more.
                biased;
                () = keeper.keep(stop) => End::Lost,
                end = server.serve(stop) => end,
            };
            self.table.hold_until(Instant::now());
            if end == End::Left {
                keeper.leave().await;
                return Ok(());
            }
            tracing::error!(address = %self.address, "the replica has lost its leases and joins again");
            let lost = server.abandon();
            // What still runs under these leases is refused by every check; it gets some time to notice.
            if timeout(self.timing.drain, service.drain(&lost)).await.is_err() {
                tracing::warn!("what ran under lost leases has not ended in time");
            }
        }
        Ok(())
    }

    async fn settled(&self, sets: &[SlotSet]) {
        self.table.settled(sets).await;
    }
}

#[cfg(test)]
mod tests;
