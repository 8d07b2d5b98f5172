//! A session is resumed at another gateway while the one that has it lives.

use backplane::{Backplane as _, OwnedSession, PodName, Subject};
use model::{ChannelKind, Permissions};

use super::client::Client;
use super::fakes::Call;
use super::rig::*;
use super::world::{Change, allow, channel_id, guild_id, hidden, role_id};
use crate::positions::Seen;

/// Two gateways.
fn simulate_two(test: impl AsyncFnOnce(&Sim)) {
    simulate_with(Setup { pods: 2, ..Setup::default() }, test);
}

/// The client's session at the second gateway.
async fn resumed_there(sim: &Sim, client: &Client) -> Client {
    let again = sim.resume_at(0, client, client.seq);
    sim.settle().await;
    again
}

#[test]
fn what_was_missed_comes_once_wherever_it_is_asked_for() {
    for has_socket in [false, true] {
        simulate_two(async |sim| {
            let mut client = sim.session(0, BOB).await;
            sim.say(GENERAL, "1").await;
            assert_eq!(client.news(), ["MESSAGE_CREATE 1"]);
            let seq = client.seq;
            if !has_socket {
                client.end.reset();
            }
            sim.say(GENERAL, "2").await;
            sim.say(STAFF, "secret").await;
            sim.say(GENERAL, "3").await;
            let mut again = sim.resume_at(0, &client, seq);
            sim.settle().await;
            sim.say(GENERAL, "4").await;
            let expected = ["MESSAGE_CREATE 2", "MESSAGE_CREATE 3", "RESUMED", "MESSAGE_CREATE 4"];
            assert_eq!(again.news(), expected);
            assert_eq!(again.seq, seq + 3);
            if has_socket {
                assert_eq!(client.news(), ["MESSAGE_CREATE 2", "MESSAGE_CREATE 3", "close 4000"]);
            }
            assert_eq!((sim.count("sessions"), sim.others[0].count("sessions")), (0, 1));
            assert_eq!((sim.count("sessions_given"), sim.others[0].count("sessions_taken")), (1, 1));
        });
    }
}

/// Events that come between the moment when one gateway gives the session away and the one at which the other has opened
/// its guild.
#[test]
fn what_happens_on_the_way_is_given_behind_what_was_missed() {
    for call in [Call::TakeAsked, Call::TakeAnswered, Call::OpenAsked, Call::OpenAnswered, Call::Last] {
        simulate_two(async |sim| {
            let id = match call {
                Call::Last => GUILD,
                Call::OpenAsked | Call::OpenAnswered => BOB,
                _ => 0,
            };
            let mut client = sim.session(0, BOB).await;
            client.end.reset();
            sim.say(GENERAL, "1").await;
            sim.gates.hold(call, id, 1);
            let mut again = resumed_there(sim, &client).await;
            sim.say(GENERAL, "2").await;
            sim.say(STAFF, "secret").await;
            sim.say(GENERAL, "3").await;
            sim.gates.let_go(call, id);
            sim.wait(100).await;
            sim.say(GENERAL, "4").await;
            let mut news = again.news();
            let resumed = news.iter().position(|line| line == "RESUMED").expect("RESUMED");
            assert!(resumed >= 1, "the replay comes first");
            news.remove(resumed);
            let expected = [1, 2, 3, 4].map(|number| format!("MESSAGE_CREATE {number}"));
            assert_eq!(news, expected, "{call:?}");
            assert_eq!(again.seq, client.seq + 4);
            client.read();
        });
    }
}

