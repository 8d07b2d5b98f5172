//! What happens, drawn from a seed.

mod events;
mod faults;

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::rc::Rc;

use model::ChannelKind;
use proto::Envelope;
use tokio::time::{Duration, Instant, sleep};

use super::super::fakes::mix;
use super::super::rig::{ALICE, BOB, CAROL, DAVE, GENERAL, GUILD, OTHER_GUILD, STAFF, bob, small_world};
use super::super::world::{Change, World, channel_id, guild_id};
use super::cluster::{Cluster, RESUME_MS};
use super::history::{History, Moment};
use super::oracle;
use super::ownership::Ownership;
use super::peer::Peer;

/// What may happen beside takings, drains and deaths of pods.
#[derive(Debug, Clone, Copy)]
pub struct Faults {
    /// Between pods.
    pub links: bool,
    /// The registries are away at times.
    pub registry: bool,
    /// Deliveries to a pod are lost, and it finds them by itself.
    pub losses: bool,
}

pub struct Schedule {
    pub cluster: Cluster,
    pub faults: Faults,
    pub peers: Vec<Peer>,
    seed: u64,
    drawn: u64,
    history: History,
    ownership: Ownership,
    /// Changes that the directory has made and not published, each with when it is at the latest.
    untold: VecDeque<(u64, Envelope)>,
    began: Instant,
    pub trace: String,
}

/// A text channel of the guild in the other partition.
const OTHER_TEXT: u64 = 111;
const PODS: usize = 3;
const STEPS: u64 = 60;

impl Schedule {
    pub async fn start(seed: u64) -> Self {
        let world = world();
        let history = History::new(&world);
        let cluster = Cluster::start(seed, world, PODS).await;
        let users = [ALICE, BOB, BOB, CAROL, DAVE];
        let faults =
            Faults { links: seed % 4 == 1 || seed % 4 == 3, registry: seed % 4 >= 2, losses: seed % 3 == 1 };
        Self {
            cluster,
            faults,
            peers: users.iter().enumerate().map(|(index, user)| Peer::new(index, *user)).collect(),
            seed,
            drawn: 0,
            history,
            ownership: Ownership::default(),
            untold: VecDeque::new(),
            began: Instant::now(),
            trace: String::new(),
        }
    }

    /// A number below `bound`.
    fn draw(&mut self, bound: u64) -> u64 {
        self.drawn += 1;
        mix(self.seed ^ mix(self.drawn)) % bound
    }

