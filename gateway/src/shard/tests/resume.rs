//! RESUME: at every moment of a session's life, and at every shard.

use model::limits;
use serde_json::json;

use super::client::Client;
use super::fakes::Call;
use super::rig::*;

/// How late a timer of the wheel may be.
const WHEEL_MS: u64 = 1_000;

#[test]
fn what_was_missed_is_replayed_once() {
    simulate(async |sim| {
        let mut client = sim.session(0, BOB).await;
        sim.say(GENERAL, "1").await;
        assert_eq!(client.news(), ["MESSAGE_CREATE 1"]);
        client.end.reset();
        sim.say(GENERAL, "2").await;
        sim.say(STAFF, "secret").await;
        sim.say(GENERAL, "3").await;
        let mut again = sim.resume(0, &client, client.seq);
        sim.settle().await;
        sim.say(GENERAL, "4").await;
        assert_eq!(again.news(), ["MESSAGE_CREATE 2", "MESSAGE_CREATE 3", "RESUMED", "MESSAGE_CREATE 4"]);
        assert_eq!(again.seq, client.seq + 3);
    });
}

/// The guild is being opened while the socket is lost: before the answer, or with the answer while nobody is there.
#[test]
fn a_resume_in_the_middle_of_the_start() {
    for answered_meanwhile in [false, true] {
        simulate(async |sim| {
            sim.gates.hold(Call::OpenAnswered, BOB, 1);
            let mut client = sim.connect(0, BOB);
            client.identify(all_intents());
            sim.settle().await;
            assert_eq!(client.news(), ["READY"]);
            client.end.reset();
            sim.settle().await;
            if answered_meanwhile {
                sim.gates.let_go(Call::OpenAnswered, BOB);
                sim.say(GENERAL, "1").await;
            }
            let mut again = sim.resume(0, &client, client.seq);
            sim.settle().await;
            if !answered_meanwhile {
                assert_eq!(again.news(), ["RESUMED"]);
                sim.say(GENERAL, "1").await;
                sim.gates.let_go(Call::OpenAnswered, BOB);
                sim.settle().await;
            }
            sim.say(GENERAL, "2").await;
            let mut expected =
                vec!["GUILD_CREATE 100 [general lounge]", "MESSAGE_CREATE 1", "RESUMED", "MESSAGE_CREATE 2"];
            if !answered_meanwhile {
                expected.remove(2);
            }
            assert_eq!(again.news(), expected);
            assert_eq!(again.seq, 4);
        });
    }
}

#[test]
fn a_session_that_has_a_socket_is_taken_over() {
    simulate(async |sim| {
        let mut client = sim.session(0, BOB).await;
        sim.say(GENERAL, "1").await;
        let mut first = sim.resume(0, &client, client.seq);
        let mut second = sim.resume(0, &client, client.seq);
        sim.settle().await;
        sim.say(GENERAL, "2").await;
        assert_eq!(client.news(), ["MESSAGE_CREATE 1", "close 4000"]);
        assert_eq!(first.news(), ["MESSAGE_CREATE 1", "RESUMED", "close 4000"]);
        assert_eq!(second.news(), ["MESSAGE_CREATE 1", "RESUMED", "MESSAGE_CREATE 2"]);
        client.close(1000);
        sim.settle().await;
        sim.say(GENERAL, "3").await;
        assert_eq!(second.news(), ["MESSAGE_CREATE 3"], "the old socket's goodbye means nothing any more");
    });
}

#[test]
fn a_resume_on_another_shard_moves_the_socket() {
    simulate(async |sim| {
        let client = sim.session(0, BOB).await;
        client.end.reset();
        sim.say(GENERAL, "1").await;
        let mut again = sim.resume(1, &client, client.seq);
        again.beat();
        sim.settle().await;
        sim.say(GENERAL, "2").await;
        assert_eq!(again.news(), ["MESSAGE_CREATE 1", "RESUMED", "MESSAGE_CREATE 2"]);
        let hellos = again.payloads.iter().filter(|payload| payload["op"] == 10).count();
        assert_eq!(hellos, 1, "one HELLO for one socket");
        assert_eq!(sim.shards[1].borrow().conns.len(), 0);
        assert_eq!((sim.count("connections"), sim.shards[0].borrow().conns.len()), (1, 1));
    });
}

