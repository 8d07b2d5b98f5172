//! The conformance suites on the adapters that need no server, and what must hold through faults.

use std::sync::Arc;
use std::time::Duration;

use backplane::{
    Backplane, Followed, Follower, InMemoryRegistry, InMemoryRoster, InMemorySessions, InMemoryStarts,
    InProcess, Layout, Options, Partition, Registry, Roster, Sessions, Starts, Subject,
};
use model::clock::SystemClock;
use testkit::conformance::ENTRY_MS;
use testkit::conformance::backplane::{answer, fresh, guild_in, in_time, publish};
use testkit::faulty::{Faults, Faulty};

const LAYOUT: Layout = Layout { guild_partitions: 2, user_partitions: 2 };

fn in_process(options: Options) -> Arc<InProcess> {
    InProcess::new(LAYOUT, SystemClock::shared(), options)
}

fn faulty(faults: Faults) -> Arc<Faulty<InProcess>> {
    Faulty::new(in_process(Options::default()), faults)
}

mod on_in_process {
    use super::*;

    async fn make() -> Arc<dyn Backplane> {
        in_process(Options::default())
    }

    testkit::backplane_conformance!(make);
}

/// The wrapper alone changes nothing.
mod on_faultless_faulty {
    use super::*;

    async fn make() -> Arc<dyn Backplane> {
        faulty(Faults::default())
    }

    testkit::backplane_conformance!(make);
}

/// Nor do streams that were there before the present incarnation.
mod on_a_second_incarnation {
    use super::*;

    async fn make() -> Arc<dyn Backplane> {
        let faulty = faulty(Faults::default());
        for partition in [Partition(0), Partition(1)] {
            let subject = Subject::Guild(guild_in(&*faulty, partition));
            faulty.publish(subject, fresh(), Default::default()).await.expect("no faults");
        }
        faulty.begin_anew().await.expect("no faults");
        faulty
    }

    testkit::backplane_conformance!(make);
}

mod through_faults {
    use super::*;

    async fn make() -> Arc<dyn Backplane> {
        faulty(Faults::rough(fresh_seed()))
    }

    testkit::backplane_conformance_through_faults!(make);
}

mod through_silent_losses {
    use super::*;

    async fn make() -> Arc<dyn Backplane> {
        faulty(Faults { seed: fresh_seed(), drop_silently: 300, ..Faults::default() })
    }

    testkit::backplane_conformance_through_faults!(make);
}

mod through_a_tiny_subscription {
    use super::*;

    async fn make() -> Arc<dyn Backplane> {
        let inner = in_process(Options { subscription_queue_max: 3, ..Options::default() });
        Faulty::new(inner, Faults::rough(fresh_seed()))
    }

    testkit::backplane_conformance_through_faults!(make);
}

mod registry_in_memory {
    use super::*;

    async fn make() -> Option<Arc<dyn Registry>> {
        Some(Arc::new(InMemoryRegistry::new(SystemClock::shared()).with_entry_ms(ENTRY_MS)))
    }

    testkit::registry_conformance!(make);
}

mod sessions_in_memory {
    use super::*;

    async fn make() -> Option<Arc<dyn Sessions>> {
        Some(Arc::new(InMemorySessions::with_entry_ms(SystemClock::shared(), ENTRY_MS)))
    }

    testkit::sessions_conformance!(make);
}

mod roster_in_memory {
    use super::*;

    async fn make() -> Option<Arc<dyn Roster>> {
        Some(Arc::new(InMemoryRoster::new(SystemClock::shared())))
    }

    testkit::roster_conformance!(make);
}

mod starts_in_memory {
    use testkit::conformance::starts::{DAY_MS, LANE_MS};

    use super::*;

    async fn make() -> Option<Arc<dyn Starts>> {
        Some(Arc::new(InMemoryStarts::with_windows_ms(SystemClock::shared(), DAY_MS, LANE_MS)))
    }

    testkit::starts_conformance!(make);
}

mod global_limit_of_one_process {
    use std::sync::Arc;

    use api::{GlobalLimit, LocalLimit, WindowLimit};
    use model::clock::SystemClock;