    fn draw_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.draw(of.len() as u64) as usize]
    }

    fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    fn moment(&self) -> Rc<Moment> {
        self.history.moment(&self.cluster.world())
    }

    fn note(&mut self, text: &str) {
        let _ = writeln!(self.trace, "{} ms: {text}", self.now_ms());
    }

    pub async fn run(&mut self) -> Result<(), String> {
        self.cluster.gates.delay(self.seed, [0, 5, 40][(self.seed % 3) as usize]);
        self.wait(1_500).await?;
        for index in 0..self.peers.len() {
            self.move_peer(index);
        }
        self.wait(2_000).await?;
        for _ in 0..STEPS {
            self.step().await;
            let ms = self.draw_of(&[1, 1, 5, 40, 300, 1_100, 1_100, 3_000, 9_000]);
            self.wait(ms).await?;
        }
        self.finish().await?;
        self.check()
    }

    /// Lets time pass. Who has lost their socket long ago comes back, as clients do.
    async fn wait(&mut self, ms: u64) -> Result<(), String> {
        let until = self.now_ms() + ms;
        loop {
            let left = until.saturating_sub(self.now_ms());
            sleep(Duration::from_millis(left.clamp(1, LOOK_MS))).await;
            for number in self.cluster.end_drained().await {
                self.note(&format!("pod {number} has drained and ends"));
            }
            while self.untold.front().is_some_and(|(until_ms, _)| self.now_ms() >= *until_ms) {
                self.tell().await;
            }
            self.look()?;
            if self.now_ms() >= until {
                return Ok(());
            }
        }
    }

    fn look(&mut self) -> Result<(), String> {
        let (moment, now_ms) = (self.moment(), self.now_ms());
        let mut fed = Vec::new();
        for index in 0..self.peers.len() {
            fed.extend(self.peers[index].read(&self.cluster, &moment, now_ms));
            let peer = &self.peers[index];
            let is_late = peer.alone_since_ms.is_some_and(|since| now_ms > since + RESUME_MS / 2);
            if is_late && now_ms > RESUME_MS / 2 {
                self.move_peer(index);
            }
            if let Some(problem) = self.peers[index].problems.first() {
                return Err(format!("peer {index}: {problem}"));
            }
        }
        self.ownership.look(&self.cluster, &fed, now_ms)
    }

    async fn step(&mut self) {
        match self.draw(40) {
            0..=9 => self.say().await,
            10 | 11 => self.write_privately().await,
            12..=14 => self.change(),
            15..=18 => self.tell().await,
            19..=24 => {
                let index = self.draw(self.peers.len() as u64) as usize;
                self.move_peer(index);
            }
            25 | 26 => {
                let index = self.draw(self.peers.len() as u64) as usize;
                let now_ms = self.now_ms();
                self.peers[index].drop_socket(now_ms);
            }
            27..=30 => self.beat(),
            31 | 32 => self.set_flow(),
            33 => self.crash().await,
            34 => self.drain(),
            35 | 36 => self.replace().await,
            37 => self.step_clock(),
            38 => self.disturb_links(),
            _ => self.disturb_registry(),
        }
    }

    /// Connects, resumes with what it has or less, or does so beside the socket that it has.
    fn move_peer(&mut self, index: usize) {
        let open = self.cluster.open();
        if open.is_empty() {
            return;
        }
        let (place, shard) = (self.draw_of(&open), self.draw(2) as usize);
        let unprocessed = self.peers[index].unprocessed();
        let back = if self.draw(3) == 0 { self.draw(unprocessed.min(6) + 1) } else { 0 };
        let moment = self.moment();
        self.peers[index].connect(&self.cluster, (place, shard), back, &moment);
    }

    fn beat(&mut self) {
        for index in 0..self.peers.len() {
            if self.draw(2) == 0 {
                let back = if self.draw(2) == 0 { self.draw(4) } else { 0 };
                self.peers[index].beat(back);
            }
        }
    }

    /// Heals everything, and lets everything arrive with all clients there.
    async fn finish(&mut self) -> Result<(), String> {
        self.heal().await;
        while !self.untold.is_empty() {
            self.tell().await;
        }
        for _ in 0..6 {
            self.wait(6_000).await?;
            for index in 0..self.peers.len() {
                if !self.peers[index].is_connected() || self.peers[index].is_sent_away {
                    self.move_peer(index);
                }
                self.peers[index].beat(0);
            }
        }
        for (guild, channel) in [(GUILD, GENERAL), (GUILD, STAFF), (OTHER_GUILD, OTHER_TEXT)] {
            self.say_in(guild, channel, false).await;
        }
        self.wait(12_000).await
    }

    fn check(&self) -> Result<(), String> {
        let moment = self.moment();
        for peer in &self.peers {
            if !peer.is_settled() {
                return Err(format!("peer {} has no session in the end", peer.index));
            }
            if peer.refusals > 0 && !self.faults.registry {
                return Err(format!("peer {} was refused", peer.index));
            }
            for life in peer.lives.iter().filter(|life| !life.session.is_empty()) {
                let checked = oracle::check(&self.cluster.world(), &self.history, life, &moment);
                checked
                    .map_err(|problem| format!("peer {}, session {}: {problem}", peer.index, life.session))?;
            }
        }
        Ok(())
    }

    /// Everything that happened, and that each client was given.
    pub fn text(&self) -> String {
        let peers = self.peers.iter().map(|peer| peer.trace.as_str());
        std::iter::once(self.trace.as_str()).chain(peers).collect()
    }

    /// All clients leave, and in the end nothing is left.
    pub async fn end(mut self) {
        self.peers.clear();
        sleep(Duration::from_millis(END_MS)).await;
        self.cluster.end().await;
    }
}

/// bob is in both guilds, which are in two partitions.
fn world() -> World {
    let mut world = small_world();
    let other = guild_id(OTHER_GUILD);
    world.apply(other, Change::NewChannel(channel_id(OTHER_TEXT), ChannelKind::Text, Vec::new()));
    world.apply(other, Change::Join(bob()));
    world
}

/// What the directory has changed it publishes within this: an opening waits for it a little longer.
const UNTOLD_MS: u64 = 1_000;

/// How often it is looked who has what.
const LOOK_MS: u64 = 250;

/// Until no session can be resumed any more.
const END_MS: u64 = model::limits::ZOMBIE_MS + RESUME_MS + 10_000 + model::limits::PRESENCE_RENEW_MS;
