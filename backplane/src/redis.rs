//! What pods tell each other about sessions and themselves, on Redis. All of it may be lost at any time: see the ports.
//!
//! | key | type | holds | ends |
//! |---|---|---|---|
//! | `users:{b}:id` | sorted set | the pods that hold sessions of the user, each with its deadline | with the last deadline |
//! | `session:{id}` | hash | `pod`, `epoch`, `record` of a session | when it is neither renewed nor parked |
//! | `deadlines:{gateways}` | sorted set | gateway pods with their deadlines | with the last deadline |
//! | `starts:{bot}` | number | IDENTIFYs of the bot in its day | with the day |
//! | `starts:{bot}:key` | number | IDENTIFYs with this key of `max_concurrency` | after 5 s |
//!
//! Users are divided into [`BUCKETS`](registry), so that one script registers many of them and touches one slot.

mod registry;
mod roster;
mod sessions;
mod starts;

use redis_link::Away;

use crate::port::Unavailable;
pub use registry::RedisRegistry;
pub use roster::RedisRoster;
pub use sessions::RedisSessions;
pub use starts::RedisStarts;

impl From<Away> for Unavailable {
    fn from(away: Away) -> Self {
        Self(away.to_string())
    }
}
