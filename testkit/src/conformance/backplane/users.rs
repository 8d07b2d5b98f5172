//! User events: consumed in order, by one at a time, until they are acknowledged.

use std::sync::Arc;
use std::time::Duration;

use backplane::port::UserConsumer;
use backplane::{Backplane, Partition, Subject, UserEvent};
use model::UserId;

use super::{answer, event, fresh, in_time, publish, user_in};

const FIRST: Partition = Partition(0);

/// A consumer with nothing before it.
async fn consumer(backplane: &Arc<dyn Backplane>) -> Box<dyn UserConsumer> {
    let mut consumer = answer(|| backplane.consume_users(FIRST)).await;
    let state = answer(|| backplane.state(backplane::Stream::Users(FIRST))).await;
    acknowledge(&mut *consumer, state.last).await;
    consumer
}

async fn acknowledge(consumer: &mut dyn UserConsumer, sequence: u64) {
    let acknowledged = async { while consumer.acknowledge(sequence).await.is_err() {} };
    in_time(acknowledged).await;
}

async fn next(consumer: &mut dyn UserConsumer, max: usize) -> Vec<UserEvent> {
    let events = async {
        loop {
            if let Ok(events) = consumer.next(max).await {
                return events;
            }
        }
    };
    in_time(events).await
}

async fn publish_some(backplane: &Arc<dyn Backplane>, users: &[UserId], count: usize) -> Vec<u64> {
    let mut ids = Vec::new();
    for index in 0..count {
        ids.push(fresh());
        publish(backplane, Subject::User(users[index % users.len()]), ids[index]).await;
    }
    ids
}

/// The first of each repeated event: what a pod that drops repeats is left with.
fn without_repeats(events: Vec<UserEvent>) -> Vec<(UserId, bytes::Bytes)> {
    let mut kept: Vec<(UserId, bytes::Bytes)> = Vec::new();
    for UserEvent { user, envelope, .. } in events {
        if !kept.iter().any(|(_, before)| *before == envelope) {
            kept.push((user, envelope));
        }
    }
    kept
}

pub async fn user_events_come_in_order_until_they_are_acknowledged(backplane: Arc<dyn Backplane>) {
    let mut consumer = consumer(&backplane).await;
    let users = [user_in(&*backplane, FIRST), user_in(&*backplane, FIRST)];
    let ids = publish_some(&backplane, &users, 20).await;
    let mut taken = Vec::new();
    let mut last = 0;
    let all = async {
        while taken.last().is_none_or(|taken: &UserEvent| taken.envelope != event(ids[19])) {
            let events = next(&mut *consumer, 3).await;
            assert!(!events.is_empty() && events.len() <= 3);
            assert_eq!(next(&mut *consumer, 3).await[0], events[0], "gone before it was acknowledged");
            for event in events {
                assert!(event.sequence > last, "again after it was acknowledged, or out of order");
                last = event.sequence;
                taken.push(event);
            }
            acknowledge(&mut *consumer, last).await;
        }
    };
    in_time(all).await;
    let expected: Vec<_> = ids.iter().enumerate().map(|(index, id)| (users[index % 2], event(*id))).collect();
    assert_eq!(without_repeats(taken), expected);
}

pub async fn the_next_waits_for_an_event(backplane: Arc<dyn Backplane>) {
    let mut consumer = consumer(&backplane).await;
    let waited = tokio::time::timeout(Duration::from_millis(50), consumer.next(10)).await;
    assert!(waited.is_err(), "{waited:?}");
    let users = [user_in(&*backplane, FIRST)];
    let (events, ids) = tokio::join!(next(&mut *consumer, 10), publish_some(&backplane, &users, 1));
    assert_eq!((events[0].user, &events[0].envelope), (users[0], &event(ids[0])));
}

pub async fn a_second_consumer_takes_over_what_was_not_acknowledged(backplane: Arc<dyn Backplane>) {
    let mut first = consumer(&backplane).await;
    publish_some(&backplane, &[user_in(&*backplane, FIRST)], 3).await;
    let events = next(&mut *first, 10).await;
    assert_eq!(events.len(), 3, "three were published before");
    acknowledge(&mut *first, events[0].sequence).await;
    let mut second = backplane.consume_users(FIRST).await.expect("a consumer");
    assert_eq!(next(&mut *second, 10).await, events[1..]);
    assert!(first.acknowledge(events[2].sequence).await.is_err(), "the first still acknowledges");
    assert!(in_time(first.next(10)).await.is_err(), "the first still consumes");
    assert_eq!(next(&mut *second, 10).await, events[1..]);
}

pub async fn an_event_of_two_users_is_stored_for_each(backplane: Arc<dyn Backplane>) {
    let mut consumer = consumer(&backplane).await;
    let users = [user_in(&*backplane, FIRST), user_in(&*backplane, FIRST)];
    let id = fresh();
    for user in users {
        let subject = Subject::User(user);
        assert!(!answer(|| backplane.contains(subject, id)).await);
        let [first, again] = [publish(&backplane, subject, id).await, publish(&backplane, subject, id).await];
        assert_eq!((first.sequence, first.duplicate, again.duplicate), (again.sequence, false, true));
        assert!(answer(|| backplane.contains(subject, id)).await);
    }
    let events = next(&mut *consumer, 10).await;
    assert_eq!(events.iter().map(|event| event.user).collect::<Vec<_>>(), users);
}

pub async fn what_a_user_is_told_comes_to_one_listener(backplane: Arc<dyn Backplane>) {
    let mut listeners = [answer(|| backplane.told_users()).await, answer(|| backplane.told_users()).await];
    let user = user_in(&*backplane, FIRST);
    let ids: Vec<u64> = (0..10).map(|_| fresh()).collect();
    ids.iter().for_each(|id| backplane.tell_user(user, event(*id)));
    let [one, other] = &mut listeners;
    let mut told = Vec::new();
    for _ in &ids {
        let next = async {
            tokio::select! { told = one.recv() => told, told = other.recv() => told }
        };
        let next = in_time(next).await.expect("it is open");
        assert_eq!(next.user, user);
        told.push(next.envelope);
    }
    assert!(ids.iter().all(|id| told.contains(&event(*id))), "each once");
    let more = async {
        tokio::select! { told = one.recv() => told, told = other.recv() => told }
    };
    assert!(tokio::time::timeout(Duration::from_millis(50), more).await.is_err());
}
