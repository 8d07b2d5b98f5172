//! What is not confirmed: the sender is told that nobody knows, and a retry with the nonce finds out.

use std::time::Duration;

use doubles::until;
use futures_util::FutureExt;
use model::EventKind;
use model::limits::STORE_QUEUE_LEN_MAX;
use proto::{Failure, FailureKind, v1};
use storage::Batch;
use tokio::task::JoinSet;
use tokio::time::{pause, resume, sleep, timeout};

use crate::rig::{Rig, with_nonce};
use crate::world::FIRST;

/// Far more than a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(60);

fn is_unknown(failure: &Failure) -> bool {
    failure.kind == FailureKind::Unavailable && failure.message.contains("outcome unknown")
}

/// Sends with a nonce until that is answered with a message.
async fn retry(rig: &Rig, nonce: &str) -> v1::CreateMessageReply {
    let send = async || match rig.create(with_nonce(FIRST, "hello", nonce)).await {
        Ok(reply) => Some(reply),
        Err(failure) => {
            assert_eq!(failure.kind, FailureKind::Unavailable, "{failure}");
            None
        }
    };
    until("an answer to a retry", send).await
}

/// Ids of the message's events.
async fn creates(rig: &Rig) -> Vec<u64> {
    let events = rig.stored_events().await;
    let creates = events.iter().filter(|event| event.kind == EventKind::MessageCreate);
    creates.map(|event| event.event_id).collect()
}

/// Fills the engine's queue; what waits there is written when the gate opens.
async fn fill_queue(rig: &Rig) -> JoinSet<()> {
    let table = rig.engine.table("filler").unwrap();
    let mut fillers = JoinSet::new();
    for number in 0..2 * STORE_QUEUE_LEN_MAX as u64 {
        let (engine, mut batch) = (rig.engine.clone(), Batch::new());
        batch.put(&table, number.to_be_bytes(), []);
        fillers.spawn(async move { drop(engine.commit(batch).await) });
    }
    sleep(Duration::from_millis(10)).await;
    fillers
}

#[tokio::test]
async fn a_write_that_is_not_confirmed_is_of_unknown_outcome_and_its_nonce_finds_it() {
    let (rig, disk) = Rig::gated(1).await;
    let before = rig.sent(FIRST, "before").await;
    sleep(Duration::from_millis(100)).await;
    let batches = rig.engine.stats().batches;
    disk.hold();
    pause();
    for _ in 0..2 {
        let failure = rig.create(with_nonce(FIRST, "hello", "n1")).await.unwrap_err();
        assert!(is_unknown(&failure), "{failure}");
        // The engine gives up to confirm after ten seconds, so the store repeats the write.
        sleep(Duration::from_secs(12)).await;
    }
    resume();
    disk.free();
    let found = retry(&rig, "n1").await;
    assert!(found.repeated);
    assert_eq!(creates(&rig).await, [before, found.message_id]);
    assert!(rig.engine.stats().batches >= batches + 3, "it was written again until it was confirmed");
    assert_eq!(rig.messages.ids_in_flight(), 0);
}

#[tokio::test]
async fn a_write_that_found_no_place_is_not_written_and_its_nonce_is_free() {
    let (rig, disk) = Rig::gated(1).await;
    let before = rig.sent(FIRST, "before").await;
    disk.hold();
    pause();
    let fillers = fill_queue(&rig).await;
    let failure = rig.create(with_nonce(FIRST, "hello", "n1")).await.unwrap_err();
    assert!(is_unknown(&failure), "the caller waits less long than the store: {failure}");
    sleep(Duration::from_secs(12)).await;
    assert_eq!(rig.messages.ids_in_flight(), 0, "nothing was written");
    resume();
    disk.free();
    fillers.join_all().await;
    let made = retry(&rig, "n1").await;
    assert!(!made.repeated);
    assert_eq!(creates(&rig).await, [before, made.message_id]);
}

#[tokio::test]
async fn a_repeated_write_that_finds_no_place_stays_of_unknown_outcome() {
    let (rig, disk) = Rig::gated(1).await;
    let before = rig.sent(FIRST, "before").await;
    disk.hold();
    pause();
    let failure = rig.create(with_nonce(FIRST, "hello", "n1")).await.unwrap_err();
    assert!(is_unknown(&failure), "{failure}");
    let fillers = fill_queue(&rig).await;
    sleep(Duration::from_secs(30)).await;
    assert_eq!(rig.messages.ids_in_flight(), 1, "the first write lies in the queue");
    resume();
    disk.free();
    fillers.join_all().await;
    let found = retry(&rig, "n1").await;
    assert!(found.repeated, "it was in the queue all the time");
    assert_eq!(creates(&rig).await, [before, found.message_id]);
}

#[tokio::test]
async fn a_deleted_message_gives_its_nonce_back() {
    let mut rig = Rig::new(1).await;
    let first = rig.create(with_nonce(FIRST, "hello", "n1")).await.unwrap();
    rig.delete(FIRST, &[first.message_id], false).await.unwrap();
    let second = rig.create(with_nonce(FIRST, "hello", "n1")).await.unwrap();
    assert!(!second.repeated && second.message_id > first.message_id);
    let again = rig.create(with_nonce(FIRST, "hello", "n1")).await.unwrap();
    assert_eq!((again.message_id, again.repeated), (second.message_id, true));
    rig.restart().await;
    let again = rig.create(with_nonce(FIRST, "hello", "n1")).await.unwrap();
    assert_eq!((again.message_id, again.repeated), (second.message_id, true), "as before the restart");
}

#[tokio::test]
async fn events_of_one_write_whose_publishes_stop_in_the_middle_come_once_and_in_order() {
    const REACTIONS: u64 = 20;
    let mut rig = Rig::new(REACTIONS).await;
    let message = rig.sent(FIRST, "react").await;
    rig.backplane.go_away_after(5);
    let answers = (0..REACTIONS).map(|index| rig.react(FIRST + index, message, "\u{1f44d}"));
    let answers = futures_util::future::join_all(answers).await;
    assert!(answers.iter().any(Result::is_err));
    assert_eq!(rig.stored_events().await.len(), 1 + 5);
    rig.crash().await;
    let events = rig.stored_events().await;
    let ids: Vec<_> = events.iter().map(|event| event.event_id).collect();
    assert_eq!(ids.len(), 1 + REACTIONS as usize);
    assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
    assert_eq!(rig.get(FIRST, message).await.unwrap()["reactions"][0]["count"], REACTIONS);
}

#[tokio::test]
async fn a_channel_that_dies_with_a_stored_message_is_told_of() {
    let rig = Rig::new(1).await;
    rig.sent(FIRST, "one").await;
    let ended = rig.messages.ended();
    tokio::pin!(ended);
    assert_eq!((&mut ended).now_or_never(), None);
    rig.backplane.panic();
    let failure = rig.send(FIRST, "two").await.unwrap_err();
    assert!(is_unknown(&failure), "{failure}");
    let ended = timeout(PATIENCE, ended).await.unwrap();
    assert_eq!(ended.task, "a channel with a change that is not published");
}

#[tokio::test]
async fn a_feed_that_ends_is_told_of_and_a_shutdown_is_not() {
    let mut rig = Rig::new(1).await;
    let first = rig.messages.clone();
    rig.backplane.close();
    rig.restart().await;
    assert_eq!(first.ended().now_or_never(), None);
    let ended = timeout(PATIENCE, rig.messages.ended()).await.unwrap();
    assert!(ended.task.starts_with("the feed of permissions"), "{ended}");
}
