//! The service as a whole: opened, served, shut down.

use std::sync::Arc;
use std::time::Duration;

use backplane::Backplane;
use model::clock::SharedClock;
use model::limits::DIRECTORY_STOP_MS;
use proto::Failure;
use storage::{Engine, IdFloor, Leases, Ledger, OutboxKeeper, SharedSnowflakes, SlotSet};
use tasks::{Ended, Tasks};

use crate::accounts::Accounts;
use crate::accounts::passwords::PasswordCost;
use crate::actor::Actors;
use crate::changes::Changes;
use crate::cleanup;
use crate::store::{DirectoryStore, EmbeddedStore, StoreError};

/// What a directory stands on.
pub struct Config {
    pub engine: Engine,
    pub leases: Arc<dyn Leases>,
    pub backplane: Arc<dyn Backplane>,
    pub clock: SharedClock,
    /// The process's one generator of ids.
    pub ids: SharedSnowflakes,
    /// Where the time of the newest id is recorded.
    pub floor: Arc<IdFloor>,
    pub password_cost: PasswordCost,
    /// After how long without a request a guild's task ends; `ACTOR_IDLE_MS` when absent.
    pub actor_idle_ms: Option<u64>,
}

/// Why a directory did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("open the directory's tables: {0}")]
    Tables(#[from] storage::OpenError),
    #[error("own the directory's slots: {0}; is another replica running on them?")]
    Lease(Failure),
    /// Before everything that is stored is published, nothing may be answered.
    #[error(
        "publish what was left of the run before: {0}; see that the backplane is there, then start again"
    )]
    Sweep(#[source] StoreError),
}

/// The directory service. Clones are the same service.
#[derive(Clone)]
pub struct Directory {
    pub(crate) changes: Arc<Changes>,
    pub(crate) actors: Arc<Actors>,
    pub(crate) accounts: Arc<Accounts>,
    keepers: Vec<Arc<OutboxKeeper<dyn DirectoryStore>>>,
    tasks: Arc<Tasks>,
}

// === impl Directory ===

impl Directory {
    /// Opens the tables, publishes what an earlier run stored and did not publish, and is ready then.
    pub async fn open(config: Config) -> Result<Self, OpenError> {
        let store = EmbeddedStore::open(&config.engine, config.floor.clone())?;
        Self::open_on(Arc::new(store), config).await
    }

    async fn open_on(store: Arc<dyn DirectoryStore>, config: Config) -> Result<Self, OpenError> {
        let tasks = Tasks::new(SERVICE);
        let changes = Arc::new(Changes {
            store,
            backplane: config.backplane,
            leases: config.leases,
            ledger: Ledger::new(config.ids, config.clock.clone()),
            clock: config.clock,
            tasks: tasks.spawner().clone(),
        });
        let mut keepers = Vec::new();
        for set in [SlotSet::Guilds, SlotSet::Users] {
            let lease = changes.lease(set, 0).await.map_err(OpenError::Lease)?;
            let events = changes.sweep(set, lease.epoch).await.map_err(OpenError::Sweep)?;
            tracing::info!(?set, events, "published what was left");
            let (store, ledger) = (changes.store.clone(), changes.ledger.clone());
            let keeper = Arc::new(OutboxKeeper::new(store, ledger, set, lease.epoch));
            keepers.push(keeper.clone());
            let stop = tasks.spawner().stop_token().clone();
            let keep = async move { keeper.run(&stop).await };
            tasks.spawner().spawn_lasting(format!("the keeper of its outbox of {set:?}"), keep);
        }
        let actors = Actors::new(changes.clone(), config.actor_idle_ms);
        let accounts = Accounts::new(changes.clone(), actors.clone(), config.password_cost);
        let deletions = cleanup::resume_deletions(changes.clone());
        tasks.spawner().spawn_passing("the removal of deleted guilds", deletions);
        let refreshes = cleanup::resume_refreshes(accounts.clone());
        tasks.spawner().spawn_passing("the refresh of changed users", refreshes);
        Ok(Self { changes, actors, accounts, keepers, tasks: Arc::new(tasks) })
    }

    /// Waits until something has ended that the service cannot go on without, and says what; never at a shutdown. The
    /// process should end then: the next start takes up what is left.
    pub async fn ended(&self) -> Ended {
        tokio::select! {
            ended = self.tasks.ended() => ended,
            () = self.changes.ledger.abandoned() => {
                Ended::panicked(SERVICE, "a task with a change that is not published")
            }
        }
    }

    /// Ends every task: changes that are under way are finished or left to the next start's sweep.
    pub async fn shutdown(&self) {
        // Who goes on may still take ids, so that nothing can be said of what is published.
        if self.tasks.shutdown(Duration::from_millis(DIRECTORY_STOP_MS)).await {
            futures_util::future::join_all(self.keepers.iter().map(|keeper| keeper.finish())).await;
        }
    }
}

/// How whoever reads a log knows the service.
const SERVICE: &str = "directory";
