//! What every store of messages has to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

use async_trait::async_trait;
use messages::store::{Changes, MessageStore, NewMessage, Page, RowChange, StoreError};
use model::emoji::Emoji;
use model::limits::SLOTS_PER_SET;
use model::message::{Nonce, ReactionCount, TYPE_DEFAULT};
use model::{ChannelId, GuildId, Message, MessageId, Subject, UserId, snowflake};
use storage::{
    Epoch, Lease, OutboxEvent, Pass, Republish, RepublishError, Slot, SlotSet, Unpublished, Watermark,
};

use super::backplane::fresh;

/// Makes one test of each property; the maker is an `async fn() -> Option<Arc<dyn MessageStore>>` of a store whose
/// clock says about [`NOW_MS`](crate::conformance::messages::NOW_MS).
#[macro_export]
macro_rules! messages_conformance {
    ($maker:path) => {
        $crate::conformance_tests_where_possible! { $maker, [$crate::conformance::messages]
            pages_are_those_of_a_sorted_list
            a_message_is_what_was_written_last
            reactions_are_kept_by_emoji_and_user
            the_newest_message_is_that_of_all_times
            the_last_message_of_a_sender_is_kept_where_asked_for
            what_an_earlier_owner_left_is_swept
            what_is_published_is_not_swept
        }
    };
}

/// The time in these tests.
pub const NOW_MS: u64 = 1_790_000_000_000;

const DAY_MS: u64 = 86_400_000;
const MARK: Mark = Mark(true);

/// Whether a new message gets a marker.
#[derive(Clone, Copy)]
struct Mark(bool);

/// The slot of the next test's channel: what is swept of one belongs to nobody else.
static SLOT: AtomicU16 = AtomicU16::new(0);

/// One channel of a store.
struct Channel {
    store: Arc<dyn MessageStore>,
    id: ChannelId,
    lease: Lease,
}

fn channel(store: &Arc<dyn MessageStore>) -> Channel {
    let slot = Slot::new(SLOT.fetch_add(1, Relaxed) % SLOTS_PER_SET).expect("below 1,024");
    let mut ids = std::iter::repeat_with(fresh).filter(|id| Slot::of(*id) == slot);
    let id = ids.next().and_then(ChannelId::new).expect("endless");
    let lease = Lease { set: SlotSet::Channels, slot, epoch: Epoch(1) };
    Channel { store: store.clone(), id, lease }
}

fn user(id: u64) -> UserId {
    UserId::new(id).expect("above zero")
}

fn message_id(id: u64) -> MessageId {
    MessageId::new(id).expect("above zero")
}

fn emoji(text: &str) -> Emoji {
    text.parse().expect("an emoji")
}

impl Channel {
    fn message(&self, id: u64) -> Message {
        Message {
            id: message_id(id),
            channel_id: self.id,
            guild_id: GuildId::new(5),
            author_id: user(1),
            kind: TYPE_DEFAULT,
            content: format!("{}/{id}", self.id),
            edited_at: None,
            tts: false,
            mention_everyone: false,
            mentions: vec![user(3)],
            mention_roles: vec![],
            embeds_json: String::new(),
            components_json: String::new(),
            flags: 0,
            pinned: false,
            nonce: None,
            reference: None,
            reactions: vec![],
        }
    }

    async fn create(&self, id: u64, Mark(mark): Mark) {
        let new = NewMessage { lease: self.lease, message: self.message(id), mark, keep_sender: false };
        self.store.create(&new).await.expect("it is stored");
    }

    async fn change(&self, rows: Vec<RowChange>) {
        self.change_with(rows, vec![]).await.expect("it is stored");
    }

    async fn change_with(
        &self,
        rows: Vec<RowChange>,
        events: Vec<(u64, Vec<OutboxEvent>)>,
    ) -> Result<(), StoreError> {
        self.store.change(&Changes { lease: self.lease, channel: self.id, rows, events }).await
    }

    async fn ids(&self, page: Page, limit: usize) -> Vec<u64> {
        let messages = self.store.list(self.id, page, limit).await.expect("an answer");
        assert!(messages.iter().all(|message| *message == self.message(message.id.get())));
        messages.iter().map(|message| message.id.get()).collect()
    }

