//! The one way of every change: store rows and events together, then publish the events in order.
//!
//! The caller makes its changes of one guild (or user) one after another: [`Changes::store`], then
//! [`Changes::publish`], then the next. An event that can't be published is repeated in place with the same id, for as
//! long as it takes; whoever waits for an answer is told in time that the outcome is unknown, and what comes after waits.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backplane::{Backplane, Subject};
use model::clock::SharedClock;
use model::limits::{
    OUTBOX_LOOKUP_MS, OUTBOX_PRUNE_MS, OUTBOX_WATERMARK_MS, PUBLISH_RETRY_MS_MAX, PUBLISH_TIMEOUT_MS,
    STORE_RETRY_MS, UNAVAILABLE_RETRY_MS,
};
use model::{GuildId, Timestamp, UserId};
use proto::{Failure, FailureKind, Writer};
use storage::{
    Bucket, Epoch, Lease, Leases, OutboxEvent, OutboxRow, Republish, RepublishError, Slot, SlotSet,
    Unpublished,
};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::events::Event;
use crate::ids::{Ledger, Open};
use crate::store::{Commit, DirectoryStore, StoreError, Write};

/// How often a sweep tries to publish an event before the start is given up.
const SWEEP_TRIES: u32 = 5;
const SWEEP_RETRY_MS_MIN: u64 = 100;

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
    events: Vec<OutboxEvent>,
}

/// What every change needs; shared by the whole service.
pub(crate) struct Changes {
    pub(crate) store: Arc<dyn DirectoryStore>,
    pub(crate) backplane: Arc<dyn Backplane>,
    pub(crate) leases: Arc<dyn Leases>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) clock: SharedClock,
    /// Ends retries at shutdown; what is not published then is swept at the next start.
    pub(crate) stop: CancellationToken,
    /// Owns every task of the service.
    pub(crate) tasks: TaskTracker,
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
    pub(crate) async fn lease(&self, set: SlotSet, id: u64) -> Result<Lease, Failure> {
        self.leases.acquire(set, Slot::of(id)).await.map_err(|error| match error {
            storage::LeaseError::NotOwner(error) => not_owner(&error),
            error => Failure::unavailable(error.to_string(), UNAVAILABLE_RETRY_MS),
        })
    }

    /// Makes a change durable. A failure means that nothing was stored, except where it says that the outcome is
    /// unknown, which happens at shutdown only.
    pub(crate) async fn store(&self, lease: &Lease, draft: Draft) -> Result<Stored, Failure> {
        self.leases.check(lease).map_err(|error| not_owner(&error))?;
        let open = self.ledger.begin(lease.set);
        let Lease { set, slot, epoch } = *lease;
        let writer = Writer { set: set.code(), slot: slot.get(), epoch: epoch.0 };
        let (for_guild, for_users): (Vec<_>, Vec<_>) =
            draft.events.into_iter().partition(Event::is_for_guild);
        let events = for_guild.into_iter().chain(for_users);
        let events: Vec<_> = events.map(|event| event.with_id(self.ledger.next(), writer)).collect();
        let bucket = Bucket::of_snowflake(open.id);
        let row = OutboxRow { set, slot, epoch, bucket, id: open.id, events: events.clone() };
        let newest_id_ms = self.ledger.newest_ms();
        let outbox = (!events.is_empty()).then_some(row);
        match self.commit_until_known(lease, Commit { writes: draft.writes, outbox, newest_id_ms }).await {
            Ok(()) => Ok(Stored { open, events }),
            Err((failure, true)) => Err(failure),
            Err((failure, false)) => {
                open.close();
                Err(failure)
            }
        }
    }

    /// Repeats a write of unknown outcome: a commit repeated changes nothing. An error says whether it may be stored.
    async fn commit_until_known(&self, lease: &Lease, commit: Commit) -> Result<(), (Failure, bool)> {
        let mut maybe_stored = false;
        loop {
            let error = match self.store.commit(commit.clone()).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            maybe_stored |= matches!(error, StoreError::Unknown(_));
            if !maybe_stored {
                return Err((error.into(), false));
            }
            tracing::warn!(%error, "repeating a write of unknown outcome");
            let stopped =
                self.stop.run_until_cancelled(tokio::time::sleep(Duration::from_millis(STORE_RETRY_MS)));
            if stopped.await.is_none() || self.leases.check(lease).is_err() {
                return Err((outcome_unknown(), true));
            }
        }
    }

    /// Publishes the events of a change in order. Returns when all of them are acknowledged, or at shutdown.
    pub(crate) async fn publish(&self, stored: Stored) -> Result<(), Failure> {
        for event in &stored.events {
            self.publish_event(event).await?;
        }
        stored.open.close();
        Ok(())
    }

    async fn publish_event(&self, event: &OutboxEvent) -> Result<(), Failure> {
        let mut wait = Duration::from_millis(10);
        while let Err(error) = publish_once(&*self.backplane, event, self.clock.now_ms()).await {
            tracing::warn!(%error, event_id = event.event_id, "publishing again");
            if self.stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                return Err(outcome_unknown());
            }
            wait = (wait * 2).min(Duration::from_millis(PUBLISH_RETRY_MS_MAX));
        }
        Ok(())
    }

    /// Publishes what earlier epochs left, before anything is accepted.
    pub(crate) async fn sweep(&self, set: SlotSet, mine: Epoch) -> Result<u64, StoreError> {
        let mut publisher = Sweeper { backplane: self.backplane.clone(), clock: self.clock.clone() };
        self.store.sweep(set, mine, &mut publisher).await
    }

    /// Writes watermarks and removes old outbox rows until shutdown, and a last watermark then.
    pub(crate) async fn keep_outbox(self: Arc<Self>, set: SlotSet, mine: Epoch) {
        let mut written_ms = 0;
        let mut pruned_at_ms = 0;
        loop {
            let tick = tokio::time::sleep(Duration::from_millis(OUTBOX_WATERMARK_MS));
            let stopped = self.stop.run_until_cancelled(tick).await.is_none();
            let published_ms = self.ledger.published_ms(set);
            if published_ms > written_ms {
                match self.store.put_watermark(set, mine, published_ms).await {
                    Ok(()) => written_ms = published_ms,
                    Err(error) => tracing::warn!(%error, "watermark not written"),
                }
            }
            if stopped {
                return;
            }
            let now_ms = self.clock.now_ms();
            if now_ms >= pruned_at_ms + OUTBOX_PRUNE_MS {
                match self.store.prune(set, mine, now_ms).await {
                    Ok(true) => {}
                    Ok(false) => pruned_at_ms = now_ms,
                    Err(error) => tracing::warn!(%error, "outbox not pruned"),
                }
            }
        }
    }
}

