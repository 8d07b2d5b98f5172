//! What a reader makes of the backplane. These hold through faults: every event once and in order, and nothing lost as
//! long as the stream has it. [`super::by_guild`] has the same of a reader of single guilds.

use std::sync::Arc;
use std::time::Duration;

use backplane::{Backplane, Followed, FollowedEvent, Follower, Partition, Subject};
use model::GuildId;
use tokio::task::JoinSet;

use super::by_guild::{guild_mode, start_by_guild};
use super::{answer, fresh, guild_in, in_time, publish};

pub(super) const FIRST: Partition = Partition(0);
pub(super) const WRITERS: usize = 4;
pub(super) const EVENTS_PER_WRITER: usize = 250;

async fn start(backplane: &Arc<dyn Backplane>) -> Follower {
    answer(|| Follower::start(Arc::clone(backplane), FIRST)).await
}

pub(super) fn guilds(backplane: &Arc<dyn Backplane>) -> Vec<GuildId> {
    std::iter::repeat_with(|| guild_in(&**backplane, FIRST)).take(WRITERS).collect()
}

/// Publishes from several tasks at once, each on its own guild and in its own order; gives the ids of each.
pub(super) fn write(backplane: &Arc<dyn Backplane>, guilds: &[GuildId]) -> (JoinSet<()>, Vec<Vec<u64>>) {
    let mut writers = JoinSet::new();
    let mut ids = Vec::new();
    for guild in guilds.iter().copied() {
        let own: Vec<u64> = std::iter::repeat_with(fresh).take(EVENTS_PER_WRITER).collect();
        ids.push(own.clone());
        let backplane = Arc::clone(backplane);
        writers.spawn(async move {
            for id in own {
                publish(&backplane, Subject::Guild(guild), id).await;
                tokio::task::yield_now().await;
            }
        });
    }
    (writers, ids)
}

/// The ids and sequences of so many events.
pub(super) async fn follow(follower: &mut Follower, count: usize) -> Vec<(u64, u64)> {
    let mut events = Vec::new();
    while events.len() < count {
        events.push(next(follower).await);
    }
    events
}

pub(super) async fn next(follower: &mut Follower) -> (u64, u64) {
    match in_time(follower.next()).await {
        Some(Followed::Event(FollowedEvent { sequence, envelope })) => (envelope.event_id, sequence),
        other => panic!("no event: {other:?}"),
    }
}

fn assert_once_and_in_order(events: &[(u64, u64)], ids: &[Vec<u64>]) {
    assert!(events.is_sorted_by(|one, other| one.1 < other.1), "sequences do not rise");
    assert_once_and_in_order_of_each(events, ids);
}

/// Between guilds there may be any order.
pub(super) fn assert_once_and_in_order_of_each(events: &[(u64, u64)], ids: &[Vec<u64>]) {
    for own in ids {
        let got: Vec<u64> = events.iter().map(|(id, _)| *id).filter(|id| own.contains(id)).collect();
        assert_eq!(got, *own);
    }
}

pub(super) async fn assert_nothing_follows(follower: &mut Follower) {
    let more = tokio::time::timeout(Duration::from_millis(700), follower.next()).await;
    assert!(more.is_err(), "more than was published: {more:?}");
    let (status, counts) = (*follower.status().borrow(), follower.stats().counts());
    assert_eq!(
        (counts.lost_expired, counts.lost_missing, counts.malformed),
        (0, 0, 0),
        "{status:?} {counts:?}"
    );
}

pub async fn a_follower_gives_every_event_once_and_in_order(backplane: Arc<dyn Backplane>) {
    let mut follower = start(&backplane).await;
    let (writers, ids) = write(&backplane, &guilds(&backplane));
    let events = follow(&mut follower, WRITERS * EVENTS_PER_WRITER).await;
    in_time(writers.join_all()).await;
    assert_once_and_in_order(&events, &ids);
    assert_nothing_follows(&mut follower).await;
    let status = *follower.status().borrow();
    assert!(status.seen >= events.last().expect("some").1 && !status.gap_open, "{status:?}");
}

pub async fn the_last_event_of_all_is_not_missed(backplane: Arc<dyn Backplane>) {
    let mut follower = start(&backplane).await;
    one_by_one(&backplane, &mut follower, guild_in(&*backplane, FIRST)).await;
}

pub(super) async fn one_by_one(backplane: &Arc<dyn Backplane>, follower: &mut Follower, guild: GuildId) {
    for _ in 0..20 {
        let id = fresh();
        publish(backplane, Subject::Guild(guild), id).await;
        assert_eq!(next(follower).await.0, id);
    }
}

pub async fn a_follower_that_is_cancelled_all_the_time_loses_nothing(backplane: Arc<dyn Backplane>) {
    let mut follower = start(&backplane).await;
    let (writers, ids) = write(&backplane, &guilds(&backplane));
    let events = follow_cancelled(&mut follower).await;
    in_time(writers.join_all()).await;
    assert_once_and_in_order(&events, &ids);
}

pub(super) async fn follow_cancelled(follower: &mut Follower) -> Vec<(u64, u64)> {
    let mut events = Vec::new();
    let all = async {
        while events.len() < WRITERS * EVENTS_PER_WRITER {
            tokio::select! {
                biased;
                followed = follower.next() => match followed {
                    Some(Followed::Event(event)) => events.push((event.envelope.event_id, event.sequence)),
                    other => panic!("no event: {other:?}"),
                },
                () = tokio::task::yield_now() => {}
            }
        }
    };
    in_time(all).await;
    events
}

pub async fn followers_of_one_partition_agree(backplane: Arc<dyn Backplane>) {
    let guilds = guilds(&backplane);
    let (mut one, mut other) = (start(&backplane).await, start(&backplane).await);
    let (mut third, _open) = start_by_guild(&backplane, &guilds, guild_mode()).await;
    let (writers, _) = write(&backplane, &guilds);
    let count = WRITERS * EVENTS_PER_WRITER;
    let (ones, others, mut thirds) =
        tokio::join!(follow(&mut one, count), follow(&mut other, count), follow(&mut third, count));
    in_time(writers.join_all()).await;
    assert_eq!(ones, others);
    thirds.sort_by_key(|(_, sequence)| *sequence);
    assert_eq!(ones, thirds, "in the other mode");
}
