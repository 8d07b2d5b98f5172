//! The link itself: what it says of a server that is away, frozen, started anew, or asks who we are.

use std::time::Duration;

use redis_link::{Away, Config, Credentials, Link, Script};
use testkit::conformance::eventually;
use testkit::proxy::Proxy;
use testkit::redis::{self, RedisServer};

static ADD: Script = Script::new("return redis.call('INCRBY', KEYS[1], ARGV[1])");
static FAIL: Script = Script::new("return redis.call('LPUSH', KEYS[1], ARGV[1])");

async fn add(link: &Link, number: u64) -> Result<u64, Away> {
    link.run(ADD.on([&link.key("test", 1)]).arg(number)).await
}

fn start(config: Config) -> Link {
    Link::start(config).unwrap()
}

/// Until it answers again.
async fn is_back(link: &Link) {
    eventually("the link comes back", async || link.is_up()).await;
}

#[tokio::test]
async fn answers_come_in_the_order_of_the_calls() {
    let Some(link) = redis::link() else { return };
    let key = link.key("test", 1);
    let calls = (1..=100_u64).map(|number| ADD.on([&key]).arg(number)).collect();
    let sums: Vec<u64> = link.run_all(calls).await.unwrap();
    assert_eq!((sums[0], sums[1], sums[99]), (1, 3, 5050));
    assert_eq!(link.run_all::<u64>(Vec::new()).await, Ok(vec![]));
}

/// The others were run all the same: each call is atomic, all of them are not.
#[tokio::test]
async fn a_call_that_is_refused_is_an_error_and_leaves_the_link_up() {
    let Some(link) = redis::link() else { return };
    let key = link.key("test", 1);
    let refused = link.run_all::<u64>(vec![ADD.on([&key]).arg(1), FAIL.on([&key]).arg(1)]).await.unwrap_err();
    assert!(refused.0.contains("WRONGTYPE"), "{refused}");
    assert_eq!(add(&link, 1).await, Ok(2));
    assert_eq!((link.stats().outages, link.stats().failures), (0, 2));
}

#[tokio::test]
async fn a_server_that_is_killed_is_away_at_once_and_knows_the_scripts_when_it_is_back() {
    let Some(mut server) = RedisServer::start() else { return };
    let link = start(redis::config(&server));
    assert_eq!(add(&link, 5).await, Ok(5));
    server.kill();
    eventually("the link goes down", async || add(&link, 1).await.is_err() && !link.is_up()).await;
    for _ in 0..1000 {
        assert_eq!(add(&link, 1).await, Err(Away("it did not answer lately".into())));
    }
    server.restart();
    is_back(&link).await;
    assert_eq!(add(&link, 7).await, Ok(7), "it has forgotten everything");
    assert_eq!(link.stats().outages, 1);
}

/// No answer: the first caller waits, all others know.
#[tokio::test]
async fn a_frozen_server_is_away_until_it_is_awake() {
    let Some(mut server) = RedisServer::start() else { return };
    let link = start(Config { answer_ms: 300, ..redis::config(&server) });
    eventually("the first answer is in time", async || add(&link, 0).await.is_ok()).await;
    let outages = link.stats().outages;
    server.freeze();
    let late = add(&link, 1).await.unwrap_err();
    assert!(late.0.contains("no answer in 300 ms"), "{late}");
    assert!(!link.is_up());
    server.thaw();
    is_back(&link).await;
    eventually("it answers", async || add(&link, 0).await.is_ok()).await;
    assert!(link.stats().outages > outages);
}

#[tokio::test]
async fn a_connection_that_is_cut_is_made_again() {
    let Some(server) = redis::shared() else { return };
    let proxy = Proxy::start().await.unwrap();
    proxy.lead_to(&server.address());
    let link = start(Config { port: proxy.addr().port(), ..redis::config(server) });
    assert_eq!(add(&link, 1).await, Ok(1));
    for _ in 0..3 {
        let before = proxy.accepted();
        proxy.reset();
        eventually("there is a new connection", async || {
            let _ = add(&link, 0).await;
            proxy.accepted() > before && link.is_up()
        })
        .await;
        assert_eq!(add(&link, 0).await, Ok(1));
    }
}

/// Also while nobody asks.
#[tokio::test]
async fn whoever_waits_for_the_link_is_told() {
    let Some(mut server) = RedisServer::start() else { return };
    let link = start(redis::config(&server));
    assert_eq!(add(&link, 1).await, Ok(1));
    let mut changes = link.changes();
    server.kill();
    eventually("the link goes down", async || add(&link, 1).await.is_err() && !link.is_up()).await;
    server.restart();
    let back = changes.wait_for(|is_up| *is_up);
    tokio::time::timeout(Duration::from_secs(60), back).await.expect("it is told").unwrap();
}

#[tokio::test]
async fn a_password_is_shown_and_a_wrong_one_is_named() {
    let Some(server) = RedisServer::with(&["--requirepass", "sesame"]) else { return };
    let with = |password: &str, user: Option<&str>| {
        let credentials = Credentials { user: user.map(str::to_owned), password: password.to_owned() };
        start(Config { credentials: Some(credentials), ..redis::config(&server) })
    };
    assert_eq!(add(&with("sesame", None), 1).await, Ok(1));
    assert_eq!(add(&with("sesame", Some("default")), 1).await, Ok(1));
    let refused = add(&with("guess", None), 1).await.unwrap_err();
    assert!(refused.0.contains("WRONGPASS"), "{refused}");
    let refused = add(&start(redis::config(&server)), 1).await.unwrap_err();
    assert!(refused.0.contains("NOAUTH"), "{refused}");
}