/// One attempt. A stream forgets event ids after two minutes, so an event that is older is looked for first.
async fn publish_once(
    backplane: &dyn Backplane,
    event: &OutboxEvent,
    now_ms: u64,
) -> Result<(), RepublishError> {
    let subject = match event.subject {
        storage::Subject::Guild(id) => GuildId::new(id).map(Subject::Guild),
        storage::Subject::User(id) => UserId::new(id).map(Subject::User),
    };
    let Some(subject) = subject else { return Err("an outbox row has a subject with the id 0".into()) };
    let attempt = async {
        let age_ms = now_ms.saturating_sub(model::snowflake::timestamp_ms(event.event_id));
        if age_ms > OUTBOX_LOOKUP_MS && backplane.contains(subject, event.event_id).await? {
            return Ok(());
        }
        backplane.publish(subject, event.event_id, event.envelope.clone()).await.map(drop)
    };
    Ok(tokio::time::timeout(Duration::from_millis(PUBLISH_TIMEOUT_MS), attempt).await??)
}

struct Sweeper {
    backplane: Arc<dyn Backplane>,
    clock: SharedClock,
}

impl Sweeper {
    /// Tries a few times: the start shall not end because of one attempt that failed.
    async fn publish(&self, event: &OutboxEvent) -> Result<(), RepublishError> {
        let mut wait = Duration::from_millis(SWEEP_RETRY_MS_MIN);
        for _ in 1..SWEEP_TRIES {
            match publish_once(&*self.backplane, event, self.clock.now_ms()).await {
                Ok(()) => return Ok(()),
                Err(error) => tracing::warn!(%error, event_id = event.event_id, "publishing again"),
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
        publish_once(&*self.backplane, event, self.clock.now_ms()).await
    }
}

#[async_trait]
impl Republish for Sweeper {
    async fn republish(&mut self, unpublished: Unpublished) -> Result<(), RepublishError> {
        let Unpublished::Row(row) = unpublished else {
            return Err("the directory writes no markers: the slot set has another writer".into());
        };
        for event in &row.events {
            self.publish(event).await?;
        }
        Ok(())
    }
}

fn not_owner(error: &storage::NotOwner) -> Failure {
    Failure::new(FailureKind::NotOwner, proto::failure::code::GENERAL, error.to_string())
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
            StoreError::Unavailable(_) | StoreError::Unknown(_) => {
                Self::unavailable(error.to_string(), UNAVAILABLE_RETRY_MS)
            }
            StoreError::Refused(_) => {
                Self::new(FailureKind::Invalid, proto::failure::code::GENERAL, error.to_string())
            }
            StoreError::Corrupt(_) => Self::internal(error.to_string()),
        }
    }
}
