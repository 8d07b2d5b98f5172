//! The in-process adapter: what can be seen only with its clock and its bounds in hand.

use std::time::Duration;

use model::clock::ManualClock;
use model::{GuildId, UserId};

use super::*;
use crate::port::Delivery;
use crate::registry::Registry;

const LAYOUT: Layout = Layout { guild_partitions: 1, user_partitions: 1 };
const GUILDS: Stream = Stream::Guilds(Partition(0));

fn guild(number: u64) -> Subject {
    Subject::Guild(GuildId::new(number).unwrap())
}

fn user(number: u64) -> UserId {
    UserId::new(number).unwrap()
}

fn backplane(options: Options) -> (ManualClock, Arc<InProcess>) {
    let clock = ManualClock::at(1_000_000);
    (clock.clone(), InProcess::new(LAYOUT, Arc::new(clock), options))
}

async fn publish(backplane: &InProcess, subject: Subject, event_id: u64) -> Ack {
    backplane.publish(subject, event_id, Bytes::from_static(b"event")).await.unwrap()
}

async fn state(backplane: &InProcess) -> (u64, u64) {
    let state = backplane.state(GUILDS).await.unwrap();
    (state.first, state.last)
}

#[tokio::test]
async fn age_bounds_the_stream_and_cuts_the_subjects_chain() {
    let (clock, backplane) = backplane(Options { stream_age_ms: 1000, ..Options::default() });
    let mut listener = backplane.listen(Partition(0)).await.unwrap();
    publish(&backplane, guild(1), 1).await;
    clock.advance(600);
    publish(&backplane, guild(2), 2).await;
    assert!(backplane.contains(guild(1), 1).await.unwrap());
    clock.advance(400);
    assert_eq!(state(&backplane).await, (2, 2));
    assert_eq!(backplane.last(guild(1)).await, Ok(0));
    assert!(!backplane.contains(guild(1), 1).await.unwrap());
    publish(&backplane, guild(1), 3).await;
    publish(&backplane, guild(2), 4).await;
    let mut previous = Vec::new();
    for _ in 0..4 {
        let Some(Delivery::Event { previous: before, .. }) = next(&mut listener).await else {
            panic!("no event")
        };
        previous.push(before);
    }
    assert_eq!(previous, [0, 0, 0, 2]);
    clock.advance(1000);
    assert_eq!(state(&backplane).await, (5, 4));
    assert_eq!(backplane.read(GUILDS, 1..=4, 10).await, Ok(vec![]));
}