#[test]
fn a_session_goes_back_and_forth() {
    simulate_two(async |sim| {
        let mut client = sim.session(0, BOB).await;
        for round in 0..6 {
            sim.say(GENERAL, &format!("{round} before")).await;
            client.news();
            let seq = client.seq;
            client.end.reset();
            sim.say(GENERAL, &format!("{round} between")).await;
            client = match round % 2 {
                0 => sim.resume_at(0, &client, seq),
                _ => sim.resume(1, &client, seq),
            };
            sim.settle().await;
            sim.say(GENERAL, &format!("{round} behind")).await;
            let expected = [
                format!("MESSAGE_CREATE {round} between"),
                "RESUMED".to_owned(),
                format!("MESSAGE_CREATE {round} behind"),
            ];
            assert_eq!(client.news(), expected);
            assert_eq!(client.seq, seq + 2);
        }
        let entry = sim.services.sessions.look(&client.session_id).await.unwrap().unwrap();
        assert_eq!((entry.owner.pod, entry.owner.epoch), (PodName::new("sim"), 7));
    });
}

/// The follower's word may be older than what the shard has dealt with: what it has given is not given again.
#[test]
fn where_the_floor_is_behind_guild_and_user_say_how_far_they_are() {
    simulate_two(async |sim| {
        let mut client = sim.session(0, BOB).await;
        sim.say(GENERAL, "1").await;
        let told = sim.world().private_message(channel_id(500), [dave(), bob()], "2");
        let stored = sim.store(&told).await;
        sim.route(stored).await;
        client.news();
        let of_guild = sim.backplane.last(Subject::Guild(guild_id(GUILD))).await.unwrap();
        let of_user = sim.backplane.last(Subject::User(bob())).await.unwrap();
        let shard = sim.shards[0].borrow();
        let key = *shard.by_id.values().next().unwrap();
        let parcel = shard.pack(key, client.seq, &Seen::default()).unwrap();
        assert_eq!((parcel.open[0].after, parcel.position.user), (of_guild, of_user));
        assert_eq!(parcel.entries, Some(Vec::new()));
    });
}

#[test]
fn another_token_gets_nothing_and_disturbs_nobody() {
    simulate_two(async |sim| {
        let mut client = sim.session(0, BOB).await;
        let mut thief = sim.connect_to(0, CAROL);
        thief.resume(&client.session_id, client.seq);
        sim.settle().await;
        sim.expect_refusal(&mut thief).await;
        sim.say(GENERAL, "1").await;
        assert_eq!(client.news(), ["MESSAGE_CREATE 1"]);
        assert!(thief.news().is_empty());
        assert_eq!(sim.others[0].count("takings_refused"), 1);
    });
}

#[test]
fn a_sequence_that_was_never_given_is_refused_and_the_session_stays() {
    simulate_two(async |sim| {
        let mut client = sim.session(0, BOB).await;
        sim.say(GENERAL, "1").await;
        client.news();
        client.beat();
        sim.settle().await;
        for seq in [client.seq + 1, client.seq - 1, u64::MAX] {
            let mut again = sim.resume_at(0, &client, seq);
            sim.settle().await;
            sim.expect_refusal(&mut again).await;
        }
        let mut unknown = sim.connect_to(0, BOB);
        unknown.resume(&format!("{:032x}", 1), 1);
        sim.settle().await;
        sim.expect_refusal(&mut unknown).await;
        sim.say(GENERAL, "2").await;
        assert_eq!(client.news(), ["MESSAGE_CREATE 2"]);
        assert_eq!(sim.others[0].count("takings_unknown"), 1);
    });
}

#[test]
fn of_two_gateways_that_take_a_session_one_has_it() {
    simulate_with(Setup { pods: 3, ..Setup::default() }, async |sim| {
        let client = sim.session(0, BOB).await;
        client.end.reset();
        sim.say(GENERAL, "1").await;
        let (mut one, mut two) =
            (sim.resume_at(0, &client, client.seq), sim.resume_at(1, &client, client.seq));
        sim.settle().await;
        sim.wait(200).await;
        sim.say(GENERAL, "2").await;
        let mut news = [one.news(), two.news()];
        // The later asks the earlier for it, by way of the gateway that has given it away.
        news.sort_by_key(|news| news.last().is_some_and(|line| line == "close 4000"));
        assert_eq!(news[0], ["MESSAGE_CREATE 1", "RESUMED", "MESSAGE_CREATE 2"]);
        assert_eq!(news[1].last().unwrap(), "close 4000");
        let sessions: u64 = sim.others.iter().map(|pod| pod.count("sessions")).sum();
        assert_eq!((sim.count("sessions"), sessions), (0, 1));
    });
}

