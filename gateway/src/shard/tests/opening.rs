//! Opening a guild: what is in GUILD_CREATE, and what follows it.

use model::{ChannelKind, limits};

use super::fakes::Call;
use super::gated::Flow;
use super::rig::*;
use super::world::{Change, channel_id, guild_id, hidden};

#[test]
fn a_session_gets_what_it_may_see() {
    simulate(async |sim| {
        let mut alice = sim.connect(0, ALICE);
        alice.identify(all_intents());
        let mut bob = sim.connect(1, BOB);
        bob.identify(all_intents());
        sim.settle().await;
        assert_eq!(alice.news(), ["READY", "GUILD_CREATE 100 [general staff lounge]"]);
        assert_eq!(bob.news(), ["READY", "GUILD_CREATE 100 [general lounge]"]);
        sim.say(GENERAL, "hello").await;
        sim.say(STAFF, "secret").await;
        assert_eq!(alice.news(), ["MESSAGE_CREATE hello", "MESSAGE_CREATE secret"]);
        assert_eq!(bob.news(), ["MESSAGE_CREATE hello"]);
    });
}

/// bob leaves and joins while his guild is being opened, and the directory answers the first question last but one.
#[test]
fn the_answer_of_an_abandoned_opening_is_ignored() {
    simulate(async |sim| {
        sim.change(roles_of_bob(&[STAFF_ROLE])).await;
        sim.gates.hold(Call::OpenAnswered, BOB, 2);
        let mut client = sim.connect(0, BOB);
        client.identify(all_intents());
        sim.settle().await;
        sim.change(Change::Leave(bob())).await;
        let joined = sim.apply(Change::Join(bob()));
        sim.tell_guild(&joined).await;
        sim.settle().await;
        sim.tell_users(&joined).await;
        sim.settle().await;
        assert_eq!(
            sim.waiting(Call::OpenAnswered, BOB),
            1,
            "the second opening does not share the first load"
        );

        sim.gates.let_go(Call::OpenAnswered, BOB);
        sim.wait(1000).await;
        assert_eq!((client.news(), sim.waiting(Call::OpenAnswered, BOB)), (vec!["READY".into()], 1));
        sim.gates.let_go(Call::OpenAnswered, BOB);
        sim.settle().await;
        assert_eq!(client.news(), ["GUILD_CREATE 100 [general lounge]"]);
    });
}

#[test]
fn a_snapshot_older_than_the_table_is_loaded_again() {
    simulate(async |sim| {
        let mut alice = sim.session(0, ALICE).await;
        let before = sim.world().now(guild_id(GUILD)).guild.revision;
        sim.change(Change::NewChannel(channel_id(104), ChannelKind::Text, Vec::new())).await;
        assert_eq!(alice.news(), ["CHANNEL_CREATE c104"]);

        sim.world().stale = vec![(bob(), before)];
        let mut client = sim.connect(0, BOB);
        client.identify(all_intents());
        sim.wait(1000).await;
        assert_eq!(client.news(), ["READY", "GUILD_CREATE 100 [general lounge c104]"]);
        assert_eq!(sim.count("openings_repeated"), 1);
        sim.say(104, "still there").await;
        assert_eq!(alice.news(), ["MESSAGE_CREATE still there"]);
        assert_eq!(client.news(), ["MESSAGE_CREATE still there"]);
    });
}

/// What can be seen changes while the snapshot is on its way: GUILD_CREATE and the table have to agree.
#[test]
fn a_snapshot_older_than_what_came_meanwhile_is_loaded_again() {
    simulate(async |sim| {
        sim.change(roles_of_bob(&[STAFF_ROLE])).await;
        sim.gates.hold(Call::OpenAnswered, BOB, 1);
        let mut client = sim.connect(0, BOB);
        client.identify(all_intents());
        sim.settle().await;
        sim.change(roles_of_bob(&[])).await;
        sim.say(STAFF, "secret").await;
        sim.gates.let_go(Call::OpenAnswered, BOB);
        sim.wait(1000).await;
        sim.say(STAFF, "another").await;
        assert_eq!(client.news(), ["READY", "GUILD_CREATE 100 [general lounge]"]);
    });
}

#[test]
fn what_comes_during_an_opening_is_given_once_and_in_order() {
    simulate(async |sim| {
        sim.say(GENERAL, "before").await;
        let guild = GUILD;
        sim.gates.hold(Call::Last, guild, 1);
        sim.gates.hold(Call::OpenAsked, BOB, 1);
        sim.gates.hold(Call::OpenAnswered, BOB, 1);
        let mut client = sim.connect(0, BOB);
        client.identify(all_intents());
        sim.settle().await;
        sim.say(GENERAL, "1").await;
        sim.gates.let_go(Call::Last, guild);
        sim.settle().await;
        sim.say(GENERAL, "2").await;
        sim.gates.let_go(Call::OpenAsked, BOB);
        sim.settle().await;
        sim.say(GENERAL, "3").await;
        sim.gates.let_go(Call::OpenAnswered, BOB);
        sim.settle().await;
        sim.say(GENERAL, "4").await;
        let expected = [
            "READY",
            "GUILD_CREATE 100 [general lounge]",
            "MESSAGE_CREATE 1",
            "MESSAGE_CREATE 2",
            "MESSAGE_CREATE 3",
            "MESSAGE_CREATE 4",
        ];
        assert_eq!(client.news(), expected);
        assert_eq!(client.seq, 6);
    });
}

