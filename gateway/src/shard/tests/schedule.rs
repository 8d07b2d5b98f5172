//! Random schedules: whatever happens in whatever order, the sessions are given what they must be, and never more.
//!
//! A seed gives a schedule: users join and leave, roles, overwrites, owners and names change, messages are sent, deliveries
//! lag and get lost, the directory is slow and fails, sockets break and come back. In a lively one they also go through voice
//! channels and change their status, and presence fails and loses changes. [`oracle`] knows what each session had to be given,
//! [`attendance`] who it had to show. The same seed gives the same run, byte for byte: a seed that fails can be run again by
//! itself, with `SEED=n`, and `SEEDS=a..b` runs others than the suite does.

mod attendance;
mod oracle;
mod peer;

use std::collections::VecDeque;

use backplane::{Backplane, Subject};
use model::{ChannelKind, OverwriteKind, Permissions, UserId};
use proto::Envelope;

use super::fakes::{Call, mix};
use super::gated::Flow;
use super::rig::*;
use super::world::{Change, Guild, allow, channel_id, deny, guild_id, hidden, role_id, user_id};
use crate::config::Settings;
use oracle::{History, Message};
use peer::Peer;

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    /// With voice states and presence.
    Lively,
}

const SEEDS: u64 = 250;
/// Seeds that have found something, beyond the first.
const FOUND: [u64; 8] = [1119, 1694, 1961, 2435, 3692, 7179, 12_610, 14_080];
const TEXT_CHANNELS: [u64; 2] = [GENERAL, STAFF];
/// A voice channel that staff sees.
const HIDDEN_LOUNGE: u64 = 105;
/// Channels made in the course of a run count from here.
const FIRST_NEW_CHANNEL: u64 = 300;

#[test]
fn every_session_is_given_what_it_must_be_and_never_more() {
    for seed in seeds() {
        run(seed, Kind::Plain);
    }
}

#[test]
fn every_session_shows_who_is_there_where_it_sees_them() {
    for seed in seeds() {
        run(seed, Kind::Lively);
    }
}

/// Those that were asked for, or those of the suite.
fn seeds() -> Vec<u64> {
    let number = |text: &str| text.parse::<u64>().expect("a seed is a number");
    match (std::env::var("SEED"), std::env::var("SEEDS")) {
        (Ok(seed), _) => vec![number(&seed)],
        (_, Ok(seeds)) => {
            let (first, end) = seeds.split_once("..").expect("SEEDS is a range, as 0..1000");
            (number(first)..number(end)).collect()
        }
        _ => (0..SEEDS).chain(FOUND).collect(),
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for kind in [Kind::Plain, Kind::Lively] {
        let runs = [7, 7, 8].map(|seed| run(seed, kind));
        assert!(runs[0].lines().count() > 20, "something happens");
        assert_eq!(runs[0], runs[1]);
        assert_ne!(runs[0], runs[2]);
    }
}

/// Runs one schedule and answers everything that the clients were given.
fn run(seed: u64, kind: Kind) -> String {
    let mut trace = String::new();
    let settings = Settings { resume_ms: 30_000, ..Settings::default() };
    let tls = seed.is_multiple_of(4);
    simulate_with(Setup { seed, settings, tls, ..Setup::default() }, async |sim| {
        let mut schedule = Schedule::new(sim, seed, kind);
        schedule.run().await;
        trace = schedule.peers.iter().map(|peer| peer.trace.as_str()).collect();
    });
    trace
}

/// A schedule at one point.
struct Schedule<'a> {
    sim: &'a Sim,
    seed: u64,
    kind: Kind,
    drawn: u64,
    peers: Vec<Peer>,
    history: History,
    /// Stored, and not published yet: the guild's events, and the users' that follow each.
    guild_queue: VecDeque<(Envelope, Vec<(UserId, Envelope)>)>,
    user_queue: VecDeque<(UserId, Envelope)>,
    /// Whether events are lost at times; then nobody knows how far a shard is.
    with_losses: bool,
}

impl<'a> Schedule<'a> {
    fn new(sim: &'a Sim, seed: u64, kind: Kind) -> Self {
        if kind == Kind::Lively {
            sim.world().publishes_presence = true;
            let staff = allow(OverwriteKind::Role(role_id(STAFF_ROLE)));
            let overwrites = vec![hidden(guild_id(GUILD)), staff];
            sim.apply(Change::NewChannel(channel_id(HIDDEN_LOUNGE), ChannelKind::Voice, overwrites));
        }
        let peers = [(ALICE, 0), (BOB, 0), (BOB, 0), (BOB, 1), (CAROL, 0), (DAVE, 1)];
        let first = sim.world().now(guild_id(GUILD)).guild.revision;
        Self {
            sim,
            seed,
            kind,
            drawn: 0,
            peers: peers
                .iter()
                .enumerate()
                .map(|(index, (user, shard))| Peer::new(index, *user, *shard))
                .collect(),
            history: History::new(first),
            guild_queue: VecDeque::new(),
            user_queue: VecDeque::new(),
            with_losses: seed.is_multiple_of(3),
        }
    }

