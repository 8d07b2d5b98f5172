//! A gateway is ended, or dies, and its sessions live on at another one.

use std::time::Duration;

use backplane::{OwnedSession, PodName, Record};
use model::presence::{Platform, Status};
use model::{Intents, limits};

use super::client::{Client, token_of};
use super::fakes::Call;
use super::rig::*;
use super::world::guild_id;
use crate::link::command::Shard;
use crate::parcel::{Item, OpenGuild, Parcel, Position, Says};
use crate::session::{Profile, SessionId, TokenHash};

/// Two gateways, of which the shards have been told where they are.
fn simulate_two(test: impl AsyncFnOnce(&Sim)) {
    simulate_with(Setup { pods: 2, ..Setup::default() }, async |sim| {
        sim.wait(1_500).await;
        test(sim).await;
    });
}

/// The first gateway's process is gone: whoever asks it is not answered.
fn is_gone(sim: &Sim) {
    sim.gates.fail(Call::TakeAsked, 0, usize::MAX);
}

/// The client's session at the second gateway, from what the first has left.
async fn resumed_there(sim: &Sim, client: &Client, seq: u64) -> Client {
    let again = sim.resume_at(0, client, seq);
    sim.wait(2_000).await;
    again
}

/// Without RESUMED, which may stand before what has happened since.
fn given(client: &mut Client) -> Vec<String> {
    let mut news = client.news();
    let resumed = news.iter().position(|line| line == "RESUMED").unwrap_or_else(|| panic!("{news:?}"));
    news.remove(resumed);
    news
}

#[test]
fn a_drained_session_lacks_nothing_and_gets_nothing_twice() {
    for is_over in [false, true] {
        simulate_two(async |sim| {
            let mut client = sim.session(0, BOB).await;
            sim.say(GENERAL, "confirmed").await;
            client.news();
            client.beat();
            sim.say(GENERAL, "1").await;
            client.news();
            let seq = client.seq;
            sim.say(GENERAL, "2").await;
            let mut drained = sim.drain(0, 0);
            sim.settle().await;
            assert_eq!(client.news(), ["MESSAGE_CREATE 2", "op 7"]);
            sim.say(GENERAL, "3").await;
            assert!(client.news().is_empty(), "nobody feeds it any more");
            client.end.reset();
            sim.wait(100).await;
            assert!(drained.try_recv().is_ok());
            assert_eq!((sim.count("sessions"), sim.count("sessions_parked")), (0, 1));
            if is_over {
                is_gone(sim);
            }
            // It had not read the second message yet.
            let mut again = resumed_there(sim, &client, seq).await;
            sim.say(GENERAL, "4").await;
            assert_eq!(given(&mut again), ["MESSAGE_CREATE 2", "MESSAGE_CREATE 3", "MESSAGE_CREATE 4"]);
            assert_eq!(again.seq, seq + 3);
            assert_eq!(sim.count("sessions_given"), u64::from(!is_over), "while it lives it is asked first");
        });
    }
}

#[test]
fn a_session_without_a_socket_is_left_too() {
    simulate_two(async |sim| {
        let client = sim.session(0, BOB).await;
        client.end.reset();
        sim.say(GENERAL, "1").await;
        let mut drained = sim.drain(0, 0);
        sim.wait(100).await;
        assert!(drained.try_recv().is_ok());
        is_gone(sim);
        let mut again = resumed_there(sim, &client, client.seq).await;
        assert_eq!(given(&mut again), ["MESSAGE_CREATE 1"]);
    });
}

/// A guild that is being opened is waited for, but not for long; then the next gateway opens it.
#[test]
fn a_guild_that_does_not_open_holds_a_drain_up_for_two_seconds() {
    simulate_two(async |sim| {
        sim.gates.hold(Call::OpenAnswered, BOB, 1);
        let mut client = sim.connect(0, BOB);
        client.identify(all_intents());
        sim.settle().await;
        assert_eq!(client.news(), ["READY"]);
        let _drained = sim.drain(0, 0);
        sim.wait(limits::DRAIN_OPENING_MS - 100).await;
        assert!(client.news().is_empty());
        sim.wait(200).await;
        assert_eq!(client.news(), ["op 7"]);
        sim.gates.let_go(Call::OpenAnswered, BOB);
        client.end.reset();
        is_gone(sim);
        let mut again = resumed_there(sim, &client, client.seq).await;
        let news = given(&mut again);
        assert!(news.len() == 1 && news[0].starts_with("GUILD_CREATE 100"), "{news:?}");
    });
}

#[test]
fn a_crash_repeats_what_no_heartbeat_has_confirmed_and_loses_nothing() {
    simulate_two(async |sim| {
        let mut client = sim.session(0, BOB).await;
        sim.say(GENERAL, "1").await;
        sim.wait(1_500).await;
        client.news();
        client.beat();
        sim.wait(2_500).await;
        sim.say(GENERAL, "2").await;
        sim.say(STAFF, "secret").await;
        sim.change(roles_of_bob(&[STAFF_ROLE])).await;
        sim.say(STAFF, "3").await;
        client.news();
        let seq = client.seq;
        client.end.reset();
        is_gone(sim);
        sim.say(GENERAL, "4").await;
        let mut again = resumed_there(sim, &client, seq).await;
        sim.say(GENERAL, "5").await;
        let mut news = given(&mut again);
        news.retain(|line| line.starts_with("MESSAGE"));
        assert_eq!(news, ["MESSAGE_CREATE 2", "MESSAGE_CREATE 3", "MESSAGE_CREATE 4", "MESSAGE_CREATE 5"]);
        let first = again.payloads.iter().find(|payload| payload["d"]["content"] == "2").unwrap();
        assert_eq!(first["s"], seq + 1, "numbers go on where the client is");
    });
}

