//! The router on the in-process backplane, in the runtime's paused time.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backplane::port::PodBatch;
use backplane::{
    Backplane, InMemoryRegistry, InProcess, Layout, Options, PodName, Registry, Subject, Unavailable,
};
use bytes::Bytes;
use doubles::Away;
use fanout::{Config, Fanout};
use model::UserId;
use model::clock::ManualClock;
use model::limits::REGISTRY_ENTRY_MS;
use tokio::sync::mpsc;

struct Setup {
    backplane: Arc<InProcess>,
    registry: Arc<InMemoryRegistry>,
    clock: ManualClock,
}

impl Setup {
    fn new() -> Self {
        let clock = ManualClock::at(1_700_000_000_000);
        let layout = Layout { guild_partitions: 1, user_partitions: 2 };
        let backplane = InProcess::new(layout, Arc::new(clock.clone()), Options::default());
        Self { backplane, registry: Arc::new(InMemoryRegistry::new(Arc::new(clock.clone()))), clock }
    }

    fn start(&self) -> Fanout {
        Fanout::start(Config { backplane: self.backplane.clone(), registry: self.registry.clone() })
    }

    async fn publish(&self, number: u64, id: u64) {
        let text = Bytes::from(id.to_string());
        self.backplane.publish(Subject::User(user(number)), id, text).await.unwrap();
    }

    async fn pod(&self, name: &str, users: &[u64]) -> mpsc::Receiver<PodBatch> {
        let users: Vec<UserId> = users.iter().map(|number| user(*number)).collect();
        self.registry.register(&pod(name), &users).await.unwrap();
        self.backplane.serve_pod(&pod(name)).await.unwrap()
    }
}

fn user(number: u64) -> UserId {
    UserId::new(number).unwrap()
}

fn pod(name: &str) -> PodName {
    PodName::new(name)
}

async fn batch(inbox: &mut mpsc::Receiver<PodBatch>) -> PodBatch {
    let batch = tokio::time::timeout(Duration::from_secs(120), inbox.recv()).await;
    batch.expect("a batch in time").expect("an open inbox")
}

/// (user, id) of the next `count` events at least, each batch answered.
async fn take(inbox: &mut mpsc::Receiver<PodBatch>, count: usize) -> Vec<(u64, u64)> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let batch = batch(inbox).await;
        let text = |bytes: &Bytes| std::str::from_utf8(bytes).unwrap().parse().unwrap();
        taken.extend(batch.events.iter().map(|event| (event.user.get(), text(&event.envelope))));
        batch.taken.send(()).unwrap();
    }
    taken
}

