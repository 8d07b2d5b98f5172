//! Changes of presence are in no ring: what a session could not be given is made good. And what presence is asked for comes
//! from copies while it can't answer.

use model::limits;

use super::client::Client;
use super::fakes::Call;
use super::rig::*;

/// bob, who watches, and carol, who is online.
async fn watching(sim: &Sim) -> (Client, Client) {
    sim.world().publishes_presence = true;
    let mut carol = sim.connect(1, CAROL);
    carol.identify(all_intents());
    sim.wait(200).await;
    let mut client = sim.connect(0, BOB);
    client.identify(all_intents());
    sim.wait(200).await;
    client.read();
    assert_eq!(shown(&client), ["13 online"]);
    // Once it has beaten twice, what it was given before does not come again.
    for _ in 0..2 {
        client.beat();
        sim.settle().await;
    }
    client.news();
    carol.news();
    (client, carol)
}

/// The presences of the client's GUILD_CREATE.
fn shown(client: &Client) -> Vec<String> {
    let create = client.payloads.iter().rfind(|payload| payload["t"] == "GUILD_CREATE").unwrap();
    let presences = create["d"]["presences"].as_array().unwrap().iter();
    let line = |presence: &serde_json::Value| {
        let (user, status) = (&presence["user"]["id"], &presence["status"]);
        format!("{} {}", user.as_str().unwrap(), status.as_str().unwrap())
    };
    presences.map(line).collect()
}

#[test]
fn a_change_reaches_who_shares_a_guild() {
    simulate(async |sim| {
        let (mut client, mut carol) = watching(sim).await;
        let dave = sim.connect(0, DAVE);
        dave.identify(all_intents());
        carol.presence("idle");
        sim.wait(200).await;
        assert_eq!(client.news(), ["PRESENCE_UPDATE 13 idle"]);
        assert_eq!(carol.news(), ["PRESENCE_UPDATE 13 idle"]);
        carol.presence("invisible");
        sim.wait(200).await;
        assert_eq!(client.news(), ["PRESENCE_UPDATE 13 offline"]);
    });
}

/// Of several changes the last is told.
#[test]
fn what_changed_without_a_socket_comes_with_the_resume() {
    simulate(async |sim| {
        let (client, carol) = watching(sim).await;
        client.end.reset();
        sim.settle().await;
        for status in ["idle", "dnd", "invisible"] {
            carol.presence(status);
            sim.wait(200).await;
        }
        let mut again = sim.resume(1, &client, client.seq);
        sim.settle().await;
        assert_eq!(again.news(), ["RESUMED", "PRESENCE_UPDATE 13 offline"]);
        carol.presence("online");
        sim.wait(200).await;
        assert_eq!(again.news(), ["PRESENCE_UPDATE 13 online"]);
    });
}

/// The client never read what was sent to its old socket; what it had for certain does not come again.
#[test]
fn what_was_lost_with_the_socket_comes_with_the_resume() {
    for (beats_after, comes) in [(0, true), (1, true), (2, false)] {
        simulate(async |sim| {
            let (client, carol) = watching(sim).await;
            carol.presence("dnd");
            sim.wait(200).await;
            for _ in 0..beats_after {
                client.beat();
                sim.settle().await;
            }
            client.end.reset();
            let mut again = sim.resume(0, &client, client.seq);
            sim.settle().await;
            let mut expected = vec!["RESUMED", "PRESENCE_UPDATE 13 dnd"];
            expected.truncate(if comes { 2 } else { 1 });
            assert_eq!(again.news(), expected, "{beats_after}");
        });
    }
}

/// The guild was being opened when carol went. Where its list of who is there was made, it has her still.
#[test]
fn what_changed_while_the_guild_was_opened_comes_behind_it() {
    for (call, there) in [(Call::ListPresences, &[][..]), (Call::ListVoices, &["13 online"])] {
        opened_while_somebody_goes(call, there);
    }
}

fn opened_while_somebody_goes(call: Call, there: &[&str]) {
    simulate(async |sim| {
        sim.world().publishes_presence = true;
        let carol = sim.connect(1, CAROL);
        carol.identify(all_intents());
        sim.wait(200).await;
        sim.gates.hold(call, GUILD, 1);
        let mut client = sim.connect(0, BOB);
        client.identify(all_intents());
        sim.settle().await;
        assert_eq!(client.news(), ["READY"]);
        carol.presence("invisible");
        sim.wait(200).await;
        sim.gates.let_go(call, GUILD);
        sim.settle().await;
        assert_eq!(client.news(), ["GUILD_CREATE 100 [general lounge]", "PRESENCE_UPDATE 13 offline"]);
        assert_eq!(shown(&client), there);
    });
}

/// Who does not ask for presence is told none.
#[test]
fn presence_needs_its_intent() {
    simulate(async |sim| {
        let (_, carol) = watching(sim).await;
        let client = sim.connect(0, BOB);
        client.identify(all_intents() & !(1 << 8));
        sim.wait(200).await;
        let mut client = client;
        client.news();
        client.end.reset();
        carol.presence("idle");
        sim.wait(200).await;
        let mut again = sim.resume(0, &client, client.seq);
        sim.settle().await;
        assert_eq!(again.news(), ["RESUMED"]);
    });
}

/// The pod hears nothing of a change; the next one who opens the guild asks, and the difference shows.
#[test]
fn what_got_lost_is_told_once_the_copies_are_compared() {
    simulate(async |sim| {
        let (mut client, carol) = watching(sim).await;
        sim.world().loses_presence = true;
        carol.presence("idle");
        sim.wait(200).await;
        sim.world().loses_presence = false;
        assert!(client.news().is_empty());
        let mut alice = sim.connect(1, ALICE);
        alice.identify(all_intents());
        sim.wait(200).await;
        assert!(client.news().contains(&"PRESENCE_UPDATE 13 idle".to_owned()));
        assert!(alice.news().contains(&"PRESENCE_UPDATE 13 idle".to_owned()), "its own list was the copy's");
        assert_eq!(sim.count("presences_corrected"), 1);
        sim.services.presences.suspect_all();
        sim.wait(200).await;
        assert_eq!((client.news().len(), sim.count("presences_corrected")), (0, 1), "nothing is told twice");
    });
}

/// While presence is away copies are shown, own changes wait, and nobody hears that anybody is offline.
#[test]
fn copies_are_shown_while_presence_is_away() {
    simulate(async |sim| {
        let (mut client, carol) = watching(sim).await;
        for call in [Call::RenewLease, Call::UpdateSessions] {
            sim.gates.fail(call, 0, usize::MAX);
        }
        sim.wait(limits::PRESENCE_RENEW_MS).await;
        assert!(sim.count("presence_failures") > 0);
        carol.presence("dnd");
        for _ in 0..4 {
            sim.wait(limits::PRESENCE_LEASE_MS / 2).await;
            client.beat();
            carol.beat();
            assert!(client.news().is_empty());
        }
        let mut alice = sim.connect(1, ALICE);
        alice.identify(all_intents());
        sim.wait(200).await;
        alice.read();
        let mut there = shown(&alice);
        there.sort_unstable();
        assert_eq!(there, ["12 online", "13 online"], "as they were");
        assert!(sim.count("presences_stale") > 0);
        for call in [Call::RenewLease, Call::UpdateSessions] {
            sim.gates.fail(call, 0, 0);
        }
        sim.wait(3_000).await;
        let news = client.news();
        assert_eq!(news.iter().filter(|line| line.ends_with("13 dnd")).count(), 1, "{news:?}");
        assert!(!news.iter().any(|line| line.ends_with("offline")), "{news:?}");
    });
}
