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
use storage::{Ledger, OutboxKeeper, Slot, SlotSet, Supervisor};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cache::Cache;
use crate::channel::{Channels, Shared, store_failure};
use crate::config::{Config, OpenError};
use crate::filter::Filter;
use crate::limits::{LAST_IDS_MAX, RETRY_MS, SHUTDOWN_WAIT, TYPISTS_CACHED_MAX};
use crate::people::People;
use crate::stats::Stats;
use crate::store::{EmbeddedStore, MessageStore};
use crate::sweep::Sweeper;
use crate::views::{Access, Feeds, Views};

/// The message service.
#[derive(Clone)]
pub struct Messages {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    views: Arc<Views>,
    channels: Arc<Channels>,
    filter: Filter,
    typists: Mutex<Cache<(ChannelId, UserId), Instant>>,
    keeper: OutboxKeeper<dyn MessageStore>,
    supervisor: Supervisor,
    tasks: TaskTracker,
    stop: CancellationToken,
    kill: CancellationToken,
}

impl Messages {
    /// Opens the service on the embedded store. When it returns, everything that an earlier run stored is published.
    pub async fn open(config: Config) -> Result<Self, OpenError> {
        let store = Arc::new(EmbeddedStore::open(&config.engine, Arc::clone(&config.floor))?);
        Self::open_on(store, config).await
    }

    /// The same on another store; the engine of the configuration is not used.
    pub async fn open_on(store: Arc<dyn MessageStore>, config: Config) -> Result<Self, OpenError> {
        let filter = Filter::new(&config.filter)?;
        let stats = Arc::new(Stats::default());
        // One process holds all slots, in one epoch.
        let slot = Slot::all().next().expect("a set has slots");
        let epoch = config.leases.acquire(SlotSet::Channels, slot).await?.epoch;
        let mut sweeper = Sweeper {
            store: Arc::clone(&store),
            backplane: Arc::clone(&config.backplane),
            clock: Arc::clone(&config.clock),
            people: People::new(config.guilds.clone(), config.accounts.clone()),
            published: 0,
        };
        store.sweep(epoch, &mut sweeper).await.map_err(OpenError::Sweep)?;
        stats.swept.add(sweeper.published);

        let (tasks, stop, kill) = (TaskTracker::new(), CancellationToken::new(), CancellationToken::new());
        let supervisor = Supervisor::new(stop.clone());
        let Config { backplane, guilds, accounts, .. } = config;
        let feeds = Feeds { tasks: &tasks, supervisor: &supervisor, stop: &kill };
        let views = Views::open(Arc::clone(&backplane), guilds, accounts, Arc::clone(&stats), &feeds).await?;
        let ids = Ledger::new(config.ids, config.clock);
        let keeper = OutboxKeeper::new(Arc::clone(&store), Arc::clone(&ids), SlotSet::Channels, epoch);
        let (leases, rate_limit) = (config.leases, config.rate_limit);
        let shared = Arc::new(Shared { store, backplane, leases, ids, stats, rate_limit });
        let actors = TaskTracker::clone(&tasks);
        let channels = Channels::new(Arc::clone(&shared), actors, stop.clone(), kill.clone());
        let typists = Mutex::new(Cache::new(TYPISTS_CACHED_MAX));
        let inner = Inner { shared, views, channels, filter, typists, keeper, supervisor, tasks, stop, kill };
        let messages = Self { inner: Arc::new(inner) };
        let inner = Arc::clone(&messages.inner);
        let keep = async move { inner.keeper.run(&inner.stop).await };
        let inner = &messages.inner;
        inner.tasks.spawn(inner.supervisor.lasting("the keeper of the messages' outbox", keep));
        Ok(messages)
    }

    /// Waits until something has ended that the service cannot go on without, and says what; never at a shutdown. The
    /// process should end then: the next start takes up what is left.
    pub async fn ended(&self) -> &'static str {
        tokio::select! {
            name = self.inner.supervisor.ended() => name,
            () = self.inner.shared.ids.abandoned() => "a change of a channel that is not published",
        }
    }

    /// Takes nothing more, finishes what is under way, and ends every task.
    pub async fn shutdown(&self) {
        let inner = &self.inner;
        inner.stop.cancel();
        inner.tasks.close();
        let quiet = async {
            while inner.channels.is_running() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if timeout(SHUTDOWN_WAIT, quiet).await.is_err() {
            tracing::warn!("messages that could not be published in time are published at the next start");
        }
        inner.kill.cancel();
        if timeout(SHUTDOWN_WAIT, inner.tasks.wait()).await.is_err() {
            tracing::warn!("tasks of the message service have not ended in time");
            // They may still take ids, so nothing can be said of what is published.
            return;
        }
        inner.keeper.finish().await;
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
    timeout(deadline, answer).await.unwrap_or_else(|_| {
        let message = "not confirmed in time, outcome unknown: try again with the same nonce";
        Err(Failure::unavailable(message, RETRY_MS))
    })
}

fn no_text_channel() -> Failure {
    Failure::new(FailureKind::Invalid, code::NOT_A_TEXT_CHANNEL, "Cannot send messages in a non-text channel")
}

fn unknown_message() -> Failure {
    Failure::unknown(code::UNKNOWN_MESSAGE, "Message")
}
