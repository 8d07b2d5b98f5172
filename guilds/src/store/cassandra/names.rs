//! Names that are unique over all replicas: claimed by a conditional write before the user's row is written.
//!
//! The user's row says what a user is called, the claim says that nobody else may be. A change that is not made after all, or
//! a process that dies in between, leaves a claim that no user's row bears out. It protects for a minute whoever may still
//! be at it; then the name is free. So a look for a name finds only who bears it.
//!
//! Whoever finds a claim of their own and does not bear the name yet (a write of unknown outcome is repeated) renews the
//! claim before the row is written, by a condition on the old one: of that and of another's taking over only one succeeds.

use model::UserId;
use model::limits::USERNAME_CLAIM_MS;
use storage::cassandra::WriteError;

use super::CassandraStore;
use super::read::number;
use super::statements::Conditional;
use crate::store::keys::lower;
use crate::store::{DirectoryStore, StoreError};

impl CassandraStore {
    /// Makes the name this user's, who may have it already.
    pub(super) async fn claim(&self, name: &str, user: UserId) -> Result<(), StoreError> {
        let Conditional { claim, take_over, .. } = &self.conditional;
        for _ in 0..ATTEMPTS_MAX {
            let now_ms = self.clock.now_ms();
            match self.cassandra.decide(claim, (name, number(user), now_ms.cast_signed())).await {
                Ok(true) => return Ok(()),
                // Whether it is ours is seen now.
                Ok(false) | Err(WriteError::Unknown(_)) => {}
                Err(error) => return Err(error.into()),
            }
            let Some((holder, claimed_ms)) = self.holder(name).await? else { continue };
            let is_ours = holder == number(user);
            let bears = self.bears(holder, name).await?;
            if is_ours && bears {
                return Ok(());
            }
            let is_fresh = now_ms.saturating_sub(claimed_ms.cast_unsigned()) < USERNAME_CLAIM_MS;
            if !is_ours && (is_fresh || bears) {
                return Err(StoreError::NameTaken);
            }
            // Another one in any case, whatever the clock says, so that of two changes only one finds what it has read.
            let new_ms = now_ms.cast_signed().max(claimed_ms + 1);
            let change = (number(user), new_ms, name, holder, claimed_ms);
            if self.cassandra.decide(take_over, change).await? {
                return Ok(());
            }
        }
        Err(StoreError::Unavailable(format!("others claim the name {name:?} again and again")))
    }

    /// When the user claimed the name, if it is theirs: what has to be known before they give it up.
    pub(super) async fn claimed(&self, name: &str, user: UserId) -> Result<Option<i64>, StoreError> {
        let holder = self.holder(name).await?;
        Ok(holder.filter(|(holder, _)| *holder == number(user)).map(|(_, claimed_ms)| claimed_ms))
    }

    /// Frees the name with this claim, unless the user bears it all the same: a later owner of the slot may have written
    /// the user's row over ours, or given the name back to them.
    pub(super) async fn release(&self, name: &str, user: UserId, claimed_ms: i64) {
        let released = async {
            if self.bears(number(user), name).await? {
                return Ok(false);
            }
            Ok(self.cassandra.decide(&self.conditional.release, (name, number(user), claimed_ms)).await?)
        };
        let released: Result<bool, StoreError> = released.await;
        if let Err(error) = released {
            tracing::warn!(%error, "a name that nobody bears is free in a minute");
        }
    }

    /// Whether the user's row has this name.
    pub(super) async fn bears(&self, user: i64, name: &str) -> Result<bool, StoreError> {
        let Some(user) = UserId::new(user.cast_unsigned()) else { return Ok(false) };
        let user = self.user(user).await?;
        Ok(user.is_some_and(|user| !user.bot && lower(&user.username) == name))
    }

    async fn holder(&self, name: &str) -> Result<Option<(i64, i64)>, StoreError> {
        Ok(self.cassandra.first(&self.serial.holder, (name,)).await?)
    }
}

/// How often a claim that others are faster with is begun again.
const ATTEMPTS_MAX: usize = 4;