    /// A number below `bound`.
    fn draw(&mut self, bound: u64) -> u64 {
        self.drawn += 1;
        mix(self.seed ^ mix(self.drawn)) % bound
    }

    async fn run(&mut self) {
        self.sim.gates.delay(self.seed, [0, 5, 40][(self.seed % 3) as usize]);
        let steps = if self.kind == Kind::Lively { 100 } else { 60 };
        for _ in 0..steps {
            self.step().await;
            let ms = [1, 1, 3, 20][self.draw(4) as usize];
            self.sim.wait(ms).await;
        }
        self.finish().await;
        for peer in &self.peers {
            let checked = oracle::check(self.sim, &self.history, peer)
                .and_then(|()| attendance::check(self.sim, &self.history, peer));
            checked.unwrap_or_else(|problem| {
                let (seed, kind) = (self.seed, self.kind);
                panic!("seed {seed}, {kind:?}, peer {}: {problem}\n{}", peer.index, peer.trace)
            });
        }
    }

    async fn step(&mut self) {
        let bound = if self.kind == Kind::Lively { 40 } else { 20 };
        match self.draw(bound) {
            0..=5 => self.send_message().await,
            6..=8 => self.change(),
            9..=11 => self.publish_guild().await,
            12 | 13 => self.tell_user().await,
            14 => self.set_flow(),
            15 => self.fail(),
            16..=18 => self.move_socket(),
            20..=31 => self.speak(),
            32..=35 => self.appear(),
            36..=39 => self.change(),
            _ => {
                let peer = self.draw(self.peers.len() as u64) as usize;
                self.peers[peer].read(self.sim, &self.history);
                self.peers[peer].beat();
            }
        }
    }

    async fn send_message(&mut self) {
        let channel = TEXT_CHANNELS[self.draw(2) as usize];
        let content = self.history.messages.len().to_string();
        let told = self.sim.world().message(guild_id(GUILD), channel_id(channel), &content);
        let sequence = self.publish(&told.guild[0]).await;
        self.history.messages.push(Message { channel: channel_id(channel), sequence });
    }

    async fn publish(&self, envelope: &Envelope) -> u64 {
        let subject = Subject::Guild(guild_id(GUILD));
        self.sim.backplane.publish(subject, envelope.event_id, envelope.encode()).await.unwrap().sequence
    }

    /// Changes the guild in the directory.
    fn change(&mut self) {
        let change = {
            let guild = self.sim.world().now(guild_id(GUILD)).clone();
            self.draw_change(&guild)
        };
        let told = self.sim.world().apply(guild_id(GUILD), change);
        let mut users = Some(told.users);
        for envelope in told.guild {
            self.guild_queue.push_back((envelope, users.take().unwrap_or_default()));
        }
    }

    fn draw_change(&mut self, guild: &Guild) -> Change {
        let user = user_id([BOB, CAROL, DAVE][self.draw(3) as usize]);
        let channel = self.draw_channel(guild);
        let owns = guild.guild.owner_id == user;
        match self.draw(8) {
            7 if self.kind == Kind::Lively && self.draw(4) == 0 => self.draw_voice_channel(guild),
            0 | 1 if !guild.is_member(user) => Change::Join(user),
            0 | 1 if !owns => Change::Leave(user),
            2 | 3 if guild.is_member(user) => {
                let has = !guild.members[&user].roles.is_empty();
                Change::Roles(user, if has { Vec::new() } else { vec![role_id(STAFF_ROLE)] })
            }
            4 => self.draw_permissions(guild),
            5 => Change::Rename(channel, format!("n{}", guild.guild.revision)),
            6 if guild.is_member(user) => Change::Owner(if owns { user_id(ALICE) } else { user }),
            _ => self.draw_overwrites(channel),
        }
    }

    fn draw_channel(&mut self, guild: &Guild) -> model::ChannelId {
        if self.kind == Kind::Plain || self.draw(2) == 0 {
            return channel_id(TEXT_CHANNELS[self.draw(2) as usize]);
        }
        self.draw_voice(guild).unwrap_or(channel_id(GENERAL))
    }

    /// One of the guild's voice channels.
    fn draw_voice(&mut self, guild: &Guild) -> Option<model::ChannelId> {
        let is_voice = |channel: &&model::Channel| channel.kind == ChannelKind::Voice;
        let voice: Vec<_> = guild.channels.values().filter(is_voice).map(|channel| channel.id).collect();
        let place = self.draw(voice.len().max(1) as u64) as usize;
        voice.get(place).copied()
    }

