//! Ids are the order of a channel, whatever the clock, the store and the backplane do.

use std::collections::BTreeSet;

use doubles::until;
use model::EventKind;
use tokio::task::JoinSet;

use crate::rig::{Rig, START_MS};
use crate::world::FIRST;

async fn send_all(rig: &Rig, count: u64) -> Vec<u64> {
    let mut sends = JoinSet::new();
    for index in 0..count {
        let (mut client, clock) = (rig.client.clone(), rig.clock.clone());
        sends.spawn(async move {
            // The clock jumps about, backwards as well.
            clock.set(START_MS + index * 7919 % 30_000);
            let request = crate::rig::send_request(FIRST + index % 50, &format!("message {index}"));
            client.create_message(request).await.unwrap().into_inner().message_id
        });
    }
    sends.join_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_concurrent_sends_arrive_once_and_in_the_order_of_their_ids() {
    let rig = Rig::new(50).await;
    let mut events = rig.listen().await;
    let answered: BTreeSet<_> = send_all(&rig, 1000).await.into_iter().collect();
    assert_eq!(answered.len(), 1000, "every send has its own id");
    for expected in answered {
        let event = events.next().await;
        assert_eq!((event.kind, event.event_id), (EventKind::MessageCreate, expected));
    }
    assert_eq!(rig.messages.ids_in_flight(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_publish_is_repeated_in_place() {
    let rig = Rig::new(50).await;
    let mut events = rig.listen().await;
    rig.backplane.fail(5);
    let answered: BTreeSet<_> = send_all(&rig, 100).await.into_iter().collect();
    for expected in answered {
        assert_eq!(events.next().await.event_id, expected);
    }
    assert_eq!(rig.messages.stats().publish_retries.get(), 5);
}

#[tokio::test]
async fn a_publish_that_does_not_go_through_is_503_and_goes_through_later() {
    let rig = Rig::new(2).await;
    let mut events = rig.listen().await;
    rig.backplane.go_away();
    let (first, second) = tokio::join!(rig.send(FIRST, "one"), rig.send(FIRST + 1, "two"));
    for failure in [first.unwrap_err(), second.unwrap_err()] {
        assert_eq!(failure.kind, proto::FailureKind::Unavailable, "{failure}");
        assert!(failure.message.contains("outcome unknown"), "{failure}");
    }
    let refused = rig.send(FIRST, "three").await.unwrap_err();
    assert!(refused.message.contains("nothing was done"), "{refused}");
    rig.backplane.come_back();
    assert_eq!(events.expect(EventKind::MessageCreate).await["content"], "one");
    assert_eq!(events.expect(EventKind::MessageCreate).await["content"], "two");
    until("the channel takes messages again", async || rig.send(FIRST, "four").await.ok()).await;
    assert_eq!(events.expect(EventKind::MessageCreate).await["content"], "four");
}

#[tokio::test]
async fn a_shutdown_ends_every_channel_and_refuses_what_comes_later() {
    let rig = Rig::new(1).await;
    rig.sent(FIRST, "one").await;
    assert_eq!(rig.messages.channels_running(), 1);
    rig.messages.shutdown().await;
    assert_eq!(rig.messages.channels_running(), 0);
    let refused = rig.send(FIRST, "two").await.unwrap_err();
    assert_eq!(refused.kind, proto::FailureKind::Unavailable);
}