#[test]
fn what_can_not_be_resumed_is_refused_and_the_socket_stays() {
    simulate(async |sim| {
        let mut client = sim.session(0, BOB).await;
        sim.say(GENERAL, "1").await;
        client.news();
        client.beat();
        sim.settle().await;
        let (known, seq) = (client.session_id.clone(), client.seq);
        let unknown = format!("{:032x}", 1);
        let cases = [
            (BOB, &known, seq + 1),
            (BOB, &known, u64::MAX),
            (BOB, &known, seq - 1),
            (CAROL, &known, seq),
            (BOB, &unknown, seq),
        ];
        for (user, session_id, seq) in cases {
            let mut again = sim.connect(1, user);
            again.resume(session_id, seq);
            sim.settle().await;
            sim.expect_refusal(&mut again).await;
            again.identify(all_intents());
            sim.settle().await;
            assert_eq!(again.news()[0], "READY");
        }
        assert!(client.news().is_empty(), "the session itself is not disturbed");
    });
}

/// A socket whose RESUME was just answered with op 1, on the other shard than where it sent it.
async fn refused(sim: &Sim) -> Client {
    let mut client = sim.connect(1, BOB);
    client.resume(&format!("{:032x}", 1), 1);
    sim.settle().await;
    assert_eq!(client.news(), ["op 1"]);
    client
}

/// An acknowledgement that came after op 9 would be missed by the client's next connection.
#[test]
fn op_9_comes_behind_the_acknowledgement_of_the_heartbeat() {
    simulate(async |sim| {
        let mut client = refused(sim).await;
        sim.wait(500).await;
        assert!(client.news().is_empty(), "the client has not beaten");
        client.beat();
        sim.settle().await;
        client.read();
        let ops: Vec<_> = client.payloads.iter().map(|payload| payload["op"].as_u64().unwrap()).collect();
        assert_eq!(ops, [10, 1, 11, 9]);
        sim.wait(5_000).await;
        assert_eq!(client.news(), ["op 9 false"], "once");
    });
}

#[test]
fn op_9_comes_to_who_does_not_beat() {
    simulate(async |sim| {
        let mut client = refused(sim).await;
        sim.wait(limits::REFUSAL_WAIT_MS - 1).await;
        assert!(client.news().is_empty());
        sim.wait(WHEEL_MS + 1).await;
        assert_eq!(client.news(), ["op 9 false"]);
        client.identify(all_intents());
        sim.settle().await;
        assert_eq!(client.news(), ["READY", "GUILD_CREATE 100 [general lounge]"]);
    });
}

/// Who does not wait for op 9 is told it all the same, before what follows.
#[test]
fn an_identify_or_a_resume_before_op_9_is_taken_behind_it() {
    simulate(async |sim| {
        let mut client = refused(sim).await;
        client.identify(all_intents());
        sim.settle().await;
        assert_eq!(client.news(), ["op 9 false", "READY", "GUILD_CREATE 100 [general lounge]"]);
        sim.wait(limits::REFUSAL_WAIT_MS + WHEEL_MS).await;
        assert!(client.news().is_empty());

        let mut other = refused(sim).await;
        other.resume(&client.session_id, client.seq);
        sim.settle().await;
        assert_eq!(other.news(), ["op 9 false", "RESUMED"]);
    });
}

/// The session ends while its client asks for something.
#[test]
fn what_is_meant_for_the_ended_session_is_passed_over() {
    simulate(async |sim| {
        let mut client = sim.session(0, BOB).await;
        client.beat();
        sim.settle().await;
        sim.shards[0].borrow_mut().lost(&|_| true);
        client
            .send(&json!({"op": 3, "d": {"status": "idle", "since": null, "activities": [], "afk": false}}));
        client.send(&json!({"op": 4, "d": {"guild_id": "100", "channel_id": null}}));
        sim.settle().await;
        sim.expect_refusal(&mut client).await;
    });
}

#[test]
fn a_lost_socket_during_a_replay_loses_nothing() {
    simulate(async |sim| {
        let client = sim.session(0, BOB).await;
        client.end.reset();
        for number in 0..20 {
            sim.say(GENERAL, &number.to_string()).await;
        }
        let mut halfway = sim.connect(0, BOB);
        sim.settle().await;
        halfway.news();
        halfway.end.set_capacity(1000);
        halfway.resume(&client.session_id, client.seq);
        sim.settle().await;
        let some = halfway.news().len();
        assert!(some > 0 && some < 20, "{some}");
        halfway.end.reset();
        let mut again = sim.resume(0, &client, halfway.seq);
        sim.settle().await;
        assert_eq!(again.news().len(), 20 - some + 1);
    });
}
