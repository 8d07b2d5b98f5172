//! Connections end, whatever the client does, and leave nothing behind.

use model::limits;

use super::client::token_of;
use super::fakes::Call;
use super::rig::*;
use super::world::channel_id;
use crate::config::Settings;

/// A second IDENTIFY is answered with a close frame, which the client never answers.
#[test]
fn a_client_that_does_not_answer_a_close_is_let_go() {
    simulate(async |sim| {
        let mut client = sim.session(0, BOB).await;
        client.identify(all_intents());
        sim.settle().await;
        assert_eq!(client.news(), ["close 4005"]);
        assert!(client.is_ended() && !client.end.is_gone(), "it gets the time to answer");
        sim.wait(5_000).await;
        assert!(client.end.is_gone());
        assert_eq!(sim.count("connections"), 0);
    });
}

/// It does not read either, so the close frame can't be written.
#[test]
fn a_client_that_does_not_read_a_close_is_let_go() {
    simulate(async |sim| {
        let client = sim.session(0, BOB).await;
        client.end.set_capacity(0);
        client.identify(all_intents());
        sim.settle().await;
        assert!(!client.end.is_gone());
        sim.wait(10_000).await;
        assert!(client.end.is_gone());
        assert_eq!(sim.count("connections"), 0);
    });
}

#[test]
fn a_client_that_leaves_during_identify_leaves_nothing() {
    for (call, id) in [(Call::Authenticate, BOB), (Call::ListGuilds, BOB)] {
        simulate(async |sim| {
            sim.gates.hold(call, id, 1);
            let client = sim.connect(0, BOB);
            client.identify(all_intents());
            sim.settle().await;
            assert_eq!(sim.waiting(call, id), 1);
            client.end.reset();
            sim.settle().await;
            sim.gates.let_go(call, id);
            sim.settle().await;
            assert_eq!(sim.services.interest.users(), []);
            assert_eq!((sim.count("connections"), sim.count("sessions")), (0, 0));
        });
    }
}

/// The same while it is being closed: it does not read the close frame, so the connection is still there when the IDENTIFY
/// comes through.
#[test]
fn a_client_that_is_closed_during_identify_leaves_nothing() {
    simulate(async |sim| {
        sim.gates.hold(Call::ListGuilds, BOB, 1);
        let client = sim.connect(0, BOB);
        client.identify(all_intents());
        sim.settle().await;
        client.end.set_capacity(0);
        client.identify(all_intents());
        sim.settle().await;
        sim.gates.let_go(Call::ListGuilds, BOB);
        sim.settle().await;
        assert_eq!(sim.shards[0].borrow().conns.len(), 1);
        assert_eq!(sim.services.interest.users(), []);
        assert_eq!(sim.count("sessions"), 0);
    });
}

#[test]
fn a_goodbye_ends_the_session_and_any_other_close_does_not() {
    for (code, expected) in [(1000, "op 1"), (1001, "op 1"), (4000, "RESUMED")] {
        simulate(async |sim| {
            let client = sim.session(0, BOB).await;
            client.close(code);
            sim.settle().await;
            let mut again = sim.resume(0, &client, client.seq);
            sim.settle().await;
            assert_eq!(again.news().last().map(String::as_str), Some(expected), "after {code}");
        });
    }
}

#[test]
fn silence_closes_and_the_session_can_be_resumed_for_a_while() {
    simulate(async |sim| {
        let mut client = sim.session(0, BOB).await;
        sim.wait(limits::ZOMBIE_MS - 5_000).await;
        client.beat();
        sim.wait(limits::ZOMBIE_MS - 5_000).await;
        assert!(client.news().is_empty());
        sim.wait(10_000).await;
        assert_eq!(client.news(), ["close 4000"]);
        sim.say(GENERAL, "missed").await;
        let mut again = sim.resume(0, &client, client.seq);
        sim.settle().await;
        assert_eq!(again.news(), ["MESSAGE_CREATE missed", "RESUMED"]);
        again.end.reset();
        sim.wait(limits::RESUME_MS + 5_000).await;
        assert_eq!(sim.count("sessions"), 0);
        let mut late = sim.resume(0, &again, again.seq);
        sim.settle().await;
        sim.expect_refusal(&mut late).await;
    });
}

