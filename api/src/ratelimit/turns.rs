//! A bounded table whose entries are over at some time. Whoever adds one looks at a few others, in turn, and drops those
//! that are over, so that no request pays for a search of the whole table. While it is full all the same, what is new is
//! not kept.

use std::collections::VecDeque;
use std::hash::Hash;

use rustc_hash::FxHashMap;

/// See the module.
pub(super) struct Turns<K, V> {
    entries_max: usize,
    entries: FxHashMap<K, V>,
    /// The same keys, in the order in which they are looked at.
    turns: VecDeque<K>,
}

impl<K: Copy + Eq + Hash, V> Turns<K, V> {
    pub(super) fn new(entries_max: usize) -> Self {
        Self { entries_max, entries: FxHashMap::default(), turns: VecDeque::new() }
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key)
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key)
    }

    /// Puts a value in the place of the old one, or adds it if there is room once some that are over are gone.
    pub(super) fn insert(&mut self, key: K, value: V, is_over: impl Fn(&V) -> bool) {
        if let Some(known) = self.entries.get_mut(&key) {
            *known = value;
            return;
        }
        self.sweep(is_over);
        if self.entries.len() < self.entries_max {
            self.entries.insert(key, value);
            self.turns.push_back(key);
        }
    }

    fn sweep(&mut self, is_over: impl Fn(&V) -> bool) {
        for _ in 0..STEPS {
            let Some(key) = self.turns.pop_front() else { return };
            if self.entries.get(&key).is_some_and(|value| !is_over(value)) {
                self.turns.push_back(key);
            } else {
                self.entries.remove(&key);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.entries.len(), self.turns.len())
    }
}

/// Entries that a new one looks at: more than it adds, so that the table shrinks.
pub(super) const STEPS: usize = 4;
