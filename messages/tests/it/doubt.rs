//! A store that wrote and could not say so: nobody is told that nothing happened, and it finds out later, or the next start
//! does. It can also be one that many write to, in which something is found late.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use async_trait::async_trait;
use doubles::until;
use messages::store::{Changes, MessageStore, NewMessage, Page, StoreError};
use model::emoji::Emoji;
use model::{ChannelId, EventKind, Message, MessageId, UserId};
use parking_lot::Mutex;
use proto::FailureKind;
use storage::{Epoch, Lease, Marker, OutboxStore, Pass, Republish, Scope, SlotSet, Unpublished, Watermark};

use crate::rig::{Rig, with_nonce};
use crate::world::FIRST;

/// The embedded store, whose writes are all made, and confirmed as long as it is sure of itself.
pub struct Doubtful {
    inner: Arc<dyn MessageStore>,
    doubts: AtomicBool,
    scope: Scope,
    late: Mutex<Vec<Marker>>,
    marks: Mutex<Vec<Watermark>>,
}

impl Doubtful {
    pub fn new(inner: Arc<dyn MessageStore>) -> Arc<Self> {
        Self::of(inner, Scope::Set)
    }

    /// One that keeps watermarks by slot, as it has other writers.
    pub fn shared(inner: Arc<dyn MessageStore>) -> Arc<Self> {
        Self::of(inner, Scope::Slot)
    }

    fn of(inner: Arc<dyn MessageStore>, scope: Scope) -> Arc<Self> {
        let (late, marks) = (Mutex::default(), Mutex::default());
        Arc::new(Self { inner, doubts: AtomicBool::new(false), scope, late, marks })
    }

    /// What late sweeps find.
    pub fn find_late(&self, marker: Marker) {
        self.late.lock().push(marker);
    }

    /// The watermarks of slots that were written.
    pub fn marks(&self) -> Vec<Watermark> {
        self.marks.lock().clone()
    }

    /// Writes are made from now on and not confirmed, or confirmed again.
    pub fn set_doubts(&self, doubts: bool) {
        self.doubts.store(doubts, SeqCst);
    }

    fn confirm(&self, written: Result<(), StoreError>) -> Result<(), StoreError> {
        if self.doubts.load(SeqCst) { Err(StoreError::Unknown) } else { written }
    }
}

#[async_trait]
impl MessageStore for Doubtful {
    async fn get(&self, channel: ChannelId, id: MessageId) -> Result<Option<Message>, StoreError> {
        self.inner.get(channel, id).await
    }

    async fn list(&self, channel: ChannelId, page: Page, limit: usize) -> Result<Vec<Message>, StoreError> {
        self.inner.list(channel, page, limit).await
    }

    async fn last_ids(&self, channels: &[ChannelId]) -> Result<Vec<Option<MessageId>>, StoreError> {
        self.inner.last_ids(channels).await
    }

    async fn last_sent(&self, channel: ChannelId, user: UserId) -> Result<Option<MessageId>, StoreError> {
        self.inner.last_sent(channel, user).await
    }

    async fn reacted(
        &self,
        channel: ChannelId,
        message: MessageId,
        user: UserId,
        emoji: &[Emoji],
    ) -> Result<Vec<Emoji>, StoreError> {
        self.inner.reacted(channel, message, user, emoji).await
    }

    async fn reactors(
        &self,
        channel: ChannelId,
        message: MessageId,
        emoji: &Emoji,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<UserId>, StoreError> {
        self.inner.reactors(channel, message, emoji, after, limit).await
    }

    async fn create(&self, new: &NewMessage) -> Result<(), StoreError> {
        self.confirm(self.inner.create(new).await)
    }

    async fn change(&self, changes: &Changes) -> Result<(), StoreError> {
        self.confirm(self.inner.change(changes).await)
    }

    async fn sweep(
        &self,
        leases: &[Lease],
        pass: Pass,
        republish: &mut dyn Republish,
    ) -> Result<(), StoreError> {
        if pass == Pass::First {
            return self.inner.sweep(leases, pass, republish).await;
        }
        let late = self.late.lock().clone();
        for marker in late {
            let found = Unpublished::Marker { marker, published_ms: 0 };
            republish.too_late(found).await.map_err(StoreError::Unavailable)?;
        }
        Ok(())
    }
}

#[async_trait]
impl OutboxStore for Doubtful {
    type Error = StoreError;

