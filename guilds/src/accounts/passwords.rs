//! Passwords: argon2id, a few at a time on blocking threads.
//!
//! A hash takes 19 MiB and tens of milliseconds by design; without a bound on how many run, logging in would be an attack
//! on memory and processor. Whoever may hash borrows one of as many buffers, which are kept: buffers that are freed stay
//! with the allocator, in an arena for each thread that ever hashed, and come to far more than what is in use. The
//! parameters are those that OWASP's "Password Storage Cheat Sheet" recommends.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash;
use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use model::limits::{PASSWORD_HASHES_AT_ONCE, PASSWORD_HASHES_WAIT_MS, UNAVAILABLE_RETRY_MS};
use parking_lot::Mutex;
use proto::Failure;
use tasks::Spawner;
use tokio::sync::Semaphore;

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
    buffers: Buffers,
    tasks: Spawner,
}

/// Working memory of hashes: never more than may run at once.
#[derive(Clone, Default)]
struct Buffers(Arc<Mutex<Vec<Vec<Block>>>>);

// === impl Passwords ===

impl Passwords {
    pub(crate) fn new(cost: PasswordCost, tasks: Spawner) -> Self {
        let at_once = Arc::new(Semaphore::new(PASSWORD_HASHES_AT_ONCE));
        Self { cost, at_once, buffers: Buffers::default(), tasks }
    }

    /// The password's hash in PHC form, with a new salt.
    pub(crate) async fn hash(&self, password: String) -> Result<String, Failure> {
        let cost = self.cost;
        self.blocking(move |buffer| hash(cost, &password, buffer)).await?
    }

    /// Whether it is the password. Without a hash to compare with, the answer is no after the same work, so that nobody
    /// learns from the time which names exist.
    pub(crate) async fn is_right(&self, password: String, phc: Option<String>) -> Result<bool, Failure> {
        let cost = self.cost;
        self.blocking(move |buffer| match phc {
            Some(phc) => verify(&phc, &password, buffer).unwrap_or_else(|error| {
                tracing::error!(%error, "a stored password hash could not be checked");
                false
            }),
            None => {
                let _ = hash(cost, &password, buffer);
                false
            }
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Vec<Block>) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let busy = || Failure::unavailable("too many passwords are being checked", UNAVAILABLE_RETRY_MS);
        let wait = Duration::from_millis(PASSWORD_HASHES_WAIT_MS);
        let place =
            tokio::time::timeout(wait, self.at_once.clone().acquire_owned()).await.map_err(|_| busy())?;
        let place = place.map_err(|_| busy())?;
        let buffers = self.buffers.clone();
        let task = self.tasks.spawn_blocking(move || {
            let _place = place;
            buffers.lend(work)
        });
        task.await.map_err(|error| Failure::internal(format!("checking a password failed: {error}")))
    }
}

// === impl Buffers ===

impl Buffers {
    /// Called by who has one of the places. What panics keeps its buffer, and the next makes another.
    fn lend<T>(&self, work: impl FnOnce(&mut Vec<Block>) -> T) -> T {
        let mut buffer = self.0.lock().pop().unwrap_or_default();
        let done = work(&mut buffer);
        self.0.lock().push(buffer);
        done
    }
}

fn hash(cost: PasswordCost, password: &str, buffer: &mut Vec<Block>) -> Result<String, Failure> {
    salted(cost, password, buffer)
        .map(|hash| hash.to_string())
        .map_err(|error| Failure::internal(format!("hashing a password failed: {error}")))
}

fn salted(
    cost: PasswordCost,
    password: &str,
    buffer: &mut Vec<Block>,
) -> Result<PasswordHash, password_hash::Error> {
    let PasswordCost { memory_kib, passes, lanes } = cost;
    let params = Params::new(memory_kib, passes, lanes, None)?;
    let described = ParamsString::try_from(&params)?;
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let salt = Salt::new(&model::entropy::bytes::<16>())?;
    let hash = output(&argon, password, &salt, Params::DEFAULT_OUTPUT_LEN, buffer)?;
    Ok(PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: described,
        salt: Some(salt),
        hash: Some(hash),
    })
}

