//! The store against a model.

use std::collections::BTreeMap;
use std::sync::Arc;

use doubles::{Disk, until};
use messages::store::{Changes, EmbeddedStore, MessageStore, NewMessage, Page, RowChange};
use model::message::ReactionCount;
use model::{Message, MessageId, snowflake};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use storage::{
    Engine, EngineOptions, Epoch, IdFloor, Lease, OutboxEvent, OutboxStore, Slot, SlotSet, Watermark,
};

use crate::world::{channel, guild, stored, user};

fn message(channel_id: u64, id: u64) -> Message {
    stored(channel_id, id, &format!("{channel_id}/{id}"))
}

/// What a page shows of the ids, newest first.
fn expected(ids: &[u64], page: Page, limit: usize) -> Vec<u64> {
    let mut shown: Vec<u64> = match page {
        Page::Newest => ids.iter().rev().take(limit).copied().collect(),
        Page::Before(id) => ids.iter().rev().filter(|one| **one < id.get()).take(limit).copied().collect(),
        Page::After(id) => ids.iter().filter(|one| **one > id.get()).take(limit).copied().collect(),
        Page::Around(id) => {
            let newer = ids.iter().filter(|one| **one > id.get()).take(limit / 2);
            let older = ids.iter().rev().filter(|one| **one <= id.get()).take(limit - limit / 2);
            newer.chain(older).copied().collect()
        }
    };
    shown.sort_unstable_by(|one, other| other.cmp(one));
    shown
}

/// Ids that lie in several ten-day buckets, some next to each other.
fn ids() -> impl Strategy<Value = Vec<u64>> {
    let id = (0_u64..60, 0_u64..4)
        .prop_map(|(days, step)| snowflake::lowest_at(1_700_000_000_000 + days * 86_400_000) + step);
    btree_set(id, 1..40).prop_map(|ids| ids.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn pages_are_those_of_a_sorted_list(
        ids in ids(),
        deleted in vec(any::<prop::sample::Index>(), 0..4),
        asked in vec((0_usize..4, any::<prop::sample::Index>(), -1_i64..2, 1_usize..12), 1..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let engine = Engine::open(dir.path(), EngineOptions::default()).unwrap();
            let floor = Arc::new(IdFloor::open(&engine).unwrap());
            let store = EmbeddedStore::open(&engine, floor).unwrap();
            let lease = Lease { set: SlotSet::Channels, slot: Slot::of(5), epoch: Epoch(1) };
            let mut left: BTreeMap<u64, ()> = BTreeMap::new();
            for &id in &ids {
                for channel in [4, 5, 6] {
                    let new = NewMessage { lease, message: message(channel, id), mark: true, keep_sender: false };
                    store.create(&new).await.unwrap();
                }
                left.insert(id, ());
            }
            for index in deleted {
                let id = *index.get(&ids);
                let rows = vec![RowChange::Delete(MessageId::new(id).unwrap())];
                store.change(&Changes { lease, channel: channel(5), rows, events: vec![] }).await.unwrap();
                left.remove(&id);
            }
            let left: Vec<u64> = left.into_keys().collect();
            for (kind, index, offset, limit) in asked {
                let id = MessageId::new(index.get(&ids).saturating_add_signed(offset)).unwrap();
                let page = [Page::Newest, Page::Before(id), Page::After(id), Page::Around(id)][kind];
                let shown = store.list(channel(5), page, limit).await.unwrap();
                assert!(shown.iter().all(|message| message.content == format!("5/{}", message.id)));
                let shown: Vec<u64> = shown.iter().map(|message| message.id.get()).collect();
                assert_eq!(shown, expected(&left, page, limit), "{page:?} of {limit}");
            }
        });
    }
}

#[tokio::test]
async fn a_prune_says_that_there_is_more() {
    const ROWS: u64 = 10_001;
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open(dir.path(), EngineOptions::default()).unwrap();
    let floor = Arc::new(IdFloor::open(&engine).unwrap());
    let store = EmbeddedStore::open(&engine, floor).unwrap();
    let epoch = Epoch(1);
    let lease = Lease { set: SlotSet::Channels, slot: Slot::of(5), epoch };
    let now_ms = 1_700_000_000_000;
    let first = snowflake::lowest_at(now_ms);
    let event = |event_id| OutboxEvent {
        subject: model::Subject::Guild(guild()),
        event_id,
        envelope: b"event".as_slice().into(),
    };
    let events = (first..first + ROWS).map(|id| (id, vec![event(id)])).collect();
    store.change(&Changes { lease, channel: channel(5), rows: vec![], events }).await.unwrap();
    let published_ms = now_ms + 60_000;
    let watermark = Watermark { set: SlotSet::Channels, slot: None, epoch, published_ms };
    store.put_watermark(watermark).await.unwrap();
    let rows = || engine.table("outbox").unwrap().all().count();
    assert_eq!(rows() as u64, ROWS);
    let expired_ms = now_ms + 2 * model::limits::OUTBOX_ROW_MS;
    assert!(store.prune(SlotSet::Channels, epoch, expired_ms).await.unwrap());
    assert_eq!(rows(), 1);
    assert!(!store.prune(SlotSet::Channels, epoch, expired_ms).await.unwrap());
    assert_eq!(rows(), 0);
}

#[tokio::test]
async fn clearing_more_reactions_than_one_batch_takes_leaves_the_right_counts_at_every_moment() {
    const REACTIONS: u64 = 60_000;
    let dir = tempfile::tempdir().unwrap();
    let free = Disk::default();
    let options = EngineOptions { sync_hook: Some(free.hook()), ..EngineOptions::default() };
    let engine = Engine::open(dir.path(), options).unwrap();
    let floor = Arc::new(IdFloor::open(&engine).unwrap());
    let store = Arc::new(EmbeddedStore::open(&engine, floor).unwrap());
    let lease = Lease { set: SlotSet::Channels, slot: Slot::of(5), epoch: Epoch(1) };
    let change = |rows| Changes { lease, channel: channel(5), rows, events: vec![] };
    let emoji: model::emoji::Emoji = "\u{1f44d}".parse().unwrap();
    let mut message = message(5, 1 << 40);
    message.reactions = vec![ReactionCount { emoji: emoji.clone(), count: REACTIONS as u32 }];
    let id = message.id;
    store.change(&change(vec![RowChange::Put(Box::new(message))])).await.unwrap();
    let add = |number| RowChange::AddReaction { message: id, emoji: emoji.clone(), user: user(number) };
    for start in (1..=REACTIONS).step_by(20_000) {
        store.change(&change((start..start + 20_000).map(add).collect())).await.unwrap();
    }
    // After the engine: it is dropped first, and lets the engine end.
    let disk = free;
    disk.let_through(1);
    let clearing = tokio::task::JoinSet::from_iter([{
        let (store, change) = (Arc::clone(&store), change(vec![RowChange::Delete(id)]));
        async move { store.change(&change).await.unwrap() }
    }]);
    let shown = async || store.get(channel(5), id).await.unwrap().map(|message| message.reactions[0].count);
    until("the first piece is cleared", async || (shown().await != Some(REACTIONS as u32)).then_some(()))
        .await;
    // What a process that dies here leaves behind.
    let rows = || engine.table("reactions").unwrap().all().count();
    assert_eq!((shown().await, rows()), (Some(10_000), 10_000));
    disk.free();
    clearing.join_all().await;
    assert_eq!((shown().await, rows()), (None, 0));
}
