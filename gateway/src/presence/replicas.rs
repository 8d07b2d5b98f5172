//! Which replica of the presence service has a user.
//!
//! Rendezvous hashing over the places in the list: every pod is given the same list, and one that grows by a replica
//! moves only those users who belong to the new one.

use model::{Digest, UserId};
use proto::clients::PresenceClient;

pub(super) struct Replicas {
    clients: Vec<PresenceClient>,
}

impl Replicas {
    pub(super) fn new(clients: Vec<PresenceClient>) -> Self {
        assert!(!clients.is_empty(), "there is a presence service");
        Self { clients }
    }

    /// The place of the user's replica.
    pub(super) fn place(&self, user: UserId) -> usize {
        place(user, self.clients.len())
    }

    /// The user's replica.
    pub(super) fn of(&self, user: UserId) -> PresenceClient {
        self.at(self.place(user))
    }

    pub(super) fn at(&self, place: usize) -> PresenceClient {
        self.clients[place].clone()
    }
}

/// The place of the user among so many replicas.
pub(crate) fn place(user: UserId, count: usize) -> usize {
    if count == 1 {
        return 0;
    }
    let weight = |place: &usize| Digest::new().number(user.get()).number(*place as u64).finish();
    (0..count).max_by_key(weight).expect("there is a replica")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_spread_evenly_and_few_move_when_a_replica_is_added() {
        let users: Vec<UserId> = (1..=9_000_u64).map(|number| UserId::new(number << 22).unwrap()).collect();
        let mut counts = [0; 3];
        let mut moved = 0;
        for user in users {
            counts[place(user, 3)] += 1;
            let with_a_fourth = place(user, 4);
            assert!(with_a_fourth == 3 || with_a_fourth == place(user, 3));
            moved += usize::from(with_a_fourth == 3);
        }
        assert!(counts.iter().all(|count| (2_700..3_300).contains(count)), "{counts:?}");
        assert!((2_000..2_500).contains(&moved), "{moved}");
    }
}
