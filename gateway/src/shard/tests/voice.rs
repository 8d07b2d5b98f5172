//! Voice states: who is shown where somebody speaks, and who is taken out of where they can't be.

use model::voice::VoiceState;
use model::{ChannelId, ChannelKind, OverwriteKind, UserId, limits};

use super::client::Client;
use super::fakes::Call;
use super::gated::Flow;
use super::rig::*;
use super::world::{Change, allow, channel_id, guild_id, hidden, role_id, user_id};

/// A voice channel that staff sees.
const HIDDEN_LOUNGE: u64 = 105;

fn state(user: UserId, channel: Option<u64>) -> VoiceState {
    VoiceState {
        guild_id: guild_id(GUILD),
        channel_id: channel.map(channel_id),
        user_id: user,
        session_id: "s".into(),
        self_mute: false,
        self_deaf: false,
        self_video: false,
        deaf: false,
        mute: false,
        suppress: false,
    }
}

async fn add_hidden_lounge(sim: &Sim) {
    let overwrites = vec![hidden(guild_id(GUILD)), allow(OverwriteKind::Role(role_id(STAFF_ROLE)))];
    sim.change(Change::NewChannel(channel_id(HIDDEN_LOUNGE), ChannelKind::Voice, overwrites)).await;
}

/// carol goes from the lounge to where only staff sees her.
#[test]
fn a_move_shows_the_leave_only_to_who_does_not_see_the_new_channel() {
    simulate(async |sim| {
        add_hidden_lounge(sim).await;
        sim.change(Change::Roles(user_id(CAROL), vec![role_id(STAFF_ROLE)])).await;
        let mut alice = sim.session(0, ALICE).await;
        let mut client = sim.session(0, BOB).await;
        let mut carol = sim.session(0, CAROL).await;
        let gone = state(user_id(CAROL), None);
        let left = sim.world().voice(&gone, channel_id(LOUNGE), Some(channel_id(HIDDEN_LOUNGE)));
        sim.tell(&left).await;
        let there = state(user_id(CAROL), Some(HIDDEN_LOUNGE));
        let joined = sim.world().voice(&there, channel_id(HIDDEN_LOUNGE), None);
        sim.tell(&joined).await;
        assert_eq!(alice.news(), ["VOICE_STATE_UPDATE 13 in 105"]);
        assert_eq!(carol.news(), ["VOICE_STATE_UPDATE 13 in 105"]);
        assert_eq!(client.news(), ["VOICE_STATE_UPDATE 13 in -"]);
    });
}

/// The same when it is replayed.
#[test]
fn a_move_is_replayed_as_it_would_be_shown() {
    simulate(async |sim| {
        add_hidden_lounge(sim).await;
        let (alice, client) = (sim.session(0, ALICE).await, sim.session(0, BOB).await);
        let gone = state(user_id(CAROL), None);
        let left = sim.world().voice(&gone, channel_id(LOUNGE), Some(channel_id(HIDDEN_LOUNGE)));
        sim.tell(&left).await;
        let mut alice = sim.resume(0, &alice, alice.seq);
        let mut client = sim.resume(0, &client, client.seq);
        sim.settle().await;
        assert_eq!(alice.news(), ["RESUMED"]);
        assert_eq!(client.news(), ["VOICE_STATE_UPDATE 13 in -", "RESUMED"]);
    });
}

/// Who is taken out of a channel that he can't see hears of his own state all the same.
#[test]
fn everybody_hears_of_their_own_state() {
    simulate(async |sim| {
        add_hidden_lounge(sim).await;
        let mut client = sim.session(0, BOB).await;
        let gone = state(bob(), None);
        let left = sim.world().voice(&gone, channel_id(HIDDEN_LOUNGE), None);
        sim.tell(&left).await;
        let other = state(user_id(CAROL), None);
        let left = sim.world().voice(&other, channel_id(HIDDEN_LOUNGE), None);
        sim.tell(&left).await;
        assert_eq!(client.news(), ["VOICE_STATE_UPDATE 12 in -"]);
    });
}

