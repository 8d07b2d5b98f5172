//! The forms of connections: whatever a client asked for, it is told the same.

use doubles::{Speech, Transport};
use model::{ChannelKind, Intents};
use serde_json::{Value, json};

use super::client::Client;
use super::rig::*;
use super::world::{Change, channel_id};
use crate::config::{Compressing, Settings};
use crate::wire::CloseCode;

fn compressing(compressing: Compressing) -> Setup {
    Setup { settings: Settings { compressing, ..Settings::default() }, ..Setup::default() }
}

const BOTH: [Compressing; 2] = [Compressing::Shared, Compressing::Stream];

/// The dispatches that a client was given from a sequence on, without what differs between sessions.
fn given(client: &Client, from: u64) -> Vec<(Value, Value)> {
    let dispatches =
        client.payloads.iter().filter(|payload| payload["op"] == 0 && payload["s"].as_u64() > Some(from));
    dispatches.map(|payload| (payload["t"].clone(), payload["d"].clone())).collect()
}

#[test]
fn in_every_form_a_session_begins_lives_and_is_resumed() {
    for (mode, speech) in BOTH.into_iter().flat_map(|mode| Speech::ALL.map(|speech| (mode, speech))) {
        simulate_with(compressing(mode), async |sim| {
            let mut client = sim.session_as(0, BOB, speech).await;
            client.beat();
            sim.say(GENERAL, "ä \"1\"").await;
            sim.typing(GENERAL).await;
            sim.change(roles_of_bob(&[STAFF_ROLE])).await;
            let news = client.news();
            let expected =
                ["MESSAGE_CREATE ä \"1\"", "TYPING_START", "CHANNEL_CREATE staff", "GUILD_MEMBER_UPDATE 12"];
            assert_eq!(news.len(), expected.len(), "{speech:?}: {news:?}");
            assert!(expected.iter().all(|line| news.iter().any(|new| new == line)), "{speech:?}: {news:?}");
            let ack = json!({"t": null, "s": null, "op": 11, "d": null});
            assert!(client.payloads.contains(&ack), "{speech:?}: a heartbeat is acknowledged");

            client.end.reset();
            for number in 2..5 {
                sim.say(GENERAL, &number.to_string()).await;
            }
            let mut again = sim.resume_as(1, &client, client.seq, speech);
            sim.settle().await;
            let expected = ["MESSAGE_CREATE 2", "MESSAGE_CREATE 3", "MESSAGE_CREATE 4", "RESUMED"];
            assert_eq!(again.news(), expected, "{speech:?}: its socket went to the session's shard");
            sim.say(GENERAL, "5").await;
            assert_eq!(again.news(), ["MESSAGE_CREATE 5"], "{speech:?}");
        });
    }
}

#[test]
fn all_forms_in_one_guild_show_the_same() {
    for mode in BOTH {
        simulate_with(compressing(mode), async |sim| {
            let mut clients = Vec::new();
            for (number, speech) in Speech::ALL.into_iter().enumerate() {
                clients.push(sim.session_as(number % 2, BOB, speech).await);
            }
            for number in 0..20 {
                sim.say(GENERAL, &"x\u{1f600}".repeat(number * 10)).await;
                sim.typing(GENERAL).await;
            }
            sim.change(Change::Rename(channel_id(GENERAL), "main".into())).await;
            clients.iter_mut().for_each(|client| drop(client.news()));
            let first = given(&clients[0], 2);
            assert_eq!(first.iter().filter(|(t, _)| t == "MESSAGE_CREATE").count(), 20);
            for (client, speech) in clients.iter().zip(Speech::ALL) {
                assert_eq!(given(client, 2), first, "{speech:?}");
            }
        });
    }
}

#[test]
fn a_session_is_resumed_in_another_form() {
    simulate(async |sim| {
        let mut client = sim.session(0, BOB).await;
        for (number, speech) in Speech::ALL.into_iter().rev().enumerate() {
            client.end.reset();
            sim.change(roles_of_bob(&[STAFF_ROLE])).await;
            sim.say(STAFF, &number.to_string()).await;
            let mut again = sim.resume_as(number % 2, &client, client.seq, speech);
            sim.settle().await;
            let news = again.news();
            assert!(news.contains(&format!("MESSAGE_CREATE {number}")), "{speech:?}: {news:?}");
            assert_eq!(news.last().map(String::as_str), Some("RESUMED"), "{speech:?}");
            client = again;
        }
    });
}

