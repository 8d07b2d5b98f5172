//! Members with deadlines: who has said lately that he lives. One sorted set in one key, by the clock of Redis.

use std::time::Duration;

use crate::key::Key;
use crate::link::{Away, Link};
use crate::script::Script;

/// A set of members, each with a deadline.
#[derive(Clone)]
pub struct Deadlines {
    link: Link,
    key: Key,
}

impl Deadlines {
    /// `kind` says whose deadlines they are.
    pub fn new(link: Link, kind: &str) -> Self {
        let key = link.key("deadlines", kind);
        Self { link, key }
    }

    /// The member lives for so long from now on. Answers how many members live.
    pub async fn renew(&self, member: &str, lifetime: Duration) -> Result<u64, Away> {
        self.link.run(RENEW.on([&self.key]).arg(member).arg(lifetime.as_millis() as u64)).await
    }

    /// Those who live, with the time that is left to them.
    pub async fn living(&self) -> Result<Vec<(String, Duration)>, Away> {
        let living: Vec<(String, u64)> = self.link.run(LIVING.on([&self.key])).await?;
        Ok(living.into_iter().map(|(member, left_ms)| (member, Duration::from_millis(left_ms))).collect())
    }
}

/// ARGV: member, lifetime.
static RENEW: Script = Script::new(
    "local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return redis.call('ZCARD', KEYS[1])",
);

static LIVING: Script = Script::new(
    "local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf', 'WITHSCORES')
local living = {}
for i = 1, #found, 2 do
  living[#living + 1] = { found[i], math.floor(found[i + 1] - now) }
end
return living",
);
