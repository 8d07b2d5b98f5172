//! Whose token it is, in memory: every request of every client asks.
//!
//! This process makes and revokes all tokens of its users, so the cache is told of every change. A look into the store
//! may be overtaken by a change: what it found is kept only if nothing was forgotten meanwhile.

use std::collections::HashMap;

use model::UserId;
use model::limits::TOKEN_CACHE_MAX;
use parking_lot::Mutex;
use proto::v1;

use crate::store::TokenHash;

#[derive(Default)]
pub(crate) struct Cache {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    identities: HashMap<TokenHash, v1::Identity>,
    of_user: HashMap<UserId, Vec<TokenHash>>,
    changes: u64,
}

/// What a look into the store begins with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look(u64);

// === impl Cache ===

impl Cache {
    pub(crate) fn get(&self, hash: &TokenHash) -> Result<v1::Identity, Look> {
        let inner = self.inner.lock();
        inner.identities.get(hash).cloned().ok_or(Look(inner.changes))
    }

    pub(crate) fn keep(&self, look: Look, hash: TokenHash, user: UserId, identity: v1::Identity) {
        let mut inner = self.inner.lock();
        if look.0 != inner.changes {
            return;
        }
        if inner.identities.len() >= TOKEN_CACHE_MAX {
            inner.identities.clear();
            inner.of_user.clear();
        }
        if inner.identities.insert(hash, identity).is_none() {
            inner.of_user.entry(user).or_default().push(hash);
        }
    }

    /// The user or one of their tokens has changed.
    pub(crate) fn forget_user(&self, user: UserId) {
        let mut inner = self.inner.lock();
        inner.changes += 1;
        for hash in inner.of_user.remove(&user).unwrap_or_default() {
            inner.identities.remove(&hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_before_a_change_is_not_kept() {
        let cache = Cache::default();
        let user = UserId::new(1).unwrap();
        let look = cache.get(&[1; 32]).unwrap_err();
        cache.forget_user(user);
        cache.keep(look, [1; 32], user, v1::Identity::default());
        let look = cache.get(&[1; 32]).expect_err("a revoked token came back");
        cache.keep(look, [1; 32], user, v1::Identity::default());
        assert!(cache.get(&[1; 32]).is_ok());
        cache.forget_user(user);
        assert!(cache.get(&[1; 32]).is_err());
    }
}
