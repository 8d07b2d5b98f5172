//! Which pods hold sessions of a user, on Redis: a sorted set of pods by deadline for each user.

use async_trait::async_trait;
use model::UserId;
use model::limits::{REGISTRY_BATCH_MAX, REGISTRY_ENTRY_MS};
use redis_link::{Call, Key, Link, Script};

use crate::port::Unavailable;
use crate::registry::{PodName, Registry};
use crate::subject::spread;

/// See the module.
pub struct RedisRegistry {
    link: Link,
    entry_ms: u64,
}

impl RedisRegistry {
    pub fn new(link: Link) -> Self {
        Self::with_entry_ms(link, REGISTRY_ENTRY_MS)
    }

    /// The same with another lifetime of entries.
    pub fn with_entry_ms(link: Link, entry_ms: u64) -> Self {
        Self { link, entry_ms }
    }

    fn key(&self, user: UserId) -> Key {
        self.link.key("users", spread(user.get()) % BUCKETS).with(user)
    }

    /// One call for each bucket that has any of the users.
    fn calls(&self, pod: &PodName, users: &[UserId]) -> (Vec<Call>, Vec<Vec<UserId>>) {
        let mut buckets: Vec<Vec<UserId>> = vec![Vec::new(); BUCKETS as usize];
        for user in users {
            buckets[(spread(user.get()) % BUCKETS) as usize].push(*user);
        }
        buckets.retain(|users| !users.is_empty());
        let call = |users: &Vec<UserId>| {
            let keys: Vec<Key> = users.iter().map(|user| self.key(*user)).collect();
            REGISTER.on(&keys).arg(pod.as_str()).arg(self.entry_ms)
        };
        (buckets.iter().map(call).collect(), buckets)
    }
}

#[async_trait]
impl Registry for RedisRegistry {
    async fn register(&self, pod: &PodName, users: &[UserId]) -> Result<Vec<UserId>, Unavailable> {
        let mut missing = Vec::new();
        for users in users.chunks(REGISTRY_BATCH_MAX) {
            let (calls, buckets) = self.calls(pod, users);
            let answers: Vec<Vec<usize>> = self.link.run_all(calls).await?;
            for (users, places) in buckets.iter().zip(answers) {
                missing.extend(places.into_iter().filter_map(|place| users.get(place)).copied());
            }
        }
        Ok(missing)
    }

    async fn unregister(&self, pod: &PodName, user: UserId) -> Result<(), Unavailable> {
        Ok(self.link.run(UNREGISTER.on([&self.key(user)]).arg(pod.as_str())).await?)
    }

    async fn pods(&self, users: &[UserId]) -> Result<Vec<Vec<PodName>>, Unavailable> {
        let mut found = Vec::with_capacity(users.len());
        for users in users.chunks(REGISTRY_BATCH_MAX) {
            let calls = users.iter().map(|user| PODS.on([&self.key(*user)])).collect();
            let pods: Vec<Vec<String>> = self.link.run_all(calls).await?;
            found.extend(pods.into_iter().map(|pods| pods.into_iter().map(PodName::new).collect()));
        }
        Ok(found)
    }
}

/// So many slots of a cluster have users.
const BUCKETS: u64 = 64;

/// ARGV: pod, lifetime. Answers the places of those keys where the pod was not. An entry that has expired is as good as
/// none, so it is removed before the pod is added.
static REGISTER: Script = Script::new(
    "local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local missing = {}
for place, key in ipairs(KEYS) do
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
  if redis.call('ZADD', key, now + ARGV[2], ARGV[1]) == 1 then
    missing[#missing + 1] = place - 1
  end
  redis.call('PEXPIRE', key, ARGV[2])
end
return missing",
);

/// ARGV: pod.
static UNREGISTER: Script = Script::new("return redis.call('ZREM', KEYS[1], ARGV[1])");

static PODS: Script = Script::new(
    "local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')",
);
