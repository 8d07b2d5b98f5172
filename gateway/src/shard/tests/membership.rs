//! Joining and leaving: the guild's events and the user's own come on different ways, in any order.

use super::fakes::Call;
use super::gated::Flow;
use super::rig::*;
use super::world::Change;

#[test]
fn who_joins_gets_the_guild_and_who_leaves_loses_it() {
    simulate(async |sim| {
        let mut client = sim.connect(0, DAVE);
        client.identify(all_intents());
        sim.settle().await;
        assert_eq!(client.news(), ["READY", "GUILD_CREATE 110 []"]);
        sim.say(GENERAL, "before").await;
        sim.change(Change::Join(dave())).await;
        sim.say(GENERAL, "inside").await;
        assert_eq!(client.news(), ["GUILD_CREATE 100 [general lounge]", "MESSAGE_CREATE inside"]);
        sim.change(Change::Leave(dave())).await;
        sim.say(GENERAL, "after").await;
        assert_eq!(client.news(), ["GUILD_DELETE 100"]);
    });
}

/// The user's own events overtake the guild's: what lies between leaving and joining is never shown.
#[test]
fn left_and_joined_while_the_guild_lags() {
    for with_others in [false, true] {
        simulate(async |sim| {
            let mut alice = None;
            if with_others {
                alice = Some(sim.session(0, ALICE).await);
            }
            let mut client = sim.session(0, BOB).await;
            sim.set_flow(Flow::Held);
            sim.say(GENERAL, "before").await;
            sim.change(Change::Leave(bob())).await;
            sim.say(GENERAL, "between").await;
            assert!(client.news().is_empty(), "the guild itself has not told yet");
            sim.change(Change::Join(bob())).await;
            let mut news = client.news();
            if with_others {
                assert_eq!(news, ["GUILD_DELETE 100"], "the others' table does not have bob yet");
                sim.set_flow(Flow::Open);
                sim.wait(100).await;
                news.extend(client.news());
            }
            assert_eq!(news, ["GUILD_DELETE 100", "GUILD_CREATE 100 [general lounge]"]);
            sim.say(GENERAL, "after").await;
            sim.set_flow(Flow::Open);
            sim.settle().await;
            assert_eq!(client.news(), ["MESSAGE_CREATE after"]);
            if let Some(alice) = &mut alice {
                let all = [
                    "MESSAGE_CREATE before",
                    "GUILD_MEMBER_REMOVE 12",
                    "MESSAGE_CREATE between",
                    "GUILD_MEMBER_ADD 12",
                    "MESSAGE_CREATE after",
                ];
                assert_eq!(alice.news(), all);
            }
        });
    }
}

/// The guild's events overtake the user's own.
#[test]
fn left_and_joined_while_the_user_lags() {
    simulate(async |sim| {
        let mut client = sim.session(0, BOB).await;
        let left = sim.apply(Change::Leave(bob()));
        sim.tell_guild(&left).await;
        sim.settle().await;
        assert_eq!(client.news(), ["GUILD_DELETE 100"]);
        sim.say(GENERAL, "between").await;
        let joined = sim.apply(Change::Join(bob()));
        sim.tell_guild(&joined).await;
        sim.settle().await;
        assert!(client.news().is_empty());
        sim.tell_users(&left).await;
        sim.tell_users(&joined).await;
        sim.settle().await;
        sim.say(GENERAL, "after").await;
        assert_eq!(client.news(), ["GUILD_CREATE 100 [general lounge]", "MESSAGE_CREATE after"]);
    });
}

/// Joined and left again before the directory has answered the opening: nothing was ever to be seen.
#[test]
fn joined_and_left_while_the_guild_lags() {
    for hold in [true, false] {
        simulate(async |sim| {
            let mut client = sim.session(0, DAVE).await;
            sim.set_flow(Flow::Held);
            if hold {
                sim.gates.hold(Call::OpenAnswered, DAVE, 1);
            }
            sim.change(Change::Join(dave())).await;
            let was_open = client.news();
            sim.change(Change::Leave(dave())).await;
            sim.say(GENERAL, "not for dave").await;
            if hold {
                sim.gates.let_go(Call::OpenAnswered, DAVE);
                sim.settle().await;
                assert!(was_open.is_empty());
            } else {
                assert_eq!(was_open, ["GUILD_CREATE 100 [general lounge]"]);
            }
            assert!(client.news().is_empty());
            sim.set_flow(Flow::Open);
            sim.settle().await;
            let gone: &[&str] = if hold { &[] } else { &["GUILD_MEMBER_REMOVE 14", "GUILD_DELETE 100"] };
            let news = client.news();
            assert!(news.iter().all(|line| gone.contains(&line.as_str())), "{news:?}");
            assert_eq!(news.last().map(String::as_str), gone.last().copied());
            sim.say(GENERAL, "nor this").await;
            assert!(client.news().is_empty());
        });
    }
}

#[test]
fn a_deleted_guild_is_gone_for_everybody() {
    simulate(async |sim| {
        let mut alice = sim.session(0, ALICE).await;
        let mut client = sim.session(1, BOB).await;
        sim.change(Change::Delete).await;
        assert_eq!(alice.news(), ["GUILD_DELETE 100"]);
        assert_eq!(client.news(), ["GUILD_DELETE 100"]);
    });
}
