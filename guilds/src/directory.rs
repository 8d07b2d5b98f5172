//! The service as a whole: opened, served, shut down.

use std::sync::Arc;
use std::time::Duration;

use backplane::Backplane;
use model::clock::SharedClock;
use model::limits::DIRECTORY_STOP_MS;
use storage::{
    Engine, IdFloor, Ledger, OutboxKeeper, Ownership, OwnershipError, Scope, Seen, SharedSnowflakes, Slot,
    SlotSet,
};
use tasks::{Ended, Tasks};

use crate::accounts::Accounts;
use crate::accounts::passwords::PasswordCost;
use crate::actor::Actors;
use crate::changes::Changes;
use crate::cleanup;
use crate::slots::Slots;
use crate::store::{DirectoryStore, EmbeddedStore};

/// What a directory stands on.
pub struct Config {
    pub engine: Engine,
    /// Which guilds and users are this process's.
    pub leases: Arc<dyn Ownership>,
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
    /// Before everything that is stored is published, nothing may be answered.
    #[error("own the directory's slots: {0}")]
    Own(#[from] OwnershipError),
    #[error("own the directory's slots: the directory was stopped before it had any")]
    Stopped,
}

/// The directory service. Clones are the same service.
#[derive(Clone)]
pub struct Directory {
    pub(crate) changes: Arc<Changes>,
    pub(crate) actors: Arc<Actors>,
    pub(crate) accounts: Arc<Accounts>,
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
            leases: Arc::<dyn Ownership>::clone(&config.leases),
            ledger: Ledger::new(config.ids, config.clock.clone()),
            clock: config.clock,
            tasks: tasks.spawner().clone(),
        });
        let actors = Actors::new(changes.clone(), config.actor_idle_ms);
        let accounts = Accounts::new(changes.clone(), actors.clone(), config.password_cost);
        let keeper = |set| {
            let (store, ledger, leases) =
                (changes.store.clone(), changes.ledger.clone(), changes.leases.clone());
            Arc::new(OutboxKeeper::new(store, ledger, leases, set))
        };
        let slots = Slots {
            changes: changes.clone(),
            accounts: accounts.clone(),
            keepers: SETS.map(keeper).into(),
            seen: Seen::default(),
        };
        own(config.leases, slots, &tasks).await?;
        // A store of slots is told of each by itself.
        if changes.store.scope() == Scope::Set {
            let slots: Vec<Slot> = Slot::all().collect();
            cleanup::resume(&accounts, SlotSet::Guilds, slots.clone());
            cleanup::resume(&accounts, SlotSet::Users, slots);
        }
        Ok(Self { changes, actors, accounts, tasks: Arc::new(tasks) })
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

    /// Ends every task: changes that are under way are finished or left to the next owner's sweep.
    pub async fn shutdown(&self) {
        self.tasks.shutdown(Duration::from_millis(DIRECTORY_STOP_MS)).await;
    }
}

/// Owns guilds and users from now on; waits until those are served that are to be this process's at first.
async fn own(leases: Arc<dyn Ownership>, slots: Slots, tasks: &Tasks) -> Result<(), OpenError> {
    for keeper in slots.keepers.clone() {
        let stop = tasks.spawner().stop_token().clone();
        let name = format!("the keeper of its outbox of {:?}", keeper.set());
        tasks.spawner().spawn_lasting(name, async move { keeper.run(&stop).await });
    }
    let (owner, stop) = (leases.clone(), tasks.spawner().stop_token().clone());
    let mut owning = Box::pin(async move { owner.run(&SETS, &slots, &stop).await });
    tokio::select! {
        ended = &mut owning => return ended.map_err(OpenError::Own).and(Err(OpenError::Stopped)),
        () = leases.settled(&SETS) => {}
    }
    tasks.spawner().spawn_lasting("the owner of its slots", async move {
        if let Err(error) = owning.await {
            tracing::error!(%error, "the directory's slots can't be owned");
        }
    });
    Ok(())
}

const SETS: [SlotSet; 2] = [SlotSet::Guilds, SlotSet::Users];

/// How whoever reads a log knows the service.
const SERVICE: &str = "directory";
