//! Gateways are ended one after the other, or killed, and sessions live on: clients resume at whichever gateway is there.

use std::time::Duration;

use testkit::cluster::{Cluster, Options};
use testkit::traffic::Report;
use testkit::traffic::judge::Kind;
use tokio::time::sleep;

use crate::town::Town;

/// A rolling restart: no session begins anew, nothing is missed, nothing comes twice.
pub async fn both_are_replaced_in_turn() {
    let Some(town) = open().await else { return };
    // Until the first heartbeats are through.
    sleep(2 * BEAT).await;
    for name in GATEWAYS {
        town.traffic.phase(&format!("{name} replaced"), replace(&town.cluster, name)).await;
    }
    let report = town.traffic.finish().await;
    report.assert_clean();
    assert_resumed(&report);
    town.cluster.stop().await;
}

/// What was acknowledged reaches everybody; what came since the last heartbeat may come twice.
pub async fn one_is_killed() {
    let Some(town) = open().await else { return };
    sleep(2 * BEAT).await;
    let killed = async { town.cluster.member(GATEWAYS[0]).kill_and_wait().await.unwrap() };
    town.traffic.phase("a gateway killed", killed).await;
    let report = town.traffic.finish().await;
    assert_resumed(&report);
    let (repeats, others): (Vec<_>, Vec<_>) =
        report.findings.iter().partition(|finding| finding.kind == Kind::Doubled);
    assert!(others.is_empty(), "{others:?}");
    println!("{} repeats", repeats.len());
    assert!(repeats.len() <= REPEATS_MAX, "{}: {repeats:?}", repeats.len());
    town.cluster.stop().await;
}

async fn replace(cluster: &Cluster, name: &str) {
    let gateway = cluster.member(name);
    gateway.terminate();
    gateway.started_again().await.unwrap();
    gateway.ready().await.unwrap();
}

fn assert_resumed(report: &Report) {
    for (what, counts) in &report.phases {
        assert!(counts.resumes > 0, "{what}: nobody has resumed");
        assert_eq!(counts.identifies, 0, "{what}");
    }
}

async fn open() -> Option<Town> {
    Town::open_as(|folder| {
        let options = Options::embedded(folder);
        let settings = format!("{}heartbeat_interval_ms = {}\n", options.settings, BEAT.as_millis());
        Options { settings, ..options }
    })
    .await
}

const GATEWAYS: [&str; 2] = ["gateway-1", "gateway-2"];
const BEAT: Duration = Duration::from_secs(2);
/// Three listeners, to whom 30 changes a second come again of a heartbeat, of the second before it and of one on the way.
const REPEATS_MAX: usize = 3 * 30 * 4;
