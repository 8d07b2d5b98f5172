//! Guild mode on a real server: each way by which it finds what was lost, alone.

use std::sync::Arc;
use std::time::Duration;

use backplane::nats::Config;
use backplane::{Backplane, Followed, Follower, GuildMode, Nats, OpenGuilds, Partition, Subject};
use model::GuildId;
use testkit::conformance::backplane::by_guild::start_by_guild;
use testkit::conformance::backplane::{answer, event, fresh, guild_in, in_time, publish};
use testkit::faulty::{Faults, Faulty};
use testkit::nats;

use crate::LAYOUT;

const FIRST: Partition = Partition(0);
const NEVER: Duration = Duration::from_secs(3600);
const OFTEN: Duration = Duration::from_millis(200);

fn mode(check: Duration) -> GuildMode {
    GuildMode { check, settle: Duration::ZERO, ..GuildMode::default() }
}

/// A publisher, and a reader to which this happens.
async fn apart(faults: Faults) -> (Arc<dyn Backplane>, Arc<dyn Backplane>) {
    let config = nats::config(&nats::shared().url(), LAYOUT);
    let publisher = nats::backplane(&config).await;
    let reader = answer(|| Nats::connect(&config)).await;
    (publisher, Faulty::new(reader, faults))
}

async fn next(follower: &mut Follower) -> u64 {
    match in_time(follower.next()).await {
        Some(Followed::Event(event)) => event.envelope.event_id,
        other => panic!("no event: {other:?}"),
    }
}

async fn publish_some(backplane: &Arc<dyn Backplane>, guild: GuildId, count: usize) -> Vec<u64> {
    let ids: Vec<u64> = std::iter::repeat_with(fresh).take(count).collect();
    for id in &ids {
        publish(backplane, Subject::Guild(guild), *id).await;
    }
    ids
}

/// Every delivery is lost, and nobody says so; `check` or the tails find them.
async fn all_are_found(faults: Faults, check: Duration) {
    let (publisher, reader) = apart(Faults { drop_silently: 1000, ..faults }).await;
    let guilds = [guild_in(&*reader, FIRST), guild_in(&*reader, FIRST)];
    let (mut follower, _open) = start_by_guild(&reader, &guilds, mode(check)).await;
    for guild in guilds {
        let ids = publish_some(&publisher, guild, 5).await;
        for id in ids {
            assert_eq!(next(&mut follower).await, id);
        }
    }
    let counts = follower.stats().counts();
    assert_eq!((counts.lost_missing, counts.lost_expired), (0, 0), "{counts:?}");
    assert!(counts.gaps >= 2 && counts.repairs >= 2, "{counts:?}");
}

#[tokio::test]
async fn the_last_events_are_found_by_the_check() {
    all_are_found(Faults { is_tailless: true, ..Faults::default() }, OFTEN).await;
}

#[tokio::test]
async fn the_last_events_are_found_by_what_publishers_tell() {
    all_are_found(Faults::default(), NEVER).await;
}

#[tokio::test]
async fn a_hole_in_one_guild_is_found_by_its_chain() {
    let faults = Faults { seed: 7, drop_silently: 500, is_tailless: true, ..Faults::default() };
    let (publisher, reader) = apart(faults).await;
    let guilds = [guild_in(&*reader, FIRST), guild_in(&*reader, FIRST)];
    let (mut follower, _open) = start_by_guild(&reader, &guilds, mode(NEVER)).await;
    let ids = publish_some(&publisher, guilds[0], 50).await;
    let mut arrived = Vec::new();
    // Only another delivery of the same guild shows what was lost at the end.
    let more = async {
        loop {
            publish_some(&publisher, guilds[0], 1).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let all = async {
        while arrived.len() < ids.len() {
            arrived.push(next(&mut follower).await);
        }
    };
    tokio::select! {
        () = all => {}
        () = more => {}
    }
    assert_eq!(arrived, ids);
    let counts = follower.stats().counts();
    assert!(counts.gaps > 0 && counts.repairs > 0 && counts.lost_missing == 0, "{counts:?}");
}

/// What comes after everything before has expired says that nothing was before it, and is no hole.
#[tokio::test]
async fn a_guild_whose_events_have_expired_goes_on() {
    let config = Config { stream_age_ms: 1_000, ..nats::config(&nats::shared().url(), LAYOUT) };
    let backplane: Arc<dyn Backplane> = nats::backplane(&config).await;
    let guild = guild_in(&*backplane, FIRST);
    let (mut follower, _open) = start_by_guild(&backplane, &[guild], mode(OFTEN)).await;
    for _ in 0..2 {
        let id = publish_some(&backplane, guild, 1).await[0];
        assert_eq!(next(&mut follower).await, id);
        let mut status = follower.status();
        let last = answer(|| backplane.last(Subject::Guild(guild))).await;
        let expired = async {
            while answer(|| backplane.last(Subject::Guild(guild))).await > 0 || status.borrow().seen < last {
                let more = tokio::time::timeout(Duration::from_millis(50), follower.next()).await;
                assert!(more.is_err(), "{more:?}");
            }
        };
        in_time(expired).await;
        assert!(!status.borrow_and_update().gap_open);
    }
    let counts = follower.stats().counts();
    assert_eq!((counts.gaps, counts.lost_expired, counts.lost_missing), (0, 0, 0), "{counts:?}");
}

/// A guild that is opened and closed again leaves no subscription behind.
#[tokio::test]
async fn guilds_come_and_go() {
    let backplane: Arc<dyn Backplane> = nats::backplane(&nats::config(&nats::shared().url(), LAYOUT)).await;
    let (mut follower, open) = start_by_guild(&backplane, &[], mode(OFTEN)).await;
    for _ in 0..10 {
        let guild = guild_in(&*backplane, FIRST);
        open.add(guild);
        stands(&mut follower, &open, guild).await;
        let id = fresh();
        publish(&backplane, Subject::Guild(guild), id).await;
        assert_eq!(next(&mut follower).await, id);
        open.remove(guild);
        let other = guild_in(&*backplane, FIRST);
        open.add(other);
        stands(&mut follower, &open, other).await;
        backplane.publish(Subject::Guild(guild), fresh(), event(fresh())).await.unwrap();
        let id = fresh();
        publish(&backplane, Subject::Guild(other), id).await;
        assert_eq!(next(&mut follower).await, id, "the guild was closed before");
    }
}

async fn stands(follower: &mut Follower, open: &OpenGuilds, guild: GuildId) {
    let stands = async {
        tokio::select! {
            followed = follower.next() => panic!("nothing is published: {followed:?}"),
            stands = open.stands(guild) => stands.unwrap(),
        }
    };
    in_time(stands).await;
}
