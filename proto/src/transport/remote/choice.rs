//! Which replica is asked next.

use std::collections::HashMap;
use std::sync::Arc;

use model::slots::replica_weight;
use parking_lot::RwLock;

use super::replica::Replica;
use crate::methods::Place;

/// What a choice has to know of a replica.
pub(super) trait Candidate {
    fn name(&self) -> &str;
    fn is_up(&self) -> bool;
}

impl Candidate for Replica {
    fn name(&self) -> &str {
        self.name()
    }

    fn is_up(&self) -> bool {
        self.is_up()
    }
}

/// The best one that is not in `tried`: the one that is named, if it is up; then those that are up, and of them the one
/// that rendezvous hashing prefers for the slot. Of replicas that are down one is chosen as well, which says why.
pub(super) fn choose<'a, C: Candidate>(
    all: &'a [Arc<C>],
    tried: &[Arc<str>],
    named: Option<&str>,
    (set, slot): Place,
) -> Option<&'a Arc<C>> {
    let untried = || all.iter().filter(|one| !tried.iter().any(|name| **name == *one.name()));
    let named = untried().find(|one| Some(one.name()) == named && one.is_up());
    named.or_else(|| untried().max_by_key(|one| (one.is_up(), replica_weight(one.name(), set, slot))))
}

/// Owners that are not where rendezvous hashing looks first, by their slots: at most one for each there is.
#[derive(Default)]
pub(super) struct Owners(RwLock<HashMap<Place, Arc<str>>>);

impl Owners {
    pub(super) fn get(&self, place: Place) -> Option<Arc<str>> {
        self.0.read().get(&place).cloned()
    }

    pub(super) fn learn(&self, place: Place, name: Arc<str>) {
        self.0.write().insert(place, name);
    }

    /// This one says that it is not the owner.
    pub(super) fn forget(&self, place: Place, name: &str) {
        let mut owners = self.0.write();
        if owners.get(&place).is_some_and(|owner| **owner == *name) {
            owners.remove(&place);
        }
    }
}

#[cfg(test)]
mod tests {
    use model::{Slot, SlotSet};

    use super::*;

    struct Fake(&'static str, bool);

    impl Candidate for Fake {
        fn name(&self) -> &str {
            self.0
        }

        fn is_up(&self) -> bool {
            self.1
        }
    }

    const PLACE: fn(u64) -> Place = |id| (SlotSet::Channels, Slot::of(id));

    fn order(all: &[Arc<Fake>], named: Option<&str>, place: Place) -> Vec<String> {
        let mut tried: Vec<Arc<str>> = Vec::new();
        while let Some(next) = choose(all, &tried, named, place) {
            tried.push(next.name().into());
        }
        tried.iter().map(|name| name.to_string()).collect()
    }

    fn fakes(down: &str) -> Vec<Arc<Fake>> {
        ["a:1", "b:1", "c:1", "d:1"].map(|name| Arc::new(Fake(name, name != down))).into()
    }

    #[test]
    fn callers_that_know_the_same_replicas_ask_the_same_one() {
        let mut backwards = fakes("");
        backwards.reverse();
        for id in 0..64 {
            assert_eq!(order(&fakes(""), None, PLACE(id)), order(&backwards, None, PLACE(id)));
        }
    }

    #[test]
    fn who_is_named_is_asked_first_and_who_is_down_last() {
        for id in 0..64 {
            let usual = order(&fakes(""), None, PLACE(id));
            let named = order(&fakes(""), Some("c:1"), PLACE(id));
            assert_eq!(named[0], "c:1");
            let without = |order: &[String]| -> Vec<String> {
                order.iter().filter(|name| *name != "c:1").cloned().collect()
            };
            assert_eq!(without(&named), without(&usual));
            let down = order(&fakes("c:1"), Some("c:1"), PLACE(id));
            assert_eq!((without(&down), down[3].as_str()), (without(&usual), "c:1"));
        }
    }

    #[test]
    fn only_who_denies_it_is_forgotten() {
        let owners = Owners::default();
        owners.learn(PLACE(1), "a:1".into());
        owners.forget(PLACE(1), "b:1");
        assert_eq!(owners.get(PLACE(1)).as_deref(), Some("a:1"));
        owners.forget(PLACE(1), "a:1");
        assert_eq!(owners.get(PLACE(1)), None);
    }
}