    /// A voice channel comes or goes.
    fn draw_voice_channel(&mut self, guild: &Guild) -> Change {
        match self.draw_voice(guild) {
            Some(channel) if self.draw(2) == 0 => Change::DropChannel(channel),
            _ => {
                let id = channel_id(FIRST_NEW_CHANNEL + guild.guild.revision);
                Change::NewChannel(id, ChannelKind::Voice, Vec::new())
            }
        }
    }

    /// Somebody joins a voice channel, moves or leaves.
    fn speak(&mut self) {
        let index = self.draw(self.peers.len() as u64) as usize;
        let guild = self.sim.world().now(guild_id(GUILD)).clone();
        let channel = if self.draw(4) == 0 { None } else { self.draw_voice(&guild) };
        self.peers[index].speak(channel);
    }

    fn appear(&mut self) {
        let index = self.draw(self.peers.len() as u64) as usize;
        let status = ["online", "idle", "dnd", "invisible"][self.draw(4) as usize];
        self.peers[index].appear(status);
    }

    fn draw_permissions(&mut self, guild: &Guild) -> Change {
        let role = [GUILD, STAFF_ROLE][self.draw(2) as usize];
        let has = guild.roles[&role_id(role)].permissions.contains(Permissions::VIEW_CHANNEL);
        Change::RolePermissions(role_id(role), if has { Permissions::NONE } else { Permissions::DEFAULT })
    }

    fn draw_overwrites(&mut self, channel: model::ChannelId) -> Change {
        let (staff, member) = (OverwriteKind::Role(role_id(STAFF_ROLE)), OverwriteKind::Member(bob()));
        let hidden = hidden(guild_id(GUILD));
        let overwrites = match self.draw(5) {
            0 => vec![],
            1 => vec![hidden],
            2 => vec![hidden, allow(staff)],
            3 => vec![hidden, allow(member)],
            _ => vec![allow(staff), deny(member)],
        };
        Change::Overwrites(channel, overwrites)
    }

    async fn publish_guild(&mut self) {
        let Some((envelope, users)) = self.guild_queue.pop_front() else { return };
        let sequence = self.publish(&envelope).await;
        self.history.published(sequence, &envelope);
        self.user_queue.extend(users);
    }

    async fn tell_user(&mut self) {
        let Some(event) = self.user_queue.pop_front() else { return };
        self.history.told(event.0, &event.1);
        let told = super::world::Told { guild: Vec::new(), users: vec![event] };
        self.sim.tell_users(&told).await;
    }

    fn set_flow(&mut self) {
        let flow = match self.draw(4) {
            0 | 1 => Flow::Open,
            2 if self.with_losses => Flow::Dropped,
            _ => Flow::Held,
        };
        self.flow(flow);
    }

    /// Changes of presence are lost with the rest; who listens hears of the gap when it is over.
    fn flow(&self, flow: Flow) {
        self.sim.set_flow(flow);
        let loses = flow == Flow::Dropped;
        let has_lost = std::mem::replace(&mut self.sim.world().loses_presence, loses);
        if has_lost && !loses {
            self.sim.services.presences.suspect_all();
        }
    }

    /// The directory fails a user's next OpenGuild; presence may fail as well.
    fn fail(&mut self) {
        self.sim.gates.fail(Call::OpenAsked, [ALICE, BOB, CAROL, DAVE][self.draw(4) as usize], 1);
        if self.kind == Kind::Lively && self.drawn.is_multiple_of(2) {
            self.sim.gates.fail(Call::UpdateSessions, 0, 1);
            self.sim.gates.fail(Call::RenewLease, 0, 2);
        }
    }

    /// Connects, breaks or resumes.
    fn move_socket(&mut self) {
        let index = self.draw(self.peers.len() as u64) as usize;
        let (reads, shard) = (self.draw(2) == 0, self.draw(2) as usize);
        let peer = &mut self.peers[index];
        if peer.is_connected() && peer.can_resume() {
            if reads {
                peer.read(self.sim, &self.history);
            }
            peer.drop_socket();
        } else if !peer.is_connected() {
            peer.connect(self.sim, &self.history, shard);
        } else {
            peer.read(self.sim, &self.history);
        }
    }

    /// Lets everything arrive, with all clients there.
    async fn finish(&mut self) {
        self.flow(Flow::Open);
        while !self.guild_queue.is_empty() {
            self.publish_guild().await;
        }
        while !self.user_queue.is_empty() {
            self.tell_user().await;
        }
        for shard in 0..3 {
            self.sim.wait(5_000).await;
            for peer in &mut self.peers {
                peer.read(self.sim, &self.history);
            }
            for peer in self.peers.iter_mut().filter(|peer| !peer.is_connected()) {
                peer.connect(self.sim, &self.history, shard % 2);
            }
        }
        // What was lost behind the last event shows by the tail.
        self.sim.wait(10_000).await;
        for peer in &mut self.peers {
            peer.read(self.sim, &self.history);
        }
    }
}
