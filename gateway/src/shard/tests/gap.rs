//! What is lost on the way: repaired in silence, or said.

use super::gated::Flow;
use super::rig::*;

/// While something is missing nothing behind it is given: it may be the change that forbids it.
#[test]
fn a_hole_is_filled_before_anything_behind_it_is_given() {
    simulate(async |sim| {
        sim.change(roles_of_bob(&[STAFF_ROLE])).await;
        let mut alice = sim.session(0, ALICE).await;
        let mut client = sim.session(0, BOB).await;
        sim.backplane.fail_reads(true);
        sim.set_flow(Flow::Dropped);
        sim.say(STAFF, "1").await;
        sim.change(roles_of_bob(&[])).await;
        sim.set_flow(Flow::Open);
        sim.say(STAFF, "secret").await;
        sim.say(GENERAL, "2").await;
        sim.wait(5_000).await;
        assert!(alice.news().is_empty() && client.news().is_empty(), "the hole is open");
        sim.backplane.fail_reads(false);
        sim.wait(3_000).await;
        sim.say(GENERAL, "3").await;
        let all = [
            "MESSAGE_CREATE 1",
            "GUILD_MEMBER_UPDATE 12",
            "MESSAGE_CREATE secret",
            "MESSAGE_CREATE 2",
            "MESSAGE_CREATE 3",
        ];
        assert_eq!(alice.news(), all);
        let some = [
            "MESSAGE_CREATE 1",
            "GUILD_MEMBER_UPDATE 12",
            "CHANNEL_DELETE staff",
            "MESSAGE_CREATE 2",
            "MESSAGE_CREATE 3",
        ];
        assert_eq!(client.news(), some);
    });
}

/// Nothing follows what was lost, so only the tail tells.
#[test]
fn a_loss_that_nothing_follows_is_found() {
    simulate(async |sim| {
        let mut client = sim.session(0, BOB).await;
        sim.set_flow(Flow::Dropped);
        sim.say(GENERAL, "lost").await;
        assert!(client.news().is_empty());
        sim.wait(3_000).await;
        assert_eq!(client.news(), ["MESSAGE_CREATE lost"]);
    });
}

/// The stream has it no more: the sessions of the partition start again, attached or not, and no others do.
#[test]
fn a_loss_beyond_repair_is_said() {
    simulate_with(Setup { stream_events_max: 4, ..Setup::default() }, async |sim| {
        let mut client = sim.session(0, BOB).await;
        let carol = sim.session(1, CAROL).await;
        let mut dave = sim.session(0, DAVE).await;
        assert_ne!(sim.partition(GUILD), sim.partition(OTHER_GUILD));
        carol.end.reset();
        sim.set_flow(Flow::Dropped);
        for number in 0..10 {
            sim.say(GENERAL, &number.to_string()).await;
        }
        sim.set_flow(Flow::Open);
        sim.wait(3_000).await;
        assert_eq!(client.news(), ["op 1", "op 9 false"]);
        let mut carol = sim.resume(1, &carol, carol.seq);
        sim.settle().await;
        sim.expect_refusal(&mut carol).await;
        assert!(dave.news().is_empty());

        client.identify(all_intents());
        sim.wait(1000).await;
        sim.say(GENERAL, "after").await;
        assert_eq!(client.news(), ["READY", "GUILD_CREATE 100 [general lounge]", "MESSAGE_CREATE after"]);
    });
}