#[test]
fn members_in_voice_are_in_guild_create_where_they_are_seen() {
    simulate(async |sim| {
        add_hidden_lounge(sim).await;
        let states = [state(user_id(CAROL), Some(LOUNGE)), state(user_id(ALICE), Some(HIDDEN_LOUNGE))];
        for state in states {
            assert_eq!(sim.world().attendance.set_voice(state), Some(true));
        }
        let mut client = sim.connect(0, BOB);
        // GUILDS and GUILD_VOICE_STATES: no other members are asked for.
        client.identify(1 | 1 << 7);
        sim.settle().await;
        client.read();
        let create = client.payloads.iter().find(|payload| payload["t"] == "GUILD_CREATE").unwrap();
        let ids = |list: &str, id: &dyn Fn(&serde_json::Value) -> String| {
            let mut ids: Vec<String> = create["d"][list].as_array().unwrap().iter().map(id).collect();
            ids.sort();
            ids
        };
        assert_eq!(ids("voice_states", &|state| state["user_id"].as_str().unwrap().to_owned()), ["13"]);
        assert_eq!(ids("members", &|member| member["user"]["id"].as_str().unwrap().to_owned()), ["12", "13"]);
    });
}

/// The one who watches, and carol, who has joined the lounge.
async fn lounge(sim: &Sim) -> (Client, Client) {
    let mut client = sim.session(0, BOB).await;
    let mut carol = sim.session(1, CAROL).await;
    carol.voice(GUILD, Some(LOUNGE));
    sim.settle().await;
    assert_eq!(client.news(), ["VOICE_STATE_UPDATE 13 in 103"]);
    let mut both = carol.news();
    both.sort();
    assert_eq!(both, ["VOICE_SERVER_UPDATE for 103", "VOICE_STATE_UPDATE 13 in 103"]);
    (client, carol)
}

fn is_in_voice(sim: &Sim, user: u64) -> Option<ChannelId> {
    let world = sim.world();
    world.attendance.voices.get(&(guild_id(GUILD), user_id(user))).and_then(|state| state.channel_id)
}

#[test]
fn who_is_kicked_leaves_voice() {
    for is_connected in [true, false] {
        simulate(async |sim| {
            let (mut client, mut carol) = lounge(sim).await;
            if !is_connected {
                carol.end.reset();
                sim.settle().await;
            }
            sim.change(Change::Leave(user_id(CAROL))).await;
            assert_eq!(client.news(), ["GUILD_MEMBER_REMOVE 13", "VOICE_STATE_UPDATE 13 in -"]);
            assert_eq!(is_in_voice(sim, CAROL), None);
            if is_connected {
                assert_eq!(carol.news(), ["GUILD_DELETE 100"]);
            }
        });
    }
}

/// The user's own events overtake the guild's: to them the guild is left and joined before it says so.
#[test]
fn who_is_kicked_and_joins_again_has_left_voice() {
    simulate(async |sim| {
        let (mut client, mut carol) = lounge(sim).await;
        sim.set_flow(Flow::Held);
        sim.change(Change::Leave(user_id(CAROL))).await;
        sim.change(Change::Join(user_id(CAROL))).await;
        sim.set_flow(Flow::Open);
        sim.wait(1000).await;
        assert_eq!(is_in_voice(sim, CAROL), None);
        let voice = |line: &String| line.starts_with("VOICE_STATE_UPDATE");
        let seen: Vec<String> = client.news().into_iter().filter(voice).collect();
        assert_eq!(seen, ["VOICE_STATE_UPDATE 13 in -"]);
        assert_eq!(carol.news()[0], "GUILD_DELETE 100");
    });
}

#[test]
fn a_deleted_channel_is_left() {
    simulate(async |sim| {
        let (mut client, mut carol) = lounge(sim).await;
        sim.change(Change::DropChannel(channel_id(LOUNGE))).await;
        let expected = ["CHANNEL_DELETE lounge", "VOICE_STATE_UPDATE 13 in -"];
        assert_eq!(client.news(), expected);
        assert_eq!(carol.news(), expected);
        assert_eq!(is_in_voice(sim, CAROL), None);
    });
}

