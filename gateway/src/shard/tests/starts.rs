//! IDENTIFY and RESUME at the gate: who waits, who goes first, and what is said to those whose turn does not come.

use model::limits;

use super::client::Client;
use super::rig::*;
use crate::config::Settings;

/// One start in a second, and none more at once.
fn slow() -> Setup {
    let settings = Settings { starts_per_sec: 1, admission_burst_ms: 1_000, ..Settings::default() };
    Setup { settings, ..Setup::default() }
}

#[test]
fn a_resume_goes_before_identifies_that_came_earlier() {
    simulate_with(slow(), async |sim| {
        let bob = sim.session(0, BOB).await;
        bob.end.reset();
        sim.wait(1_000).await;
        let (mut carol, mut dave) = (sim.connect(0, CAROL), sim.connect(1, DAVE));
        carol.identify(all_intents());
        sim.settle().await;
        assert_eq!(carol.news()[0], "READY");
        dave.identify(all_intents());
        sim.wait(300).await;
        let mut bob = sim.resume(1, &bob, bob.seq);
        sim.settle().await;
        assert_eq!((sim.count("starts_waiting"), bob.news()), (2, vec![]));
        sim.wait(300).await;
        assert_eq!((bob.news(), dave.news()), (vec!["RESUMED".to_owned()], vec![]));
        assert_eq!(sim.count("starts_waiting"), 1);
        dave.beat();
        sim.settle().await;
        dave.read();
        assert_eq!(dave.payloads.len(), 2, "HELLO and the acknowledgement: who waits is alive");
        sim.wait(1_000).await;
        assert_eq!(dave.news()[0], "READY");
        let waited_ms = sim.count("starts_delayed_ms");
        assert_eq!((sim.count("starts_delayed"), sim.count("starts_admitted")), (2, 4));
        assert!((1_650..1_750).contains(&waited_ms), "{waited_ms}");
    });
}

/// One starts at once; five IDENTIFYs have a place, and ten RESUMEs, which take half as much. The fifth token comes when their
/// time is up.
#[test]
fn whose_turn_does_not_come_is_told_what_costs_it_least() {
    simulate_with(slow(), async |sim| {
        let gone = sim.session(0, BOB).await;
        gone.end.reset();
        sim.wait(2_000).await;
        let mut identifies: Vec<_> = (0..7).map(|_| sim.connect(0, CAROL)).collect();
        identifies.iter().for_each(|client| client.identify(all_intents()));
        let mut resumes: Vec<_> = (0..11).map(|_| sim.resume(0, &gone, gone.seq)).collect();
        sim.settle().await;
        assert_eq!(identifies.remove(0).news()[0], "READY");
        sim.expect_refusal(&mut identifies.pop().unwrap()).await;
        assert_eq!(resumes.pop().unwrap().news(), ["op 1", "op 7", "close 4000"]);
        assert_eq!((sim.count("starts_refused_by_rate"), sim.count("starts_waiting")), (2, 15));

        sim.wait(limits::START_PATIENCE_MS + 10).await;
        assert_eq!(sim.count("starts_waiting"), 0, "nobody waits longer");
        for client in &mut identifies {
            sim.expect_refusal(client).await;
            assert_eq!(client.closed, None, "it may IDENTIFY again on this socket");
        }
        let news: Vec<_> = resumes.iter_mut().map(Client::news).collect();
        assert!(news[..9].iter().all(|news| news[0] == "RESUMED"), "{news:?}");
        assert_eq!(news[9], ["op 1", "op 7", "close 4000"]);
        sim.wait(1_000).await;
        let mut again = sim.resume(0, &gone, gone.seq);
        sim.settle().await;
        assert_eq!(again.news(), ["RESUMED"], "the session is as it was");
    });
}

#[test]
fn who_goes_away_leaves_its_place_to_others() {
    simulate_with(slow(), async |sim| {
        sim.session(0, BOB).await;
        let (first, mut second) = (sim.connect(0, CAROL), sim.connect(1, DAVE));
        first.identify(all_intents());
        second.identify(all_intents());
        sim.settle().await;
        assert_eq!(sim.count("starts_waiting"), 2);
        assert_eq!(sim.services.interest.users(), [bob()], "nothing is done for who waits");
        first.end.reset();
        sim.settle().await;
        assert_eq!(sim.count("starts_waiting"), 1);
        sim.wait(1_000).await;
        assert_eq!(second.news()[0], "READY");
    });
}

/// Wherever its session is, a RESUME is one: it waits at the door of the gateway that it comes to, and there ahead of IDENTIFYs.
#[test]
fn a_session_of_another_gateway_is_taken_when_its_resume_has_its_turn() {
    simulate_with(Setup { pods: 2, ..slow() }, async |sim| {
        let bob = sim.session(0, BOB).await;
        let (mut carol, mut dave) = (sim.connect_to(0, CAROL), sim.connect_to(0, DAVE));
        carol.identify(all_intents());
        dave.identify(all_intents());
        sim.settle().await;
        assert_eq!(carol.news()[0], "READY");
        let mut bob = sim.resume_at(0, &bob, bob.seq);
        let other = &sim.others[0];
        sim.wait(400).await;
        assert_eq!((other.count("starts_waiting"), other.count("sessions_taken")), (2, 0));
        sim.wait(200).await;
        assert_eq!((bob.news(), dave.news()), (vec!["RESUMED".to_owned()], vec![]));
        assert_eq!((other.count("starts_waiting"), other.count("sessions_taken")), (1, 1));
        sim.wait(1_000).await;
        assert_eq!((dave.news()[0].as_str(), other.count("starts_admitted")), ("READY", 3));
    });
}

#[test]
fn who_waits_at_a_gateway_that_goes_away_is_told_to_leave() {
    simulate_with(slow(), async |sim| {
        sim.session(0, BOB).await;
        let mut carol = sim.connect(0, CAROL);
        carol.identify(all_intents());
        sim.settle().await;
        let _drained = sim.drain(0, 0);
        sim.settle().await;
        assert_eq!((carol.news(), sim.count("starts_waiting")), (vec!["op 7".to_owned()], 0));
        sim.wait(1_000).await;
        assert_eq!((carol.news(), sim.count("identifies")), (vec![], 1), "its turn does not come any more");
    });
}

#[test]
fn a_shard_that_stands_still_is_noticed_and_then_less_is_let_in() {
    let settings = Settings { connections_per_sec: 80, admission_burst_ms: 1_000, ..Settings::default() };
    simulate_with(Setup { settings, ..Setup::default() }, async |sim| {
        sim.wait(1_000).await;
        assert_eq!(sim.count("turn_late_ms"), 0);
        sim.hold_shard(1, limits::OVERLOAD_MS + limits::LATE_MS).await;
        assert!(sim.count("turn_late_ms") >= limits::OVERLOAD_MS);
        let refused: Vec<u64> = (0..80).filter_map(|_| sim.services.admit_connection().err()).collect();
        assert_eq!(refused.len(), 70, "an eighth of the burst was let in");
        assert_eq!(sim.count("connections_refused_by_load"), 70);
        assert!(refused.iter().all(|seconds| (1..=2).contains(seconds)), "{refused:?}");
        sim.wait(2_000).await;
        let refused = (0..80).filter(|_| sim.services.admit_connection().is_err()).count();
        assert_eq!((refused, sim.count("connections_refused_by_rate")), (0, 0), "it is well again");
    });
}
