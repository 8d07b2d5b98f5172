//! Users, their passwords and tokens, and applications with their bots.
//!
//! Users have no task each: most of them change once in months. Striped locks order what must be ordered: everything
//! of one user, and whatever takes or frees one name. A change still runs in a task of its own that the service owns, so
//! a caller who goes away leaves nothing half done, and what a change holds is bounded by a number of places.

use std::sync::Arc;
use std::time::Duration;

use model::limits::{ACCOUNTS_QUEUE_MAX, CHANGE_WAIT_MS, UNAVAILABLE_RETRY_MS};
use model::{User, UserId};
use proto::Failure;
use proto::clients::GuildsClient;
use storage::SlotSet;
use tokio::sync::Semaphore;
use tracing::{Instrument as _, Span};

use crate::accounts::cache::Cache;
use crate::accounts::locks::Stripes;
use crate::accounts::passwords::{PasswordCost, Passwords};
use crate::actor::Actors;
use crate::changes::{Changes, Draft, outcome_unknown};
use crate::state::unknown_user;

pub(crate) mod applications;
pub(crate) mod cache;
pub(crate) mod locks;
pub mod passwords;
pub(crate) mod tokens;
pub(crate) mod users;

/// Everything that belongs to users.
pub(crate) struct Accounts {
    pub(crate) changes: Arc<Changes>,
    pub(crate) actors: Arc<Actors>,
    /// All replicas of the directory, where there are others.
    pub(crate) replicas: Option<GuildsClient>,
    /// Ordered before `names`.
    pub(crate) users: Stripes,
    pub(crate) names: Stripes,
    pub(crate) passwords: Passwords,
    pub(crate) cache: Cache,
    places: Arc<Semaphore>,
}

// === impl Accounts ===

impl Accounts {
    pub(crate) fn new(
        changes: Arc<Changes>,
        actors: Arc<Actors>,
        replicas: Option<GuildsClient>,
        cost: PasswordCost,
    ) -> Arc<Self> {
        Arc::new(Self {
            passwords: Passwords::new(cost, changes.tasks.clone()),
            changes,
            actors,
            replicas,
            users: Stripes::new(),
            names: Stripes::new(),
            cache: Cache::default(),
            places: Arc::new(Semaphore::new(ACCOUNTS_QUEUE_MAX)),
        })
    }

    /// Runs a change to its end, whether or not its caller waits for it.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Failure> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| {
            Failure::unavailable("too many changes of accounts are waiting", UNAVAILABLE_RETRY_MS)
        })?;
        if self.changes.tasks.is_stopping() {
            return Err(Failure::unavailable("the directory is shutting down", UNAVAILABLE_RETRY_MS));
        }
        let work = work.instrument(Span::current());
        let task = self.changes.tasks.spawn(async move {
            let _place = place;
            work.await
        });
        match tokio::time::timeout(Duration::from_millis(CHANGE_WAIT_MS), task).await {
            Ok(Ok(Some(outcome))) => outcome,
            Ok(Err(error)) => {
                tracing::error!(%error, "a change of an account failed");
                Err(outcome_unknown())
            }
            Ok(Ok(None)) | Err(_) => Err(outcome_unknown()),
        }
    }

    pub(crate) async fn user(&self, id: UserId) -> Result<User, Failure> {
        self.changes.store.user(id).await?.ok_or_else(unknown_user)
    }

    /// Stores and publishes a change of this user; the caller holds what orders it.
    pub(crate) async fn commit(&self, user: UserId, draft: Draft) -> Result<(), Failure> {
        let lease = self.changes.lease(SlotSet::Users, user.get())?;
        let stored = self.changes.store(&lease, draft).await;
        self.cache.forget_user(user);
        self.changes.publish(stored?).await
    }
}