/// carol's join is published when the channel is gone already: that she is there is told to nobody.
#[test]
fn nobody_is_shown_in_a_deleted_channel() {
    simulate(async |sim| {
        let mut client = sim.session(0, BOB).await;
        let carol = sim.session(1, CAROL).await;
        sim.gates.hold(Call::PublishVoice, GUILD, 1);
        carol.voice(GUILD, Some(LOUNGE));
        sim.settle().await;
        sim.change(Change::DropChannel(channel_id(LOUNGE))).await;
        assert_eq!(client.news(), ["CHANNEL_DELETE lounge"]);
        sim.gates.let_go(Call::PublishVoice, GUILD);
        sim.settle().await;
        assert_eq!(client.news(), ["VOICE_STATE_UPDATE 13 in -"]);
        assert_eq!(is_in_voice(sim, CAROL), None);
    });
}

/// The channel is deleted, or the guild left, while presence is asked.
#[test]
fn what_is_gone_when_the_answer_comes_is_left() {
    for change in [Change::DropChannel(channel_id(LOUNGE)), Change::Leave(user_id(CAROL))] {
        simulate(async |sim| {
            let carol = sim.session(0, CAROL).await;
            sim.gates.hold(Call::VoiceSet, CAROL, 1);
            carol.voice(GUILD, Some(LOUNGE));
            sim.settle().await;
            assert_eq!(is_in_voice(sim, CAROL), Some(channel_id(LOUNGE)));
            sim.change(change).await;
            sim.gates.let_go(Call::VoiceSet, CAROL);
            sim.settle().await;
            assert_eq!(is_in_voice(sim, CAROL), None);
        });
    }
}

/// A channel that another session of the user was in is deleted.
#[test]
fn a_session_that_was_taken_over_leaves_nothing() {
    simulate(async |sim| {
        add_hidden_lounge(sim).await;
        let first = sim.session(0, ALICE).await;
        let second = sim.session(1, ALICE).await;
        first.voice(GUILD, Some(LOUNGE));
        sim.settle().await;
        second.voice(GUILD, Some(HIDDEN_LOUNGE));
        sim.settle().await;
        sim.change(Change::DropChannel(channel_id(LOUNGE))).await;
        assert_eq!(is_in_voice(sim, ALICE), Some(channel_id(HIDDEN_LOUNGE)));
    });
}

/// Presence has forgotten everything, and the pod tells it again: not by the session whose place another has taken.
#[test]
fn voice_states_come_back_when_presence_is_started_anew() {
    for is_turned in [false, true] {
        simulate(async |sim| {
            add_hidden_lounge(sim).await;
            let mut sessions = [sim.session(0, ALICE).await, sim.session(1, ALICE).await];
            let (mut client, carol) = lounge(sim).await;
            if is_turned {
                sessions.reverse();
            }
            for (session, channel) in sessions.iter().zip([LOUNGE, HIDDEN_LOUNGE]) {
                session.voice(GUILD, Some(channel));
                sim.settle().await;
            }
            client.news();
            sim.world().attendance.restart();
            assert_eq!(is_in_voice(sim, CAROL), None);
            sim.wait(2 * limits::PRESENCE_RENEW_MS).await;
            assert_eq!(is_in_voice(sim, CAROL), Some(channel_id(LOUNGE)));
            assert_eq!(is_in_voice(sim, ALICE), Some(channel_id(HIDDEN_LOUNGE)));
            assert!(client.news().is_empty(), "everybody knows");
            carol.voice(GUILD, None);
            sim.settle().await;
            assert_eq!(client.news(), ["VOICE_STATE_UPDATE 13 in -"]);
        });
    }
}

