//! A server that is killed and started again, a connection that is cut, and streams that are made anew.

use std::sync::Arc;
use std::time::Duration;

use backplane::nats::Config;
use backplane::{Backplane, Followed, Mode, Nats, Partition, Subject};
use doubles::until;
use model::GuildId;
use testkit::conformance::backplane::{event, fresh, guild_in, in_time, publish};
use testkit::nats::{self, NatsServer};
use testkit::proxy::Proxy;
use tokio::time::sleep;

use crate::LAYOUT;
use crate::checker::{Writers, assert_all_arrive, follower, guilds};

const FIRST: Partition = Partition(0);

/// Until it has connected so many times.
async fn connected(backplane: &Nats, connects: u64) {
    until("the connection is back", async || (backplane.connects() >= connects).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_and_one_that_ends_lose_nothing() {
    servers_end(Mode::Partition).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_and_one_that_ends_lose_nothing_in_guild_mode() {
    servers_end(Mode::Guilds).await;
}

async fn servers_end(mode: Mode) {
    let mut server = NatsServer::start();
    let config = nats::config(&server.url(), LAYOUT);
    let publisher = nats::backplane(&config).await;
    let reader = Nats::connect(&config).await.unwrap();
    let guilds = guilds(&publisher, FIRST);
    let mut follower = follower(&reader, mode, &guilds).await;
    let writers = Writers::start(&publisher, &guilds);
    sleep(Duration::from_millis(400)).await;
    server.kill();
    sleep(Duration::from_millis(300)).await;
    server.restart();
    connected(&reader, 2).await;
    connected(&publisher, 2).await;
    sleep(Duration::from_millis(300)).await;
    server.terminate();
    server.restart();
    connected(&reader, 3).await;
    connected(&publisher, 3).await;
    sleep(Duration::from_millis(300)).await;
    assert_all_arrive(&mut follower, &writers.stop().await).await;
    assert!(reader.connects() >= 3 && reader.is_connected());
    let counts = follower.stats().counts();
    assert!(counts.reconnects >= 2 && counts.repairs > 0, "{counts:?}");
    assert_eq!((counts.lost_missing, counts.lost_expired, counts.incarnations), (0, 0, 0), "{counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_while_the_connection_is_cut_arrives_afterwards() {
    connections_are_cut(Mode::Partition).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_while_the_connection_is_cut_arrives_afterwards_in_guild_mode() {
    connections_are_cut(Mode::Guilds).await;
}

async fn connections_are_cut(mode: Mode) {
    let server = nats::shared();
    let proxy = Proxy::start().await.unwrap();
    proxy.lead_to(&server.address());
    let config = nats::config(&server.url(), LAYOUT);
    let publisher = nats::backplane(&config).await;
    let behind = Config { servers: vec![format!("nats://{}", proxy.addr())], ..config };
    let reader = Nats::connect(&behind).await.unwrap();
    let guilds = guilds(&publisher, FIRST);
    let other = guild_in(&*reader, FIRST);
    let subject = Subject::Guild(other);
    let followed: Vec<GuildId> = guilds.iter().copied().chain([other]).collect();
    let mut follower = follower(&reader, mode, &followed).await;
    let writers = Writers::start(&publisher, &guilds);
    sleep(Duration::from_millis(200)).await;
    proxy.hold_new(true);
    proxy.reset();
    until("the connection is gone", async || (!reader.is_connected()).then_some(())).await;
    sleep(Duration::from_secs(1)).await;
    assert!(!reader.is_connected());
    assert!(
        in_time(reader.publish(subject, 1, event(1))).await.is_err(),
        "no connection, and yet an acknowledgement"
    );
    proxy.hold_new(false);
    connected(&reader, 2).await;
    proxy.cut();
    connected(&reader, 3).await;
    let mut acknowledged = writers.stop().await;
    // What was sent without an answer may still have been stored when the connection came back, and is once.
    publish(&(Arc::clone(&reader) as Arc<dyn Backplane>), subject, 1).await;
    acknowledged.push(vec![1]);
    assert_all_arrive(&mut follower, &acknowledged).await;
    assert!(follower.stats().counts().reconnects >= 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_are_made_anew_are_another_incarnation() {
    streams_are_made_anew(Mode::Partition).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_are_made_anew_are_another_incarnation_in_guild_mode() {
    streams_are_made_anew(Mode::Guilds).await;
}

async fn streams_are_made_anew(mode: Mode) {
    let mut server = NatsServer::start();
    let config = nats::config(&server.url(), LAYOUT);
    let backplane = nats::backplane(&config).await;
    let dynamic: Arc<dyn Backplane> = backplane.clone();
    let guild = guild_in(&*backplane, FIRST);
    let mut follower = follower(&backplane, mode, &[guild]).await;
    let subject = Subject::Guild(guild);
    for _ in 0..20 {
        publish(&dynamic, subject, fresh()).await;
        assert!(matches!(in_time(follower.next()).await, Some(Followed::Event(_))));
    }
    let before = follower.status().borrow().incarnation;
    assert_eq!(backplane.tail(FIRST), 20);
    server.terminate();
    server.forget();
    server.restart();
    let refused = in_time(backplane.publish(subject, 1, event(1))).await;
    assert!(refused.is_err(), "{refused:?}");
    backplane::nats::migrate(&config).await.unwrap();
    let ids: Vec<u64> = std::iter::repeat_with(fresh).take(30).collect();
    for id in &ids[..10] {
        publish(&dynamic, subject, *id).await;
    }
    assert_eq!(in_time(follower.next()).await, Some(Followed::NewIncarnation));
    for id in &ids[10..] {
        publish(&dynamic, subject, *id).await;
    }
    let mut arrived = Vec::new();
    while arrived.last() != ids.last() {
        match in_time(follower.next()).await {
            Some(Followed::Event(event)) => arrived.push(event.envelope.event_id),
            other => panic!("no event: {other:?}"),
        }
    }
    assert!(
        arrived.len() >= 20 && ids.ends_with(&arrived),
        "everything above what the new beginning had seen"
    );
    let told = tokio::time::timeout(Duration::from_millis(700), follower.next()).await;
    assert!(told.is_err(), "{told:?}");
    let mut status = follower.status();
    let caught_up = async {
        tokio::select! {
            followed = follower.next() => panic!("more than was published: {followed:?}"),
            // In guild mode the next check says so.
            status = status.wait_for(|status| status.seen == 30 && !status.gap_open) => *status.unwrap(),
        }
    };
    assert_ne!(in_time(caught_up).await.incarnation, before);
    assert_eq!(backplane.tail(FIRST), 30, "the tail is the new stream's");
}
