//! Three servers, and one of them dies.

use std::time::Duration;

use backplane::nats::Config;
use backplane::{Layout, Mode, Nats, Partition};
use testkit::nats::{self, NatsServer};
use tokio::time::sleep;

use crate::checker::{Writers, assert_all_arrive, follower, guilds};

const LAYOUT: Layout = Layout { guild_partitions: 1, user_partitions: 1 };
const FIRST: Partition = Partition(0);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_of_three_may_die() {
    one_server_dies(Mode::Partition).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_of_three_may_die_in_guild_mode() {
    one_server_dies(Mode::Guilds).await;
}

async fn one_server_dies(mode: Mode) {
    let mut servers = NatsServer::cluster();
    let urls = servers.each_ref().map(NatsServer::url);
    let config = Config { servers: urls.to_vec(), replicas: 3, ..nats::config("", LAYOUT) };
    // Until the servers have found each other and chosen who leads.
    let publisher = nats::backplane(&config).await;
    let reader = Nats::connect(&config).await.unwrap();
    let guilds = guilds(&publisher, FIRST);
    let mut follower = follower(&reader, mode, &guilds).await;
    let writers = Writers::start(&publisher, &guilds);
    sleep(Duration::from_millis(300)).await;
    for server in &mut servers[..2] {
        server.kill();
        sleep(Duration::from_millis(300)).await;
        server.restart();
        sleep(Duration::from_secs(2)).await;
    }
    assert_all_arrive(&mut follower, &writers.stop().await).await;
    let counts = follower.stats().counts();
    assert_eq!((counts.lost_missing, counts.lost_expired, counts.incarnations), (0, 0, 0), "{counts:?}");
}