#[test]
fn a_leave_does_not_overtake_its_join() {
    simulate(async |sim| {
        let (mut client, carol) = (sim.session(0, BOB).await, sim.session(1, CAROL).await);
        sim.gates.hold(Call::GetMembers, GUILD, 1);
        carol.voice(GUILD, Some(LOUNGE));
        sim.settle().await;
        carol.voice(GUILD, None);
        sim.settle().await;
        sim.gates.let_go(Call::GetMembers, GUILD);
        sim.settle().await;
        assert_eq!(client.news(), ["VOICE_STATE_UPDATE 13 in 103", "VOICE_STATE_UPDATE 13 in -"]);
        assert_eq!(is_in_voice(sim, CAROL), None);
    });
}

/// It is in no ring; the socket that it was sent to breaks, or there is none when it comes.
#[test]
fn a_voice_server_comes_again_with_a_resume() {
    for (is_sent, beats, comes) in [(true, 0, true), (true, 1, true), (true, 2, false), (false, 0, true)] {
        simulate(async |sim| {
            let mut carol = sim.session(0, CAROL).await;
            let seq = carol.seq;
            sim.gates.hold(Call::VoiceSet, CAROL, 1);
            carol.voice(GUILD, Some(LOUNGE));
            sim.settle().await;
            if is_sent {
                sim.gates.let_go(Call::VoiceSet, CAROL);
                sim.settle().await;
                assert_eq!(carol.news().last().unwrap(), "VOICE_SERVER_UPDATE for 103");
            }
            let seq = if beats > 0 { carol.seq } else { seq };
            for _ in 0..beats {
                carol.beat();
                sim.settle().await;
            }
            carol.end.reset();
            sim.settle().await;
            if !is_sent {
                sim.gates.let_go(Call::VoiceSet, CAROL);
                sim.settle().await;
            }
            let mut again = sim.resume(1, &carol, seq);
            sim.settle().await;
            let mut expected = vec!["VOICE_STATE_UPDATE 13 in 103", "RESUMED", "VOICE_SERVER_UPDATE for 103"];
            expected.truncate(if comes { 3 } else { 2 });
            if beats > 0 {
                expected.remove(0);
            }
            assert_eq!(again.news(), expected, "{is_sent} {beats}");
        });
    }
}

#[test]
fn the_voice_server_of_a_channel_that_was_left_does_not_come_again() {
    simulate(async |sim| {
        let (_, mut carol) = lounge(sim).await;
        carol.voice(GUILD, None);
        sim.settle().await;
        carol.news();
        carol.end.reset();
        let mut again = sim.resume(0, &carol, carol.seq);
        sim.settle().await;
        assert_eq!(again.news(), ["RESUMED"]);
    });
}

/// Who begins to see a voice channel is told who is in it, and who no longer does that they have gone.
#[test]
fn who_is_in_a_channel_comes_and_goes_with_the_sight_of_it() {
    simulate(async |sim| {
        add_hidden_lounge(sim).await;
        let mut alice = sim.session(0, ALICE).await;
        alice.voice(GUILD, Some(HIDDEN_LOUNGE));
        let mut client = sim.session(0, BOB).await;
        sim.settle().await;
        alice.news();
        let seq = client.seq;
        sim.change(roles_of_bob(&[STAFF_ROLE])).await;
        let news: std::collections::BTreeSet<String> = client.news().into_iter().collect();
        assert!(
            news.contains("CHANNEL_CREATE c105") && news.contains("VOICE_STATE_UPDATE 11 in 105"),
            "{news:?}"
        );
        sim.change(roles_of_bob(&[])).await;
        let news = client.news();
        let at = |line: &str| news.iter().position(|other| other == line);
        assert!(at("VOICE_STATE_UPDATE 11 in -") < at("CHANNEL_DELETE c105"), "{news:?}");
        assert!(at("VOICE_STATE_UPDATE 11 in -").is_some(), "{news:?}");
        assert_eq!(
            alice.news(),
            ["GUILD_MEMBER_UPDATE 12", "GUILD_MEMBER_UPDATE 12"],
            "she is told nothing of herself"
        );

        let mut again = sim.resume(0, &client, seq);
        sim.settle().await;
        let news = again.news();
        assert!(!news.contains(&"VOICE_STATE_UPDATE 11 in 105".to_owned()), "{news:?}");
    });
}

