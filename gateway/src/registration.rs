//! Keeps this pod's users in the session registry, and makes good what was missed while they were not in it.
//!
//! `fanout` delivers a user's events to the pods that the registry names. Where a renewal finds that a user's entry was
//! gone, events may have passed by since the renewal before it; they are read from the stream, up to where it is after
//! the renewal, and given to the shards, which drop those that they have; until then nothing newer is given, so that each
//! user's events keep their order. While the registry is away the events of all of
//! this pod's users are read so, every few seconds.

use std::sync::Arc;
use std::time::Duration;

use backplane::fence::{Fence, Verdict};
use backplane::{Partition, ReadError, Stream, Subject, Unavailable};
use model::{UserId, limits};
use proto::Envelope;
use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::intake;
use crate::services::Services;
use crate::shard::Input;
use crate::stats::Count;

/// See the module.
pub(crate) struct Registration {
    services: Arc<Services>,
    shards: Arc<[mpsc::Sender<Input>]>,
    /// Up to where each partition was when all users were registered for the last time.
    positions: FxHashMap<Partition, u64>,
    owed: FxHashMap<Partition, Owed>,
}

/// Users who may have missed events above a position.
struct Owed {
    position: u64,
    users: FxHashSet<UserId>,
}

impl Registration {
    pub(crate) fn new(services: Arc<Services>, shards: Arc<[mpsc::Sender<Input>]>) -> Self {
        Self { services, shards, positions: FxHashMap::default(), owed: FxHashMap::default() }
    }

    /// Renews until it is told to stop.
    pub(crate) async fn keep(mut self, stop: CancellationToken) {
        let _ = stop.run_until_cancelled_owned(self.renew_for_ever()).await;
    }

    async fn renew_for_ever(&mut self) {
        loop {
            let pause_ms = match self.renew().await {
                Ok(true) => limits::REGISTRY_RENEW_MS,
                Ok(false) => limits::REGISTRY_AWAY_READ_MS,
                Err(error) => {
                    warn!(%error, "events of users could not be read, it is tried again");
                    limits::REGISTRY_AWAY_READ_MS
                }
            };
            self.pause(pause_ms).await;
        }
    }

    /// So long, or shorter when somebody notices that the registry is away.
    async fn pause(&self, ms: u64) {
        let noticed = async {
            self.services.registry_lost.notified().await;
            sleep(Duration::from_millis(limits::REGISTRY_AWAY_READ_MS)).await;
        };
        let _ = timeout(Duration::from_millis(ms), noticed).await;
    }

    /// What a failed round has found missing is read in the next one. Answers whether everybody is registered.
    async fn renew(&mut self) -> Result<bool, Unavailable> {
        let layout = self.services.backplane.layout();
        let mut positions = FxHashMap::default();
        for partition in layout.user_partitions() {
            positions.insert(partition, self.last(partition).await?);
        }
        let services = self.services.clone();
        let _nothing_newer = services.user_events.lock().await;
        let is_registered = self.register(&services.interest.users()).await;
        for (partition, owed) in &self.owed {
            let last = self.last(*partition).await?;
            self.read(*partition, owed.position, last, &owed.users).await?;
            info!(
                partition = partition.0,
                users = owed.users.len(),
                "events of users who were not registered were read"
            );
        }
        self.owed.clear();
        self.positions = positions;
        Ok(is_registered)
    }

    /// Owes those who were not registered their events; all of them while the registry is away.
    async fn register(&mut self, users: &[UserId]) -> bool {
        let services = self.services.clone();
        std::mem::take(&mut *services.owed.lock()).into_iter().for_each(|user| self.owe(user));
        for (index, chunk) in users.chunks(limits::REGISTRY_BATCH_MAX).enumerate() {
            match services.registry.register(&services.pod, chunk).await {
                Ok(missing) => {
                    // At the first renewal all are.
                    let count = if self.positions.is_empty() { 0 } else { missing.len() };
                    services.stats.registrations_missing.add(count as u64);
                    missing.into_iter().for_each(|user| self.owe(user));
                }
                Err(error) => {
                    let left = &users[index * limits::REGISTRY_BATCH_MAX..];
                    warn!(%error, users = left.len(), "users can't be registered, their events are read");
                    left.iter().for_each(|user| self.owe(*user));
                    return false;
                }
            }
        }
        true
    }

    /// The user's entry was gone.
    fn owe(&mut self, user: UserId) {
        let partition = self.services.backplane.layout().user(user);
        // At the first renewal nobody has been here for long enough to have missed anything.
        let Some(position) = self.positions.get(&partition).copied() else { return };
        let owed = self.owed.entry(partition).or_insert(Owed { position, users: FxHashSet::default() });
        owed.position = owed.position.min(position);
        owed.users.insert(user);
    }

    async fn last(&self, partition: Partition) -> Result<u64, Unavailable> {
        Ok(self.services.backplane.state(Stream::Users(partition)).await?.last)
    }

    /// Gives the shards the events of these users that lie above `position`.
    async fn read(
        &self,
        partition: Partition,
        mut position: u64,
        last: u64,
        users: &FxHashSet<UserId>,
    ) -> Result<(), Unavailable> {
        let mut fence = Fence::new(limits::FENCE_IDS_MAX);
        while position < last {
            let range = position + 1..=last;
            let read =
                self.services.backplane.read(Stream::Users(partition), range, limits::REPAIR_EVENTS_MAX);
            let events = read.await.map_err(|error: ReadError| Unavailable(error.to_string()))?;
            let Some(newest) = events.last() else { return Ok(()) };
            position = newest.sequence;
            for event in events {
                let Ok(envelope) = Envelope::decode(event.envelope) else {
                    self.services.stats.events_malformed.add(1);
                    continue;
                };
                let Some(user) = user_of(event.subject).filter(|user| users.contains(user)) else { continue };
                if fence.check_of_user(user, &envelope, event.sequence) != Verdict::Pass {
                    continue;
                }
                let live = intake::stored_for_user(&self.services, partition, event.sequence, envelope);
                for shard in self.services.interest.user(user).iter() {
                    // A shard that has ended has no sessions.
                    let _ = self.shards[shard].send(Input::MissedUserEvent(user, live.clone())).await;
                }
            }
        }
        Ok(())
    }
}

fn user_of(subject: Subject) -> Option<UserId> {
    match subject {
        Subject::User(user) => Some(user),
        Subject::Guild(_) => None,
    }
}
