//! Voice states: who is shown where somebody speaks.

use model::voice::VoiceState;
use model::{ChannelKind, OverwriteKind, UserId};

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
        sim.world().voice_states = states.into();
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