    async fn last(&self) -> Option<MessageId> {
        self.store.last_ids(&[self.id]).await.expect("an answer")[0]
    }
}

/// What a page shows of the ids, which ascend, newest first.
fn expected(ids: &[u64], page: Page, limit: usize) -> Vec<u64> {
    let older = |id: u64, limit| ids.iter().rev().filter(move |one| **one < id).take(limit);
    let newer = |id: u64, limit| ids.iter().filter(move |one| **one > id).take(limit);
    let mut shown: Vec<u64> = match page {
        Page::Newest => older(u64::MAX, limit).copied().collect(),
        Page::Before(id) => older(id.get(), limit).copied().collect(),
        Page::After(id) => newer(id.get(), limit).copied().collect(),
        Page::Around(id) => {
            newer(id.get(), limit / 2).chain(older(id.get() + 1, limit - limit / 2)).copied().collect()
        }
    };
    shown.sort_unstable_by(|one, other| other.cmp(one));
    shown
}

pub async fn pages_are_those_of_a_sorted_list(store: Arc<dyn MessageStore>) {
    let (one, other) = (channel(&store), channel(&store));
    // Years of silence, then some days with several messages, two of one millisecond, and the turn of ten days.
    let days = [0, 1, 3, 9, 10, 11, 400, 1_200, 1_201, 1_201, 1_300];
    let at = |day: u64| snowflake::lowest_at(NOW_MS - 1_300 * DAY_MS + day * DAY_MS);
    let mut ids: Vec<u64> = days.iter().zip(0..).map(|(day, step)| at(*day) + step).collect();
    ids.extend((0..40).map(|bucket| at(20 + 10 * bucket) + 77));
    ids.sort_unstable();
    for id in &ids {
        one.create(*id, MARK).await;
    }
    other.create(at(2), MARK).await;
    let removed = [ids[3], ids[30]];
    one.change(removed.map(|id| RowChange::Delete(message_id(id))).into()).await;
    ids.retain(|id| !removed.contains(id));
    for limit in [1, 2, 7, 50, 100] {
        assert_eq!(one.ids(Page::Newest, limit).await, expected(&ids, Page::Newest, limit));
        for id in [ids[0] - 1, ids[0], ids[5] + 1, ids[20], removed[1], ids[ids.len() - 1], u64::MAX - 1] {
            for page in [Page::Before, Page::After, Page::Around].map(|page| page(message_id(id))) {
                assert_eq!(one.ids(page, limit).await, expected(&ids, page, limit), "{page:?} of {limit}");
            }
        }
    }
    assert_eq!(other.ids(Page::Newest, 10).await, [at(2)]);
    assert_eq!(channel(&store).ids(Page::Newest, 10).await, [0; 0]);
}

pub async fn a_message_is_what_was_written_last(store: Arc<dyn MessageStore>) {
    let channel = channel(&store);
    let id = snowflake::lowest_at(NOW_MS);
    let get = async || store.get(channel.id, message_id(id)).await.expect("an answer");
    assert_eq!(get().await, None);
    channel.create(id, MARK).await;
    channel.create(id, MARK).await;
    assert_eq!(get().await, Some(channel.message(id)), "written twice as once");
    assert_eq!(store.get(channel.id, message_id(id + 1)).await.expect("an answer"), None);
    let mut edited = channel.message(id);
    edited.content = "edited".into();
    edited.nonce = Some(Nonce::Text("n".into()));
    channel.change(vec![RowChange::Put(Box::new(edited.clone()))]).await;
    assert_eq!(get().await, Some(edited.clone()));
    // Whichever bytes sort first.
    for texts in [["b", "a"], ["a", "b"]] {
        let put = |text: &str| RowChange::Put(Box::new(Message { content: text.into(), ..edited.clone() }));
        channel.change(texts.map(put).into()).await;
        assert_eq!(get().await.map(|message| message.content).as_deref(), Some(texts[1]));
    }
    channel.change(vec![RowChange::Delete(message_id(id))]).await;
    channel.change(vec![RowChange::Delete(message_id(id))]).await;
    assert_eq!(get().await, None);
}