/// READY has not left before its checkpoint.
#[test]
fn a_session_that_dies_before_its_first_heartbeat_is_given_its_guilds_again() {
    simulate_two(async |sim| {
        let mut client = sim.session(0, BOB).await;
        sim.say(GENERAL, "1").await;
        client.news();
        client.end.reset();
        is_gone(sim);
        let mut again = resumed_there(sim, &client, client.seq).await;
        sim.say(GENERAL, "2").await;
        let news = given(&mut again);
        assert!(news[0].starts_with("GUILD_CREATE 100"), "{news:?}");
        assert_eq!(news[1..], ["MESSAGE_CREATE 1", "MESSAGE_CREATE 2"], "it may not have had the first");
    });
}

#[test]
fn a_number_that_the_checkpoint_does_not_bear_is_refused() {
    for beyond in [limits::CHECKPOINT_LAG_MAX + 100, limits::SEQUENCE_MAX] {
        simulate_two(async |sim| {
            let mut client = sim.session(0, BOB).await;
            client.news();
            client.beat();
            sim.wait(2_500).await;
            client.end.reset();
            is_gone(sim);
            for seq in [client.seq - 1, client.seq + beyond] {
                let mut again = resumed_there(sim, &client, seq).await;
                assert_eq!(again.news(), ["op 1", "op 9 false"], "{seq}");
            }
            let mut again = resumed_there(sim, &client, client.seq).await;
            assert_eq!(again.news(), ["RESUMED"]);
        });
    }
}

/// What it was given on arrival is not confirmed: the record of the first gateway still says best what it lacks.
#[test]
fn a_session_that_loses_its_second_gateway_as_well_lacks_nothing() {
    simulate_with(Setup { pods: 3, ..Setup::default() }, async |sim| {
        sim.wait(1_500).await;
        let mut client = sim.session(0, BOB).await;
        client.beat();
        client.news();
        sim.wait(2_500).await;
        client.end.reset();
        is_gone(sim);
        sim.say(GENERAL, "1").await;
        let mut second = resumed_there(sim, &client, client.seq).await;
        assert_eq!(given(&mut second), ["MESSAGE_CREATE 1"]);
        // It has not read that.
        second.end.reset();
        let mut third = sim.resume_at(1, &client, client.seq);
        sim.wait(2_000).await;
        assert_eq!(given(&mut third), ["MESSAGE_CREATE 1"]);
    });
}

/// As a drain leaves it: the client has the first two messages, and may not have received the second.
fn record_of_bob(incarnation: u64, partition: u16, revision: u64) -> Parcel {
    let guild = guild_id(GUILD);
    Parcel {
        profile: Profile {
            id: SessionId::of_bytes([7; 16]),
            user_id: bob(),
            is_bot: false,
            token_id: 1,
            token_hash: TokenHash::of(&token_of(BOB)),
            intents: Intents::ALL,
            large_threshold: 50,
            shard: Shard { index: 0, count: 1 },
            compress: false,
        },
        epoch: 1,
        seq: 5,
        entries: Some(vec![Item::OfGuild(guild, 1), Item::OfGuild(guild, 2)]),
        position: Position { incarnation, floors: vec![(partition, 2)], user: 0 },
        open: vec![OpenGuild { id: guild, revision, after: 0 }],
        to_create: Vec::new(),
        joined: Vec::new(),
        private: Vec::new(),
        says: Says { status: Status::Online, platform: Platform::Desktop, activities_json: "[]".into() },
        voices: Vec::new(),
        waiting: Vec::new(),
    }
}

#[test]
fn a_record_that_an_earlier_version_left_is_resumed_today() {
    simulate_two(async |sim| {
        for number in 1..=3 {
            sim.say(GENERAL, &number.to_string()).await;
        }
        let revision = sim.world().now(guild_id(GUILD)).guild.revision;
        let partition = sim.partition(GUILD).0;
        let today = record_of_bob(1, partition, revision).encode().unwrap();
        let kept = doubles::fixture(env!("CARGO_MANIFEST_DIR"), "v1/drained.bin", &today);
        let mut record = Parcel::decode(kept.into()).unwrap();
        // The streams of a test are new ones.
        record.position.incarnation = sim.services.positions.now().incarnation;
        let owned = OwnedSession { id: record.profile.id.to_string(), epoch: record.epoch };
        let left = Record::new(record.encode().unwrap()).unwrap();
        let minute = Duration::from_secs(60);
        sim.services.sessions.park(&owned, &PodName::new("gone"), left, minute).await.unwrap();
        let mut again = sim.connect_to(0, BOB);
        again.resume(&owned.id, 4);
        sim.wait(2_000).await;
        assert_eq!(given(&mut again), ["MESSAGE_CREATE 2", "MESSAGE_CREATE 3"]);
        assert_eq!(again.seq, 6);
    });
}
