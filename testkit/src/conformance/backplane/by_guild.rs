//! What a reader of single guilds makes of the backplane, and one that changes between the modes. These hold through
//! faults, too.

use std::sync::Arc;
use std::time::Duration;

use backplane::{Backplane, Followed, Follower, GuildMode, Mode, OpenGuilds, Stream, Subject};
use model::GuildId;
use proto::Envelope;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::follower::{
    EVENTS_PER_WRITER, FIRST, WRITERS, assert_nothing_follows, assert_once_and_in_order_of_each, follow,
    follow_cancelled, guilds, next, one_by_one, write,
};
use super::{answer, fresh, guild_in, in_time, publish};

/// Guild mode for up to eight guilds, at once.
pub fn guild_mode() -> GuildMode {
    GuildMode { subjects_max: 8, check: Duration::from_millis(200), settle: Duration::ZERO }
}

/// A follower that has come to listen to these guilds of the first partition alone.
pub async fn start_by_guild(
    backplane: &Arc<dyn Backplane>,
    guilds: &[GuildId],
    mode: GuildMode,
) -> (Follower, Arc<OpenGuilds>) {
    let open = Arc::new(OpenGuilds::new(backplane.layout(), mode));
    guilds.iter().for_each(|guild| open.add(*guild));
    let started = || Follower::start_for(Arc::clone(backplane), FIRST, Arc::clone(&open));
    let mut follower = answer(started).await;
    until_mode(&mut follower, Mode::Guilds).await;
    (follower, open)
}

/// Goes on, where nothing is published, until the mode is this one.
pub async fn until_mode(follower: &mut Follower, mode: Mode) {
    let mut status = follower.status();
    let changed = async {
        tokio::select! {
            followed = follower.next() => panic!("nothing is published: {followed:?}"),
            changed = status.wait_for(|status| status.mode == mode) => drop(changed.expect("it is followed")),
        }
    };
    in_time(changed).await;
}

/// Others are published in the same partition, and are not given.
pub async fn a_follower_of_guilds_gives_every_event_of_theirs(backplane: Arc<dyn Backplane>) {
    let guilds = guilds(&backplane);
    let (open, others) = guilds.split_at(WRITERS / 2);
    let (mut follower, _open) = start_by_guild(&backplane, open, guild_mode()).await;
    let (writers, ids) = write(&backplane, open);
    let (strangers, _) = write(&backplane, others);
    let events = follow(&mut follower, open.len() * EVENTS_PER_WRITER).await;
    in_time(writers.join_all()).await;
    in_time(strangers.join_all()).await;
    assert_once_and_in_order_of_each(&events, &ids);
    let last = answer(|| backplane.state(Stream::Guilds(FIRST))).await.last;
    let mut status = follower.status();
    let seen = async {
        tokio::select! {
            followed = follower.next() => panic!("more than was published: {followed:?}"),
            seen = status.wait_for(|status| status.seen >= last && !status.gap_open) => drop(seen.expect("it lives")),
        }
    };
    in_time(seen).await;
    assert_nothing_follows(&mut follower).await;
}

pub async fn the_last_event_of_a_guild_is_not_missed(backplane: Arc<dyn Backplane>) {
    let guild = guild_in(&*backplane, FIRST);
    let (mut follower, _open) = start_by_guild(&backplane, &[guild], guild_mode()).await;
    one_by_one(&backplane, &mut follower, guild).await;
}

pub async fn a_follower_of_guilds_that_is_cancelled_loses_nothing(backplane: Arc<dyn Backplane>) {
    let guilds = guilds(&backplane);
    let (mut follower, _open) = start_by_guild(&backplane, &guilds, guild_mode()).await;
    let (writers, ids) = write(&backplane, &guilds);
    let events = follow_cancelled(&mut follower).await;
    in_time(writers.join_all()).await;
    assert_once_and_in_order_of_each(&events, &ids);
}

/// Guilds are opened until there are too many, and closed again, while others are published in: everything comes once and
/// in order, and what is published in a guild that was opened meanwhile comes from when it is said to stand.
pub async fn the_mode_changes_under_load_and_nothing_is_lost(backplane: Arc<dyn Backplane>) {
    const TURNS: u64 = 4;
    let guilds = guilds(&backplane);
    let (follower, open) = start_by_guild(&backplane, &guilds, guild_mode()).await;
    let (mut status, stats) = (follower.status(), follower.stats());
    let (total, told) = watch::channel(None);
    let mut following = JoinSet::new();
    following.spawn(follow_until(follower, told));
    let (stop, stopped) = watch::channel(false);
    let mut writers = JoinSet::new();
    for guild in guilds {
        writers.spawn(write_until(Arc::clone(&backplane), guild, stopped.clone()));
    }
    let mut ids = Vec::new();
    for _ in 0..TURNS {
        let many: Vec<GuildId> = std::iter::repeat_with(|| guild_in(&*backplane, FIRST)).take(8).collect();
        many.iter().for_each(|guild| open.add(*guild));
        in_time(status.wait_for(|status| status.mode == Mode::Partition)).await.expect("it is followed");
        ids.push(write_opened(&backplane, &open, many[0]).await.0);
        many[1..].iter().for_each(|guild| open.remove(*guild));
        in_time(status.wait_for(|status| status.mode == Mode::Guilds)).await.expect("it is followed");
        let late = guild_in(&*backplane, FIRST);
        open.add(late);
        let (own, last) = write_opened(&backplane, &open, late).await;
        ids.push(own);
        in_time(status.wait_for(|status| status.seen >= last)).await.expect("it is followed");
        [late, many[0]].into_iter().for_each(|guild| open.remove(guild));
    }
    stop.send_replace(true);
    ids.extend(in_time(writers.join_all()).await);
    total.send_replace(Some(ids.iter().map(Vec::len).sum()));
    let (events, mut follower) =
        in_time(following.join_next()).await.expect("one").expect("it follows to the end");
    assert_once_and_in_order_of_each(&events, &ids);
    assert_nothing_follows(&mut follower).await;
    assert!(stats.counts().mode_changes > 2 * TURNS, "{:?}", stats.counts());
}

