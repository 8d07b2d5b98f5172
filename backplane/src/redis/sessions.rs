//! Owners and records of sessions on Redis: a hash for each session.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use model::limits::{REGISTRY_BATCH_MAX, REGISTRY_ENTRY_MS};
use redis_link::{Key, Link, Script};

use crate::port::Unavailable;
use crate::registry::PodName;
use crate::sessions::{OwnedSession, Owner, Parked, Record, SessionEntry, Sessions, Taken};

/// See the module.
pub struct RedisSessions {
    link: Link,
    entry_ms: u64,
}

/// A later owner, as the scripts answer it; nothing where the caller's epoch holds.
type Later = Option<(String, u64)>;

impl RedisSessions {
    pub fn new(link: Link) -> Self {
        Self::with_entry_ms(link, REGISTRY_ENTRY_MS)
    }

    /// The same with another lifetime of entries.
    pub fn with_entry_ms(link: Link, entry_ms: u64) -> Self {
        Self { link, entry_ms }
    }

    fn key(&self, session: &str) -> Key {
        self.link.key("session", session)
    }
}

#[async_trait]
impl Sessions for RedisSessions {
    async fn take(&self, session: &str, pod: &PodName, from_epoch: u64) -> Result<Taken, Unavailable> {
        let call = OWN.on([&self.key(session)]).arg(from_epoch).arg(from_epoch + 1);
        let later: Later = self.link.run(call.arg(pod.as_str()).arg(self.entry_ms)).await?;
        Ok(later.map_or(Taken::Ours(from_epoch + 1), |later| Taken::Held(owner(later))))
    }

    async fn look(&self, session: &str) -> Result<Option<SessionEntry>, Unavailable> {
        let found: (Option<String>, Option<u64>, Option<Vec<u8>>) =
            self.link.run(LOOK.on([&self.key(session)])).await?;
        let (Some(pod), Some(epoch), record) = found else { return Ok(None) };
        Ok(Some(SessionEntry { owner: owner((pod, epoch)), record: record.map(Bytes::from) }))
    }

    async fn renew(
        &self,
        pod: &PodName,
        sessions: &[OwnedSession],
    ) -> Result<Vec<OwnedSession>, Unavailable> {
        let mut lost = Vec::new();
        for sessions in sessions.chunks(REGISTRY_BATCH_MAX) {
            let own = |session: &OwnedSession| {
                let call = OWN.on([&self.key(&session.id)]).arg(session.epoch).arg(session.epoch);
                call.arg(pod.as_str()).arg(self.entry_ms)
            };
            let later: Vec<Later> = self.link.run_all(sessions.iter().map(own).collect()).await?;
            let overtaken = sessions.iter().zip(later).filter(|(_, later)| later.is_some());
            lost.extend(overtaken.map(|(session, _)| session.clone()));
        }
        Ok(lost)
    }

    async fn park(
        &self,
        session: &OwnedSession,
        pod: &PodName,
        record: Record,
        lifetime: Duration,
    ) -> Result<Parked, Unavailable> {
        let call = OWN.on([&self.key(&session.id)]).arg(session.epoch).arg(session.epoch);
        let call = call.arg(pod.as_str()).arg(lifetime.as_millis() as u64).arg(&record.into_bytes()[..]);
        let later: Later = self.link.run(call).await?;
        Ok(later.map_or(Parked::Stored, |later| Parked::Overtaken(owner(later))))
    }

    async fn end(&self, session: &OwnedSession) -> Result<(), Unavailable> {
        Ok(self.link.run(END.on([&self.key(&session.id)]).arg(session.epoch)).await?)
    }
}

fn owner((pod, epoch): (String, u64)) -> Owner {
    Owner { pod: PodName::new(pod), epoch }
}

/// ARGV: the epoch that the caller knows, the one that it then owns, pod, lifetime, and a record if there is one. Answers
/// the owner of a later epoch, or nothing and has done it. Epochs are compared as numbers; Lua's are exact up to 2^53.
static OWN: Script = Script::new(
    "local held = redis.call('HMGET', KEYS[1], 'pod', 'epoch')
if held[2] and tonumber(held[2]) > tonumber(ARGV[1]) then
  return { held[1], tonumber(held[2]) }
end
redis.call('HSET', KEYS[1], 'pod', ARGV[3], 'epoch', ARGV[2])
if ARGV[5] then
  redis.call('HSET', KEYS[1], 'record', ARGV[5])
end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[4]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
return nil",
);

static LOOK: Script = Script::new("return redis.call('HMGET', KEYS[1], 'pod', 'epoch', 'record')");

/// ARGV: the epoch in which it ended.
static END: Script = Script::new(
    "local epoch = redis.call('HGET', KEYS[1], 'epoch')
if epoch and tonumber(epoch) > tonumber(ARGV[1]) then
  return 0
end
return redis.call('DEL', KEYS[1])",
);
