//! The driver against the in-process adapter.

use std::time::Duration;

use model::clock::{ManualClock, SharedClock};
use model::{EventKind, GuildId};
use proto::Writer;
use tokio::time::timeout;

use super::*;
use crate::in_process::{InProcess, Options};
use crate::open_guilds::GuildMode;
use crate::subject::{Layout, Subject};

const LAYOUT: Layout = Layout { guild_partitions: 1, user_partitions: 1 };

fn backplane(options: Options) -> (ManualClock, Arc<InProcess>) {
    let clock = ManualClock::at(1_000_000);
    let shared: SharedClock = Arc::new(clock.clone());
    (clock, InProcess::new(LAYOUT, shared, options))
}

fn envelope(event_id: u64, epoch: u64) -> Bytes {
    Envelope::new(event_id, EventKind::MessageCreate, Writer { set: 1, slot: 3, epoch }, "{}").encode()
}

async fn publish_as(backplane: &InProcess, event_id: u64, epoch: u64) {
    let guild = Subject::Guild(GuildId::new(1).unwrap());
    backplane.publish(guild, event_id, envelope(event_id, epoch)).await.unwrap();
}

async fn publish(backplane: &InProcess, ids: std::ops::RangeInclusive<u64>) {
    for event_id in ids {
        publish_as(backplane, event_id, 1).await;
    }
}

async fn start(backplane: &Arc<InProcess>) -> Follower {
    Follower::start(Arc::clone(backplane) as Arc<dyn Backplane>, Partition(0)).await.unwrap()
}

async fn next(follower: &mut Follower) -> Followed {
    timeout(Duration::from_secs(20), follower.next()).await.expect("in time").expect("still open")
}

async fn next_sequence(follower: &mut Follower) -> u64 {
    match next(follower).await {
        Followed::Event(event) => event.sequence,
        other => panic!("no event: {other:?}"),
    }
}

#[tokio::test]
async fn begins_at_the_streams_end() {
    let (_, backplane) = backplane(Options::default());
    publish(&backplane, 1..=3).await;
    let mut follower = start(&backplane).await;
    publish(&backplane, 4..=4).await;
    assert_eq!(next_sequence(&mut follower).await, 4);
}

#[tokio::test]
async fn seen_moves_when_the_next_event_is_asked_for() {
    let (_, backplane) = backplane(Options::default());
    let mut follower = start(&backplane).await;
    let status = follower.status();
    publish(&backplane, 1..=2).await;
    assert_eq!(next_sequence(&mut follower).await, 1);
    assert_eq!(status.borrow().seen, 0);
    assert_eq!(next_sequence(&mut follower).await, 2);
    assert_eq!(status.borrow().seen, 1);
    assert!(timeout(Duration::from_millis(10), follower.next()).await.is_err());
    assert_eq!(status.borrow().seen, 2);
    assert!(!status.borrow().gap_open);
}

#[tokio::test]
async fn an_overrun_subscription_is_repaired_from_the_stream() {
    let (_, backplane) = backplane(Options { subscription_queue_max: 2, ..Options::default() });
    let mut follower = start(&backplane).await;
    publish(&backplane, 1..=2500).await;
    for sequence in 1..=2500 {
        assert_eq!(next_sequence(&mut follower).await, sequence);
    }
    let counts = follower.stats().counts();
    assert!(counts.gaps >= 1 && counts.repairs >= 3, "{counts:?}");
    assert_eq!(counts.lost_expired + counts.lost_missing, 0);
}

#[tokio::test]
async fn what_the_stream_no_longer_has_is_reported_lost() {
    let bounds = Options { subscription_queue_max: 2, stream_events_max: 5, ..Options::default() };
    let (_, backplane) = backplane(bounds);
    let mut follower = start(&backplane).await;
    publish(&backplane, 1..=20).await;
    assert_eq!(next_sequence(&mut follower).await, 1);
    assert_eq!(next_sequence(&mut follower).await, 2);
    assert_eq!(
        next(&mut follower).await,
        Followed::Lost { guild: None, cause: LostCause::Expired, after: 2 }
    );
    assert_eq!(next_sequence(&mut follower).await, 16);
    assert_eq!(follower.stats().counts().lost_expired, 13);
    assert_eq!(follower.status().borrow().seen, 15);
}

#[tokio::test]
async fn replaced_writers_and_malformed_envelopes_are_counted_and_dropped() {
    let (_, backplane) = backplane(Options::default());
    let mut follower = start(&backplane).await;
    publish_as(&backplane, 1, 2).await;
    publish_as(&backplane, 2, 1).await;
    let guild = Subject::Guild(GuildId::new(1).unwrap());
    backplane.publish(guild, 3, Bytes::from_static(b"\xff")).await.unwrap();
    publish_as(&backplane, 4, 2).await;
    assert_eq!(next_sequence(&mut follower).await, 1);
    assert_eq!(next_sequence(&mut follower).await, 4);
    let counts = follower.stats().counts();
    assert_eq!((counts.fenced, counts.malformed), (1, 1));
}