/// The registry says that somebody else has the session in a later epoch.
#[test]
fn who_loses_the_taking_drops_the_session() {
    simulate_two(async |sim| {
        let client = sim.session(0, BOB).await;
        let other = PodName::new("elsewhere");
        sim.services.sessions.take(&client.session_id, &other, 1).await.unwrap();
        let mut again = resumed_there(sim, &client).await;
        sim.expect_refusal(&mut again).await;
        assert_eq!(sim.others[0].count("takings_lost"), 1);
        assert_eq!((sim.count("sessions"), sim.others[0].count("sessions")), (0, 0));
    });
}

#[test]
fn who_is_overtaken_drops_the_session_and_closes_its_socket() {
    simulate_two(async |sim| {
        let mut client = sim.session(0, BOB).await;
        let other = PodName::new("elsewhere");
        sim.services.sessions.take(&client.session_id, &other, 1).await.unwrap();
        client.beat();
        sim.wait(model::limits::REGISTRY_RENEW_MS + 1_000).await;
        assert_eq!(client.news(), ["close 4000"]);
        assert_eq!((sim.count("sessions"), sim.count("sessions_overtaken")), (0, 1));
    });
}

#[test]
fn without_an_answer_and_a_record_the_client_begins_again() {
    simulate_two(async |sim| {
        let client = sim.session(0, BOB).await;
        let owned = OwnedSession { id: client.session_id.clone(), epoch: 1 };
        sim.services.sessions.end(&owned).await.unwrap();
        sim.gates.hold(Call::TakeAsked, 0, 1);
        let mut again = resumed_there(sim, &client).await;
        assert!(again.news().is_empty());
        sim.wait(model::limits::TAKE_MS).await;
        sim.expect_refusal(&mut again).await;
        assert_eq!(sim.others[0].count("takings_silent"), 1);
        again.identify(all_intents());
        sim.settle().await;
        assert_eq!(again.news()[0], "READY");
        sim.gates.let_go(Call::TakeAsked, 0);
    });
}

/// Sockets that come and go while the session is on its way.
#[test]
fn a_socket_that_breaks_meanwhile_costs_nothing() {
    simulate_two(async |sim| {
        let client = sim.session(0, BOB).await;
        client.end.reset();
        sim.say(GENERAL, "1").await;
        sim.gates.hold(Call::TakeAnswered, 0, 1);
        let first = resumed_there(sim, &client).await;
        first.end.reset();
        let mut second = resumed_there(sim, &client).await;
        sim.gates.let_go(Call::TakeAnswered, 0);
        sim.settle().await;
        assert_eq!(second.news(), ["MESSAGE_CREATE 1", "RESUMED"]);
        second.end.reset();
        sim.say(GENERAL, "2").await;
        let mut third = resumed_there(sim, &second).await;
        assert_eq!(third.news(), ["MESSAGE_CREATE 2", "RESUMED"]);
        assert_eq!(sim.count("sessions_given"), 1);
    });
}

#[test]
fn a_guild_that_was_left_on_the_way_is_told_as_gone() {
    simulate_two(async |sim| {
        let client = sim.session(0, BOB).await;
        client.end.reset();
        sim.say(GENERAL, "1").await;
        sim.gates.hold(Call::OpenAsked, BOB, 1);
        let mut again = resumed_there(sim, &client).await;
        let told = sim.apply(Change::Leave(bob()));
        sim.tell_guild(&told).await;
        sim.say(GENERAL, "2").await;
        sim.gates.let_go(Call::OpenAsked, BOB);
        sim.wait(100).await;
        assert_eq!(again.news(), ["GUILD_DELETE 100", "RESUMED"], "and nothing that was said in it");
    });
}

