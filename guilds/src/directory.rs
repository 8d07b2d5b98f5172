//! The service as a whole: opened, served, shut down.

use std::sync::Arc;
use std::time::Duration;

use backplane::Backplane;
use model::clock::SharedClock;
use model::limits::DIRECTORY_STOP_MS;
use proto::clients::GuildsClient;
use storage::{
    Ledger, OutboxKeeper, Ownership, OwnershipError, Scope, Seen, SharedSnowflakes, Slot, SlotSet,
};
use tasks::{Ended, Tasks};

use crate::accounts::Accounts;
use crate::accounts::passwords::PasswordCost;
use crate::actor::Actors;
use crate::changes::Changes;
use crate::cleanup;
use crate::slots::Slots;
use crate::store::DirectoryStore;

/// What a directory stands on.
pub struct Config {
    pub store: Arc<dyn DirectoryStore>,
    /// Which guilds and users are this process's.
    pub leases: Arc<dyn Ownership>,
    pub backplane: Arc<dyn Backplane>,
    /// All replicas, where slots are shared: for what a user's change asks of guilds that are others'.
    pub replicas: Option<GuildsClient>,
    pub clock: SharedClock,
    /// The process's one generator of ids.
    pub ids: SharedSnowflakes,
    pub password_cost: PasswordCost,
    /// After how long without a request a guild's task ends; `ACTOR_IDLE_MS` when absent.
    pub actor_idle_ms: Option<u64>,
}

/// Why a directory did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
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
    leases: Arc<dyn Ownership>,
    tasks: Arc<Tasks>,
}

// === impl Directory ===

impl Directory {
    /// Opens it. On a store that this process alone writes to, what an earlier run stored is published when this answers;
    /// where slots are shared, each is served as soon as that is so ([`Directory::settled`]).
    pub async fn open(config: Config) -> Result<Self, OpenError> {
        let tasks = Tasks::new(SERVICE);
        let changes = Arc::new(Changes {
            store: config.store,
            backplane: config.backplane,
            leases: Arc::<dyn Ownership>::clone(&config.leases),
            ledger: Ledger::new(config.ids, config.clock.clone()),
            clock: config.clock,
            tasks: tasks.spawner().clone(),
        });
        let actors = Actors::new(changes.clone(), config.actor_idle_ms);
        let accounts = Accounts::new(changes.clone(), actors.clone(), config.replicas, config.password_cost);
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
        own(config.leases.clone(), slots, &tasks).await?;
        // A store of slots is told of each by itself.
        if changes.store.scope() == Scope::Set {
            let slots: Vec<Slot> = Slot::all().collect();
            cleanup::resume(&accounts, SlotSet::Guilds, slots.clone());
            cleanup::resume(&accounts, SlotSet::Users, slots);
        }
        Ok(Self { changes, actors, accounts, leases: config.leases, tasks: Arc::new(tasks) })
    }

    /// Waits until the slots are served that are to be this process's at first.
    pub async fn settled(&self) {
        self.leases.settled(&SETS).await;
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

/// Owns guilds and users from now on. Who owns all of them waits until they are served; one that shares them is found by
/// callers meanwhile, and serves each as it comes.
async fn own(leases: Arc<dyn Ownership>, slots: Slots, tasks: &Tasks) -> Result<(), OpenError> {
    for keeper in slots.keepers.clone() {
        let stop = tasks.spawner().stop_token().clone();
        let name = format!("the keeper of its outbox of {:?}", keeper.set());
        tasks.spawner().spawn_lasting(name, async move { keeper.run(&stop).await });
    }
    let (owner, stop) = (leases.clone(), tasks.spawner().stop_token().clone());
    let is_shared = slots.changes.store.scope() == Scope::Slot;
    let mut owning = Box::pin(async move { owner.run(&SETS, &slots, &stop).await });
    if !is_shared {
        tokio::select! {
            ended = &mut owning => return ended.map_err(OpenError::Own).and(Err(OpenError::Stopped)),
            () = leases.settled(&SETS) => {}
        }
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
