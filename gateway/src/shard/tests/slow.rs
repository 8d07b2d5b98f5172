//! A client that reads too slowly loses typing first, then its socket, and nothing else.

use doubles::Speech;
use model::limits;

use super::client::Client;
use super::rig::*;
use crate::config::{Compressing, Settings};

fn narrow(tls: bool) -> Setup {
    let settings = Settings { outbox_bytes_max: 4096, ..Settings::default() };
    Setup { settings, tls, ..Setup::default() }
}

#[test]
fn what_may_be_lost_goes_first_and_the_rest_comes_by_resume() {
    for tls in [false, true] {
        simulate_with(narrow(tls), async |sim| {
            let mut client = sim.session(0, BOB).await;
            let mut carol = sim.session(0, CAROL).await;
            client.end.set_capacity(100);
            for _ in 0..100 {
                sim.typing(GENERAL).await;
            }
            assert_eq!((sim.count("slow_consumers"), client.is_ended()), (0, false));

            let mut said = Vec::new();
            while sim.count("slow_consumers") == 0 {
                let number = said.len();
                assert!(number < 1000, "the cap is never reached");
                said.push(format!("MESSAGE_CREATE {number}"));
                sim.say(GENERAL, &number.to_string()).await;
            }
            assert!(said.len() > 10, "messages took the place of typing: {}", said.len());
            let read = client.news().into_iter().filter(|line| line.starts_with("MESSAGE")).count();
            said.push("MESSAGE_CREATE last".into());
            sim.say(GENERAL, "last").await;
            sim.wait(5_000).await;
            assert!(client.end.is_gone());
            assert!(sim.count("ephemeral_dropped") > 0);

            let mut again = sim.resume(0, &client, client.seq);
            sim.settle().await;
            let mut expected = said[read..].to_vec();
            expected.push("RESUMED".into());
            assert_eq!(again.news(), expected);
            let others: Vec<String> =
                carol.news().into_iter().filter(|line| line.starts_with("MESSAGE")).collect();
            assert_eq!(others, said, "others are not disturbed");
        });
    }
}

/// A replay is paced: it fills the outbox as far as the client reads, and never closes.
#[test]
fn a_replay_waits_for_a_slow_reader() {
    for tls in [false, true] {
        simulate_with(narrow(tls), async |sim| {
            let client = sim.session(0, BOB).await;
            client.end.reset();
            let said: Vec<String> = (0..200).map(|number| format!("MESSAGE_CREATE {number}")).collect();
            for number in 0..200 {
                sim.say(GENERAL, &number.to_string()).await;
            }
            let mut again = sim.connect(0, BOB);
            again.end.set_capacity(300);
            again.resume(&client.session_id, client.seq);
            let mut news = Vec::new();
            for _ in 0..400 {
                sim.settle().await;
                news.extend(again.news());
            }
            assert_eq!(news.pop().as_deref(), Some("RESUMED"));
            assert_eq!(news, said);
            assert_eq!(sim.count("slow_consumers"), 0);
        });
    }
}

/// However it is spoken to: what it had been sent, what waited for it and what came after are one sequence.
#[test]
fn in_every_form_a_slow_client_has_everything_after_its_resume() {
    let modes = [Compressing::Shared, Compressing::Stream];
    for (compressing, speech) in modes.into_iter().flat_map(|mode| Speech::ALL.map(|speech| (mode, speech))) {
        let mut setup = narrow(false);
        setup.settings.compressing = compressing;
        simulate_with(setup, async |sim| {
            let mut client = sim.session_as(0, BOB, speech).await;
            client.end.set_capacity(200);
            let mut said = Vec::new();
            while sim.count("slow_consumers") == 0 {
                let number = said.len();
                assert!(number < 1000, "{speech:?}: the cap is never reached");
                said.push(format!("MESSAGE_CREATE {number}"));
                sim.typing(GENERAL).await;
                sim.say(GENERAL, &number.to_string()).await;
            }
            let mut read: Vec<String> = messages(&mut client);
            assert!(read.len() < said.len(), "{speech:?}: it has read everything");
            let mut again = sim.resume_as(0, &client, client.seq, speech);
            sim.settle().await;
            read.extend(messages(&mut again));
            assert_eq!(read, said, "{speech:?} {compressing:?}");
            assert!(again.news().is_empty() && again.payloads.last().unwrap()["t"] == "RESUMED");
            sim.typing(GENERAL).await;
            assert_eq!(again.news(), ["TYPING_START"], "{speech:?}");
        });
    }
}

/// Small events fill the session's ring long before they fill the outbox: whoever is sent away only then has lost some.
#[test]
fn what_waits_is_never_more_than_the_ring_holds() {
    simulate(async |sim| {
        let mut client = sim.session(0, BOB).await;
        client.end.set_capacity(100);
        let mut said = Vec::new();
        while sim.count("slow_consumers") == 0 {
            let number = said.len();
            assert!(number < limits::RING_EVENTS_MAX, "its ring no longer has what waits for it");
            said.push(format!("MESSAGE_CREATE {number}"));
            sim.say(GENERAL, &number.to_string()).await;
        }
        let mut read = messages(&mut client);
        let mut again = sim.resume(0, &client, client.seq);
        sim.settle().await;
        read.extend(messages(&mut again));
        assert_eq!(read, said);
        assert_eq!(sim.count("slow_consumers"), 1, "the replay is paced");
    });
}

fn messages(client: &mut Client) -> Vec<String> {
    client.news().into_iter().filter(|line| line.starts_with("MESSAGE")).collect()
}