#[test]
fn a_guild_that_was_left_and_joined_again_comes_whole() {
    simulate_two(async |sim| {
        let client = sim.session(0, BOB).await;
        client.end.reset();
        sim.gates.hold(Call::OpenAsked, BOB, 1);
        let mut again = resumed_there(sim, &client).await;
        sim.say(GENERAL, "1").await;
        for change in [Change::Leave(bob()), Change::Join(bob())] {
            let told = sim.apply(change);
            sim.tell_guild(&told).await;
        }
        sim.gates.let_go(Call::OpenAsked, BOB);
        sim.wait(100).await;
        sim.say(GENERAL, "2").await;
        let expected =
            ["RESUMED", "GUILD_DELETE 100", "GUILD_CREATE 100 [general lounge]", "MESSAGE_CREATE 2"];
        assert_eq!(again.news(), expected);
    });
}

/// What becomes visible on the way is told as such, and only what was said behind it is given; what vanishes takes
/// with it what was said before.
#[test]
fn changes_of_view_on_the_way_are_told_in_their_order() {
    simulate_two(async |sim| {
        let client = sim.session(0, BOB).await;
        client.end.reset();
        sim.say(GENERAL, "before").await;
        sim.gates.hold(Call::OpenAsked, BOB, 1);
        let mut again = resumed_there(sim, &client).await;
        sim.say(STAFF, "hidden").await;
        sim.change_quietly(roles_of_bob(&[STAFF_ROLE])).await;
        sim.say(STAFF, "shown").await;
        let staff_only =
            vec![hidden(guild_id(GUILD)), allow(model::OverwriteKind::Role(role_id(STAFF_ROLE)))];
        sim.change_quietly(Change::NewChannel(channel_id(120), ChannelKind::Text, staff_only)).await;
        sim.say(120, "new").await;
        sim.change_quietly(Change::Overwrites(channel_id(GENERAL), vec![hidden(guild_id(GUILD))])).await;
        sim.gates.let_go(Call::OpenAsked, BOB);
        sim.wait(100).await;
        sim.change(Change::RolePermissions(role_id(STAFF_ROLE), Permissions::NONE)).await;
        sim.say(STAFF, "live").await;
        let expected = [
            "GUILD_MEMBER_UPDATE 12",
            "CHANNEL_CREATE staff",
            "MESSAGE_CREATE shown",
            "CHANNEL_CREATE c120",
            "MESSAGE_CREATE new",
            "CHANNEL_DELETE ",
            "RESUMED",
            "GUILD_ROLE_UPDATE",
            "MESSAGE_CREATE live",
        ];
        assert_eq!(again.news(), expected, "what was said in general is not visible any more");
        assert_eq!(again.seq, client.seq + 9, "what was numbered and left out uses its number up");
    });
}

#[test]
fn a_session_goes_in_the_middle_of_its_start() {
    simulate_two(async |sim| {
        sim.gates.hold(Call::OpenAnswered, BOB, 1);
        let mut client = sim.connect(0, BOB);
        client.identify(all_intents());
        sim.settle().await;
        assert_eq!(client.news(), ["READY"]);
        client.end.reset();
        sim.say(GENERAL, "1").await;
        let mut again = resumed_there(sim, &client).await;
        sim.say(GENERAL, "2").await;
        assert_eq!(again.news(), ["RESUMED", "GUILD_CREATE 100 [general lounge]", "MESSAGE_CREATE 2"]);
        sim.gates.let_go(Call::OpenAnswered, BOB);
    });
}

/// A GUILD_CREATE that the client has not received is made anew where the session is.
#[test]
fn a_guild_create_is_replayed_elsewhere() {
    simulate_two(async |sim| {
        let client = sim.session(0, BOB).await;
        client.end.reset();
        sim.say(GENERAL, "1").await;
        let mut again = sim.resume_at(0, &client, 1);
        sim.settle().await;
        assert_eq!(again.news(), ["GUILD_CREATE 100 [general lounge]", "MESSAGE_CREATE 1", "RESUMED"]);
    });
}

