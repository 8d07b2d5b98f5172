//! Passwords: argon2id, a few at a time on blocking threads.
//!
//! A hash takes 19 MiB and tens of milliseconds by design; without a bound on how many run, logging in would be an attack
//! on memory and processor. The parameters are those that OWASP's "Password Storage Cheat Sheet" recommends.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use model::limits::{PASSWORD_HASHES_AT_ONCE, PASSWORD_HASHES_WAIT_MS, UNAVAILABLE_RETRY_MS};
use proto::Failure;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

/// What a hash costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordCost {
    pub memory_kib: u32,
    pub passes: u32,
    pub lanes: u32,
}

impl Default for PasswordCost {
    fn default() -> Self {
        Self { memory_kib: 19_456, passes: 2, lanes: 1 }
    }
}

impl PasswordCost {
    /// The least that the algorithm takes; for tests.
    pub const CHEAP: Self = Self { memory_kib: 8, passes: 1, lanes: 1 };
}

pub(crate) struct Passwords {
    cost: PasswordCost,
    at_once: Arc<Semaphore>,
    tasks: TaskTracker,
}

// === impl Passwords ===

impl Passwords {
    pub(crate) fn new(cost: PasswordCost, tasks: TaskTracker) -> Self {
        Self { cost, at_once: Arc::new(Semaphore::new(PASSWORD_HASHES_AT_ONCE)), tasks }
    }

    /// The password's hash in PHC form, with a new salt.
    pub(crate) async fn hash(&self, password: String) -> Result<String, Failure> {
        let cost = self.cost;
        self.blocking(move || hash(cost, &password)).await?
    }

    /// Whether it is the password. Without a hash to compare with, the answer is no after the same work, so that nobody
    /// learns from the time which names exist.
    pub(crate) async fn is_right(&self, password: String, phc: Option<String>) -> Result<bool, Failure> {
        let cost = self.cost;
        self.blocking(move || match phc {
            Some(phc) => Argon2::default().verify_password(password.as_bytes(), phc.as_str()).is_ok(),
            None => {
                let _ = hash(cost, &password);
                false
            }
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let busy = || Failure::unavailable("too many passwords are being checked", UNAVAILABLE_RETRY_MS);
        let wait = Duration::from_millis(PASSWORD_HASHES_WAIT_MS);
        let place =
            tokio::time::timeout(wait, self.at_once.clone().acquire_owned()).await.map_err(|_| busy())?;
        let place = place.map_err(|_| busy())?;
        let task = self.tasks.spawn_blocking(move || {
            let _place = place;
            work()
        });
        task.await.map_err(|error| Failure::internal(format!("checking a password failed: {error}")))
    }
}

fn hash(cost: PasswordCost, password: &str) -> Result<String, Failure> {
    let PasswordCost { memory_kib, passes, lanes } = cost;
    let failed = |error: String| Failure::internal(format!("hashing a password failed: {error}"));
    let params = Params::new(memory_kib, passes, lanes, None).map_err(|error| failed(error.to_string()))?;
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let salt: [u8; 16] = model::entropy::bytes();
    let hash = argon.hash_password_with_salt(password.as_bytes(), &salt);
    hash.map(|hash| hash.to_string()).map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hashes_are_argon2id_with_the_given_cost_and_their_own_salt() {
        let passwords = Passwords::new(PasswordCost::default(), TaskTracker::new());
        let one = passwords.hash("correct horse".into()).await.unwrap();
        let two = passwords.hash("correct horse".into()).await.unwrap();
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
        assert_ne!(one, two);
        assert!(passwords.is_right("correct horse".into(), Some(one.clone())).await.unwrap());
        assert!(!passwords.is_right("correct hors".into(), Some(one)).await.unwrap());
        assert!(!passwords.is_right("correct horse".into(), None).await.unwrap());
    }
}
