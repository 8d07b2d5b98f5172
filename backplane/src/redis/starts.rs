//! Starts of bots on Redis: two numbers that expire with their windows.

use async_trait::async_trait;
use model::UserId;
use model::limits::{IDENTIFY_DAY_MS, IDENTIFY_WINDOW_MS};
use redis_link::{Key, Link, Script};

use crate::port::Unavailable;
use crate::starts::{Lane, StartCount, Starts};

/// See the module.
pub struct RedisStarts {
    link: Link,
    day_ms: u64,
    lane_ms: u64,
}

impl RedisStarts {
    pub fn new(link: Link) -> Self {
        Self::with_windows_ms(link, IDENTIFY_DAY_MS, IDENTIFY_WINDOW_MS)
    }

    /// The same with other lengths of a day and of the window of a lane.
    pub fn with_windows_ms(link: Link, day_ms: u64, lane_ms: u64) -> Self {
        Self { link, day_ms, lane_ms }
    }

    fn day(&self, bot: UserId) -> Key {
        self.link.key("starts", bot)
    }
}

#[async_trait]
impl Starts for RedisStarts {
    async fn begin(&self, bot: UserId, lane: Lane) -> Result<Option<StartCount>, Unavailable> {
        let keys = [&self.day(bot), &self.day(bot).with(lane.key)];
        let call = BEGIN.on(keys).arg(self.day_ms).arg(self.lane_ms).arg(lane.allowed.max(1));
        let (count, reset_after_ms): (u32, u64) = self.link.run(call).await?;
        Ok((count > 0).then_some(StartCount { count, reset_after_ms }))
    }

    async fn count(&self, bot: UserId) -> Result<StartCount, Unavailable> {
        let (count, reset_after_ms) = self.link.run(COUNT.on([&self.day(bot)]).arg(self.day_ms)).await?;
        Ok(StartCount { count, reset_after_ms })
    }
}

/// KEYS: the bot's day, its lane. ARGV: lengths of both, how many the lane allows. Answers the count, 0 when it is too soon,
/// and what is left of the day.
static BEGIN: Script = Script::new(
    "local function left(key) return math.max(redis.call('PTTL', key), 0) end
if tonumber(redis.call('GET', KEYS[2]) or 0) >= tonumber(ARGV[3]) then
  return {0, left(KEYS[1])}
end
if redis.call('INCR', KEYS[2]) == 1 then
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
end
local count = redis.call('INCR', KEYS[1])
if count == 1 then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
return {count, left(KEYS[1])}",
);

/// KEYS: the bot's day. ARGV: its length.
static COUNT: Script = Script::new(
    "local count = redis.call('GET', KEYS[1])
if not count then
  return {0, tonumber(ARGV[1])}
end
return {tonumber(count), math.max(redis.call('PTTL', KEYS[1]), 0)}",
);
