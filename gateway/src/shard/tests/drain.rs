//! A pod goes away: everybody is told in turn, and nobody is thrown out who would have left.

use model::limits;
use serde_json::json;
use tokio::sync::oneshot;

use super::client::Client;
use super::fakes::Call;
use super::rig::*;

/// How many of these clients have been told.
fn told(clients: &mut [Client]) -> usize {
    clients.iter_mut().for_each(Client::read);
    clients.iter().filter(|client| client.payloads.iter().any(|payload| payload["op"] == 7)).count()
}

fn is_done(drained: &mut oneshot::Receiver<()>) -> bool {
    drained.try_recv().is_ok()
}

#[test]
fn who_is_told_to_leave_is_answered_heartbeats_and_then_closed_resumably() {
    simulate(async |sim| {
        let mut client = sim.session(0, BOB).await;
        let mut drained = sim.drain(0, 0);
        sim.settle().await;
        assert_eq!(client.news(), ["op 7"]);
        client.voice(GUILD, Some(LOUNGE));
        client.identify(all_intents());
        client.beat();
        sim.settle().await;
        assert!(client.news().is_empty());
        assert_eq!(client.payloads.last().unwrap()["op"], 11);
        sim.wait(limits::DRAIN_LEAVE_MS - 100).await;
        assert!(client.news().is_empty() && !is_done(&mut drained));
        sim.wait(200).await;
        assert_eq!(client.news(), ["close 4000"]);
        sim.wait(5_000).await;
        assert!(client.end.is_gone() && is_done(&mut drained));
    });
}

#[test]
fn clients_are_told_one_after_the_other_and_served_until_then() {
    simulate(async |sim| {
        let mut clients = Vec::new();
        for _ in 0..10 {
            clients.push(sim.session(0, BOB).await);
        }
        let mut drained = sim.drain(0, 10_000);
        let mut counts = Vec::new();
        for second in 1..=10 {
            sim.wait(1_000).await;
            let count = told(&mut clients);
            assert!((second..=second + 1).contains(&count), "{count} after {second} s");
            assert_eq!(sim.count("drained"), count as u64);
            assert_eq!(sim.count("drain_waiting"), 10 - count as u64);
            sim.say(GENERAL, &second.to_string()).await;
            for client in &mut clients {
                let news = client.news();
                let is_told = client.payloads.iter().any(|payload| payload["op"] == 7);
                assert!(is_told || news.contains(&format!("MESSAGE_CREATE {second}")), "{news:?}");
            }
            counts.push(count);
        }
        assert_eq!(counts.last(), Some(&10));
        assert!(!is_done(&mut drained));
        clients.iter().for_each(|client| client.end.reset());
        sim.wait(100).await;
        assert!(is_done(&mut drained), "nobody is waited for who has left");
    });
}

#[test]
fn an_empty_shard_has_nothing_to_wait_for() {
    simulate(async |sim| {
        let mut drained = sim.drain(0, 60_000);
        sim.wait(100).await;
        assert!(is_done(&mut drained));
    });
}

/// Its handshake was under way when the acceptor stopped.
#[test]
fn a_socket_that_comes_late_is_sent_on_at_once() {
    simulate(async |sim| {
        let first = sim.session(0, BOB).await;
        let _drained = sim.drain(0, 10_000);
        let mut late = sim.connect(0, CAROL);
        sim.settle().await;
        assert_eq!(late.news(), ["op 7", "close 4000"]);
        // One that resumes here, by way of the other shard, has its turn like all.
        let mut again = sim.resume(1, &first, first.seq);
        sim.settle().await;
        assert_eq!(again.news(), ["RESUMED"]);
        sim.wait(6_000).await;
        assert_eq!(again.news(), ["op 7"]);
    });
}

#[test]
fn an_identify_that_is_overtaken_by_the_drain_makes_no_session() {
    simulate(async |sim| {
        sim.gates.hold(Call::ListGuilds, BOB, 1);
        let mut client = sim.connect(0, BOB);
        client.send(&json!({"op": 1, "d": null}));
        client.identify(all_intents());
        sim.settle().await;
        let _drained = sim.drain(0, 0);
        sim.settle().await;
        sim.gates.let_go(Call::ListGuilds, BOB);
        sim.settle().await;
        assert_eq!(client.news(), ["op 7"]);
        assert_eq!((sim.count("sessions"), sim.services.interest.users()), (0, Vec::new()));
    });
}
