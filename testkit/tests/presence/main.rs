//! Presence in a cluster through broken links and restarts: what clients see.
//!
//! `cargo test -p testkit --test presence` needs the server that `make servers` installs on Debian.

#![expect(clippy::unwrap_used, reason = "a test ends where it unwraps")]

mod rig;

use std::time::Duration;

use rig::{GATEWAYS, LEASE_MS, REPLICAS, Rig, Watcher, say};
use testkit::conformance::eventually;

/// Longer than a lease, and than what the roster is asked for.
const LONG: Duration = Duration::from_millis(3 * LEASE_MS);

/// A watcher on gateway 0, and members on gateway 1, some on each replica.
async fn online(rig: &Rig) -> (Watcher, Vec<testkit::gateway_client::GatewayClient>) {
    let mut clients = Vec::new();
    for member in 1..rig.members.len() {
        clients.push(rig.login(1, member).await);
    }
    let mut watcher = Watcher::new(rig.login(0, 0).await, rig.guild);
    for member in &rig.members[1..] {
        watcher.until(member, "online").await;
    }
    (watcher, clients)
}

/// While the link is cut, everybody is seen as before, also by whoever comes new; afterwards as they are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_appears_offline_because_a_link_broke() {
    let Some(rig) = Rig::start(8).await else { return };
    let (mut watcher, mut clients) = online(&rig).await;
    rig.cut(1, true);
    say(&mut clients[0], "dnd").await;
    clients[1].close(1000).await;
    watcher.take(LONG).await;
    let (changed, ended) = (&rig.members[1], &rig.members[2]);
    for member in &rig.members[1..] {
        assert_eq!(watcher.status(member), "online", "as it was last known");
    }
    assert!((0..REPLICAS).any(|replica| rig.presence(replica).counts.pods_held == 0));
    rig.cut(1, false);
    watcher.until(changed, "dnd").await;
    watcher.until(ended, "offline").await;
    watcher.take(Duration::from_secs(2)).await;
    for member in &rig.members[3..] {
        assert!(!watcher.updates_of(member).contains(&"offline"), "{:?}", watcher.updates_of(member));
    }
    assert!(rig.count(1, "presence_failures") > 0);
}

/// A gateway that can't ask shows copies, marked as such in its counters, and tells what it missed once it can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_is_cut_off_shows_its_copies() {
    let Some(rig) = Rig::start(6).await else { return };
    let (mut watcher, mut clients) = online(&rig).await;
    let before = rig.count(0, "presences_stale");
    rig.cut(0, true);
    eventually("the gateway notices", async || rig.count(0, "presence_failures") > 0).await;
    let newcomer = Watcher::new(rig.login(0, 0).await, rig.guild);
    for member in &rig.members[1..] {
        assert_eq!(newcomer.status(member), "online");
    }
    assert!(rig.count(0, "presences_stale") > before);
    say(&mut clients[0], "idle").await;
    watcher.until(&rig.members[1], "idle").await;
    rig.cut(0, false);
    eventually("what is asked is answered", async || {
        let before = rig.count(0, "presences_stale");
        let fresh = Watcher::new(rig.login(0, 0).await, rig.guild);
        fresh.status(&rig.members[1]) == "idle" && rig.count(0, "presences_stale") == before
    })
    .await;
}

/// A replica is killed and starts with nothing: what it had comes back from the pods, nobody is told anything that is not
/// so, and what happened meanwhile is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_was_killed_is_rebuilt_from_the_pods() {
    let Some(mut rig) = Rig::start(16).await else { return };
    let (mut watcher, mut clients) = online(&rig).await;
    watcher.take(Duration::from_secs(2)).await;
    watcher.updates.clear();
    for replica in 0..REPLICAS {
        rig.kill(replica).await;
    }
    eventually("both gateways notice", async || {
        (0..GATEWAYS).all(|gateway| rig.count(gateway, "presence_failures") > 0)
    })
    .await;
    say(&mut clients[0], "dnd").await;
    clients[1].close(1000).await;
    clients[2].close(1000).await;
    let back = rig.login(1, 3).await;
    watcher.take(LONG).await;
    let newcomer = Watcher::new(rig.login(0, 0).await, rig.guild);
    for member in &rig.members[1..] {
        assert_eq!((watcher.status(member), newcomer.status(member)), ("online", "online"), "{}", member.id);
    }
    for replica in 0..REPLICAS {
        rig.revive(replica);
    }
    watcher.until(&rig.members[1], "dnd").await;
    watcher.until(&rig.members[2], "offline").await;
    watcher.take(LONG).await;
    assert_eq!(watcher.updates_of(&rig.members[1]), ["dnd"], "once");
    assert_eq!(watcher.updates_of(&rig.members[2]), ["offline"], "once");
    for member in &rig.members[3..] {
        let updates = watcher.updates_of(member);
        assert!(!updates.contains(&"offline"), "{} {updates:?}", member.id);
    }
    let fresh = Watcher::new(rig.login(0, 0).await, rig.guild);
    for member in &rig.members[1..] {
        assert_eq!(fresh.status(member), watcher.status(member), "{}", member.id);
    }
    let sessions: usize = (0..REPLICAS).map(|replica| rig.presence(replica).counts.sessions).sum();
    assert!(sessions > clients.len() - 2 && !rig.presence(0).is_stale && !rig.presence(1).is_stale);
    drop(back);
}

/// Without Redis no lease ends, and everything else goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_changes_are_told_and_no_pod_is_taken_for_dead() {
    let Some(mut rig) = Rig::start(4).await else { return };
    let (mut watcher, mut clients) = online(&rig).await;
    rig.server.kill();
    eventually("the roster can't be read", async || rig.presence(0).roster_failures > 0).await;
    say(&mut clients[0], "dnd").await;
    watcher.until(&rig.members[1], "dnd").await;
    rig.cut(1, true);
    watcher.take(LONG).await;
    for member in &rig.members[2..] {
        assert_eq!(watcher.status(member), "online");
    }
    assert!((0..REPLICAS).any(|replica| rig.presence(replica).counts.pods_held > 0));
    // It is empty now, and presence reads it; the pods write themselves again within 15 s.
    rig.server.restart();
    eventually("the roster is complete", async || {
        rig.living.living().await.is_ok_and(|living| living.len() == GATEWAYS)
    })
    .await;
    rig.cut(1, false);
    clients[1].close(1000).await;
    watcher.until(&rig.members[2], "offline").await;
    watcher.take(LONG).await;
    assert_eq!(watcher.status(&rig.members[3]), "online");
}

/// The test above can fail: where the roster does not name a pod that is cut off, its sessions go offline.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_neither_calls_nor_is_in_the_roster_is_gone() {
    let Some(rig) = Rig::start_with(4, 1_000).await else { return };
    let (mut watcher, _clients) = online(&rig).await;
    rig.cut(1, true);
    let is_over =
        |watcher: &Watcher| rig.members[1..].iter().all(|member| watcher.status(member) == "offline");
    for _ in 0..600 {
        // The pod still writes itself into the roster, now and then.
        rig.server.empty();
        watcher.take(Duration::from_millis(100)).await;
        if is_over(&watcher) {
            break;
        }
    }
    assert!(is_over(&watcher));
    rig.cut(1, false);
    for member in &rig.members[1..] {
        watcher.until(member, "online").await;
    }
}
