//! Listening: what comes, and what does not.

use std::sync::Arc;

use backplane::{Backplane, Delivery, Ephemeral, Partition, Stream, Subject};
use bytes::Bytes;
use model::limits::SUBSCRIPTION_QUEUE_MAX;
use tokio::task::JoinSet;

use super::{delivery, event, fresh, guild_in, is_quiet, publish, user_in};

const FIRST: Partition = Partition(0);
const SECOND: Partition = Partition(1);
const WRITERS: usize = 64;

pub async fn a_listener_gets_every_event_with_the_one_before_it(backplane: Arc<dyn Backplane>) {
    let mut listener = backplane.listen(FIRST).await.expect("a listener");
    let guilds = [guild_in(&*backplane, FIRST), guild_in(&*backplane, FIRST)];
    let mut before = [0, 0];
    for index in [0, 1, 1, 0, 0, 1] {
        let (guild, id) = (guilds[index], fresh());
        let sequence = publish(&backplane, Subject::Guild(guild), id).await.sequence;
        publish(&backplane, Subject::Guild(guild), id).await;
        let previous = std::mem::replace(&mut before[index], sequence);
        let expected = Delivery::Event { guild, sequence, previous, envelope: event(id) };
        assert_eq!(delivery(&mut listener).await, expected);
    }
    assert!(is_quiet(&mut listener).await, "a repeated publish was delivered");
}

pub async fn listeners_of_other_partitions_get_nothing(backplane: Arc<dyn Backplane>) {
    let mut elsewhere = backplane.listen(SECOND).await.expect("a listener");
    publish(&backplane, Subject::Guild(guild_in(&*backplane, FIRST)), fresh()).await;
    publish(&backplane, Subject::User(user_in(&*backplane, SECOND)), fresh()).await;
    assert!(is_quiet(&mut elsewhere).await);
}

pub async fn the_tail_is_what_was_acknowledged(backplane: Arc<dyn Backplane>) {
    let other = backplane.tail(SECOND);
    for _ in 0..3 {
        let ack = publish(&backplane, Subject::Guild(guild_in(&*backplane, FIRST)), fresh()).await;
        assert_eq!(backplane.tail(FIRST), ack.sequence);
    }
    assert_eq!(backplane.tail(SECOND), other);
}

pub async fn ephemeral_events_come_live_only(backplane: Arc<dyn Backplane>) {
    let before = backplane.state(Stream::Guilds(FIRST)).await;
    let mut stored = backplane.listen(FIRST).await.expect("a listener");
    let mut ephemeral = backplane.listen_ephemeral(FIRST).await.expect("a listener");
    let mut elsewhere = backplane.listen_ephemeral(SECOND).await.expect("a listener");
    let guild = guild_in(&*backplane, FIRST);
    let envelope = Bytes::from_static(b"typing");
    // It may be lost, so it is sent until it comes.
    let received = async {
        loop {
            backplane.publish_ephemeral(Ephemeral { guild, channel: None }, envelope.clone());
            if !is_quiet_for_one(&mut ephemeral, &envelope).await {
                return;
            }
        }
    };
    super::in_time(received).await;
    assert!(is_quiet(&mut stored).await);
    assert!(is_quiet(&mut elsewhere).await);
    assert_eq!(backplane.state(Stream::Guilds(FIRST)).await, before);
}

/// Whether the event does not come; nothing else may.
async fn is_quiet_for_one(listener: &mut backplane::Listener, envelope: &Bytes) -> bool {
    let next = tokio::time::timeout(std::time::Duration::from_millis(50), listener.next()).await;
    match next {
        Ok(delivery) => {
            assert_eq!(delivery, Some(Delivery::Ephemeral(envelope.clone())));
            false
        }
        Err(_) => true,
    }
}

pub async fn a_listener_that_reads_nothing_loses_nothing_silently(backplane: Arc<dyn Backplane>) {
    let mut listener = backplane.listen(FIRST).await.expect("a listener");
    let subject = Subject::Guild(guild_in(&*backplane, FIRST));
    let first = publish(&backplane, subject, fresh()).await.sequence;
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let backplane = Arc::clone(&backplane);
        writers.spawn(async move {
            for _ in 0..SUBSCRIPTION_QUEUE_MAX / WRITERS + 1 {
                publish(&backplane, subject, fresh()).await;
            }
        });
    }
    super::in_time(writers.join_all()).await;
    let last = publish(&backplane, subject, fresh()).await.sequence;
    let mut next = first;
    while next <= last {
        match delivery(&mut listener).await {
            Delivery::Event { sequence, .. } => {
                assert_eq!(sequence, next, "a hole without a gap");
                next += 1;
            }
            Delivery::Gap => return,
            other => panic!("neither event nor gap: {other:?}"),
        }
    }
}

pub async fn a_listener_to_guilds_gets_those_that_were_added_and_no_others(backplane: Arc<dyn Backplane>) {
    let guilds = [0; 4].map(|_| guild_in(&*backplane, FIRST));
    let (subscriptions, mut listener) = backplane.listen_guilds(FIRST).await.expect("a listener");
    let mut before = [0; 4];
    let mut publish_to_all = async || {
        let mut sent = Vec::new();
        for (guild, before) in guilds.into_iter().zip(&mut before) {
            let id = fresh();
            let sequence = publish(&backplane, Subject::Guild(guild), id).await.sequence;
            let previous = std::mem::replace(before, sequence);
            sent.push(Delivery::Event { guild, sequence, previous, envelope: event(id) });
        }
        sent
    };
    publish_to_all().await;
    assert!(is_quiet(&mut listener).await, "nothing was added yet");
    for added in [1, 3] {
        subscriptions.add(&guilds[..added]).await.expect("they can be added");
        let expected = publish_to_all().await;
        let mut came = Vec::new();
        for _ in 0..added {
            came.push(delivery(&mut listener).await);
        }
        // Each guild has a subscription of its own.
        came.sort_by_key(|delivery| expected.iter().position(|expected| expected == delivery));
        assert_eq!(came, expected[..added]);
    }
    subscriptions.remove(guilds[1]);
    let removed = async {
        loop {
            let expected = publish_to_all().await;
            let first = delivery(&mut listener).await;
            let second = delivery(&mut listener).await;
            // What was on its way may still come.
            if is_quiet(&mut listener).await {
                let mut came = vec![first, second];
                came.sort_by_key(|delivery| expected.iter().position(|expected| expected == delivery));
                assert_eq!(came, [expected[0].clone(), expected[2].clone()]);
                return;
            }
        }
    };
    super::in_time(removed).await;
}