/// Follows until it has had as many as it is told.
async fn follow_until(
    mut follower: Follower,
    mut total: watch::Receiver<Option<usize>>,
) -> (Vec<(u64, u64)>, Follower) {
    let mut events = Vec::new();
    while total.borrow().is_none_or(|total| events.len() < total) {
        tokio::select! {
            followed = follower.next() => match followed {
                Some(Followed::Event(event)) => events.push((event.envelope.event_id, event.sequence)),
                other => panic!("no event: {other:?}"),
            },
            changed = total.changed() => changed.expect("it waits for the end"),
        }
    }
    (events, follower)
}

async fn write_until(backplane: Arc<dyn Backplane>, guild: GuildId, stop: watch::Receiver<bool>) -> Vec<u64> {
    let mut ids = Vec::new();
    while !*stop.borrow() {
        ids.push(fresh());
        publish(&backplane, Subject::Guild(guild), ids[ids.len() - 1]).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    ids
}

/// Publishes once the guild stands; gives the ids and the last sequence.
async fn write_opened(backplane: &Arc<dyn Backplane>, open: &OpenGuilds, guild: GuildId) -> (Vec<u64>, u64) {
    answer(|| open.stands(guild)).await;
    let (mut ids, mut last) = (Vec::new(), 0);
    for _ in 0..5 {
        ids.push(fresh());
        last = publish(backplane, Subject::Guild(guild), ids[ids.len() - 1]).await.sequence;
    }
    (ids, last)
}

/// Everything of the open guilds up to `seen` has been given, whenever one looks: so who begins at `seen` elsewhere, in
/// whatever mode, lacks nothing.
pub async fn a_position_of_guild_mode_is_where_another_can_go_on(backplane: Arc<dyn Backplane>) {
    let guilds = guilds(&backplane);
    let (open, others) = guilds.split_at(WRITERS / 2);
    let (mut follower, _open) = start_by_guild(&backplane, open, guild_mode()).await;
    let status = follower.status();
    let (writers, ids) = write(&backplane, open);
    let (strangers, _) = write(&backplane, others);
    let (mut given, mut positions) = (Vec::new(), vec![(0, status.borrow().seen)]);
    while given.len() < open.len() * EVENTS_PER_WRITER {
        given.push(next(&mut follower).await.0);
        let seen = status.borrow().seen;
        if positions.last().is_none_or(|(_, before)| *before < seen) {
            // What has just been returned is not dealt with yet.
            positions.push((given.len() - 1, seen));
        }
    }
    in_time(writers.join_all()).await;
    in_time(strangers.join_all()).await;
    let last = answer(|| backplane.state(Stream::Guilds(FIRST))).await.last;
    let mut stored = Vec::new();
    while (stored.len() as u64) < last {
        let range = stored.len() as u64 + 1..=last;
        stored.extend(answer(|| backplane.read(Stream::Guilds(FIRST), range.clone(), 1000)).await);
    }
    let mut events: Vec<(u64, u64)> = Vec::new();
    for stored in
        stored.iter().filter(|stored| open.iter().any(|guild| stored.subject == Subject::Guild(*guild)))
    {
        let id = Envelope::decode(stored.envelope.clone()).expect("one of ours").event_id;
        // A second copy of an event is none.
        if events.iter().all(|(known, _)| *known != id) {
            events.push((id, stored.sequence));
        }
    }
    for (count, seen) in positions {
        let before: Vec<u64> =
            events.iter().filter(|(_, sequence)| *sequence <= seen).map(|(id, _)| *id).collect();
        assert!(before.iter().all(|id| given[..count].contains(id)), "not all up to {seen} was given");
        for own in &ids {
            let replayed = events.iter().filter(|(id, sequence)| *sequence > seen && own.contains(id));
            let replayed: Vec<u64> = replayed.map(|(id, _)| *id).collect();
            assert!(own.ends_with(&replayed), "a replay from {seen} leaves something out");
        }
    }
}
