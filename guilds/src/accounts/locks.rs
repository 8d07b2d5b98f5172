//! Striped locks: a fixed number of locks for any number of things. Two things may share one; that costs a wait, never
//! an error. Several are taken in the order of stripes, so that no two holders wait for each other.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash};

use model::limits::LOCK_STRIPES;
use tokio::sync::{Mutex, MutexGuard};

pub(crate) struct Stripes {
    locks: Vec<Mutex<()>>,
}

/// Held locks; dropping it gives them back.
pub(crate) type Held<'a> = Vec<MutexGuard<'a, ()>>;

// === impl Stripes ===

impl Stripes {
    pub(crate) fn new() -> Self {
        Self { locks: (0..LOCK_STRIPES).map(|_| Mutex::new(())).collect() }
    }

    /// Locks all of these things.
    pub(crate) async fn lock<T: Hash>(&self, things: &[T]) -> Held<'_> {
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        let mut stripes: Vec<usize> =
            things.iter().map(|thing| (hasher.hash_one(thing) % LOCK_STRIPES as u64) as usize).collect();
        stripes.sort_unstable();
        stripes.dedup();
        let mut held = Vec::with_capacity(stripes.len());
        for stripe in stripes {
            held.push(self.locks[stripe].lock().await);
        }
        held
    }

    /// Locks everything.
    pub(crate) async fn lock_all(&self) -> Held<'_> {
        let mut held = Vec::with_capacity(self.locks.len());
        for lock in &self.locks {
            held.push(lock.lock().await);
        }
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_thing_is_held_by_one_at_a_time_and_opposite_orders_do_not_deadlock() {
        let stripes = Stripes::new();
        let first = stripes.lock(&["alice", "bob"]).await;
        let second = stripes.lock(&["bob", "alice"]);
        tokio::pin!(second);
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(first);
        drop(second.await);
        drop(stripes.lock_all().await);
    }
}
