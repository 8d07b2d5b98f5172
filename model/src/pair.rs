//! Two users, in the order of their ids: what a private channel is of.

use crate::UserId;

/// Two different users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pair {
    lower: UserId,
    higher: UserId,
}

impl Pair {
    /// `None` of one user alone.
    pub fn new(one: UserId, other: UserId) -> Option<Self> {
        (one != other).then(|| Self { lower: one.min(other), higher: one.max(other) })
    }

    /// Whose slot the pair belongs to.
    pub fn lower(self) -> UserId {
        self.lower
    }

    pub fn higher(self) -> UserId {
        self.higher
    }

    /// Both, in order of id.
    pub fn users(self) -> [UserId; 2] {
        [self.lower, self.higher]
    }

    /// The other of the two; `None` if this user is neither.
    pub fn other(self, user: UserId) -> Option<UserId> {
        match user {
            user if user == self.lower => Some(self.higher),
            user if user == self.higher => Some(self.lower),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_the_same_from_both_sides_and_nobody_elses() {
        let [one, other, third] = [7, 5, 6].map(|id| UserId::new(id).unwrap());
        let pair = Pair::new(one, other).unwrap();
        assert_eq!(Pair::new(other, one), Some(pair));
        assert_eq!(pair.users(), [other, one]);
        assert_eq!((pair.other(one), pair.other(other), pair.other(third)), (Some(other), Some(one), None));
        assert_eq!(Pair::new(one, one), None);
    }
}