pub async fn reactions_are_kept_by_emoji_and_user(store: Arc<dyn MessageStore>) {
    let channel = channel(&store);
    let id = message_id(snowflake::lowest_at(NOW_MS));
    let (thumb, dark, custom) = (emoji("👍"), emoji("👍🏽"), emoji("blob:7"));
    let add =
        |emoji: &Emoji, of| RowChange::AddReaction { message: id, emoji: emoji.clone(), user: user(of) };
    let mut message = channel.message(id.get());
    message.reactions = vec![ReactionCount { emoji: thumb.clone(), count: 5 }];
    channel.change(vec![RowChange::Put(Box::new(message))]).await;
    channel.change((1..=5).map(|of| add(&thumb, of)).collect()).await;
    channel.change(vec![add(&dark, 2), add(&custom, 2), add(&custom, 9), add(&thumb, 5)]).await;

    let reactors = async |emoji: &Emoji, after: Option<u64>, limit| -> Vec<u64> {
        let found = store.reactors(channel.id, id, emoji, after.map(user), limit).await.expect("an answer");
        found.into_iter().map(|user| user.get()).collect()
    };
    let reacted =
        async |of, emoji: &[Emoji]| store.reacted(channel.id, id, user(of), emoji).await.expect("an answer");
    assert_eq!(reactors(&thumb, None, 100).await, [1, 2, 3, 4, 5]);
    assert_eq!(reactors(&thumb, Some(2), 2).await, [3, 4]);
    assert_eq!(reactors(&custom, None, 100).await, [2, 9]);
    assert_eq!(
        reacted(2, &[custom.clone(), thumb.clone(), dark.clone()]).await,
        [custom.clone(), thumb.clone(), dark.clone()]
    );
    assert_eq!(reacted(9, &[custom.clone(), thumb.clone()]).await, std::slice::from_ref(&custom));
    assert_eq!(reacted(9, &[]).await, []);

    channel
        .change(vec![RowChange::RemoveReaction { message: id, emoji: thumb.clone(), user: user(3) }])
        .await;
    assert_eq!(reactors(&thumb, None, 100).await, [1, 2, 4, 5]);
    channel.change(vec![RowChange::ClearReactions { message: id, emoji: Some(thumb.clone()) }]).await;
    assert_eq!((reactors(&thumb, None, 100).await, reactors(&dark, None, 100).await), (vec![], vec![2]));
    let remove = |of| RowChange::RemoveReaction { message: id, emoji: thumb.clone(), user: user(of) };
    channel.change(vec![add(&thumb, 8), remove(8), add(&thumb, 7), add(&thumb, 8), remove(7)]).await;
    assert_eq!(reactors(&thumb, None, 100).await, [8]);
    channel.change(vec![RowChange::ClearReactions { message: id, emoji: None }]).await;
    assert_eq!(reacted(2, &[dark.clone(), custom.clone()]).await, []);
    channel.change(vec![add(&dark, 4)]).await;
    channel.change(vec![RowChange::Delete(id)]).await;
    assert_eq!(reactors(&dark, None, 100).await, [0; 0], "they go with their message");
}

pub async fn the_newest_message_is_that_of_all_times(store: Arc<dyn MessageStore>) {
    let (one, other, empty) = (channel(&store), channel(&store), channel(&store));
    let id = snowflake::lowest_at(NOW_MS);
    for step in [0, 5, 3] {
        one.create(id + step, MARK).await;
    }
    other.create(id + 1, MARK).await;
    one.change(vec![RowChange::Delete(message_id(id + 5))]).await;
    let lasts = async || {
        let asked = [other.id, empty.id, one.id];
        let lasts = store.last_ids(&asked).await.expect("an answer");
        lasts.into_iter().map(|last| last.map(MessageId::get)).collect::<Vec<_>>()
    };
    assert_eq!(lasts().await, [Some(id + 1), None, Some(id + 5)]);
    let Lease { set, slot, epoch } = one.lease;
    let slot = (store.scope() == storage::Scope::Slot).then_some(slot);
    store.put_watermark(Watermark { set, slot, epoch, published_ms: NOW_MS }).await.expect("it is stored");
    assert_eq!(lasts().await, [Some(id + 1), None, Some(id + 5)]);
    one.create(id + 9, MARK).await;
    assert_eq!(lasts().await, [Some(id + 1), None, Some(id + 9)]);
}

