//! What a restart finds: nonces, unpublished messages, last messages.

use std::collections::HashMap;

use model::EventKind;
use model::MessageId;
use model::limits::NONCE_MS;

use crate::rig::{Rig, with_nonce};
use crate::world::{FIRST, GENERAL, SLOW, channel};

#[tokio::test]
async fn a_nonce_gives_the_same_message_also_after_a_restart() {
    let mut rig = Rig::new(2).await;
    let first = rig.create(with_nonce(FIRST, "hello", "n1")).await.unwrap();
    assert!(!first.repeated);
    let again = rig.create(with_nonce(FIRST, "hello", "n1")).await.unwrap();
    assert_eq!((again.message_id, again.repeated), (first.message_id, true));
    rig.restart().await;
    let again = rig.create(with_nonce(FIRST, "hello", "n1")).await.unwrap();
    assert_eq!((again.message_id, again.repeated), (first.message_id, true));
    assert_eq!(again.message_json, first.message_json);

    let other_author = rig.create(with_nonce(FIRST + 1, "hello", "n1")).await.unwrap();
    assert!(!other_author.repeated);
    let unenforced =
        proto::v1::CreateMessageRequest { enforce_nonce: false, ..with_nonce(FIRST, "hello", "n1") };
    assert!(!rig.create(unenforced).await.unwrap().repeated);
    rig.clock.advance(NONCE_MS + 1_000);
    assert!(
        !rig.create(with_nonce(FIRST, "hello", "n1")).await.unwrap().repeated,
        "five minutes have passed"
    );
}

#[tokio::test]
async fn a_nonce_in_flight_waits_for_the_first_one() {
    let rig = Rig::new(2).await;
    rig.backplane.fail(3);
    let send = || rig.create(with_nonce(FIRST, "hello", "n1"));
    let (first, second, third) = tokio::join!(send(), send(), send());
    let replies = [first.unwrap(), second.unwrap(), third.unwrap()];
    assert!(replies.iter().all(|reply| reply.message_id == replies[0].message_id));
    assert!(replies.iter().all(|reply| reply.message_json == replies[0].message_json));
    assert_eq!(replies.iter().filter(|reply| reply.repeated).count(), 2);
    assert_eq!(rig.stored_events().await.len(), 1);
}

#[tokio::test]
async fn what_was_stored_and_not_published_is_published_once_by_the_next_start() {
    let mut rig = Rig::new(2).await;
    let published = rig.sent(FIRST, "published").await;
    let edited = rig.sent(FIRST, "before").await;
    rig.backplane.go_away();
    let (sent, changed) =
        tokio::join!(rig.create(with_nonce(FIRST + 1, "stored", "n1")), rig.edit(FIRST, edited, "after"));
    assert!(sent.is_err() && changed.is_err());
    assert_eq!(rig.stored_events().await.len(), 2);

    rig.crash().await;
    let events = rig.stored_events().await;
    let kinds: Vec<_> = events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds.len(), 4, "{kinds:?}");
    assert_eq!(rig.messages.stats().swept.get(), 2);
    let create =
        events.iter().find(|event| event.event_id > edited && event.kind == EventKind::MessageCreate);
    let create = create.expect("the stored message is published");
    let json: serde_json::Value = serde_json::from_slice(&create.data).unwrap();
    assert_eq!((&json["content"], &json["author"]["username"]), (&"stored".into(), &"user1001".into()));
    assert!(json["member"].is_object() && create.data_without_content.is_some());
    assert_eq!(events.iter().filter(|event| event.event_id == published).count(), 1);
    let epochs: Vec<u64> = events.iter().map(|event| event.writer.epoch).collect();
    assert_eq!(
        epochs,
        [1, 1, 2, 2],
        "whoever publishes is the writer: an owner in between may have written, too"
    );

    let again = rig.create(with_nonce(FIRST + 1, "stored", "n1")).await.unwrap();
    assert_eq!((again.message_id, again.repeated), (create.event_id, true));
    rig.crash().await;
    assert_eq!(rig.messages.stats().swept.get(), 0, "nothing is published twice");
    assert_eq!(rig.stored_events().await.len(), 4);
}

#[tokio::test]
async fn last_messages_are_known_through_deletes_restarts_and_crashes() {
    let mut rig = Rig::new(1).await;
    let asked = [channel(GENERAL), channel(SLOW)];
    assert_eq!(rig.messages.last_message_ids(&asked).await.unwrap(), HashMap::new());
    rig.sent(FIRST, "one").await;
    let last = rig.sent(FIRST, "two").await;
    rig.delete(FIRST, &[last], false).await.unwrap();
    let expected = HashMap::from([(channel(GENERAL), MessageId::new(last).unwrap())]);
    assert_eq!(rig.messages.last_message_ids(&asked).await.unwrap(), expected);
    rig.restart().await;
    assert_eq!(rig.messages.last_message_ids(&asked).await.unwrap(), expected);
    let newest = rig.sent(FIRST, "three").await;
    rig.crash().await;
    let lasts = rig.messages.last_message_ids(&asked).await.unwrap();
    assert_eq!(lasts.get(&channel(GENERAL)), MessageId::new(newest).as_ref());
}

#[tokio::test]
async fn what_a_deleted_guild_left_does_not_hold_up_a_start() {
    let mut rig = Rig::new(1).await;
    rig.sent(FIRST, "published").await;
    rig.backplane.go_away();
    rig.send(FIRST, "stored").await.unwrap_err();
    rig.world.set_gone();
    rig.crash().await;
    assert_eq!(rig.messages.stats().swept.get(), 0);
    assert_eq!(rig.stored_events().await.len(), 1);
    rig.crash().await;
}
