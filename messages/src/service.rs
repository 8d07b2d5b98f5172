//! The service: opened once, cloned freely, shut down at the end.

mod change;
mod read;
mod rpc;
mod send;
mod typing;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use model::limits::RPC_DEADLINE_MS;
use model::{ChannelId, MessageId, RoleId, Timestamp, UserId};
use parking_lot::Mutex;
use proto::failure::code;
use proto::{Failure, FailureKind};
use storage::{Ledger, OutboxKeeper, Ownership, Scope, Seen, SlotSet};
use tasks::{Ended, Tasks};
use tokio::time::{Instant, timeout};

use crate::cache::Cache;
use crate::channel::{Channels, Shared, store_failure, unknown_outcome};
use crate::config::{Config, OpenError};
use crate::filter::Filter;
use crate::limits::{LAST_IDS_MAX, SHUTDOWN_WAIT, TYPISTS_CACHED_MAX};
use crate::people::People;
use crate::slots::Slots;
use crate::stats::Stats;
use crate::views::{Access, Views};

/// The message service.
#[derive(Clone)]
pub struct Messages {
    inner: Arc<Inner>,
}

struct Inner {
    /// The channels' actors and the keeper of the outbox.
    tasks: Tasks,
    /// The feeds of the views: they end last, as requests that are under way are judged by them.
    feeds: Tasks,
    shared: Arc<Shared>,
    leases: Arc<dyn Ownership>,
    views: Arc<Views>,
    channels: Arc<Channels>,
    filter: Filter,
    typists: Mutex<Cache<(ChannelId, UserId), Instant>>,
}

impl Messages {
    /// Opens the service. On a store that this process alone writes to, what an earlier run stored is published when this
    /// answers; where slots are shared, each is served as soon as that is so ([`Messages::settled`]).
    pub async fn open(config: Config) -> Result<Self, OpenError> {
        let filter = Filter::new(&config.filter)?;
        let stats = Arc::new(Stats::default());
        let (tasks, feeds) = (Tasks::new(SERVICE), Tasks::new(SERVICE));
        let Config { store, leases, backplane, guilds, accounts, clock, rate_limit, .. } = config;
        let ids = Ledger::new(config.ids, Arc::clone(&clock));
        let keeper = Arc::new(OutboxKeeper::new(
            Arc::clone(&store),
            Arc::clone(&ids),
            Arc::<dyn Ownership>::clone(&leases),
            SlotSet::Channels,
        ));
        let shared = Arc::new(Shared {
            store: Arc::clone(&store),
            backplane: Arc::clone(&backplane),
            leases: Arc::<dyn Ownership>::clone(&leases),
            ids: Arc::clone(&ids),
            stats: Arc::clone(&stats),
            rate_limit,
        });
        let channels = Channels::new(Arc::clone(&shared), tasks.spawner().clone());
        let slots = Slots {
            store,
            channels: Arc::clone(&channels),
            backplane: Arc::clone(&backplane),
            clock,
            people: People::new(guilds.clone(), accounts.clone()),
            ids,
            keeper: Arc::clone(&keeper),
            stats: Arc::clone(&stats),
            seen: Seen::default(),
        };
        own(Arc::clone(&leases), slots, &tasks).await?;
        let people = People::new(guilds.clone(), accounts);
        let views = Views::open(backplane, guilds, people, stats, feeds.spawner()).await?;
        let typists = Mutex::new(Cache::new(TYPISTS_CACHED_MAX));
        let stop = tasks.spawner().stop_token().clone();
        let keep = async move { keeper.run(&stop).await };
        tasks.spawner().spawn_lasting("the keeper of its outbox", keep);
        let inner = Inner { tasks, feeds, shared, leases, views, channels, filter, typists };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Waits until the slots are served that are to be this process's at first.
    pub async fn settled(&self) {
        self.inner.leases.settled(&SETS).await;
    }

    /// Waits until something has ended that the service cannot go on without, and says what; never at a shutdown. The
    /// process should end then: the next start takes up what is left.
    pub async fn ended(&self) -> Ended {
        tokio::select! {
            ended = self.inner.tasks.ended() => ended,
            ended = self.inner.feeds.ended() => ended,
            () = self.inner.shared.ids.abandoned() => {
                Ended::panicked(SERVICE, "a channel with a change that is not published")
            }
        }
    }

    /// Takes nothing more, finishes what is under way, and ends every task.
    pub async fn shutdown(&self) {
        let inner = &self.inner;
        inner.feeds.stop();
        // What could not be published in time is published by the next owner.
        inner.tasks.shutdown(SHUTDOWN_WAIT).await;
        inner.feeds.kill().await;
    }

    pub fn stats(&self) -> &Stats {
        &self.inner.shared.stats
    }

    /// Channels that are in use.
    pub fn channels_running(&self) -> usize {
        self.inner.channels.len()
    }

    /// Ids that are given and not yet published.
    pub fn ids_in_flight(&self) -> usize {
        self.inner.shared.ids.open_len()
    }

    /// The newest message that each channel ever had; channels without messages are absent.
    pub async fn last_message_ids(
        &self,
        channels: &[ChannelId],
    ) -> Result<HashMap<ChannelId, MessageId>, Failure> {
        if channels.len() > LAST_IDS_MAX {
            let message = format!("Must be {LAST_IDS_MAX} or fewer in length.");
            return Err(Failure::invalid_field("channel_ids", "BASE_TYPE_MAX_LENGTH", message));
        }
        let lasts =
            self.inner.shared.store.last_ids(channels).await.map_err(|error| store_failure(&error))?;
        Ok(channels.iter().zip(lasts).filter_map(|(channel, last)| Some((*channel, last?))).collect())
    }

    async fn access(&self, channel: ChannelId, user: UserId, roles: &[RoleId]) -> Result<Access, Failure> {
        let now = Timestamp::from_ms(self.inner.shared.ids.now_ms());
        self.inner.views.access(channel, user, roles, now).await
    }
}

/// Bounds the wait for a channel's answer: a caller gets ours before its own deadline.
async fn within_deadline<T>(answer: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let deadline = Duration::from_millis(RPC_DEADLINE_MS - RPC_DEADLINE_MS / 10);
    timeout(deadline, answer).await.unwrap_or_else(|_| Err(unknown_outcome()))
}

fn no_text_channel() -> Failure {
    Failure::new(FailureKind::Invalid, code::NOT_A_TEXT_CHANNEL, "Cannot send messages in a non-text channel")
}

fn unknown_message() -> Failure {
    Failure::unknown(code::UNKNOWN_MESSAGE, "Message")
}

/// Owns channels from now on. Who owns all of them waits until they are served; one that shares them is found by callers
/// meanwhile, and serves each as it comes.
async fn own(leases: Arc<dyn Ownership>, slots: Slots, tasks: &Tasks) -> Result<(), OpenError> {
    let is_shared = slots.store.scope() == Scope::Slot;
    let (owner, stop) = (Arc::clone(&leases), tasks.spawner().stop_token().clone());
    let mut owning = Box::pin(async move { owner.run(&SETS, &slots, &stop).await });
    if !is_shared {
        tokio::select! {
            ended = &mut owning => return ended.map_err(OpenError::Own).and(Err(OpenError::Stopped)),
            () = leases.settled(&SETS) => {}
        }
    }
    tasks.spawner().spawn_lasting("the owner of its channels", async move {
        if let Err(error) = owning.await {
            tracing::error!(%error, "the channels can't be owned");
        }
    });
    Ok(())
}

const SETS: [SlotSet; 1] = [SlotSet::Channels];

/// How whoever reads a log knows the service.
const SERVICE: &str = "message service";
