//! How long somebody has shown no sign of life, without trusting anybody's clock.
//!
//! Who holds something raises a version while it lives. Who wants to take it over reads the version now and then, and
//! notes by its own monotonic clock since when it has seen the same one. Holder and taker never compare times: the
//! holder counts from the moment at which it *sent* the raise, the taker from the moment at which it first *saw* what was
//! raised, which is later. If the holder gives up sooner than the taker takes over, the two never overlap. The taking
//! itself is a conditional write on the version seen, so a raise that comes in between wins.

use std::{collections::HashMap, hash::Hash, time::Duration};
use tokio::time::Instant;

/// Versions as they were seen.
#[derive(Debug)]
pub(crate) struct Observed<K, V> {
    since: HashMap<K, (V, Instant)>,
}

impl<K: Eq + Hash, V: PartialEq> Observed<K, V> {
    pub(crate) fn new() -> Self {
        Self { since: HashMap::new() }
    }

    /// Forgets those of whom this is not said.
    pub(crate) fn retain(&mut self, is_kept: impl Fn(&K) -> bool) {
        self.since.retain(|key, _| is_kept(key));
    }

    /// Notes a version whose reading has been answered; for how long it has been the same.
    pub(crate) fn note(&mut self, key: K, version: V, now: Instant) -> Duration {
        match self.since.get(&key) {
            Some((seen, since)) if *seen == version => now.saturating_duration_since(*since),
            _ => {
                self.since.insert(key, (version, now));
                Duration::ZERO
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_is_counted_from_the_first_sight_of_a_version() {
        let (mut observed, start) = (Observed::new(), Instant::now());
        let after = |secs| start + Duration::from_secs(secs);
        let rows = [
            ("a", 1, 0, 0),
            ("b", 1, 5, 0),
            ("a", 1, 9, 9),
            ("a", 2, 10, 0),
            ("a", 2, 13, 3),
            ("b", 1, 14, 9),
        ];
        for (key, version, secs, age) in rows {
            assert_eq!(
                observed.note(key, version, after(secs)),
                Duration::from_secs(age),
                "{key} {version} {secs}"
            );
        }
        assert_eq!(observed.note("a", 1, after(20)), Duration::ZERO, "an older version is another one");
    }
}