#[tokio::test]
async fn an_event_that_is_published_again_after_the_window_is_dropped() {
    let (clock, backplane) = backplane(Options::default());
    let mut follower = start(&backplane).await;
    publish(&backplane, 1..=1).await;
    clock.advance(limits::DUPLICATE_WINDOW_MS);
    publish(&backplane, 1..=2).await;
    assert_eq!(next_sequence(&mut follower).await, 1);
    assert_eq!(next_sequence(&mut follower).await, 3);
    assert_eq!(follower.stats().counts().duplicates, 1);
}

#[tokio::test]
async fn a_cancelled_next_loses_nothing() {
    let (_, backplane) = backplane(Options { subscription_queue_max: 2, ..Options::default() });
    let mut follower = start(&backplane).await;
    publish(&backplane, 1..=50).await;
    let mut sequences = Vec::new();
    for _ in 0..10_000 {
        let turn = std::pin::pin!(follower.next());
        let polled = futures_poll_once(turn).await;
        if let Some(Some(Followed::Event(event))) = polled {
            sequences.push(event.sequence);
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(sequences, (1..=50).collect::<Vec<_>>());
}

async fn futures_poll_once<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
    std::future::poll_fn(|context| {
        let polled = std::pin::Pin::new(&mut future).poll(context);
        std::task::Poll::Ready(match polled {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

#[tokio::test]
async fn ends_when_the_backplane_does() {
    let (_, backplane) = backplane(Options::default());
    let mut follower = start(&backplane).await;
    publish(&backplane, 1..=1).await;
    follower.site.backplane = backplane_elsewhere();
    drop(backplane);
    assert_eq!(next_sequence(&mut follower).await, 1);
    assert_eq!(follower.next().await, None);
}

fn backplane_elsewhere() -> Arc<dyn Backplane> {
    backplane(Options::default()).1
}

fn guild(number: u64) -> GuildId {
    GuildId::new(number).unwrap()
}

/// Follows for these guilds; guild mode begins when there have been few for the default time.
async fn start_for(backplane: &Arc<InProcess>, subjects_max: usize) -> (Follower, Arc<OpenGuilds>) {
    let mode = GuildMode { subjects_max, ..GuildMode::default() };
    let open = Arc::new(OpenGuilds::new(LAYOUT, mode));
    open.add(guild(1));
    let dynamic = Arc::clone(backplane) as Arc<dyn Backplane>;
    (Follower::start_for(dynamic, Partition(0), Arc::clone(&open)).await.unwrap(), open)
}

/// Goes on while nothing comes.
async fn until(follower: &mut Follower, is_so: impl FnMut(&FollowStatus) -> bool) {
    let mut status = follower.status();
    tokio::select! {
        followed = follower.next() => panic!("it gives {followed:?}"),
        reached = status.wait_for(is_so) => drop(reached.unwrap()),
    }
}

#[tokio::test(start_paused = true)]
async fn few_guilds_are_followed_alone_after_a_while_and_too_many_never() {
    let (_, backplane) = backplane(Options::default());
    let (mut follower, open) = start_for(&backplane, 4).await;
    let begin = tokio::time::Instant::now();
    until(&mut follower, |status| status.mode == Mode::Guilds).await;
    assert!(begin.elapsed() >= Duration::from_millis(limits::GUILD_MODE_SETTLE_MS));
    open.add(guild(2));
    tokio::select! {
        followed = follower.next() => panic!("it gives {followed:?}"),
        stands = open.stands(guild(2)) => stands.unwrap(),
    }
    (3..=5).for_each(|number| open.add(guild(number)));
    until(&mut follower, |status| status.mode == Mode::Partition).await;
    assert_eq!(open.stands(guild(5)).await, Ok(()));
    assert_eq!(follower.stats().counts().mode_changes, 2);
}

#[tokio::test(start_paused = true)]
async fn seen_moves_by_checks_where_other_guilds_are_busy() {
    let (_, backplane) = backplane(Options::default());
    let (mut follower, _open) = start_for(&backplane, 4).await;
    until(&mut follower, |status| status.mode == Mode::Guilds).await;
    for event_id in 1..=3 {
        backplane.publish(Subject::Guild(guild(9)), event_id, envelope(event_id, 1)).await.unwrap();
    }
    publish(&backplane, 4..=4).await;
    assert_eq!(next_sequence(&mut follower).await, 4);
    assert_eq!(follower.status().borrow().seen, 0);
    let before = tokio::time::Instant::now();
    until(&mut follower, |status| status.seen == 4).await;
    assert!(before.elapsed() <= Duration::from_millis(limits::GUILD_CHECK_MS + limits::TAIL_BEHIND_MS));
}

#[tokio::test(start_paused = true)]
async fn a_loss_in_guild_mode_names_the_guild() {
    let bounds = Options { subscription_queue_max: 2, stream_events_max: 5, ..Options::default() };
    let (_, backplane) = backplane(bounds);
    let (mut follower, _open) = start_for(&backplane, 4).await;
    until(&mut follower, |status| status.mode == Mode::Guilds).await;
    publish(&backplane, 1..=20).await;
    assert_eq!(next_sequence(&mut follower).await, 1);
    assert_eq!(next_sequence(&mut follower).await, 2);
    let lost = Followed::Lost { guild: Some(guild(1)), cause: LostCause::Expired, after: 2 };
    assert_eq!(next(&mut follower).await, lost);
    assert_eq!(next_sequence(&mut follower).await, 16);
}
