//! The registry of owners as one pod reaches it: slow, away, or with answers that get lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use backplane::{
    InMemorySessions, OwnedSession, Parked, PodName, Record, SessionEntry, Sessions, Taken, Unavailable,
};

use super::super::fakes::mix;
use super::marks::Marks;
use crate::parcel::Parcel;

/// See the module.
pub struct Owners {
    registry: Arc<InMemorySessions>,
    marks: Arc<Marks>,
    seed: u64,
    calls: AtomicU64,
    /// How long a call takes at most.
    delay_ms: AtomicU64,
    is_away: AtomicBool,
    /// The answers of so many calls that change something are lost.
    losing: AtomicU64,
}

impl Owners {
    pub fn new(registry: Arc<InMemorySessions>, marks: Arc<Marks>, seed: u64) -> Arc<Self> {
        Arc::new(Self {
            registry,
            marks,
            seed,
            calls: AtomicU64::new(0),
            delay_ms: AtomicU64::new(3),
            is_away: AtomicBool::new(false),
            losing: AtomicU64::new(0),
        })
    }

    pub fn set_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::SeqCst);
    }

    pub fn is_away(&self) -> bool {
        self.is_away.load(Ordering::SeqCst)
    }

    pub fn set_delay(&self, ms_max: u64) {
        self.delay_ms.store(ms_max, Ordering::SeqCst);
    }

    pub fn lose_answers(&self, count: u64) {
        self.losing.store(count, Ordering::SeqCst);
    }

    async fn reach(&self) -> Result<&InMemorySessions, Unavailable> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let bound = self.delay_ms.load(Ordering::SeqCst) + 1;
        let ms = mix(self.seed ^ mix(call)) % bound;
        if ms > 0 {
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
        if self.is_away() { Err(Unavailable("away".into())) } else { Ok(&self.registry) }
    }

    fn answer<T>(&self, answer: T) -> Result<T, Unavailable> {
        let loses = self.losing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if loses.is_ok() { Err(Unavailable("the answer is lost".into())) } else { Ok(answer) }
    }
}

#[async_trait]
impl Sessions for Owners {
    async fn take(&self, session: &str, pod: &PodName, from_epoch: u64) -> Result<Taken, Unavailable> {
        self.marks.hides(session);
        let taken = self.reach().await?.take(session, pod, from_epoch).await?;
        self.marks.is_known(session);
        self.answer(taken)
    }

    async fn look(&self, session: &str) -> Result<Option<SessionEntry>, Unavailable> {
        self.reach().await?.look(session).await
    }

    async fn renew(
        &self,
        pod: &PodName,
        sessions: &[OwnedSession],
    ) -> Result<Vec<OwnedSession>, Unavailable> {
        let mut sessions = sessions.to_vec();
        sessions.sort();
        let lost = self.reach().await?.renew(pod, &sessions).await?;
        let kept = sessions.iter().filter(|session| !lost.contains(session));
        kept.for_each(|session| self.marks.is_known(&session.id));
        self.answer(lost)
    }

    async fn park(
        &self,
        session: &OwnedSession,
        pod: &PodName,
        record: Record,
        lifetime: Duration,
    ) -> Result<Parked, Unavailable> {
        // A checkpoint has no entries.
        let left = Parcel::decode(record.clone().into_bytes());
        let is_whole = left.is_ok_and(|parcel| parcel.entries.is_some());
        let parked = self.reach().await?.park(session, pod, record, lifetime).await?;
        if parked == Parked::Stored && is_whole {
            self.marks.recorded(&session.id);
        }
        self.answer(parked)
    }

    async fn end(&self, session: &OwnedSession) -> Result<(), Unavailable> {
        self.reach().await?.end(session).await
    }
}
