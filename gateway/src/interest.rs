//! Which shards want the events of a guild or a user. Written by shards, read by the intake for each event; the guilds
//! that any shard wants are what the backplane is listened to for.

use std::hash::Hash;
use std::sync::Arc;

use backplane::{OpenGuilds, Unavailable};
use model::{GuildId, UserId};
use parking_lot::RwLock;
use rustc_hash::FxHashMap;

/// A set of shards of this pod.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ShardSet(u64);

impl ShardSet {
    pub(crate) fn iter(self) -> impl Iterator<Item = usize> {
        (0..64).filter(move |shard| self.0 & (1 << shard) != 0)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Interest {
    /// None where everything is listened to anyway.
    open: Option<Arc<OpenGuilds>>,
    guilds: Map<GuildId>,
    users: Map<UserId>,
}

impl Interest {
    pub(crate) fn new(open: Option<Arc<OpenGuilds>>) -> Self {
        Self { open, ..Self::default() }
    }

    pub(crate) fn open_guilds(&self) -> Option<&Arc<OpenGuilds>> {
        self.open.as_ref()
    }

    pub(crate) fn add_guild(&self, guild: GuildId, shard: usize) {
        self.guilds.add(guild, shard, || self.open.iter().for_each(|open| open.add(guild)));
    }

    pub(crate) fn remove_guild(&self, guild: GuildId, shard: usize) {
        self.guilds.remove(guild, shard, || self.open.iter().for_each(|open| open.remove(guild)));
    }

    /// Waits until the events of a guild that was added come.
    pub(crate) async fn stands(&self, guild: GuildId) -> Result<(), Unavailable> {
        match &self.open {
            Some(open) => open.stands(guild).await,
            None => Ok(()),
        }
    }

    pub(crate) fn guild(&self, guild: GuildId) -> ShardSet {
        self.guilds.get(guild)
    }

    pub(crate) fn add_user(&self, user: UserId, shard: usize) {
        self.users.add(user, shard, || {});
    }

    /// Answers whether no shard wants the user any more.
    pub(crate) fn remove_user(&self, user: UserId, shard: usize) -> bool {
        self.users.remove(user, shard, || {});
        self.users.get(user).is_empty()
    }

    pub(crate) fn user(&self, user: UserId) -> ShardSet {
        self.users.get(user)
    }

    /// Every user with a session here.
    pub(crate) fn users(&self) -> Vec<UserId> {
        self.users.0.read().keys().copied().collect()
    }
}

#[derive(Debug)]
struct Map<K>(RwLock<FxHashMap<K, u64>>);

impl<K> Default for Map<K> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<K: Hash + Eq + Copy> Map<K> {
    /// Tells, before anybody else changes anything, if it is the first shard.
    fn add(&self, key: K, shard: usize, is_new: impl FnOnce()) {
        let mut map = self.0.write();
        let set = map.entry(key).or_default();
        let was_empty = *set == 0;
        *set |= 1 << shard;
        if was_empty {
            is_new();
        }
    }

    /// Likewise, if it was the last.
    fn remove(&self, key: K, shard: usize, is_gone: impl FnOnce()) {
        let mut map = self.0.write();
        if let Some(set) = map.get_mut(&key) {
            *set &= !(1 << shard);
            if *set == 0 {
                map.remove(&key);
                is_gone();
            }
        }
    }

    fn get(&self, key: K) -> ShardSet {
        ShardSet(self.0.read().get(&key).copied().unwrap_or_default())
    }
}
