//! The session registry loses a user, or is away: what `fanout` could not deliver is read from the stream at the next renewal.

use model::limits;

use super::rig::*;
use super::world::{Change, guild_id, user_id};

/// dave's guild, which is told to bob by his own events alone.
const JOINED: &str = "GUILD_CREATE 110 []";

fn joined(sim: &Sim) -> super::world::Told {
    sim.world().apply(guild_id(OTHER_GUILD), Change::Join(bob()))
}

async fn unregister(sim: &Sim) {
    sim.services.registry.unregister(&sim.services.pod, bob()).await.unwrap();
}

#[test]
fn what_passed_by_while_the_user_was_not_registered_is_made_good() {
    simulate(async |sim| {
        let mut client = sim.session(0, BOB).await;
        sim.wait(limits::REGISTRY_RENEW_MS).await;
        unregister(sim).await;
        let stored = sim.store(&joined(sim)).await;
        sim.wait(limits::REGISTRY_RENEW_MS - 1_000).await;
        assert!(client.news().is_empty(), "nobody has told the pod");
        sim.wait(2_000).await;
        assert_eq!(client.news(), [JOINED]);
        assert_eq!(sim.count("registrations_missing"), 1);

        sim.deliver(stored).await;
        assert!(client.news().is_empty(), "it comes once, though fanout gets through later");
        sim.wait(3 * limits::REGISTRY_RENEW_MS).await;
        assert_eq!(sim.count("registrations_missing"), 1, "the user is registered again");
    });
}

/// What came before the entry was lost lies in the range that is read, too.
#[test]
fn what_the_pod_has_is_not_given_twice() {
    simulate(async |sim| {
        let mut client = sim.session(0, BOB).await;
        sim.wait(limits::REGISTRY_RENEW_MS).await;
        let renamed = sim.world().user_update(bob());
        let stored = sim.store(&renamed).await;
        sim.deliver(stored).await;
        assert_eq!(client.news(), ["USER_UPDATE"]);
        unregister(sim).await;
        sim.store(&joined(sim)).await;
        sim.wait(limits::REGISTRY_RENEW_MS).await;
        assert_eq!(client.news(), [JOINED]);
    });
}

/// A session without a socket is made good as well.
#[test]
fn what_was_made_good_is_replayed() {
    simulate(async |sim| {
        let client = sim.session(0, BOB).await;
        sim.wait(limits::REGISTRY_RENEW_MS).await;
        client.end.reset();
        unregister(sim).await;
        let renamed = sim.world().user_update(bob());
        sim.store(&renamed).await;
        sim.wait(limits::REGISTRY_RENEW_MS).await;
        let mut again = sim.resume(0, &client, client.seq);
        sim.settle().await;
        assert_eq!(again.news(), ["USER_UPDATE", "RESUMED"]);
    });
}

/// While the stream can't be read the debt stands.
#[test]
fn a_renewal_that_fails_is_made_up_for() {
    simulate(async |sim| {
        let mut client = sim.session(0, BOB).await;
        sim.wait(limits::REGISTRY_RENEW_MS).await;
        unregister(sim).await;
        sim.store(&joined(sim)).await;
        sim.backplane.fail_reads(true);
        sim.wait(limits::REGISTRY_RENEW_MS).await;
        sim.backplane.fail_reads(false);
        assert!(client.news().is_empty());
        client.beat();
        sim.wait(limits::REGISTRY_RENEW_MS).await;
        assert_eq!(client.news(), [JOINED]);
    });
}

/// Others who are registered are given nothing anew.
#[test]
fn only_who_was_missing_is_made_good() {
    simulate(async |sim| {
        let mut carol = sim.session(1, CAROL).await;
        let _client = sim.session(0, BOB).await;
        sim.wait(limits::REGISTRY_RENEW_MS).await;
        let renamed = sim.world().user_update(user_id(CAROL));
        sim.store(&renamed).await;
        unregister(sim).await;
        sim.wait(limits::REGISTRY_RENEW_MS).await;
        assert!(carol.news().is_empty(), "fanout has yet to deliver it");
    });
}

/// `fanout` can look nobody up, and delivers when it can.
#[test]
fn while_the_registry_is_away_events_are_read_from_the_stream() {
    simulate(async |sim| {
        let mut client = sim.session(0, BOB).await;
        sim.wait(limits::REGISTRY_RENEW_MS).await;
        client.beat();
        sim.registry.set(true);
        sim.wait(limits::REGISTRY_RENEW_MS).await;
        let mut stored = sim.store(&joined(sim)).await;
        sim.wait(limits::REGISTRY_AWAY_READ_MS + 100).await;
        assert_eq!(client.news(), [JOINED]);
        let renamed = sim.world().user_update(bob());
        stored.extend(sim.store(&renamed).await);
        sim.wait(limits::REGISTRY_AWAY_READ_MS).await;
        assert_eq!(client.news(), ["USER_UPDATE"]);
        sim.registry.set(false);
        sim.deliver(stored).await;
        sim.wait(2 * limits::REGISTRY_AWAY_READ_MS).await;
        assert!(client.news().is_empty(), "each comes once");
        assert_eq!(sim.count("registrations_missing"), 0, "the entry has outlived it");
    });
}

#[test]
fn who_comes_while_the_registry_is_away_misses_nothing() {
    simulate(async |sim| {
        sim.registry.set(true);
        sim.wait(limits::REGISTRY_RENEW_MS).await;
        let mut client = sim.session(0, BOB).await;
        sim.store(&joined(sim)).await;
        sim.wait(limits::REGISTRY_AWAY_READ_MS + 100).await;
        assert_eq!(client.news(), [JOINED]);
    });
}
