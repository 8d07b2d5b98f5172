//! The one way of every change: store rows and events together, then publish the events in order.
//!
//! The caller makes its changes of one guild (or user) one after another: [`Changes::store`], then
//! [`Changes::publish`], then the next. An event that can't be published is repeated in place with the same id, for as
//! long as it takes; whoever waits for an answer is told in time that the outcome is unknown, and what comes after waits.

use std::sync::Arc;
use std::time::Duration;

use backplane::Backplane;
use model::clock::SharedClock;
use model::limits::{STORE_RETRY_MS, UNAVAILABLE_RETRY_MS};
use model::{Id, Timestamp};
use proto::{Failure, FailureKind};
use storage::{Bucket, Lease, Leases, Ledger, Open, OutboxEvent, OutboxRow, Slot, SlotSet};
use tasks::Spawner;
use tasks::fail_point::reach;

use crate::accounts::users::name_taken;
use crate::events::Event;
use crate::store::{Commit, DirectoryStore, StoreError, Write};

/// What a change writes and tells.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) writes: Vec<Write>,
    pub(crate) events: Vec<Event>,
}

/// A change that is stored and has yet to be published.
#[must_use]
pub(crate) struct Stored {
    open: Open,
    lease: Lease,
    events: Vec<OutboxEvent>,
}

/// What every change needs; shared by the whole service.
pub(crate) struct Changes {
    pub(crate) store: Arc<dyn DirectoryStore>,
    pub(crate) backplane: Arc<dyn Backplane>,
    pub(crate) leases: Arc<dyn Leases>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) clock: SharedClock,
    /// Spawns every task of the service. When it stops, retries end; what is not published then is swept at the next
    /// start.
    pub(crate) tasks: Spawner,
}

// === impl Draft ===

impl Draft {
    pub(crate) fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.events.is_empty()
    }
}

// === impl Changes ===

impl Changes {
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_ms(self.clock.now_ms())
    }

    /// The lease on what has this id.
    pub(crate) fn lease(&self, set: SlotSet, id: u64) -> Result<Lease, Failure> {
        self.leases.lease(set, Slot::of(id)).map_err(|error| not_owner(&error))
    }

    /// A new id of something in a slot of ours, as long as there is one: who makes it has to write it.
    pub(crate) fn next_id_in<T>(&self, set: SlotSet) -> Id<T> {
        let is_ours = |id: &Id<T>| self.leases.lease(set, Slot::of(id.get())).is_ok();
        let mut ids = (0..ID_TRIES_MAX).map(|_| self.ledger.next_id());
        // Without a slot it is refused where it is written.
        ids.find(is_ours).unwrap_or_else(|| self.ledger.next_id())
    }

    /// Makes a change durable. A failure means that nothing was stored, except where it says that the outcome is
    /// unknown, which happens at shutdown only.
    pub(crate) async fn store(&self, lease: &Lease, draft: Draft) -> Result<Stored, Failure> {
        reach("guilds.received");
        self.leases.check(lease).map_err(|error| not_owner(&error))?;
        let open = self.ledger.begin(lease).map_err(|error| not_owner(&error))?;
        let Lease { set, slot, epoch } = *lease;
        let writer = lease.writer();
        let (for_guild, for_users): (Vec<_>, Vec<_>) =
            draft.events.into_iter().partition(Event::is_for_guild);
        let events = for_guild.into_iter().chain(for_users);
        let events: Vec<_> = events.map(|event| event.with_id(self.ledger.next(), writer)).collect();
        let bucket = Bucket::of_snowflake(open.id());
        let row = OutboxRow { set, slot, epoch, bucket, id: open.id(), events: events.clone() };
        let newest_id_ms = self.ledger.newest_ms();
        let outbox = (!events.is_empty()).then_some(row);
        match self.commit_until_known(lease, Commit { writes: draft.writes, outbox, newest_id_ms }).await {
            Ok(()) => {
                reach("guilds.committed");
                Ok(Stored { open, lease: *lease, events })
            }
            Err((failure, true)) => Err(failure),
            Err((failure, false)) => {
                open.close();
                Err(failure)
            }
        }
    }

    /// Repeats a write of unknown outcome: a commit repeated changes nothing. An error says whether it may be stored.
    ///
    /// A repeat that the store will never take ends it, and what the first attempt has done stays unknown. That somebody
    /// else has the name by now is told as it is.
    async fn commit_until_known(&self, lease: &Lease, commit: Commit) -> Result<(), (Failure, bool)> {
        let mut maybe_stored = false;
        loop {
            let error = match self.store.commit(lease, commit.clone()).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            match error {
                StoreError::Unknown(_) => maybe_stored = true,
                StoreError::Unavailable(_) if maybe_stored => {}
                StoreError::Refused(_) | StoreError::Corrupt(_) if maybe_stored => {
                    tracing::error!(%error, "a write of unknown outcome can't be repeated");
                    return Err((outcome_unknown(), true));
                }
                error => return Err((error.into(), maybe_stored)),
            }
            tracing::warn!(%error, "repeating a write of unknown outcome");
            let stopped = self
                .tasks
                .stop_token()
                .run_until_cancelled(tokio::time::sleep(Duration::from_millis(STORE_RETRY_MS)));
            if stopped.await.is_none() || self.leases.check(lease).is_err() {
                return Err((outcome_unknown(), true));
            }
        }
    }

    /// Publishes the events of a change in order. Returns when all of them are acknowledged, or at shutdown.
    ///
    /// Once the lease is gone the change is the next owner's: readers may have dropped its events, which are of an older
    /// epoch, and its rows may have come too late. So nothing is published any more, and nobody is told that it was done.
    pub(crate) async fn publish(&self, stored: Stored) -> Result<(), Failure> {
        let is_ours = || self.leases.check(&stored.lease).map_err(|_| outcome_unknown());
        let again = |_| !self.tasks.is_stopping() && is_ours().is_ok();
        for event in &stored.events {
            is_ours()?;
            let OutboxEvent { subject, event_id, envelope } = event;
            let (backplane, clock) = (&*self.backplane, &*self.clock);
            let published = backplane::publish(backplane, clock, *subject, *event_id, envelope, again).await;
            published.map_err(|_| outcome_unknown())?;
            reach("guilds.event_published");
        }
        is_ours()?;
        reach("guilds.published");
        stored.open.close();
        Ok(())
    }
}

/// What a caller is told who has come to the wrong replica. Nothing was done.
pub(crate) fn not_owner(error: &storage::NotOwner) -> Failure {
    Failure::not_owner(error.set, error.slot, error.owner.as_deref().map(str::to_owned))
}

/// What a caller is told whose change is stored, or may be, but not published in time.
pub(crate) fn outcome_unknown() -> Failure {
    let message =
        "the change was not published in time and may yet take effect: read the object, then try again";
    Failure::unavailable(message, UNAVAILABLE_RETRY_MS)
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self::unavailable(error.to_string(), UNAVAILABLE_RETRY_MS),
            StoreError::Unknown(_) => outcome_unknown(),
            StoreError::NameTaken => name_taken(),
            StoreError::Refused(_) => {
                Self::new(FailureKind::Invalid, proto::failure::code::GENERAL, error.to_string())
            }
            StoreError::Corrupt(_) => Self::internal(error.to_string()),
        }
    }
}

/// Ids that are made in search of one whose slot is ours: far more than there are replicas.
const ID_TRIES_MAX: usize = 1_024;

#[cfg(test)]
mod tests;