    async fn make(limit: WindowLimit) -> Option<Arc<dyn GlobalLimit>> {
        Some(Arc::new(LocalLimit::new(SystemClock::shared(), limit, 1000)))
    }

    testkit::global_limit_conformance!(make);
}

/// A seed that is printed, so that a failure can be had again.
fn fresh_seed() -> u64 {
    let seed = std::env::var("FAULTY_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(fresh);
    println!("FAULTY_SEED={seed}");
    seed
}

/// A follower is told of each new incarnation, and lacks nothing of what was published after it was told.
#[tokio::test]
async fn a_change_of_incarnation_is_told_and_nothing_after_it_is_missed() {
    let faulty = faulty(Faults::rough(fresh_seed()));
    let backplane: Arc<dyn Backplane> = faulty.clone();
    let mut follower = answer(|| Follower::start(Arc::clone(&backplane), Partition(0))).await;
    let subject = Subject::Guild(guild_in(&*backplane, Partition(0)));
    for round in 0..5 {
        let ids: Vec<u64> = std::iter::repeat_with(fresh).take(100).collect();
        for id in &ids {
            publish(&backplane, subject, *id).await;
        }
        assert_eq!(follow_ids(&mut follower, ids.len()).await, ids, "in round {round}");
        let before = follower.status().borrow().incarnation;
        answer(|| faulty.begin_anew()).await;
        assert_eq!(in_time(next_but_repeats(&mut follower, &ids)).await, Some(Followed::NewIncarnation));
        let told = tokio::time::timeout(Duration::from_millis(30), follower.next()).await;
        assert!(told.is_err(), "{told:?}");
        assert_ne!(follower.status().borrow().incarnation, before);
    }
    assert_eq!(follower.stats().counts().incarnations, 5);
}

/// The next that is not one of these, which may still come as a second copy.
async fn next_but_repeats(follower: &mut Follower, ids: &[u64]) -> Option<Followed> {
    loop {
        match follower.next().await {
            Some(Followed::Event(event)) if ids.contains(&event.envelope.event_id) => {}
            other => return other,
        }
    }
}

async fn follow_ids(follower: &mut Follower, count: usize) -> Vec<u64> {
    let mut ids = Vec::new();
    while ids.len() < count {
        match in_time(follower.next()).await {
            Some(Followed::Event(event)) => ids.push(event.envelope.event_id),
            other => panic!("no event: {other:?}"),
        }
    }
    ids
}

/// Where the stream is too short for what the follower missed, the loss is told, and all the rest comes.
#[tokio::test]
async fn what_is_beyond_repair_is_reported_and_nothing_else_is_missing() {
    let short = Options { stream_events_max: 40, subscription_queue_max: 8, ..Options::default() };
    let inner = in_process(short);
    let backplane: Arc<dyn Backplane> =
        Faulty::new(inner, Faults { store_twice: 0, ..Faults::rough(fresh_seed()) });
    let mut follower = answer(|| Follower::start(Arc::clone(&backplane), Partition(0))).await;
    let subject = Subject::Guild(guild_in(&*backplane, Partition(0)));
    let (mut published, mut next, mut losses, mut has_lost) = (0, 1, 0, false);
    for _ in 0..20 {
        for _ in 0..100 {
            published = published.max(publish(&backplane, subject, fresh()).await.sequence);
        }
        while next <= published {
            match in_time(follower.next()).await {
                Some(Followed::Event(event)) => {
                    assert!(event.sequence >= next, "out of order, or twice");
                    assert!(event.sequence == next || has_lost, "a hole that nobody reported");
                    next = event.sequence + 1;
                    has_lost = false;
                }
                Some(Followed::Lost { after, .. }) => {
                    assert!(after + 1 == next || has_lost);
                    losses += 1;
                    has_lost = true;
                }
                other => panic!("neither event nor loss: {other:?}"),
            }
        }
    }
    let counts = follower.stats().counts();
    assert!(losses > 0 && counts.lost_expired > 0 && counts.lost_missing == 0, "{counts:?}");
}
