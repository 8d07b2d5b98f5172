//! Loads of guilds: who shares one, and what each is given of it.

use doubles::{Speech, Transport};
use model::{ChannelKind, Intents, OverwriteKind};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::client::Client;
use super::fakes::Call;
use super::gated::Flow;
use super::rig::*;
use super::world::{Change, allow, channel_id, guild_id, hidden, role_id, user_id};
use crate::loads::Wish;

/// The GUILD_CREATE that a client was given.
fn created(client: &Client) -> &Value {
    let created = client.payloads.iter().find(|payload| payload["t"] == "GUILD_CREATE");
    &created.expect("the guild is open")["d"]
}

fn ids(list: &Value) -> Vec<&str> {
    let ids = list.as_array().unwrap().iter().map(|item| item["user"]["id"].as_str().unwrap());
    ids.collect()
}

#[test]
fn all_who_come_while_a_guild_is_loaded_share_the_next_load() {
    simulate(async |sim| {
        sim.gates.hold(Call::OpenAnswered, ALICE, 1);
        let mut alice = sim.connect(0, ALICE);
        alice.identify(all_intents());
        sim.settle().await;
        let mut others = [(0, BOB), (1, BOB), (0, CAROL), (1, CAROL)].map(|(shard, user)| {
            let client = sim.connect(shard, user);
            client.identify(all_intents());
            client
        });
        sim.settle().await;
        assert_eq!((alice.news(), others[0].news()), (vec!["READY".into()], vec!["READY".into()]));
        sim.gates.let_go(Call::OpenAnswered, ALICE);
        sim.settle().await;
        assert_eq!(alice.news(), ["GUILD_CREATE 100 [general staff lounge]"]);
        for client in &mut others {
            assert_eq!(client.news().last().unwrap(), "GUILD_CREATE 100 [general lounge]");
        }
        assert_eq!(sim.count("guild_loads"), 2);
    });
}

/// alice's load has its snapshot, and bob's shard is not yet interested, when the guild gets a channel: that is in neither
/// the snapshot nor what his shard is given.
#[test]
fn nobody_shares_a_load_that_began_before_they_came() {
    simulate(async |sim| {
        sim.gates.hold(Call::OpenAnswered, ALICE, 1);
        let mut alice = sim.connect(0, ALICE);
        alice.identify(all_intents());
        sim.settle().await;
        sim.change(Change::NewChannel(channel_id(104), ChannelKind::Text, Vec::new())).await;
        let mut client = sim.connect(1, BOB);
        client.identify(all_intents());
        sim.settle().await;
        sim.gates.let_go(Call::OpenAnswered, ALICE);
        sim.wait(1_000).await;
        assert_eq!(client.news(), ["READY", "GUILD_CREATE 100 [general lounge c104]"]);
        assert_eq!(alice.news().last().unwrap(), "GUILD_CREATE 100 [general staff lounge c104]");
    });
}

/// bob becomes staff when staff does not see the channel any more. He shares a load whose guild is of before either, while
/// he is of after both, and no event has told of them.
#[test]
fn a_member_who_is_newer_than_the_guild_waits_for_it() {
    simulate(async |sim| {
        sim.gates.hold(Call::OpenAnswered, DAVE, 1);
        sim.change(Change::Join(dave())).await;
        let mut first = sim.connect(0, DAVE);
        first.identify(all_intents());
        sim.settle().await;
        // Who does not ask for presences is shown no list of members.
        let mut clients = [ALICE, BOB].map(|user| sim.connect(0, user));
        clients.iter().for_each(|client| client.identify(Intents::GUILDS.bits()));
        sim.settle().await;
        // The directory is asked by way of alice, and bob is looked up afterwards.
        sim.gates.hold(Call::OpenAnswered, ALICE, 1);
        sim.gates.let_go(Call::OpenAnswered, DAVE);
        sim.settle().await;
        assert_eq!(sim.waiting(Call::OpenAnswered, ALICE), 1);
        sim.set_flow(Flow::Held);
        sim.change(Change::Overwrites(channel_id(STAFF), vec![hidden(guild_id(GUILD))])).await;
        sim.change(roles_of_bob(&[STAFF_ROLE])).await;
        sim.gates.let_go(Call::OpenAnswered, ALICE);
        sim.settle().await;
        let [alice, client] = &mut clients;
        assert_eq!(alice.news().last().unwrap(), "GUILD_CREATE 100 [general staff lounge]");
        assert_eq!(client.news(), ["READY"]);
        sim.set_flow(Flow::Open);
        sim.wait(500).await;
        assert_eq!(client.news(), ["GUILD_CREATE 100 [general lounge]"]);
        assert!(!first.news().is_empty());
    });
}

