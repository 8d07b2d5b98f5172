//! Gateways are ended one after the other, or killed, and sessions live on: clients resume at whichever gateway is there.

use std::time::Duration;

use testkit::cluster::{Cluster, Options};
use testkit::guests::{Guests, Invited, Library, Visit};
use testkit::proxy::Proxy;
use testkit::traffic::Report;
use testkit::traffic::judge::Kind;
use tokio::time::sleep;

use crate::town::Town;

/// A rolling restart: no session begins anew, nothing is missed, nothing comes twice.
pub async fn both_are_replaced_in_turn() {
    let Some((town, guests)) = open().await else { return };
    // Until the first heartbeats are through.
    sleep(2 * BEAT).await;
    for name in GATEWAYS {
        town.traffic.phase(&format!("{name} replaced"), replace(&town.cluster, name)).await;
    }
    let (report, visit) = end(town, guests).await;
    report.assert_clean();
    assert_resumed(&report);
    assert_eq!(visit.repeated, 0, "{visit:?}");
}

/// What was acknowledged reaches everybody; what came since the last heartbeat may come twice.
pub async fn one_is_killed() {
    let Some((town, guests)) = open().await else { return };
    sleep(2 * BEAT).await;
    let killed = async { town.cluster.member(GATEWAYS[0]).kill_and_wait().await.unwrap() };
    town.traffic.phase("a gateway killed", killed).await;
    let (report, visit) = end(town, guests).await;
    assert_resumed(&report);
    let (repeats, others): (Vec<_>, Vec<_>) =
        report.findings.iter().partition(|finding| finding.kind == Kind::Doubled);
    assert!(others.is_empty(), "{others:?}");
    println!("{} repeats, and {} of the guests", repeats.len(), visit.repeated);
    assert!(repeats.len() <= REPEATS_MAX, "{}: {repeats:?}", repeats.len());
    assert!(visit.repeated <= REPEATS_MAX, "{visit:?}");
}

async fn replace(cluster: &Cluster, name: &str) {
    let gateway = cluster.member(name);
    gateway.terminate();
    gateway.started_again().await.unwrap();
    gateway.ready().await.unwrap();
}

/// Ends the traffic. All clients have resumed, none has begun anew.
async fn end(town: Town, guests: Guests) -> (Report, Visit) {
    let Town { cluster, traffic, .. } = town;
    let report = traffic.finish().await;
    let sent: Vec<_> = report.sent.iter().map(|message| (message.channel, message.id)).collect();
    let visit = guests.judge(&sent).await;
    println!("{visit:?}");
    assert!(visit.resumes > 0 && visit.messages > 0, "{visit:?}");
    assert_eq!(
        (visit.missing, visit.out_of_order, visit.foreign, visit.identifies),
        (0, 0, 0, 0),
        "{visit:?}"
    );
    cluster.stop().await;
    (report, visit)
}

fn assert_resumed(report: &Report) {
    for (what, counts) in &report.phases {
        assert!(counts.resumes > 0, "{what}: nobody has resumed");
        assert_eq!(counts.identifies, 0, "{what}");
    }
}

async fn open() -> Option<(Town, Guests)> {
    let front = Proxy::start().await.unwrap();
    let town = Town::open_as(|folder| {
        let options = Options::embedded(folder);
        let settings = format!("{}heartbeat_interval_ms = {}\n", options.settings, BEAT.as_millis());
        Options { settings, public_gateway: Some(front.ws_url()), ..options }
    })
    .await?;
    front.lead_to_any(&[0, 1].map(|gateway| town.cluster.gateway_address(gateway)));
    let invited = [("bot", Library::DiscordJs), ("bob", Library::Twilight)].map(|(name, library)| {
        let person = town.person(name);
        Invited { library, token: person.token.clone(), sees: person.sees.clone() }
    });
    let guests = Guests::welcome(&town.cluster.demo.apis[0], front, invited.into()).await;
    Some((town, guests))
}

const GATEWAYS: [&str; 2] = ["gateway-1", "gateway-2"];
const BEAT: Duration = Duration::from_secs(2);
/// Three listeners, to whom 30 changes a second come again of a heartbeat, of the second before it and of one on the way.
const REPEATS_MAX: usize = 3 * 30 * 4;