#[test]
fn what_the_user_was_told_meanwhile_comes_once() {
    simulate_two(async |sim| {
        let mut client = sim.session(0, BOB).await;
        let told = |content: &str| sim.world().private_message(channel_id(500), [dave(), bob()], content);
        let (one, two, three) = (told("1"), told("2"), told("3"));
        let stored = sim.store(&one).await;
        sim.route(stored).await;
        assert_eq!(client.news().last().unwrap(), "MESSAGE_CREATE 1");
        let seq = client.seq;
        client.end.reset();
        let stored = sim.store(&two).await;
        sim.route(stored).await;
        sim.gates.hold(Call::TakeAnswered, 0, 1);
        let mut again = sim.resume_at(0, &client, seq);
        sim.settle().await;
        // The gateway that had the session has forgotten the user, and the other does not know of them yet.
        let late = sim.store(&three).await;
        sim.gates.let_go(Call::TakeAnswered, 0);
        sim.settle().await;
        sim.route(late).await;
        assert_eq!(again.news(), ["MESSAGE_CREATE 2", "MESSAGE_CREATE 3", "RESUMED"]);
    });
}

#[test]
fn a_token_that_was_revoked_on_the_way_ends_the_session() {
    simulate_two(async |sim| {
        let client = sim.session(0, BOB).await;
        client.end.reset();
        sim.gates.hold(Call::TakeAnswered, 0, 1);
        let mut again = resumed_there(sim, &client).await;
        let told = sim.world().token_revoked(bob());
        sim.store(&told).await;
        sim.gates.let_go(Call::TakeAnswered, 0);
        sim.settle().await;
        sim.expect_refusal(&mut again).await;
        assert_eq!(sim.others[0].count("sessions"), 0);
    });
}

/// The stream is short, and what the session lacks has been pushed out.
#[test]
fn what_is_gone_from_the_stream_ends_the_session() {
    let setup = Setup { pods: 2, stream_events_max: 4, ..Setup::default() };
    simulate_with(setup, async |sim| {
        let client = sim.session(0, BOB).await;
        client.end.reset();
        sim.gates.hold(Call::TakeAnswered, 0, 1);
        let mut again = resumed_there(sim, &client).await;
        for number in 0..6 {
            sim.say(GENERAL, &number.to_string()).await;
        }
        sim.gates.let_go(Call::TakeAnswered, 0);
        sim.settle().await;
        assert_eq!(again.news(), ["RESUMED", "op 1"]);
        again.beat();
        sim.settle().await;
        assert_eq!(again.news(), ["op 9 false"]);
        assert_eq!(sim.others[0].count("arrivals_gone"), 1);
    });
}

/// Nobody sees somebody go offline and come back because of it.
#[test]
fn presence_and_voice_go_along() {
    simulate_two(async |sim| {
        sim.world().publishes_presence = true;
        let mut watcher = sim.session(1, CAROL).await;
        let client = sim.session(0, BOB).await;
        client.presence("dnd");
        client.voice(GUILD, Some(LOUNGE));
        sim.wait(2_000).await;
        watcher.news();
        client.end.reset();
        let mut again = resumed_there(sim, &client).await;
        sim.wait(3 * model::limits::PRESENCE_RENEW_MS).await;
        watcher.beat();
        assert!(again.news().contains(&"RESUMED".to_owned()));
        let news = watcher.news();
        let of_bob = format!("PRESENCE_UPDATE {BOB}");
        assert!(!news.iter().any(|line| line.starts_with(&of_bob)), "{news:?}");
        assert!(!news.iter().any(|line| line.starts_with("VOICE_STATE_UPDATE")), "{news:?}");
        again.beat();
        again.presence("idle");
        sim.change(Change::DropChannel(channel_id(LOUNGE))).await;
        sim.wait(2_000).await;
        let news = watcher.news();
        assert!(news.contains(&format!("{of_bob} idle")), "{news:?}");
        assert!(news.contains(&format!("VOICE_STATE_UPDATE {BOB} in -")), "{news:?}");
    });
}