/// The snapshot is ahead of what has been delivered: what is in it is not told again.
#[test]
fn what_the_snapshot_has_is_not_given_when_it_arrives_late() {
    simulate(async |sim| {
        let mut alice = sim.session(1, ALICE).await;
        sim.set_flow(Flow::Held);
        sim.say(GENERAL, "old").await;
        sim.change(Change::Rename(channel_id(GENERAL), "main".into())).await;
        sim.change(Change::NewChannel(channel_id(104), ChannelKind::Text, Vec::new())).await;
        let mut client = sim.connect(0, BOB);
        client.identify(all_intents());
        sim.settle().await;
        assert_eq!(client.news(), ["READY", "GUILD_CREATE 100 [main lounge c104]"]);
        sim.say(104, "new").await;
        sim.set_flow(Flow::Open);
        sim.settle().await;
        assert_eq!(
            alice.news(),
            ["MESSAGE_CREATE old", "CHANNEL_UPDATE main", "CHANNEL_CREATE c104", "MESSAGE_CREATE new"]
        );
        assert_eq!(client.news(), ["MESSAGE_CREATE new"]);
    });
}

/// bob becomes staff when staff does not see the channel any more. Others' table has not heard of either: as a member of
/// the new guild he would see a channel of the old one.
#[test]
fn a_guild_opens_when_the_table_has_what_the_snapshot_shows() {
    simulate(async |sim| {
        let mut alice = sim.session(0, ALICE).await;
        sim.set_flow(Flow::Held);
        sim.gates.hold(Call::Last, GUILD, 1);
        let mut client = sim.connect(0, BOB);
        client.identify(all_intents());
        sim.settle().await;
        sim.say(STAFF, "secret").await;
        sim.change(Change::Overwrites(channel_id(STAFF), vec![hidden(guild_id(GUILD))])).await;
        sim.change(roles_of_bob(&[STAFF_ROLE])).await;
        sim.gates.let_go(Call::Last, GUILD);
        sim.wait(500).await;
        assert_eq!(client.news(), ["READY"]);
        sim.set_flow(Flow::Open);
        sim.wait(100).await;
        assert_eq!(client.news(), ["GUILD_CREATE 100 [general lounge]"]);
        assert_eq!(alice.news(), ["MESSAGE_CREATE secret", "CHANNEL_UPDATE staff", "GUILD_MEMBER_UPDATE 12"]);
    });
}

/// The event that would bring the table up to date never comes.
#[test]
fn a_guild_opens_all_the_same_after_a_while() {
    simulate(async |sim| {
        let alice = sim.session(0, ALICE).await;
        drop(sim.apply(Change::Rename(channel_id(GENERAL), "main".into())));
        let mut client = sim.connect(0, BOB);
        client.identify(all_intents());
        sim.wait(500).await;
        assert_eq!(client.news(), ["READY"]);
        sim.wait(5_000).await;
        assert_eq!(client.news(), ["GUILD_CREATE 100 [main lounge]"]);
        drop(alice);
    });
}

#[test]
fn an_opening_that_fails_is_tried_again() {
    simulate(async |sim| {
        sim.gates.fail(Call::OpenAsked, BOB, 3);
        sim.gates.fail(Call::Last, GUILD, 1);
        let mut client = sim.connect(0, BOB);
        client.identify(all_intents());
        sim.settle().await;
        assert_eq!(client.news(), ["READY"]);
        sim.wait(20_000).await;
        assert_eq!(client.news(), ["GUILD_CREATE 100 [general lounge]"]);
    });
}

#[test]
fn an_opening_with_too_much_to_remember_begins_again() {
    simulate(async |sim| {
        sim.gates.hold(Call::OpenAnswered, BOB, 1);
        let mut client = sim.connect(0, BOB);
        client.identify(all_intents());
        sim.settle().await;
        for number in 0..=limits::OPENING_EVENTS_MAX {
            let told = sim.world().message(guild_id(GUILD), channel_id(GENERAL), &number.to_string());
            sim.tell_guild(&told).await;
            if number % 500 == 0 {
                sim.settle().await;
            }
        }
        sim.settle().await;
        sim.gates.let_go(Call::OpenAnswered, BOB);
        sim.wait(1000).await;
        sim.say(GENERAL, "after").await;
        assert_eq!(client.news(), ["READY", "GUILD_CREATE 100 [general lounge]", "MESSAGE_CREATE after"]);
        assert_eq!(sim.count("openings_repeated"), 1);
    });
}

#[test]
fn a_snapshot_without_the_user_ends_the_opening_silently() {
    simulate(async |sim| {
        sim.gates.hold(Call::OpenAsked, BOB, 1);
        let mut client = sim.connect(0, BOB);
        client.identify(all_intents());
        sim.settle().await;
        let left = sim.apply(Change::Leave(bob()));
        sim.gates.let_go(Call::OpenAsked, BOB);
        sim.settle().await;
        sim.tell(&left).await;
        sim.say(GENERAL, "not for bob").await;
        assert_eq!(client.news(), ["READY"]);
    });
}
