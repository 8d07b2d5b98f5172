//! What all roles stand on fails: NATS, Cassandra, Redis, presence.

use std::time::Duration;

use rustix::process::Signal;
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::town::{SEVERABLE, Town};

/// Kills servers; their keeper starts each again after a second.
async fn kill(town: &Town, names: &[&str]) {
    let members: Vec<_> = names.iter().map(|name| town.cluster.member(name)).collect();
    members.iter().for_each(|member| member.kill());
    for member in members {
        member.started_again().await.unwrap();
        while TcpStream::connect(member.address()).await.is_err() {
            sleep(POLL).await;
        }
    }
}

pub async fn a_node_of_nats_is_killed(town: &Town) {
    town.traffic.phase("a NATS node killed", kill(town, &["nats-1"])).await;
}

pub async fn the_whole_of_nats_is_restarted(town: &Town) {
    town.traffic.phase("all of NATS killed", kill(town, &["nats-1", "nats-2", "nats-3"])).await;
}

/// The other gateway goes on meanwhile.
pub async fn a_gateway_is_cut_from_nats(town: &Town) {
    let cut = async {
        town.cluster.cut_from_nats(SEVERABLE, true);
        sleep(Duration::from_secs(20)).await;
        town.cluster.cut_from_nats(SEVERABLE, false);
    };
    town.traffic.phase("a gateway cut from NATS for 20 s", cut).await;
}

/// It keeps its connections and answers nothing.
pub async fn cassandra_is_stopped(town: &Town) {
    let [cassandra] = town.members("cassandra")[..] else { return };
    let stopped = async {
        cassandra.signal(Signal::STOP);
        sleep(Duration::from_secs(15)).await;
        cassandra.signal(Signal::CONT);
    };
    town.traffic.phase("Cassandra stopped for 15 s", stopped).await;
}

/// First it answers nothing, then it is gone, then it is back with nothing in it.
pub async fn redis_is_stopped_and_emptied(town: &Town) {
    let emptied = async {
        town.cluster.member("redis-1").signal(Signal::STOP);
        sleep(Duration::from_secs(4)).await;
        kill(town, &["redis-1"]).await;
    };
    town.traffic.phase("Redis stopped for 4 s, killed, empty", emptied).await;
}

pub async fn presence_is_killed(town: &Town) {
    let killed = async { town.cluster.member("presence-1").kill_and_wait().await.unwrap() };
    town.traffic.phase("`presence` killed", killed).await;
}

const POLL: Duration = Duration::from_millis(50);
