//! The global limit over several pods: what they admit together, with Redis and without.

use std::sync::Arc;

use api::{GlobalLimit, SlicedLimit, WindowLimit};
use model::UserId;
use model::clock::SystemClock;
use redis_link::Link;
use testkit::conformance::backplane::fresh;
use testkit::conformance::eventually;
use testkit::conformance::global_limit::admitted;
use testkit::redis::{self, RedisServer};

/// So long that it does not end during a test.
const LIMIT: WindowLimit = WindowLimit::new(60, 120_000);

fn pod(link: &Link, limit: WindowLimit) -> Arc<SlicedLimit> {
    let name = format!("api-{}", fresh());
    Arc::new(SlicedLimit::start(link.clone(), &name, SystemClock::shared(), limit, 1000))
}

/// So many pods who know of each other.
async fn pods(link: &Link, count: u32) -> Vec<Arc<SlicedLimit>> {
    let pods: Vec<_> = (0..count).map(|_| pod(link, LIMIT)).collect();
    for one in &pods {
        eventually("a pod knows the others", async || one.pods() == count).await;
    }
    pods
}

fn user() -> UserId {
    UserId::new(fresh()).unwrap()
}

mod one_pod {
    use super::*;

    async fn make(limit: WindowLimit) -> Option<Arc<dyn GlobalLimit>> {
        redis::link().map(|link| pod(&link, limit) as Arc<dyn GlobalLimit>)
    }

    testkit::global_limit_conformance!(make);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_stays_at_one_pod_gets_the_whole_limit_there_and_nothing_elsewhere() {
    let Some(link) = redis::link() else { return };
    let (pods, user) = (pods(&link, 3).await, user());
    let pods: Vec<Arc<dyn GlobalLimit>> = pods.into_iter().map(|pod| pod as _).collect();
    assert_eq!(admitted(&pods[0], user, 100).await, 60);
    for other in &pods[1..] {
        let share = admitted(other, user, 100).await;
        assert!(share <= 20, "at most its share, until it is answered: {share}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_goes_from_pod_to_pod_gets_about_the_limit() {
    let Some(link) = redis::link() else { return };
    let (pods, user) = (pods(&link, 3).await, user());
    let pods: Vec<Arc<dyn GlobalLimit>> = pods.into_iter().map(|pod| pod as _).collect();
    let mut total = 0;
    for turn in 0..180 {
        total += admitted(&pods[turn % 3], user, 1).await;
    }
    assert!((50..=63).contains(&total), "{total} of 60");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_each_pod_admits_its_share_of_the_pods_that_were_known_last() {
    let Some(mut server) = RedisServer::start() else { return };
    let link = Link::start(redis::config(&server)).unwrap();
    let pods = pods(&link, 3).await;
    server.kill();
    let probe = user();
    eventually("the link goes down", async || {
        pods[0].take(probe);
        !link.is_up()
    })
    .await;
    let user = user();
    for one in pods.iter().map(|pod| pod.clone() as Arc<dyn GlobalLimit>) {
        assert_eq!(admitted(&one, user, 40).await, 20);
    }
    server.restart();
    eventually("the link is up", async || link.is_up()).await;
    for one in &pods {
        eventually("a pod knows the others", async || one.pods() == 3).await;
    }
    let one = pods[0].clone() as Arc<dyn GlobalLimit>;
    assert_eq!(admitted(&one, self::user(), 100).await, 60, "as before");
}
