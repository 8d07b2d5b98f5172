//! A service that loses its slots while something is under way, and one that finds what the owner before it wrote too late.

use std::sync::Arc;

use backplane::{Backplane, InProcess, Layout, Options, Subject};
use doubles::{Flaky, until};
use messages::store::{MessageStore, NewMessage};
use model::limits::STREAM_AGE_MS;
use model::message::Nonce;
use model::{EventKind, Message, snowflake};
use proto::{Envelope, Failure, FailureKind, Writer, v1};
use serde_json::Value;
use storage::{Bucket, Epoch, Lease, Marker, Slot, SlotSet};

use crate::doubt::Doubtful;
use crate::rig::{Rig, START_MS, with_nonce};
use crate::world::{FIRST, GENERAL, guild, stored};

/// Not the worker of any service here.
const ITS_WORKER: u64 = 777;

/// What the owner before this one had.
fn its_lease() -> Lease {
    Lease { set: SlotSet::Channels, slot: Slot::of(GENERAL), epoch: Epoch(1) }
}

fn is_unknown(failure: &Failure) -> bool {
    failure.kind == FailureKind::Unavailable && failure.message.contains("outcome unknown")
}

/// Whoever has a lost slot's message in hands tells nobody that it was sent.
#[tokio::test]
async fn who_loses_the_slot_before_the_publish_neither_publishes_nor_acknowledges() {
    let (mut rig, disk) = Rig::gated(1).await;
    let (_, owner) = rig.on_shared_store().await;
    rig.sent(FIRST, "before").await;
    disk.hold();
    let script = async {
        until("the message is on its way", async || (rig.messages.ids_in_flight() > 0).then_some(())).await;
        owner.lose();
        disk.free();
    };
    let (sent, ()) = tokio::join!(rig.send(FIRST, "hello"), script);
    let failure = sent.unwrap_err();
    assert!(is_unknown(&failure), "{failure}");
    assert_eq!(rig.stored_events().await.len(), 1);
    assert_eq!(rig.messages.ids_in_flight(), 1, "it is the next owner's matter");
}

#[tokio::test]
async fn who_loses_the_slot_before_the_acknowledgement_does_not_pass_it_on() {
    let mut rig = Rig::new(1).await;
    let (_, owner) = rig.on_shared_store().await;
    let before = rig.sent(FIRST, "before").await;
    rig.backplane.hold_answers(true);
    let script = async {
        until("it is published", async || (rig.backplane.held() > 0).then_some(())).await;
        owner.lose();
        rig.backplane.hold_answers(false);
    };
    let (sent, ()) = tokio::join!(rig.send(FIRST, "hello"), script);
    let failure = sent.unwrap_err();
    assert!(is_unknown(&failure), "{failure}");
    let failure = rig.edit(FIRST, before, "after").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::NotOwner, "{failure}");
}

/// Stores a message as an earlier owner would have, and makes late sweeps find it.
async fn store_late(store: &Doubtful, content: &str, nonce: Option<&str>) -> u64 {
    let id = snowflake::lowest_at(START_MS) | ITS_WORKER << 12;
    let nonce = nonce.map(|nonce| Nonce::Text(nonce.into()));
    let message = Message { nonce, ..stored(GENERAL, id, content) };
    let new = NewMessage { lease: its_lease(), message, mark: true, keep_sender: false };
    store.create(&new).await.unwrap();
    store.find_late(its_marker());
    id
}

/// What leads to its last messages, and to our first ones, which are of the same ten seconds.
fn its_marker() -> Marker {
    let Lease { set, slot, epoch } = its_lease();
    Marker { set, slot, epoch, bucket: Bucket::of_ms(START_MS), channel: GENERAL }
}

/// Publishes its creation as that owner would have.
async fn publish(rig: &Rig, id: u64) {
    let Lease { set, slot, epoch } = its_lease();
    let writer = Writer { set: set.code(), slot: slot.get(), epoch: epoch.0 };
    let envelope = Envelope::new(id, EventKind::MessageCreate, writer, "{}");
    rig.stream.publish(Subject::Guild(guild()), id, envelope.encode()).await.unwrap();
}

