//! The session registry in memory, for one process.
//!
//! Entries end by the clock. They are looked at when their user is, and all of them once per entry lifetime, so that
//! what nobody asks for goes as well.

use async_trait::async_trait;
use model::UserId;
use model::clock::SharedClock;
use model::limits;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::port::Unavailable;
use crate::registry::{PodName, Registry};

/// Which pods hold sessions of a user, in memory.
pub struct InMemoryRegistry {
    clock: SharedClock,
    users_max: usize,
    entry_ms: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    users: FxHashMap<UserId, Vec<Entry>>,
    sweep_at_ms: u64,
}

struct Entry {
    pod: PodName,
    until_ms: u64,
}

impl InMemoryRegistry {
    pub fn new(clock: SharedClock) -> Self {
        Self::with_users_max(clock, limits::REGISTRY_USERS_MAX)
    }

    pub fn with_users_max(clock: SharedClock, users_max: usize) -> Self {
        Self { clock, users_max, entry_ms: limits::REGISTRY_ENTRY_MS, state: Mutex::default() }
    }

    /// The same with another lifetime of entries.
    pub fn with_entry_ms(self, entry_ms: u64) -> Self {
        Self { entry_ms, ..self }
    }
}

impl State {
    fn sweep(&mut self, now_ms: u64, entry_ms: u64) {
        self.users.retain(|_, entries| {
            entries.retain(|entry| entry.until_ms > now_ms);
            !entries.is_empty()
        });
        self.sweep_at_ms = now_ms + entry_ms;
    }

    /// Whether the user had no valid entry there.
    fn renew(&mut self, pod: &PodName, user: UserId, now_ms: u64, until_ms: u64) -> bool {
        let entries = self.users.entry(user).or_default();
        entries.retain(|entry| entry.until_ms > now_ms);
        match entries.iter_mut().find(|entry| entry.pod == *pod) {
            Some(entry) => {
                entry.until_ms = until_ms;
                false
            }
            None => {
                // Nearly everybody is on one pod.
                entries.reserve_exact(1);
                entries.push(Entry { pod: pod.clone(), until_ms });
                true
            }
        }
    }
}

#[async_trait]
impl Registry for InMemoryRegistry {
    async fn register(&self, pod: &PodName, users: &[UserId]) -> Result<Vec<UserId>, Unavailable> {
        let now_ms = self.clock.now_ms();
        let mut state = self.state.lock();
        if now_ms >= state.sweep_at_ms || state.users.len() + users.len() > self.users_max {
            state.sweep(now_ms, self.entry_ms);
        }
        let unknown = users.iter().filter(|user| !state.users.contains_key(user)).count();
        if state.users.len() + unknown > self.users_max {
            return Err(Unavailable(format!("the registry is full with {} users", state.users.len())));
        }
        let until_ms = now_ms + self.entry_ms;
        Ok(users.iter().copied().filter(|user| state.renew(pod, *user, now_ms, until_ms)).collect())
    }

    async fn unregister(&self, pod: &PodName, user: UserId) -> Result<(), Unavailable> {
        let mut state = self.state.lock();
        if let Some(entries) = state.users.get_mut(&user) {
            entries.retain(|entry| entry.pod != *pod);
            if entries.is_empty() {
                state.users.remove(&user);
            }
        }
        Ok(())
    }

    async fn pods(&self, users: &[UserId]) -> Result<Vec<Vec<PodName>>, Unavailable> {
        let now_ms = self.clock.now_ms();
        let state = self.state.lock();
        let pods = |user: &UserId| {
            let entries = state.users.get(user).into_iter().flatten();
            entries.filter(|entry| entry.until_ms > now_ms).map(|entry| entry.pod.clone()).collect()
        };
        Ok(users.iter().map(pods).collect())
    }
}
