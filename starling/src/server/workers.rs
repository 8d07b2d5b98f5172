//! Which worker of snowflakes a process is: two that give out ids at the same time must not be the same one.
//!
//! There are 1,024 workers. A process with everything in it has all of them to itself, one for each start. Where every
//! role is a process of its own with a store of its own, each role has a range: the starts of one role say nothing of
//! those of another, and events of all of them stand on a guild's subject, where an id that comes twice is dropped.
//! On Cassandra all of them lease one of the workers of `guilds` and `messages`.

use storage::{Epoch, WorkerId};

/// The workers that a process chooses from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Workers {
    All,
    Guilds,
    Messages,
    Presence,
}

impl Workers {
    /// The first so many: those of `guilds` and `messages`, and none that `presence` takes by chance.
    pub(super) const LEASED: u16 = 2 * OF_A_ROLE;

    /// The worker of a start, where starts are numbered.
    pub(super) fn of_epoch(self, epoch: Epoch) -> WorkerId {
        self.at(epoch.0)
    }

    /// Any of them, for who keeps nothing by which starts could be numbered.
    pub(super) fn by_chance(self) -> WorkerId {
        self.at(model::entropy::number())
    }

    fn at(self, number: u64) -> WorkerId {
        let (first, count) = self.range();
        let offset = u16::try_from(number % u64::from(count)).expect("less than the count");
        WorkerId::new(first + offset).expect("ranges end before the last worker")
    }

    /// The first, and how many.
    fn range(self) -> (u16, u16) {
        match self {
            Self::All => (0, WorkerId::COUNT),
            Self::Guilds => (0, OF_A_ROLE),
            Self::Messages => (OF_A_ROLE, OF_A_ROLE),
            Self::Presence => (2 * OF_A_ROLE, OF_A_ROLE),
        }
    }
}

const OF_A_ROLE: u16 = 256;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_workers_of_roles_are_apart_and_starts_take_turns() {
        let mut seen = BTreeSet::new();
        for workers in [Workers::Guilds, Workers::Messages, Workers::Presence] {
            let own: BTreeSet<u16> = (1..=256).map(|start| workers.of_epoch(Epoch(start)).get()).collect();
            assert_eq!(own.len(), 256, "starts in a row are told apart");
            assert!(own.contains(&workers.by_chance().get()));
            assert!(own.iter().all(|worker| seen.insert(*worker)), "{workers:?} shares one");
        }
        assert!((0..=256).all(|start| Workers::Presence.of_epoch(Epoch(start)).get() >= Workers::LEASED));
        assert_eq!(Workers::All.of_epoch(Epoch(1_025)), WorkerId::of_epoch(Epoch(1_025)));
    }
}