/// Whether the password gives the stored hash, by the parameters that stand there.
fn verify(phc: &str, password: &str, buffer: &mut Vec<Block>) -> Result<bool, password_hash::Error> {
    let stored = PasswordHash::new(phc)?;
    let (Some(salt), Some(expected)) = (&stored.salt, &stored.hash) else { return Ok(false) };
    let algorithm = Algorithm::try_from(stored.algorithm.as_str())?;
    let version = stored.version.map(Version::try_from).transpose()?.unwrap_or_default();
    let argon = Argon2::new(algorithm, version, Params::try_from(&stored.params)?);
    // The comparison of outputs takes the same time wherever they differ.
    Ok(output(&argon, password, salt, expected.len(), buffer)? == *expected)
}

fn output(
    argon: &Argon2<'_>,
    password: &str,
    salt: &[u8],
    len: usize,
    buffer: &mut Vec<Block>,
) -> Result<Output, password_hash::Error> {
    let blocks = argon.params().block_count();
    if buffer.len() < blocks {
        buffer.resize(blocks, Block::new());
    }
    let mut bytes = [0; Output::MAX_LENGTH];
    let bytes = bytes.get_mut(..len).ok_or(password_hash::Error::OutputSize)?;
    argon.hash_password_into_with_memory(password.as_bytes(), salt, bytes, buffer.as_mut_slice())?;
    Ok(Output::new(bytes)?)
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::PasswordVerifier;
    use proto::FailureKind;
    use tasks::Tasks;

    use super::*;

    /// What blocks a thread goes on without the owner of its task.
    fn passwords(cost: PasswordCost) -> Passwords {
        Passwords::new(cost, Tasks::new("test").spawner().clone())
    }

    #[tokio::test]
    async fn hashes_are_argon2id_with_the_given_cost_and_their_own_salt() {
        let passwords = passwords(PasswordCost::default());
        let one = passwords.hash("correct horse".into()).await.unwrap();
        let two = passwords.hash("correct horse".into()).await.unwrap();
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
        assert_ne!(one, two);
        assert_eq!(Argon2::default().verify_password(b"correct horse", &*one), Ok(()), "as others read it");
        assert!(passwords.is_right("correct horse".into(), Some(one.clone())).await.unwrap());
        assert!(!passwords.is_right("correct hors".into(), Some(one)).await.unwrap());
        assert!(!passwords.is_right("correct horse".into(), None).await.unwrap());
    }

    #[tokio::test]
    async fn a_hash_of_another_cost_is_checked_by_its_own() {
        let cheap = passwords(PasswordCost::CHEAP);
        let phc = cheap.hash("correct horse".into()).await.unwrap();
        let cost = PasswordCost { memory_kib: 64, passes: 3, lanes: 2 };
        let dear = passwords(cost);
        let other = dear.hash("correct horse".into()).await.unwrap();
        for passwords in [cheap, dear] {
            for phc in [&phc, &other] {
                assert!(
                    passwords.is_right("correct horse".into(), Some(phc.clone())).await.unwrap(),
                    "{phc}"
                );
                assert!(
                    !passwords.is_right("correct hors".into(), Some(phc.clone())).await.unwrap(),
                    "{phc}"
                );
            }
        }
        let damaged = phc.rsplit_once('$').unwrap().0.to_owned();
        let passwords = passwords(PasswordCost::CHEAP);
        assert!(!passwords.is_right("correct horse".into(), Some(damaged)).await.unwrap());
        assert!(!passwords.is_right("correct horse".into(), Some("nonsense".into())).await.unwrap());
    }

    #[tokio::test]
    async fn there_are_as_many_buffers_as_hashes_at_once() {
        let passwords = Arc::new(passwords(PasswordCost::CHEAP));
        let hashes = (0..50).map(|_| passwords.hash("correct horse".into()));
        assert!(futures_util::future::join_all(hashes).await.iter().all(Result::is_ok));
        let buffers = passwords.buffers.0.lock();
        assert!((1..=PASSWORD_HASHES_AT_ONCE).contains(&buffers.len()), "{}", buffers.len());
        assert!(buffers.iter().all(|buffer| buffer.len() == 8));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_for_a_place_is_told_to_come_again() {
        let passwords = passwords(PasswordCost::CHEAP);
        let places = passwords.at_once.acquire_many(PASSWORD_HASHES_AT_ONCE as u32).await.unwrap();
        let refused = passwords.hash("correct horse".into()).await.unwrap_err();
        assert_eq!(refused.kind, FailureKind::Unavailable);
        assert_eq!(refused.retry_after_ms, Some(UNAVAILABLE_RETRY_MS));
        drop(places);
        assert!(passwords.hash("correct horse".into()).await.is_ok());
    }
}