/// What the first socket was given in one form is given to the next in its own: recipes, own events, shared ones.
#[test]
fn a_replay_from_the_start_is_the_same_in_every_form() {
    simulate(async |sim| {
        let client = sim.session(0, BOB).await;
        sim.change(roles_of_bob(&[STAFF_ROLE])).await;
        sim.say(STAFF, "1").await;
        let mut first = None;
        for speech in Speech::ALL {
            let mut again = sim.resume_as(1, &client, 1, speech);
            sim.settle().await;
            assert_eq!(again.news().last().map(String::as_str), Some("RESUMED"), "{speech:?}");
            let given = given(&again, 1);
            assert_eq!(given.len(), 5, "{speech:?}: GUILD_CREATE, CHANNEL_CREATE, two events, RESUMED");
            assert_eq!(first.get_or_insert_with(|| given.clone()), &given, "{speech:?}");
        }
    });
}

#[test]
fn what_is_no_term_closes_a_connection_with_etf() {
    simulate(async |sim| {
        let etf = Speech { is_etf: true, transport: Transport::Plain };
        let atom_key: &[u8] = b"\x83t\0\0\0\x02s\x02opa\x01m\0\0\0\x01ds\x03nil";
        for (opcode, payload) in [(1, &br#"{"op":1,"d":null}"#[..]), (2, b"\x83"), (2, atom_key), (2, b"{}")]
        {
            let mut client = sim.connect_as(0, BOB, etf);
            client.frame(opcode, payload);
            sim.settle().await;
            client.read();
            assert_eq!(client.closed, Some(CloseCode::DecodeError.code()), "{}", payload.escape_ascii());
        }
        // A client's JSON may come in either kind of frame.
        let mut client = sim.connect(0, BOB);
        client.frame(2, br#"{"op":1,"d":null}"#);
        sim.settle().await;
        client.read();
        assert_eq!((client.closed, client.payloads.len()), (None, 2));
    });
}

#[test]
fn large_payloads_are_compressed_for_who_asked_and_for_nobody_else() {
    simulate(async |sim| {
        for id in 500..540 {
            sim.change(Change::NewChannel(channel_id(id), ChannelKind::Text, Vec::new())).await;
        }
        for speech in Speech::ALL {
            let mut client = sim.connect_as(0, BOB, speech);
            client.identify_compressing(Intents::ALL.bits());
            sim.settle().await;
            sim.say(GENERAL, "small").await;
            let news = client.news();
            assert!(news[1].starts_with("GUILD_CREATE 100"), "{speech:?}: {news:?}");
            assert_eq!(news.last().map(String::as_str), Some("MESSAGE_CREATE small"), "{speech:?}");
            let compressed = usize::from(speech.transport == Transport::Plain);
            assert_eq!(client.compressed_payloads(), compressed, "{speech:?}: GUILD_CREATE alone");
            client.end.reset();
            let mut again = sim.resume_as(1, &client, 1, speech);
            sim.settle().await;
            assert_eq!(again.news().len(), 3, "{speech:?}");
            assert_eq!(again.compressed_payloads(), compressed, "{speech:?}: the session remembers");
            again.close(1000);
            sim.settle().await;
        }
        let mut client = sim.session(0, BOB).await;
        sim.settle().await;
        assert_eq!((client.news().len(), client.compressed_payloads()), (0, 0));
    });
}

/// In a stream of its own nothing that was compressed may be left out: a slow client's typing is dropped before that.
#[test]
fn what_is_dropped_leaves_every_stream_whole() {
    for (mode, speech) in BOTH.into_iter().flat_map(|mode| Speech::ALL.map(|speech| (mode, speech))) {
        let settings = Settings { outbox_bytes_max: 4096, compressing: mode, ..Settings::default() };
        simulate_with(Setup { settings, ..Setup::default() }, async |sim| {
            let mut client = sim.session_as(0, BOB, speech).await;
            client.end.set_capacity(10);
            sim.say(GENERAL, "before").await;
            let mut typed = 0;
            while sim.count("ephemeral_dropped") < 10 {
                assert!(typed < 2_000, "{mode:?} {speech:?}: nothing is ever dropped");
                typed += 1;
                sim.typing(GENERAL).await;
                client.end.set_capacity(10);
            }
            sim.say(GENERAL, "after").await;
            client.end.set_capacity(1 << 20);
            let mut news = Vec::new();
            for _ in 0..20 {
                news.extend(client.news());
                sim.settle().await;
            }
            assert_eq!(news.first().map(String::as_str), Some("MESSAGE_CREATE before"), "{speech:?}");
            assert_eq!(news.last().map(String::as_str), Some("MESSAGE_CREATE after"), "{speech:?}");
            assert_eq!(sim.count("slow_consumers"), 0, "{mode:?} {speech:?}");
        });
    }
}