pub async fn the_last_message_of_a_sender_is_kept_where_asked_for(store: Arc<dyn MessageStore>) {
    let channel = channel(&store);
    let id = snowflake::lowest_at(NOW_MS);
    let sent = async |of| store.last_sent(channel.id, user(of)).await.expect("an answer");
    for (step, keep_sender) in [(0, true), (1, true), (2, false)] {
        let message = channel.message(id + step);
        let new = NewMessage { lease: channel.lease, message, mark: false, keep_sender };
        store.create(&new).await.expect("it is stored");
    }
    assert_eq!((sent(1).await, sent(2).await), (Some(message_id(id + 1)), None));
}

/// What a sweep finds, by ids.
#[derive(Default)]
struct Found(Vec<String>);

#[async_trait]
impl Republish for Found {
    async fn republish(&mut self, unpublished: Unpublished) -> Result<(), RepublishError> {
        self.0.push(match unpublished {
            Unpublished::Marker { marker, .. } => format!("channel {}", marker.channel),
            Unpublished::Row(row) => {
                let ids: Vec<u64> = row.events.iter().map(|event| event.event_id).collect();
                format!("events {ids:?} of {}", row.id)
            }
        });
        Ok(())
    }

    async fn too_late(&mut self, _: Unpublished) -> Result<(), RepublishError> {
        Ok(())
    }
}

async fn swept(store: &Arc<dyn MessageStore>, lease: Lease, pass: Pass) -> Vec<String> {
    let mut found = Found::default();
    store.sweep(&[lease], pass, &mut found).await.expect("nothing fails");
    found.0
}

fn event(event_id: u64) -> OutboxEvent {
    let subject = Subject::Guild(GuildId::new(5).expect("above zero"));
    OutboxEvent { subject, event_id, envelope: b"envelope".as_slice().into() }
}

pub async fn what_an_earlier_owner_left_is_swept(store: Arc<dyn MessageStore>) {
    let channel = channel(&store);
    let id = snowflake::lowest_at(NOW_MS);
    channel.create(id, MARK).await;
    channel.create(id + 1, Mark(false)).await;
    let edited = channel.message(id);
    let rows = vec![RowChange::Put(Box::new(edited)), RowChange::Delete(message_id(id + 1))];
    let events = vec![(id + 2, vec![event(id + 2)]), (id + 3, vec![event(id + 3), event(id + 4)])];
    channel.change_with(rows, events).await.expect("it is stored");
    let next = Lease { epoch: Epoch(2), ..channel.lease };
    let left = [
        format!("channel {}", channel.id),
        format!("events [{}] of {}", id + 2, id + 2),
        format!("events [{}, {}] of {}", id + 3, id + 4, id + 3),
    ];
    assert_eq!(swept(&store, next, Pass::First).await, left);
    assert_eq!(channel.last().await, Some(message_id(id + 1)));
    assert_eq!(swept(&store, next, Pass::Late).await, [""; 0]);
    let third = Lease { epoch: Epoch(3), ..channel.lease };
    assert_eq!(swept(&store, third, Pass::First).await, [""; 0]);
}

pub async fn what_is_published_is_not_swept(store: Arc<dyn MessageStore>) {
    let channel = channel(&store);
    let later_ms = NOW_MS + 30_000;
    channel.create(snowflake::lowest_at(NOW_MS), MARK).await;
    channel.create(snowflake::lowest_at(later_ms), MARK).await;
    let Lease { set, slot, epoch } = channel.lease;
    let slot = (store.scope() == storage::Scope::Slot).then_some(slot);
    let watermark = Watermark { set, slot, epoch, published_ms: later_ms };
    store.put_watermark(watermark).await.expect("it is stored");
    let next = Lease { epoch: Epoch(2), ..channel.lease };
    assert_eq!(swept(&store, next, Pass::First).await, [format!("channel {}", channel.id)]);
}