    fn scope(&self) -> Scope {
        self.scope
    }

    async fn put_watermark(&self, watermark: Watermark) -> Result<(), StoreError> {
        if self.scope == Scope::Slot {
            self.marks.lock().push(watermark);
            return Ok(());
        }
        self.inner.put_watermark(watermark).await
    }

    async fn prune(&self, set: SlotSet, mine: Epoch, now_ms: u64) -> Result<bool, StoreError> {
        self.inner.prune(set, mine, now_ms).await
    }
}

/// It is written again until that is certain, and published then; what comes after it waits.
#[tokio::test]
async fn a_send_in_doubt_is_sent_as_soon_as_the_store_is_sure_again() {
    let mut rig = Rig::new(1).await;
    let store = rig.on_doubtful_store().await;
    store.set_doubts(true);
    let failure = rig.create(with_nonce(FIRST, "hello", "n1")).await.unwrap_err();
    assert!(failure.message.contains("outcome unknown"), "{failure}");
    assert!(rig.stored_events().await.is_empty(), "what may not be stored is not published");
    store.set_doubts(false);
    until("it is published", async || (rig.messages.ids_in_flight() == 0).then_some(())).await;
    let other = rig.create(with_nonce(FIRST, "other", "n2")).await.unwrap();
    let found = rig.create(with_nonce(FIRST, "hello", "n1")).await.unwrap();
    assert!(found.repeated && found.message_id < other.message_id);
    let told: Vec<_> = rig.stored_events().await.iter().map(|event| event.event_id).collect();
    assert_eq!(told, [found.message_id, other.message_id]);
}

#[tokio::test]
async fn a_send_that_nobody_knows_of_is_found_by_the_next_start_and_sent_once() {
    let mut rig = Rig::new(1).await;
    let store = rig.on_doubtful_store().await;
    store.set_doubts(true);
    let failure = rig.create(with_nonce(FIRST, "hello", "n1")).await.unwrap_err();
    assert!(failure.message.contains("outcome unknown"), "{failure}");
    assert_eq!(rig.messages.ids_in_flight(), 1, "its id stays open for the next owner");

    rig.crash().await;
    let told = rig.stored_events().await;
    let found = rig.create(with_nonce(FIRST, "hello", "n1")).await.unwrap();
    assert!(found.repeated);
    assert_eq!(told.iter().map(|event| event.event_id).collect::<Vec<_>>(), [found.message_id]);
}

#[tokio::test]
async fn a_deletion_that_nobody_knows_of_holds_the_nonce_until_it_is_known() {
    let mut rig = Rig::new(1).await;
    let store = rig.on_doubtful_store().await;
    let first = rig.create(with_nonce(FIRST, "hello", "n1")).await.unwrap();
    store.set_doubts(true);
    let failure = rig.delete(FIRST, &[first.message_id], false).await.unwrap_err();
    assert!(failure.message.contains("outcome unknown"), "{failure}");
    let failure = rig.create(with_nonce(FIRST, "hello", "n1")).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unavailable, "neither the old one nor a new one: {failure}");
    assert_eq!(rig.stored_events().await.len(), 1);

    store.set_doubts(false);
    until("it is published", async || (rig.messages.ids_in_flight() == 0).then_some(())).await;
    let kinds: Vec<_> = rig.stored_events().await.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::MessageCreate, EventKind::MessageDelete]);
    let second = rig.create(with_nonce(FIRST, "hello", "n1")).await.unwrap();
    assert!(!second.repeated && second.message_id > first.message_id);
}
