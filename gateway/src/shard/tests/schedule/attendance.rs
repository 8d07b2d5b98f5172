//! Who each session had to show in voice channels and as there: in the end exactly who is, and never anybody in a channel
//! that its user could not see.

use std::collections::BTreeMap;

use super::super::rig::{GUILD, Sim};
use super::super::world::{channel_id, guild_id, user_id};
use super::oracle::History;
use super::peer::{Peer, Shown};

pub fn check(sim: &Sim, history: &History, peer: &Peer) -> Result<(), String> {
    for shown in &peer.shown {
        check_shown(sim, history, peer, shown)?;
    }
    check_places(sim, peer)?;
    check_voices(sim, peer)?;
    check_voice_server(sim, peer)?;
    check_presences(sim, peer)
}

/// A state is shown where its channel is seen, at some time between its event and when it was read. Replays and what is told
/// when a channel comes into sight are later than the event.
fn check_shown(sim: &Sim, history: &History, peer: &Peer, shown: &Shown) -> Result<(), String> {
    let world = sim.world();
    let (sequence, _) = world.attendance.told.iter().find(|(_, told)| told.number == shown.number).unwrap();
    let mut revisions = history.revision_at(*sequence)..=shown.revision;
    let (user, channel) = (user_id(peer.user), channel_id(shown.channel.parse().unwrap()));
    let is_own = shown.user == peer.user.to_string();
    if is_own || revisions.any(|revision| world.at(guild_id(GUILD), revision).sees(user, channel)) {
        Ok(())
    } else {
        Err(format!("it was told that {} is in {}, which it does not see", shown.user, shown.channel))
    }
}

/// Whoever is in a voice channel is a member and asked for it, and the channel is there.
fn check_places(sim: &Sim, peer: &Peer) -> Result<(), String> {
    let world = sim.world();
    let guild = world.now(guild_id(GUILD));
    for state in world.attendance.voices_in(guild_id(GUILD)) {
        let channel = state.channel_id.expect("who has left is not listed");
        if !guild.is_member(state.user_id) || !guild.channels.contains_key(&channel) {
            return Err(format!("{} is in {channel}, which is no place for them", state.user_id));
        }
        if state.session_id == peer.session_id && peer.spoken == Some(None) {
            return Err(format!("{} is in {channel} after they have left", state.user_id));
        }
    }
    Ok(())
}

/// Where a state is not to be seen the client may have the user's own; nobody says when that channel is gone.
fn check_voices(sim: &Sim, peer: &Peer) -> Result<(), String> {
    let world = sim.world();
    let guild = world.now(guild_id(GUILD));
    let sees = |channel: &str| guild.sees(user_id(peer.user), channel_id(channel.parse().unwrap()));
    let states = world.attendance.voices_in(guild_id(GUILD));
    let states = states.filter_map(|state| Some((state.user_id.to_string(), state.channel_id?.to_string())));
    let truth: BTreeMap<String, String> = states.filter(|(_, channel)| sees(channel)).collect();
    let truth = guild.is_member(user_id(peer.user)).then_some(truth);
    let own = peer.user.to_string();
    let picture = peer.voices.get(&GUILD.to_string()).cloned().map(|mut picture| {
        picture.retain(|user, channel| *user != own || sees(channel));
        picture
    });
    compare("in voice", &picture, &truth)
}

/// Whoever is in a voice channel knows its server.
fn check_voice_server(sim: &Sim, peer: &Peer) -> Result<(), String> {
    let world = sim.world();
    let is_its = |state: &&model::voice::VoiceState| state.session_id == peer.session_id;
    let Some(state) = world.attendance.voices_in(guild_id(GUILD)).find(is_its) else { return Ok(()) };
    let expected = state.channel_id.map(|channel| format!("for {channel}"));
    compare("as voice server", &peer.voice_server, &expected)
}

fn check_presences(sim: &Sim, peer: &Peer) -> Result<(), String> {
    let world = sim.world();
    let guild = world.now(guild_id(GUILD));
    let shown = world.attendance.presences(guild_id(GUILD)).into_iter();
    let truth: BTreeMap<String, String> =
        shown.map(|(user, status)| (user.to_string(), status.name().to_owned())).collect();
    let truth = guild.is_member(user_id(peer.user)).then_some(truth).filter(|_| world.publishes_presence);
    let picture = peer.presences.get(&GUILD.to_string()).filter(|_| world.publishes_presence).cloned();
    compare("as there", &picture, &truth)
}

fn compare<T: PartialEq + std::fmt::Debug>(what: &str, picture: &T, truth: &T) -> Result<(), String> {
    if picture == truth { Ok(()) } else { Err(format!("it has {picture:?} {what}, the truth is {truth:?}")) }
}