/// alice joined while the guild was opened, behind the list of who is in voice, where bob did not see her.
#[test]
fn who_joined_while_the_guild_was_opened_comes_into_sight() {
    simulate(async |sim| {
        add_hidden_lounge(sim).await;
        let alice = sim.session(1, ALICE).await;
        sim.gates.hold(Call::ListVoices, GUILD, 1);
        let mut client = sim.connect(0, BOB);
        client.identify(all_intents());
        sim.settle().await;
        alice.voice(GUILD, Some(HIDDEN_LOUNGE));
        sim.settle().await;
        sim.gates.let_go(Call::ListVoices, GUILD);
        sim.settle().await;
        assert_eq!(client.news(), ["READY", "GUILD_CREATE 100 [general lounge]"]);
        sim.change(roles_of_bob(&[STAFF_ROLE])).await;
        assert!(client.news().contains(&"VOICE_STATE_UPDATE 11 in 105".to_owned()));
    });
}

/// Between the halves of a move the channel that it leads to goes out of sight.
#[test]
fn a_move_to_where_it_is_seen_no_more_is_a_leave() {
    simulate(async |sim| {
        add_hidden_lounge(sim).await;
        sim.change(roles_of_bob(&[STAFF_ROLE])).await;
        let mut client = sim.session(0, BOB).await;
        let carol = user_id(CAROL);
        let joined = sim.world().voice(&state(carol, Some(LOUNGE)), channel_id(LOUNGE), None);
        sim.tell(&joined).await;
        assert_eq!(client.news(), ["VOICE_STATE_UPDATE 13 in 103"]);
        let left =
            sim.world().voice(&state(carol, None), channel_id(LOUNGE), Some(channel_id(HIDDEN_LOUNGE)));
        sim.tell(&left).await;
        assert!(client.news().is_empty(), "the other half will show her");
        sim.change(roles_of_bob(&[])).await;
        assert!(client.news().contains(&"VOICE_STATE_UPDATE 13 in -".to_owned()));
        let there = sim.world().voice(&state(carol, Some(HIDDEN_LOUNGE)), channel_id(HIDDEN_LOUNGE), None);
        sim.tell(&there).await;
        assert!(client.news().is_empty());
    });
}

/// carol is in a channel that is seen no more when the client comes back: she is not left where she was before.
#[test]
fn a_replay_leaves_nobody_where_they_were() {
    simulate(async |sim| {
        add_hidden_lounge(sim).await;
        sim.change(roles_of_bob(&[STAFF_ROLE])).await;
        let client = sim.session(0, BOB).await;
        let carol = user_id(CAROL);
        let joined = sim.world().voice(&state(carol, Some(LOUNGE)), channel_id(LOUNGE), None);
        sim.tell(&joined).await;
        let moved = [
            (None, LOUNGE, Some(HIDDEN_LOUNGE)),
            (Some(HIDDEN_LOUNGE), HIDDEN_LOUNGE, None),
            (None, HIDDEN_LOUNGE, None),
        ];
        for (there, shown_in, moved_to) in moved {
            let moved_to = moved_to.map(channel_id);
            let told = sim.world().voice(&state(carol, there), channel_id(shown_in), moved_to);
            sim.tell(&told).await;
        }
        sim.change(roles_of_bob(&[])).await;
        let mut again = sim.resume(0, &client, client.seq + 1);
        sim.settle().await;
        let news = again.news();
        assert!(news.contains(&"VOICE_STATE_UPDATE 13 in -".to_owned()), "{news:?}");
        assert!(!news.contains(&"VOICE_STATE_UPDATE 13 in 105".to_owned()), "{news:?}");
    });
}