/// Waits until the service has acknowledged so many events.
async fn acknowledged(fanout: &Fanout, count: u64) {
    for _ in 0..100_000 {
        if fanout.stats().events == count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("{:?}", fanout.stats());
}

#[tokio::test(start_paused = true)]
async fn every_pod_gets_the_events_of_its_users_in_order() {
    let setup = Setup::new();
    let (mut a, mut b) = (setup.pod("a", &[1, 2]).await, setup.pod("b", &[2, 3]).await);
    let fanout = setup.start();
    for id in 1..=900 {
        setup.publish(id % 4 + 1, id).await;
    }
    let (a, b) = tokio::join!(take(&mut a, 450), take(&mut b, 450));
    for (events, users) in [(a, [1, 2]), (b, [2, 3])] {
        for user in users {
            let ids: Vec<u64> = events.iter().filter(|(of, _)| *of == user).map(|(_, id)| *id).collect();
            let expected: Vec<u64> = (1..=900).filter(|id| id % 4 + 1 == user).collect();
            assert_eq!(ids, expected);
        }
    }
    acknowledged(&fanout, 900).await;
    let stats = fanout.stats();
    assert_eq!((stats.delivered, stats.without_session, stats.retries), (900, 225, 0));
    fanout.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_dies_in_the_middle_holds_nobody_up() {
    let setup = Setup::new();
    let (mut dies, mut lives) = (setup.pod("dies", &[1]).await, setup.pod("lives", &[1, 2]).await);
    let fanout = setup.start();
    setup.publish(1, 1).await;
    let (of_dies, of_lives) = tokio::join!(take(&mut dies, 1), take(&mut lives, 1));
    assert_eq!((of_dies, of_lives), (vec![(1, 1)], vec![(1, 1)]));
    setup.publish(1, 2).await;
    let in_hand = batch(&mut dies).await;
    setup.publish(1, 3).await;
    drop((in_hand, dies));
    assert_eq!(take(&mut lives, 2).await, [(1, 2), (1, 3)]);
    acknowledged(&fanout, 3).await;
    assert_eq!(
        setup.registry.pods(&[user(1)]).await.unwrap(),
        [[pod("lives")]],
        "it is taken out of the registry"
    );
    assert!(fanout.stats().to_gone_pods > 0);
}

#[tokio::test(start_paused = true)]
async fn a_slow_pod_gets_everything_in_order_in_the_end() {
    let setup = Setup::new();
    let mut slow = setup.pod("slow", &[1]).await;
    let fanout = setup.start();
    for id in 1..=5 {
        setup.publish(1, id).await;
    }
    // It takes its first batches and never answers.
    for _ in 0..3 {
        drop(batch(&mut slow).await.events);
    }
    assert_eq!((fanout.stats().events, fanout.stats().abandoned), (0, 0));
    let mut ids: Vec<u64> = take(&mut slow, 5).await.into_iter().map(|(_, id)| id).collect();
    ids.dedup();
    assert_eq!(ids, [1, 2, 3, 4, 5]);
    acknowledged(&fanout, 5).await;
    assert_eq!(fanout.stats().abandoned, 0);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_hangs_is_given_up_only_when_the_registry_no_longer_has_it() {
    let setup = Setup::new();
    let (_hangs, mut lives) = (setup.pod("hangs", &[1]).await, setup.pod("lives", &[1]).await);
    let fanout = setup.start();
    setup.publish(1, 1).await;
    assert_eq!(take(&mut lives, 1).await, [(1, 1)]);
    setup.publish(1, 2).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!((fanout.stats().events, fanout.stats().abandoned), (0, 0), "the registry still has it");
    setup.clock.advance(REGISTRY_ENTRY_MS - 1);
    setup.registry.register(&pod("lives"), &[user(1)]).await.unwrap();
    setup.clock.advance(1);
    assert_eq!(take(&mut lives, 1).await, [(1, 2)]);
    acknowledged(&fanout, 2).await;
    assert_eq!(fanout.stats().abandoned, 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_acknowledged_comes_to_the_next_service() {
    let setup = Setup::new();
    let mut inbox = setup.pod("p", &[1]).await;
    let first = setup.start();
    setup.publish(1, 1).await;
    let unanswered = batch(&mut inbox).await;
    first.shutdown().await;
    drop(unanswered);
    let second = setup.start();
    assert_eq!(take(&mut inbox, 1).await, [(1, 1)]);
    acknowledged(&second, 1).await;
}

/// A registry with a defect.
struct Broken;

#[async_trait]
impl Registry for Broken {
    async fn register(&self, _: &PodName, _: &[UserId]) -> Result<Vec<UserId>, Unavailable> {
        Ok(Vec::new())
    }

    async fn unregister(&self, _: &PodName, _: UserId) -> Result<(), Unavailable> {
        Ok(())
    }

    async fn pods(&self, _: &[UserId]) -> Result<Vec<Vec<PodName>>, Unavailable> {
        panic!("a defect")
    }
}

#[tokio::test(start_paused = true)]
async fn a_router_that_dies_is_named_and_one_that_is_told_to_end_is_not() {
    let setup = Setup::new();
    let dies = Fanout::start(Config { backplane: setup.backplane.clone(), registry: Arc::new(Broken) });
    let ends = setup.start();
    let wait = Duration::from_secs(60);
    assert!(tokio::time::timeout(wait, dies.ended()).await.is_err(), "it is well");
    ends.shutdown().await;
    assert!(tokio::time::timeout(wait, ends.ended()).await.is_err(), "an end that was asked for");
    setup.publish(1, 1).await;
    let ended = tokio::time::timeout(wait, dies.ended()).await.expect("it is told");
    assert!(ended.task.starts_with("the router of partition"), "{ended}");
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_is_away_loses_nothing() {
    let setup = Setup::new();
    let mut inbox = setup.pod("p", &[1]).await;
    let away = Away::new(setup.registry.clone());
    away.set(true);
    let fanout = Fanout::start(Config { backplane: setup.backplane.clone(), registry: away.clone() });
    setup.publish(1, 1).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(fanout.stats().retries > 10 && fanout.stats().events == 0);
    away.set(false);
    assert_eq!(take(&mut inbox, 1).await, [(1, 1)]);
    acknowledged(&fanout, 1).await;
}

#[tokio::test(start_paused = true)]
async fn what_users_are_told_goes_to_their_pods_once_and_waits_for_no_pod() {
    let setup = Setup::new();
    let (mut a, mut b) = (setup.pod("a", &[1, 2]).await, setup.pod("b", &[2]).await);
    let hung = setup.pod("hung", &[3]).await;
    let fanout = setup.start();
    tokio::time::sleep(Duration::from_millis(1)).await;
    let tell = |number: u64| setup.backplane.tell_user(user(number), Bytes::from(number.to_string()));
    (1..=4).for_each(tell);
    let ((), ()) = tokio::join!(async { assert_eq!(take(&mut a, 2).await, [(1, 1), (2, 2)]) }, async {
        assert_eq!(take(&mut b, 1).await, [(2, 2)])
    },);
    tell(1);
    assert_eq!(take(&mut a, 1).await, [(1, 1)], "a pod that hangs holds it up for a moment only");
    assert_eq!(fanout.stats().events, 0, "nothing of it is stored");
    drop(hung);
    fanout.shutdown().await;
}
