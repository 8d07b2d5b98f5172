//! RESUME: at every moment of a session's life, and at every shard.

use super::fakes::Call;
use super::rig::*;

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
            assert_eq!(again.news(), ["op 1", "op 9 false"], "{user} {session_id} {seq}");
            again.identify(all_intents());
            sim.settle().await;
            assert_eq!(again.news()[0], "READY");
        }
        assert!(client.news().is_empty(), "the session itself is not disturbed");
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