/// Clients that are told to beat oftener are missed sooner.
#[test]
fn silence_is_measured_by_the_interval_that_clients_are_told() {
    let settings = Settings { heartbeat_interval_ms: 5_000, ..Settings::default() };
    simulate_with(Setup { settings, ..Setup::default() }, async |sim| {
        let mut client = sim.session(0, BOB).await;
        let hello = client.payloads.iter().find(|payload| payload["op"] == 10).unwrap();
        let told_ms = hello["d"]["heartbeat_interval"].as_u64().unwrap();
        assert!((4_000..=5_000).contains(&told_ms), "{told_ms}");
        sim.wait(5_000).await;
        client.beat();
        sim.wait(limits::zombie_ms(5_000) - 100).await;
        assert!(client.news().is_empty());
        sim.wait(1_100).await;
        assert_eq!(client.news(), ["close 4000"]);
    });
}

#[test]
fn a_socket_that_never_identifies_is_closed() {
    simulate(async |sim| {
        let mut client = sim.connect(0, BOB);
        sim.wait(limits::IDENTIFY_TIMEOUT_MS + 2_000).await;
        assert_eq!(client.news(), ["close 4009"]);
    });
}

#[test]
fn a_revoked_token_ends_its_sessions() {
    simulate(async |sim| {
        let mut client = sim.session(0, BOB).await;
        let carol = sim.session(0, CAROL).await;
        let revoked = sim.world().token_revoked(bob());
        sim.tell(&revoked).await;
        assert_eq!(client.news(), ["close 4004"]);
        let mut again = sim.resume(0, &client, client.seq);
        let mut carol = sim.resume(0, &carol, carol.seq);
        sim.settle().await;
        assert_eq!(carol.news(), ["RESUMED"]);
        sim.expect_refusal(&mut again).await;
    });
}

/// Tokens of bob's that claim him, nobody and somebody else, and how often each is asked about.
fn tokens_of_bob() -> [(String, u64); 3] {
    let lying = token_of(CAROL).replace("secret", &BOB.to_string());
    [(token_of(BOB), 1), (BOB.to_string(), 2), (lying, 2)]
}

/// The token is revoked between the question whose it is and the session. It may claim whose it is, or nobody, or
/// somebody else.
#[test]
fn a_token_that_is_revoked_during_identify_gives_no_session() {
    for (token, calls) in tokens_of_bob() {
        for held in 0..calls {
            simulate(async |sim| {
                sim.gates.hold_after(Call::ListGuilds, BOB, held, 1);
                let mut client = sim.connect(0, BOB);
                client.identify_with(&token, all_intents());
                sim.settle().await;
                assert_eq!(sim.waiting(Call::ListGuilds, BOB), 1);
                let revoked = sim.world().token_revoked(bob());
                sim.tell(&revoked).await;
                sim.gates.let_go(Call::ListGuilds, BOB);
                sim.settle().await;
                assert_eq!(client.news().last().map(String::as_str), Some("close 4004"), "{token} {held}");
                assert_eq!(sim.count("sessions"), 0);
            });
        }
    }
}

/// A token that says whose it is, is asked about once; what READY shows comes with the answer, or from a directory of the
/// version before in calls of their own.
#[test]
fn whoever_the_token_claims_identify_gives_the_same_session() {
    for (token, calls) in tokens_of_bob() {
        for is_old in [false, true] {
            simulate(async |sim| {
                sim.world().is_old = is_old;
                sim.world().private.push((channel_id(900), [bob(), dave()], None));
                let mut client = sim.connect(0, BOB);
                client.identify_with(&token, all_intents());
                sim.settle().await;
                assert_eq!(client.news(), ["READY", "GUILD_CREATE 100 [general lounge]"]);
                let ready = client.payloads.iter().find(|payload| payload["t"] == "READY").unwrap();
                assert_eq!(ready["d"]["private_channels"].as_array().unwrap().len(), 1);
                assert_eq!(sim.gates.count(Call::Authenticate, BOB), calls);
                assert_eq!(sim.services.interest.users(), [bob()], "nobody else is listened for");
            });
        }
    }
}
