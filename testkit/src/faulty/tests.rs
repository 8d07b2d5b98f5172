//! The same seed strikes the same events, and each fault does what it says.

use std::time::Duration;

use backplane::{Delivery, InProcess, Options};
use model::GuildId;
use model::clock::SystemClock;

use super::*;

const LAYOUT: Layout = Layout { guild_partitions: 1, user_partitions: 1 };
const EVENTS: u64 = 2_000;

fn guild() -> Subject {
    Subject::Guild(GuildId::new(1).unwrap())
}

fn faulty(faults: Faults) -> Arc<Faulty<InProcess>> {
    Faulty::new(InProcess::new(LAYOUT, SystemClock::shared(), Options::default()), faults)
}

/// Publishes, then gives all that comes until it is quiet; an event is its sequence.
async fn history(faults: Faults) -> Vec<Result<u64, Delivery>> {
    let faulty = faulty(faults);
    for event_id in 1..=EVENTS {
        faulty.inner().publish(guild(), event_id, Bytes::new()).await.unwrap();
    }
    let mut listener = faulty.listen(Partition(0)).await.unwrap();
    let mut deliveries = Vec::new();
    for event_id in EVENTS + 1..=2 * EVENTS {
        faulty.inner().publish(guild(), event_id, Bytes::new()).await.unwrap();
    }
    while let Ok(Some(delivery)) = tokio::time::timeout(Duration::from_millis(100), listener.next()).await {
        deliveries.push(match delivery {
            Delivery::Event { sequence, .. } => Ok(sequence),
            other => Err(other),
        });
    }
    deliveries
}

fn count(deliveries: &[Result<u64, Delivery>], wanted: &Delivery) -> usize {
    deliveries.iter().filter(|delivery| delivery.as_ref().err() == Some(wanted)).count()
}

#[tokio::test]
async fn the_same_seed_strikes_the_same_events() {
    let one = history(Faults::rough(7)).await;
    assert_eq!(one, history(Faults::rough(7)).await);
    assert_ne!(one, history(Faults::rough(8)).await);
}

#[tokio::test]
async fn without_faults_nothing_is_changed() {
    let expected: Vec<_> = (EVENTS + 1..=2 * EVENTS).map(Ok).collect();
    assert_eq!(history(Faults::default()).await, expected);
}

#[tokio::test]
async fn each_fault_strikes_about_as_often_as_asked() {
    let some = 100;
    let dropped = history(Faults { drop_silently: some, ..Faults::default() }).await;
    assert!((150..250).contains(&(EVENTS as usize - dropped.len())));
    let marked = history(Faults { drop_with_gap: some, ..Faults::default() }).await;
    assert_eq!(marked.len(), EVENTS as usize);
    assert!((150..250).contains(&count(&marked, &Delivery::Gap)));
    let repeated = history(Faults { repeat: some, ..Faults::default() }).await;
    assert!((150..250).contains(&(repeated.len() - EVENTS as usize)));
    let swapped = history(Faults { swap: some, ..Faults::default() }).await;
    assert_eq!(swapped.len(), EVENTS as usize);
    assert!(
        swapped.windows(2).filter(|pair| pair[0].as_ref().unwrap() > pair[1].as_ref().unwrap()).count() > 100
    );
    let reconnected = history(Faults { reconnect: 10, ..Faults::default() }).await;
    let reconnects = count(&reconnected, &Delivery::Reconnected);
    assert!(reconnects > 5 && reconnected.len() - reconnects < EVENTS as usize);
}

#[tokio::test]
async fn a_publish_that_failed_may_be_stored_and_a_repeat_stores_it_once() {
    let faults =
        Faults { publish_unanswered: 300, publish_refused: 300, publish_repeated: 300, ..Faults::default() };
    let faulty = faulty(faults);
    let (mut refusals, mut duplicates) = (0, 0);
    for event_id in 1..=200 {
        let ack = loop {
            match faulty.publish(guild(), event_id, Bytes::new()).await {
                Ok(ack) => break ack,
                Err(_) => refusals += 1,
            }
        };
        assert_eq!(ack.sequence, event_id);
        duplicates += u32::from(ack.duplicate);
    }
    assert!(refusals > 100 && duplicates > 30, "{refusals} refusals, {duplicates} duplicates");
}

#[tokio::test]
async fn streams_begin_anew_at_one() {
    let faulty = faulty(Faults::default());
    let stream = Stream::Guilds(Partition(0));
    faulty.publish(guild(), 1, Bytes::new()).await.unwrap();
    let before = faulty.state(stream).await.unwrap();
    let mut listener = faulty.listen(Partition(0)).await.unwrap();
    faulty.begin_anew().await.unwrap();
    let after = faulty.state(stream).await.unwrap();
    assert_ne!(before.incarnation, after.incarnation);
    assert_eq!((after.first, after.last, faulty.tail(Partition(0))), (1, 0, 0));
    assert!(!faulty.contains(guild(), 1).await.unwrap());
    let ack = faulty.publish(guild(), 1, Bytes::new()).await.unwrap();
    assert_eq!(ack, Ack { sequence: 1, duplicate: false });
    assert_eq!(listener.next().await, Some(Delivery::Reconnected));
    let guild_id = GuildId::new(1).unwrap();
    let event = Delivery::Event { guild: guild_id, sequence: 1, previous: 0, envelope: Bytes::new() };
    assert_eq!(listener.next().await, Some(event));
    assert!(faulty.contains(guild(), 1).await.unwrap());
    assert_eq!(faulty.read(stream, 1..=1, 9).await.unwrap().len(), 1);
    assert_eq!(faulty.read(stream, 1..=2, 9).await, Err(ReadError::BeyondEnd(1..=2, 1)));
}
