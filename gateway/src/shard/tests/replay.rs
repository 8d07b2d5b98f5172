//! A GUILD_CREATE that is sent again is made anew: from the guild as it is then, and for its own place alone.

use serde_json::json;

use super::fakes::Call;
use super::gated::Flow;
use super::rig::*;
use super::world::{Change, channel_id, guild_id};

#[test]
fn a_guild_is_remade_as_it_is_now() {
    simulate(async |sim| {
        sim.change(roles_of_bob(&[STAFF_ROLE])).await;
        let client = sim.session(0, BOB).await;
        client.end.reset();
        sim.say(GENERAL, "1").await;
        sim.change(Change::Rename(channel_id(GENERAL), "main".into())).await;
        sim.change(roles_of_bob(&[])).await;
        let mut again = sim.resume(0, &client, 1);
        sim.settle().await;
        let expected = [
            "GUILD_CREATE 100 [main lounge]",
            "MESSAGE_CREATE 1",
            "CHANNEL_UPDATE main",
            "GUILD_MEMBER_UPDATE 12",
            "CHANNEL_DELETE staff",
            "RESUMED",
        ];
        assert_eq!(again.news(), expected);
    });
}

#[test]
fn a_guild_that_was_left_is_not_remade() {
    simulate(async |sim| {
        let client = sim.session(0, BOB).await;
        client.end.reset();
        sim.change(Change::Leave(bob())).await;
        let mut again = sim.resume(0, &client, 1);
        sim.settle().await;
        assert_eq!(again.news(), ["GUILD_DELETE 100", "RESUMED"]);
    });
}

/// What the session was told alone is looked at again, too: a channel that appeared is not shown to who has left since.
#[test]
fn what_appeared_in_a_guild_that_was_left_is_not_replayed() {
    simulate(async |sim| {
        let client = sim.session(0, BOB).await;
        let seq = client.seq;
        sim.change(roles_of_bob(&[STAFF_ROLE])).await;
        sim.change(roles_of_bob(&[])).await;
        sim.change(Change::Leave(bob())).await;
        client.end.reset();
        let mut again = sim.resume(0, &client, seq);
        sim.settle().await;
        assert_eq!(again.news(), ["GUILD_DELETE 100", "RESUMED"]);
    });
}

#[test]
fn a_channel_that_appeared_and_vanished_is_not_replayed() {
    simulate(async |sim| {
        let client = sim.session(0, BOB).await;
        let seq = client.seq;
        sim.change(roles_of_bob(&[STAFF_ROLE])).await;
        sim.change(Change::Rename(channel_id(STAFF), "secret plans".into())).await;
        sim.change(roles_of_bob(&[])).await;
        client.end.reset();
        let mut again = sim.resume(0, &client, seq);
        sim.settle().await;
        let expected =
            ["GUILD_MEMBER_UPDATE 12", "GUILD_MEMBER_UPDATE 12", "CHANNEL_DELETE secret plans", "RESUMED"];
        assert_eq!(again.news(), expected);
    });
}

/// Members of a guild that was left since the client asked for them, or since they were sent.
#[test]
fn members_are_not_given_to_who_has_left() {
    for asks_first in [true, false] {
        simulate(async |sim| {
            let mut client = sim.session(0, BOB).await;
            let seq = client.seq;
            sim.gates.hold(Call::GetMembers, GUILD, usize::from(!asks_first));
            client.send(&json!({"op": 8, "d": {"guild_id": "100", "user_ids": ["13"]}}));
            sim.settle().await;
            assert_eq!(client.news().len(), usize::from(asks_first));
            sim.change(Change::Leave(bob())).await;
            if !asks_first {
                sim.gates.let_go(Call::GetMembers, GUILD);
                sim.settle().await;
            }
            assert_eq!(client.news(), ["GUILD_DELETE 100"]);
            let mut again = sim.resume(0, &client, seq);
            sim.settle().await;
            assert_eq!(again.news(), ["GUILD_DELETE 100", "RESUMED"]);
        });
    }
}

/// The directory knows already that bob has left; the guild's events are late.
#[test]
fn a_guild_that_was_left_unheard_of_is_not_remade() {
    simulate(async |sim| {
        let client = sim.session(0, BOB).await;
        client.end.reset();
        sim.say(GENERAL, "1").await;
        sim.set_flow(Flow::Held);
        sim.change(Change::Leave(bob())).await;
        let mut again = sim.resume(0, &client, 1);
        sim.settle().await;
        assert_eq!(again.news(), ["GUILD_DELETE 100", "RESUMED"]);
        sim.set_flow(Flow::Open);
        sim.say(GENERAL, "2").await;
        assert!(again.news().is_empty());
        sim.change(Change::Join(bob())).await;
        assert_eq!(again.news(), ["GUILD_CREATE 100 [general lounge]"]);
    });
}

/// While one guild is being remade the client comes again, behind it: the answer is not taken for the next guild's.
#[test]
fn an_answer_is_used_at_its_own_place_only() {
    simulate(async |sim| {
        let joined = sim.world().apply(guild_id(OTHER_GUILD), Change::Join(bob()));
        sim.tell(&joined).await;
        let mut client = sim.connect(0, BOB);
        client.identify(all_intents());
        sim.settle().await;
        assert_eq!(client.news(), ["READY", "GUILD_CREATE 100 [general lounge]", "GUILD_CREATE 110 []"]);

        sim.gates.hold(Call::OpenAnswered, BOB, 1);
        let mut slow = sim.resume(0, &client, 1);
        sim.settle().await;
        assert_eq!(sim.waiting(Call::OpenAnswered, BOB), 1);
        let mut again = sim.resume(0, &client, 2);
        sim.settle().await;
        sim.gates.let_go(Call::OpenAnswered, BOB);
        sim.settle().await;
        assert_eq!(slow.news(), ["close 4000"]);
        assert_eq!(again.news(), ["GUILD_CREATE 110 []", "RESUMED"]);
    });
}

/// Without an answer the client is sent away, and may come again.
#[test]
fn a_guild_that_can_not_be_remade_closes_resumably() {
    simulate(async |sim| {
        let client = sim.session(0, BOB).await;
        sim.gates.fail(Call::OpenAsked, BOB, 1);
        let mut again = sim.resume(0, &client, 1);
        sim.settle().await;
        assert_eq!(again.news(), ["close 4000"]);
        let mut third = sim.resume(0, &client, 1);
        sim.settle().await;
        assert_eq!(third.news(), ["GUILD_CREATE 100 [general lounge]", "RESUMED"]);
    });
}
