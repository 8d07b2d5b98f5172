//! User events through restarts: all of them in order, repeats allowed, until they are acknowledged.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use backplane::nats::Config;
use backplane::port::UserConsumer;
use backplane::{Backplane, Nats, Partition, Subject, UserEvent};
use testkit::conformance::backplane::{event, fresh, in_time, publish, user_in};
use testkit::nats::{self, NatsServer};
use testkit::proxy::Proxy;
use tokio::task::JoinSet;

use crate::LAYOUT;

const FIRST: Partition = Partition(0);

/// Takes and acknowledges until this event has come; on an error consumes again, as a router does.
async fn take_until(backplane: &Arc<dyn Backplane>, last: u64) -> Vec<UserEvent> {
    let mut taken: Vec<UserEvent> = Vec::new();
    let all = async {
        loop {
            let Ok(mut consumer) = backplane.consume_users(FIRST).await else {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            if take(&mut *consumer, last, &mut taken).await.is_ok() {
                return;
            }
        }
    };
    in_time(all).await;
    taken
}

async fn take(
    consumer: &mut dyn UserConsumer,
    last: u64,
    taken: &mut Vec<UserEvent>,
) -> Result<(), backplane::Unavailable> {
    loop {
        let events = consumer.next(7).await?;
        let end = events.last().expect("never none").clone();
        taken.extend(events);
        consumer.acknowledge(end.sequence).await?;
        if end.envelope == event(last) {
            return Ok(());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn user_events_keep_their_order_through_a_kill() {
    let mut server = NatsServer::start();
    let backplane: Arc<dyn Backplane> = nats::backplane(&nats::config(&server.url(), LAYOUT)).await;
    let users = [user_in(&*backplane, FIRST), user_in(&*backplane, FIRST)];
    let ids: Vec<u64> = std::iter::repeat_with(fresh).take(400).collect();
    let last = ids[ids.len() - 1];
    let taken = {
        let (backplane, taker) = (Arc::clone(&backplane), Arc::clone(&backplane));
        let published = ids.clone();
        let writer = async move {
            for (index, id) in published.into_iter().enumerate() {
                publish(&backplane, Subject::User(users[index % 2]), id).await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let killer = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            server.kill();
            server.restart();
        };
        let (taken, (), ()) = tokio::join!(take_until(&taker, last), writer, killer);
        taken
    };
    // The first of each repeated event: what a pod that drops repeats by sequence is left with.
    let mut seen = HashSet::new();
    let kept: Vec<_> = taken.into_iter().filter(|event| seen.insert(event.sequence)).collect();
    let expected: Vec<_> = ids.iter().enumerate().map(|(index, id)| (users[index % 2], event(*id))).collect();
    assert_eq!(kept.iter().map(|kept| (kept.user, kept.envelope.clone())).collect::<Vec<_>>(), expected);
    assert!(kept.is_sorted_by_key(|kept| kept.sequence));
}

/// The server has given them, and the connection broke before they came: nothing else follows that would show it.
#[tokio::test]
async fn what_was_lost_on_the_way_comes_again() {
    let server = nats::shared();
    let proxy = Proxy::start().await.unwrap();
    proxy.lead_to(&server.address());
    let config = nats::config(&server.url(), LAYOUT);
    let publisher: Arc<dyn Backplane> = nats::backplane(&config).await;
    let behind = Config { servers: vec![format!("nats://{}", proxy.addr())], ..config };
    let taker = Nats::connect(&behind).await.unwrap();
    let mut consumer = taker.consume_users(FIRST).await.unwrap();
    let user = Subject::User(user_in(&*publisher, FIRST));
    let ids: Vec<u64> = std::iter::repeat_with(fresh).take(4).collect();
    publish(&publisher, user, ids[0]).await;
    let first = in_time(consumer.next(10)).await.unwrap();
    consumer.acknowledge(first[0].sequence).await.unwrap();
    proxy.pause(true);
    for id in &ids[1..] {
        publish(&publisher, user, *id).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    proxy.reset();
    proxy.pause(false);
    let mut taken = Vec::new();
    while taken.len() < 3 {
        let events = in_time(consumer.next(10)).await.unwrap();
        consumer.acknowledge(events.last().unwrap().sequence).await.unwrap();
        taken.extend(events.into_iter().map(|event| event.envelope));
    }
    assert_eq!(taken, ids[1..].iter().map(|id| event(*id)).collect::<Vec<_>>());
}

/// A consumer that waits is told at once that another one has taken over.
#[tokio::test]
async fn who_waits_learns_that_he_was_replaced() {
    let backplane: Arc<dyn Backplane> = nats::backplane(&nats::config(&nats::shared().url(), LAYOUT)).await;
    let mut first = backplane.consume_users(FIRST).await.unwrap();
    let (waited, second) = tokio::join!(first.next(10), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        backplane.consume_users(FIRST).await.unwrap()
    });
    assert!(waited.is_err(), "{waited:?}");
    drop(second);
}

/// Of several that consume at once one is left, and it gets everything.
#[tokio::test]
async fn of_many_that_consume_at_once_one_is_left() {
    let backplane: Arc<dyn Backplane> = nats::backplane(&nats::config(&nats::shared().url(), LAYOUT)).await;
    let open = || backplane.consume_users(FIRST);
    let opened = tokio::join!(open(), open(), open(), open());
    let consumers = [opened.0, opened.1, opened.2, opened.3];
    publish(&backplane, Subject::User(user_in(&*backplane, FIRST)), fresh()).await;
    // One gets the event; the others are told that they were replaced.
    let next = |mut consumer: Box<dyn UserConsumer>| async move { in_time(consumer.next(1)).await.is_ok() };
    let waits: JoinSet<bool> = consumers.into_iter().flatten().map(next).collect();
    assert_eq!(waits.join_all().await.into_iter().filter(|is_served| *is_served).count(), 1);
}