#[tokio::test]
async fn count_and_bytes_bound_the_stream() {
    let (_, by_count) = backplane(Options { stream_events_max: 3, ..Options::default() });
    let (_, by_bytes) = backplane(Options { stream_bytes_max: 2_000, ..Options::default() });
    for event_id in 1..=5 {
        publish(&by_count, guild(1), event_id).await;
        by_bytes.publish(guild(1), event_id, Bytes::from(vec![0; 800])).await.unwrap();
    }
    assert_eq!(state(&by_count).await, (3, 5));
    assert_eq!(state(&by_bytes).await, (4, 5));
    assert_eq!(by_count.read(GUILDS, 1..=4, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn what_went_for_want_of_room_is_told_from_what_was_too_old() {
    let options = Options { stream_age_ms: 1_000, stream_events_max: 2, ..Options::default() };
    let (clock, backplane) = backplane(options);
    let kept = async || {
        let Kept { made_ms, age_ms, pushed_out_ms } = backplane.kept(GUILDS).await.unwrap();
        assert_eq!((made_ms, age_ms), (1_000_000, 1_000));
        pushed_out_ms
    };
    publish(&backplane, guild(1), 1).await;
    clock.advance(1_000);
    assert_eq!((state(&backplane).await, kept().await), ((2, 1), None), "it was too old");
    for event_id in 2..=4 {
        clock.advance(10);
        publish(&backplane, guild(1), event_id).await;
    }
    assert_eq!((state(&backplane).await, kept().await), ((3, 4), Some(1_001_010)));
    clock.advance(1_000);
    assert_eq!((state(&backplane).await, kept().await), ((5, 4), Some(1_001_010)));
}

#[tokio::test]
async fn a_repeat_is_known_for_two_minutes_even_when_its_event_is_gone() {
    let (clock, backplane) = backplane(Options { stream_events_max: 1, ..Options::default() });
    publish(&backplane, guild(1), 1).await;
    publish(&backplane, guild(1), 2).await;
    clock.advance(limits::DUPLICATE_WINDOW_MS - 1);
    assert_eq!(publish(&backplane, guild(1), 1).await, Ack { sequence: 1, duplicate: true });
    clock.advance(1);
    assert_eq!(publish(&backplane, guild(1), 1).await, Ack { sequence: 3, duplicate: false });
}

#[tokio::test]
async fn a_full_listener_gets_a_gap_exactly_where_events_are_missing() {
    let (_, backplane) = backplane(Options { subscription_queue_max: 2, ..Options::default() });
    let mut listener = backplane.listen(Partition(0)).await.unwrap();
    for event_id in 1..=5 {
        publish(&backplane, guild(1), event_id).await;
    }
    for sequence in [Some(1), Some(2), None] {
        assert_eq!(sequence_of(next(&mut listener).await), sequence);
    }
    publish(&backplane, guild(1), 6).await;
    assert_eq!(sequence_of(next(&mut listener).await), Some(6));
    assert_eq!(backplane.tail(Partition(0)), 6);
}

async fn next(listener: &mut Listener) -> Option<Delivery> {
    tokio::time::timeout(Duration::from_secs(10), listener.next()).await.expect("in time")
}

fn sequence_of(delivery: Option<Delivery>) -> Option<u64> {
    match delivery {
        Some(Delivery::Event { sequence, .. }) => Some(sequence),
        Some(Delivery::Gap) => None,
        other => panic!("neither event nor gap: {other:?}"),
    }
}

#[tokio::test]
async fn listeners_that_are_gone_are_forgotten() {
    let (_, backplane) = backplane(Options::default());
    for event_id in 1..=3 {
        drop(backplane.listen(Partition(0)).await.unwrap());
        drop(backplane.listen_ephemeral(Partition(0)).await.unwrap());
        publish(&backplane, guild(1), event_id).await;
        backplane
            .publish_ephemeral(Ephemeral { guild: GuildId::new(1).unwrap(), channel: None }, Bytes::new());
    }
    assert!(backplane.guilds[0].live.lock().listeners.is_empty());
    assert!(backplane.guilds[0].ephemeral.lock().is_empty());
}

#[tokio::test]
async fn every_start_is_another_incarnation() {
    let (_, one) = backplane(Options::default());
    let (_, other) = backplane(Options::default());
    assert_ne!(one.state(GUILDS).await.unwrap().incarnation, other.state(GUILDS).await.unwrap().incarnation);
}

#[tokio::test]
async fn what_nobody_touches_is_freed_by_expire() {
    let (clock, backplane) = backplane(Options { stream_age_ms: 1000, ..Options::default() });
    publish(&backplane, guild(1), 1).await;
    publish(&backplane, Subject::User(user(1)), 2).await;
    clock.advance(1000);
    backplane.expire();
    assert_eq!(backplane.guilds[0].live.lock().log.first(), 2);
    assert_eq!(backplane.users[0].with_log(|log| log.first()), 2);
}

#[tokio::test]
async fn a_partition_that_is_not_there_is_an_error() {
    let (_, backplane) = backplane(Options::default());
    assert!(backplane.listen(Partition(1)).await.is_err());
    assert!(backplane.state(Stream::Users(Partition(1))).await.is_err());
    assert_eq!(backplane.tail(Partition(1)), 0);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_takes_nothing_is_given_up_in_time() {
    let (_, backplane) = backplane(Options::default());
    let pod = PodName::new("pod-1");
    let inbox = backplane.serve_pod(&pod).await.unwrap();
    let started = tokio::time::Instant::now();
    assert_eq!(backplane.deliver(&pod, vec![]).await, Err(DeliverError::Timeout(pod.clone())));
    assert_eq!(started.elapsed(), Duration::from_millis(limits::POD_TAKE_MS));
    drop(inbox);
    assert_eq!(backplane.deliver(&pod, vec![]).await, Err(DeliverError::NoPod(pod)));
}

#[tokio::test]
async fn registry_entries_end_by_the_clock_and_are_bounded() {
    let clock = ManualClock::at(5);
    let registry = InMemoryRegistry::with_users_max(Arc::new(clock.clone()), 2);
    let pod = PodName::new("pod-1");
    assert_eq!(registry.register(&pod, &[user(1), user(2)]).await, Ok(vec![user(1), user(2)]));
    assert!(registry.register(&pod, &[user(3)]).await.is_err());
    clock.advance(limits::REGISTRY_ENTRY_MS - 1);
    assert_eq!(registry.register(&pod, &[user(1)]).await, Ok(vec![]));
    clock.advance(1);
    assert_eq!(registry.pods(&[user(2)]).await, Ok(vec![vec![]]));
    assert_eq!(registry.pods(&[user(1)]).await, Ok(vec![vec![pod.clone()]]));
    assert_eq!(registry.register(&pod, &[user(3)]).await, Ok(vec![user(3)]), "the expired one makes room");
}
