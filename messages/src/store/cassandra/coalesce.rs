//! Equal reads at one time are made once: what thousands ask for who open a busy channel together.
//!
//! Of one key one read runs at a time. Who comes while it runs has perhaps written since it began, and must not get what it
//! finds: all who come meanwhile share the next one, which begins when it has ended.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::store::StoreError;

/// The reads that are made or wait.
pub(super) struct Coalesced<K, V> {
    keys: Mutex<HashMap<K, Queue<V>>>,
}

/// Of one key.
struct Queue<V> {
    /// Held by the read that runs.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// The read that has not begun.
    next: Arc<OnceCell<V>>,
}

/// A caller's place in a queue, which goes with the last of them.
struct Seat<'a, K: Eq + Hash, V> {
    all: &'a Coalesced<K, V>,
    key: K,
    /// None when it is being given up.
    queue: Option<Queue<V>>,
}

impl<K, V> Default for Coalesced<K, V> {
    fn default() -> Self {
        Self { keys: Mutex::new(HashMap::new()) }
    }
}

impl<K: Eq + Hash + Clone, V: Clone> Coalesced<K, V> {
    /// What a read finds that began after this was called: this one, or that of another caller. A failure is the caller's
    /// alone; the others try for themselves.
    pub(super) async fn read(
        &self,
        key: K,
        read: impl Future<Output = Result<V, StoreError>>,
    ) -> Result<V, StoreError> {
        let seat = self.seat(key);
        let Queue { turn, next } = seat.queue.as_ref().expect("until it is given up");
        let begin = async {
            let _turn = turn.lock().await;
            self.begin(&seat.key, next);
            read.await
        };
        next.get_or_try_init(|| begin).await.cloned()
    }

    fn seat(&self, key: K) -> Seat<'_, K, V> {
        let queue = self.keys.lock().entry(key.clone()).or_default().clone();
        Seat { all: self, key, queue: Some(queue) }
    }

    /// Who comes from now on waits for the read after this one.
    fn begin(&self, key: &K, read: &Arc<OnceCell<V>>) {
        if let Some(queue) = self.keys.lock().get_mut(key)
            && Arc::ptr_eq(&queue.next, read)
        {
            queue.next = Arc::new(OnceCell::new());
        }
    }
}

impl<K: Eq + Hash, V> Drop for Seat<'_, K, V> {
    fn drop(&mut self) {
        self.queue = None;
        let mut keys = self.all.keys.lock();
        if keys.get(&self.key).is_some_and(|queue| Arc::strong_count(&queue.turn) == 1) {
            keys.remove(&self.key);
        }
    }
}

impl<V> Default for Queue<V> {
    fn default() -> Self {
        Self { turn: Arc::default(), next: Arc::new(OnceCell::new()) }
    }
}

impl<V> Clone for Queue<V> {
    fn clone(&self) -> Self {
        Self { turn: self.turn.clone(), next: self.next.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::join_all;
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
    use std::time::Duration;
    use tokio::time::sleep;

    #[tokio::test(start_paused = true)]
    async fn who_comes_while_a_read_runs_gets_what_the_next_one_finds() {
        let (reads, counter) = (Coalesced::default(), AtomicU32::new(0));
        let read = async |key: u32, after_ms: u64| {
            sleep(Duration::from_millis(after_ms)).await;
            let work = async {
                let number = counter.fetch_add(1, SeqCst);
                sleep(Duration::from_millis(100)).await;
                Ok(number)
            };
            reads.read(key, work).await.unwrap()
        };
        let found = join_all([read(1, 0), read(1, 10), read(1, 20), read(1, 90), read(1, 110)]).await;
        assert_eq!(found, [0, 1, 1, 1, 2]);
        assert_eq!(join_all([read(1, 0), read(2, 10)]).await, [3, 4], "another key is another read");
        assert!(reads.keys.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_and_a_caller_who_has_gone_cost_the_others_nothing() {
        let reads = Coalesced::default();
        let fails = reads.read(1, async {
            sleep(Duration::from_millis(100)).await;
            Err::<u32, _>(StoreError::Unknown)
        });
        let late = async {
            sleep(Duration::from_millis(10)).await;
            let gone = reads.read(1, std::future::pending());
            assert!(tokio::time::timeout(Duration::from_millis(200), gone).await.is_err());
        };
        let last = async {
            sleep(Duration::from_millis(20)).await;
            reads.read(1, async { Ok(7) }).await
        };
        let (failed, (), found) = tokio::join!(fails, late, last);
        assert!(failed.is_err());
        assert_eq!(found.unwrap(), 7);
        assert!(reads.keys.lock().is_empty());
    }
}