/// The channel's history, newest first.
async fn contents(rig: &Rig) -> Vec<String> {
    let list = v1::ListMessagesRequest { channel_id: GENERAL, reader_id: FIRST, ..Default::default() };
    let reply = rig.client.clone().list_messages(list).await.unwrap().into_inner();
    let messages: Vec<Value> = serde_json::from_slice(&reply.messages_json).unwrap();
    messages.iter().map(|message| message["content"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn what_came_too_late_and_is_not_in_the_stream_is_deleted_and_frees_its_nonce() {
    let mut rig = Rig::new(1).await;
    let (store, owner) = rig.on_shared_store().await;
    let late = store_late(&store, "late", Some("n1")).await;
    let failure = rig.create(with_nonce(FIRST, "late", "n1")).await.unwrap_err();
    assert!(is_unknown(&failure), "it may yet be deleted: {failure}");
    owner.sweep_late().await.unwrap();
    assert_eq!(rig.get(FIRST, late).await.unwrap_err().kind, FailureKind::NotFound);
    assert_eq!(rig.messages.stats().late.get(), 1);
    let told: Vec<_> = rig.stored_events().await.iter().map(|event| event.kind).collect();
    assert_eq!(told, [EventKind::MessageDelete]);
    let again = rig.create(with_nonce(FIRST, "late", "n1")).await.unwrap();
    assert!(!again.repeated && again.message_id > late);
    owner.sweep_late().await.unwrap();
    assert_eq!(rig.messages.stats().late.get(), 1);
    rig.get(FIRST, again.message_id).await.unwrap();
}

#[tokio::test]
async fn what_an_earlier_owner_published_is_kept() {
    let mut rig = Rig::new(1).await;
    let (store, owner) = rig.on_shared_store().await;
    let published = store_late(&store, "published", Some("n1")).await;
    publish(&rig, published).await;
    owner.sweep_late().await.unwrap();
    rig.get(FIRST, published).await.unwrap();
    assert_eq!(rig.messages.stats().late.get(), 0);
    let again = rig.create(with_nonce(FIRST, "published", "n1")).await.unwrap();
    assert_eq!((again.message_id, again.repeated), (published, true));
}

/// The owner before has acknowledged it, and it has gone from the stream: neither sweep has seen it.
#[tokio::test]
async fn what_the_stream_may_have_pushed_out_is_kept_and_counted() {
    let mut rig = Rig::new(1).await;
    let small = Options { stream_events_max: 3, ..Options::default() };
    rig.stream = InProcess::new(Layout::default(), Arc::new(rig.clock.clone()), small);
    rig.backplane = Flaky::new(Arc::clone(&rig.stream));
    let (store, owner) = rig.on_shared_store().await;
    let published = store_late(&store, "published", None).await;
    publish(&rig, published).await;
    for _ in 0..3 {
        rig.sent(FIRST, "more").await;
    }
    assert!(!rig.stream.contains(Subject::Guild(guild()), published).await.unwrap());
    owner.sweep_late().await.unwrap();
    rig.get(FIRST, published).await.unwrap();
    assert_eq!((rig.messages.stats().late.get(), rig.messages.stats().unsure.get()), (0, 1));
    assert!(rig.stored_events().await.iter().all(|event| event.kind == EventKind::MessageCreate));
}

#[tokio::test]
async fn what_may_be_too_old_for_the_stream_is_kept_and_counted() {
    let mut rig = Rig::new(1).await;
    let (store, owner) = rig.on_shared_store().await;
    let published = store_late(&store, "published", None).await;
    publish(&rig, published).await;
    rig.clock.advance(STREAM_AGE_MS);
    owner.sweep_late().await.unwrap();
    rig.get(FIRST, published).await.unwrap();
    assert_eq!((rig.messages.stats().late.get(), rig.messages.stats().unsure.get()), (0, 1));
}

#[tokio::test]
async fn what_is_our_own_is_kept_also_while_it_is_not_published() {
    let mut rig = Rig::new(1).await;
    let (store, owner) = rig.on_shared_store().await;
    store.find_late(its_marker());
    rig.backplane.go_away();
    rig.send(FIRST, "hello").await.unwrap_err();
    owner.sweep_late().await.unwrap();
    rig.backplane.come_back();
    until("it is published", async || (rig.messages.ids_in_flight() == 0).then_some(())).await;
    assert_eq!(contents(&rig).await, ["hello"]);
    assert_eq!(rig.messages.stats().late.get(), 0);
}

#[tokio::test]
async fn every_slot_gets_a_watermark_before_it_is_served() {
    let mut rig = Rig::new(1).await;
    let (store, _) = rig.on_shared_store().await;
    let marks = store.marks();
    assert_eq!(marks.len(), Slot::all().count());
    let first = rig.sent(FIRST, "hello").await;
    assert!(marks.iter().all(|mark| mark.published_ms <= snowflake::timestamp_ms(first)));
}
