//! Whose token it is, in memory: every request of every client asks.
//!
//! Who owns a user's slot makes and revokes all their tokens, so its cache is told of every change; it holds nobody else's. A look into the store
//! may be overtaken by a change: what it found is kept only if nothing was forgotten meanwhile.
//!
//! There is an entry for each user who is connected, so it is a small one: the identity as it is sent, and no index beside
//! the users', since a token says whose it claims to be. A false claim finds nothing here.

use std::collections::{HashMap, HashSet};

use model::UserId;
use model::limits::TOKEN_CACHE_MAX;
use parking_lot::Mutex;
use prost::Message as _;
use proto::v1;
use storage::{Lease, Slot, SlotSet};

use crate::store::TokenHash;

#[derive(Default)]
pub(crate) struct Cache {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    users: HashMap<UserId, Vec<Known>>,
    tokens: usize,
    changes: u64,
}

/// A token and what it stands for, encoded.
struct Known {
    hash: TokenHash,
    identity: Box<[u8]>,
}

/// What a look into the store begins with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look(u64);

// === impl Cache ===

impl Cache {
    /// `user` is who the token says it is of, if it says so.
    pub(crate) fn get(&self, user: Option<UserId>, hash: &TokenHash) -> Result<v1::Identity, Look> {
        let inner = self.inner.lock();
        let tokens = user.and_then(|user| inner.users.get(&user));
        let known = tokens.into_iter().flatten().find(|known| known.hash == *hash);
        let identity = known.and_then(|known| v1::Identity::decode(&*known.identity).ok());
        identity.ok_or(Look(inner.changes))
    }

    pub(crate) fn keep(&self, look: Look, hash: TokenHash, user: UserId, identity: &v1::Identity) {
        let mut inner = self.inner.lock();
        if look.0 != inner.changes {
            return;
        }
        if inner.tokens >= TOKEN_CACHE_MAX {
            inner.users = HashMap::new();
            inner.tokens = 0;
        }
        let tokens = inner.users.entry(user).or_default();
        if tokens.iter().all(|known| known.hash != hash) {
            // Nearly everybody uses one token.
            tokens.reserve_exact(1);
            tokens.push(Known { hash, identity: identity.encode_to_vec().into() });
            inner.tokens += 1;
        }
    }

    /// These slots are another's from now on, or were lost.
    pub(crate) fn forget_slots(&self, leases: &[Lease]) {
        let slots: HashSet<Slot> =
            leases.iter().filter(|lease| lease.set == SlotSet::Users).map(|lease| lease.slot).collect();
        let mut inner = self.inner.lock();
        inner.changes += 1;
        inner.users.retain(|user, _| !slots.contains(&Slot::of(user.get())));
        inner.tokens = inner.users.values().map(Vec::len).sum();
    }

    /// The user or one of their tokens has changed.
    pub(crate) fn forget_user(&self, user: UserId) {
        let mut inner = self.inner.lock();
        inner.changes += 1;
        inner.tokens -= inner.users.remove(&user).map_or(0, |tokens| tokens.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_before_a_change_is_not_kept() {
        let cache = Cache::default();
        let user = UserId::new(1).unwrap();
        let look = cache.get(Some(user), &[1; 32]).unwrap_err();
        cache.forget_user(user);
        cache.keep(look, [1; 32], user, &v1::Identity::default());
        let look = cache.get(Some(user), &[1; 32]).expect_err("a revoked token came back");
        cache.keep(look, [1; 32], user, &v1::Identity::default());
        assert!(cache.get(Some(user), &[1; 32]).is_ok());
        cache.forget_user(user);
        assert!(cache.get(Some(user), &[1; 32]).is_err());
        assert_eq!(cache.inner.lock().tokens, 0);
    }

    #[test]
    fn a_slot_that_goes_takes_its_users_along() {
        let cache = Cache::default();
        let [alice, bob] = [1, 2].map(|id| UserId::new(id << 22).unwrap());
        for (hash, user) in [([1; 32], alice), ([2; 32], bob)] {
            let look = cache.get(Some(user), &hash).unwrap_err();
            cache.keep(look, hash, user, &v1::Identity::default());
        }
        let slot = Slot::of(alice.get());
        assert_ne!(slot, Slot::of(bob.get()));
        let lease = |set| Lease { set, slot, epoch: storage::Epoch(1) };
        cache.forget_slots(&[lease(SlotSet::Guilds)]);
        assert!(cache.get(Some(alice), &[1; 32]).is_ok());
        cache.forget_slots(&[lease(SlotSet::Users)]);
        assert!(cache.get(Some(alice), &[1; 32]).is_err() && cache.get(Some(bob), &[2; 32]).is_ok());
        assert_eq!(cache.inner.lock().tokens, 1);
    }

    #[test]
    fn a_token_stands_for_what_was_kept_and_for_nobody_else() {
        let cache = Cache::default();
        let [alice, bob] = [1, 2].map(|id| UserId::new(id).unwrap());
        for (hash, user) in [([1; 32], alice), ([2; 32], alice), ([3; 32], bob)] {
            let look = cache.get(Some(user), &hash).unwrap_err();
            let identity = v1::Identity { token_id: hash[0].into(), ..v1::Identity::default() };
            cache.keep(look, hash, user, &identity);
            cache.keep(look, hash, user, &identity);
        }
        let token_id = |user, hash| cache.get(user, &hash).map(|identity| identity.token_id).ok();
        assert_eq!(token_id(Some(alice), [1; 32]), Some(1));
        assert_eq!(token_id(Some(alice), [2; 32]), Some(2));
        assert_eq!(token_id(Some(bob), [3; 32]), Some(3));
        assert_eq!(token_id(Some(bob), [1; 32]), None, "it claims to be another's");
        assert_eq!(token_id(None, [1; 32]), None);
        cache.forget_user(alice);
        assert_eq!((token_id(Some(alice), [1; 32]), token_id(Some(bob), [3; 32])), (None, Some(3)));
        assert_eq!(cache.inner.lock().tokens, 1);
    }
}