/// Whoever does the load for all goes away.
#[test]
fn a_load_that_is_abandoned_is_taken_over() {
    simulate(async |sim| {
        sim.gates.hold(Call::OpenAnswered, ALICE, 2);
        let mut loads = JoinSet::new();
        let wish =
            Wish { guild: guild_id(GUILD), user: user_id(ALICE), members_max: 0, with_presences: false };
        // The second and the third are of one load, which waits for the first.
        let handles = [0; 3].map(|_| {
            let services = sim.services.clone();
            loads.spawn_local(async move { services.loads.load(&services, wish).await })
        });
        sim.settle().await;
        sim.gates.let_go(Call::OpenAnswered, ALICE);
        sim.settle().await;
        assert_eq!((sim.waiting(Call::OpenAnswered, ALICE), sim.count("guild_loads")), (1, 1));
        handles[1].abort();
        sim.settle().await;
        assert_eq!(sim.count("guild_loads"), 2);
        let mut found = 0;
        while let Some(ended) = loads.join_next().await {
            let Ok(loaded) = ended else { continue };
            let loaded = loaded.expect("the directory answers");
            found += usize::from(loaded.snapshot.as_ref().unwrap().member(user_id(ALICE)).is_some());
        }
        assert_eq!(found, 2);
        assert!(sim.services.loads.is_empty(), "nothing is left");
    });
}

#[test]
fn who_is_no_member_any_more_is_given_nothing() {
    simulate(async |sim| {
        sim.gates.hold(Call::OpenAnswered, ALICE, 1);
        let mut alice = sim.connect(0, ALICE);
        alice.identify(all_intents());
        sim.settle().await;
        let mut others = [BOB, CAROL].map(|user| sim.connect(0, user));
        others.iter().for_each(|client| client.identify(all_intents()));
        sim.settle().await;
        for user in [bob(), user_id(CAROL)] {
            let left = sim.apply(Change::Leave(user));
            sim.tell_guild(&left).await;
        }
        sim.gates.let_go(Call::OpenAnswered, ALICE);
        sim.wait(1_000).await;
        assert!(alice.news().contains(&"GUILD_CREATE 100 [general staff lounge]".into()));
        for client in &mut others {
            assert_eq!(client.news(), ["READY"]);
        }
    });
}

/// In each form, among sessions that see different things of the guild: what a session is given of a shared load is what it
/// is given alone.
#[test]
fn a_session_is_given_the_same_with_others_and_alone() {
    let speech = |is_etf, transport| Speech { is_etf, transport };
    let speeches = [
        Speech::JSON,
        speech(false, Transport::Zlib),
        speech(false, Transport::Zstd),
        speech(true, Transport::Plain),
        speech(true, Transport::Zlib),
        speech(true, Transport::Zstd),
    ];
    let without_presences = Intents::ALL.bits() & !Intents::GUILD_PRESENCES.bits();
    let intents = [Intents::ALL.bits(), Intents::GUILDS.bits(), without_presences];
    simulate(async |sim| {
        let staff = allow(OverwriteKind::Role(role_id(STAFF_ROLE)));
        let hidden_lounge = vec![hidden(guild_id(GUILD)), staff];
        sim.change(Change::NewChannel(channel_id(105), ChannelKind::Voice, hidden_lounge)).await;
        sim.change(roles_of_bob(&[STAFF_ROLE])).await;
        let speaker = sim.session(0, BOB).await;
        speaker.voice(GUILD, Some(105));
        sim.settle().await;
        let cases: Vec<(u64, Speech)> =
            [ALICE, BOB, CAROL].iter().flat_map(|user| speeches.map(|speech| (*user, speech))).collect();
        let open = |number: usize| {
            let (user, speech) = cases[number];
            let client = sim.connect_as(number % 2, user, speech);
            client.identify(intents[number % 3]);
            client
        };
        let mut alone = Vec::new();
        for number in 0..cases.len() {
            let mut client = open(number);
            sim.settle().await;
            client.read();
            alone.push(created(&client).clone());
        }
        let loads = sim.count("guild_loads");
        sim.gates.hold(Call::OpenAnswered, CAROL, 1);
        let first = sim.connect(0, CAROL);
        first.identify(all_intents());
        sim.settle().await;
        let mut together: Vec<Client> = (0..cases.len()).map(open).collect();
        sim.settle().await;
        sim.gates.let_go(Call::OpenAnswered, CAROL);
        sim.settle().await;
        assert_eq!(sim.count("guild_loads"), loads + 2);
        for (number, (client, alone)) in together.iter_mut().zip(&alone).enumerate() {
            let (user, speech) = cases[number];
            client.read();
            assert_eq!(created(client), alone, "{user}, {:?}", (speech.is_etf, speech.transport));
            let members = ids(&alone["members"]);
            let everybody = ["11", "12", "13"];
            match number % 3 {
                0 => assert_eq!(members.len(), 3, "the guild is small, and they asked for presences"),
                _ if user == ALICE => assert_eq!(members, &everybody[..2], "the owner sees who speaks"),
                _ if user == BOB => assert_eq!(members, &everybody[1..2], "each is shown once"),
                _ => assert_eq!(members, &everybody[2..]),
            }
            assert_eq!(alone["joined_at"], json!("1970-01-01T00:00:00.000000+00:00"));
        }
        drop(speaker);
    });
}
