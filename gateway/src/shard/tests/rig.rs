//! The simulation: starts everything on one thread with paused time, tells it what happens, and checks at the end that
//! nothing is left.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use backplane::{
    Backplane, Ephemeral, InMemoryRegistry, InMemoryRoster, InMemorySessions, InMemoryStarts, InProcess,
    Layout, Options, Partition, PodName, Subject, UserEvent,
};
use bytes::{Bytes, BytesMut};
use doubles::{Away, Speech, Transport};
use model::clock::{Clock, SharedClock};
use model::{ChannelId, ChannelKind, GuildId, Intents, Permissions, UserId, limits};
use parking_lot::{Mutex, MutexGuard};
use proto::clients;
use tasks::Tasks;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::Instant;

use super::client::Client;
use super::fakes::{Call, Fakes, Gates};
use super::gated::{Flow, Gated};
use super::links::{encrypted, plain, relayed};
use super::pods::Pods;
use super::world::{Change, Told, World, allow, channel_id, guild_id, hidden, role_id, user_id};
use crate::bot_starts::BotStarts;
use crate::chance::Chance;
use crate::config::Settings;
use crate::form::Form;
use crate::gate::{self, Gate};
use crate::giver::Giver;
use crate::intake::Intake;
use crate::neighbours::Neighbours;
use crate::ownership;
use crate::poller::Poller;
use crate::positions::{self, Positions};
use crate::presence::book::PresenceBook;
use crate::presence::{self, Presences, Reconciler};
use crate::registration::Registration;
use crate::services::Services;
use crate::shard::{self, Input, NewSocket, Shard, ShardRef, SocketStart};
use crate::stats::{Count, GatewayStats};
use crate::wire::{Compression, Encoding};

pub const ALICE: u64 = 11;
pub const BOB: u64 = 12;
pub const CAROL: u64 = 13;
/// Owns [`OTHER_GUILD`] and is in no other.
pub const DAVE: u64 = 14;
pub const GUILD: u64 = 100;
pub const GENERAL: u64 = 101;
/// Seen by who has [`STAFF_ROLE`].
pub const STAFF: u64 = 102;
pub const LOUNGE: u64 = 103;
pub const STAFF_ROLE: u64 = 201;
/// In another partition than [`GUILD`]; dave is in it, and nobody else.
pub const OTHER_GUILD: u64 = 110;

/// How a simulation is set up.
#[derive(Clone)]
pub struct Setup {
    pub seed: u64,
    pub settings: Settings,
    pub stream_events_max: usize,
    /// How many gateways there are.
    pub pods: usize,
    /// Clients come over TLS.
    pub tls: bool,
}

impl Default for Setup {
    fn default() -> Self {
        let settings = Settings::default();
        Self { seed: 1, settings, stream_events_max: 4096, pods: 1, tls: false }
    }
}

pub struct Sim {
    pub services: Arc<Services>,
    pub shards: Vec<ShardRef>,
    pub backplane: Arc<Gated>,
    pub gates: Arc<Gates>,
    pub registry: Arc<Away>,
    pub starts: Arc<InMemoryStarts>,
    senders: Arc<[mpsc::Sender<Input>]>,
    /// Further gateways.
    pub others: Vec<Pod>,
    world: Arc<Mutex<World>>,
    user_sequence: Cell<u64>,
    tls: bool,
    /// The shard that does not come to its questions.
    standing: Rc<Cell<Option<usize>>>,
    tasks: Tasks,
    runs: Mutex<JoinSet<()>>,
}

/// A gateway.
pub struct Pod {
    pub services: Arc<Services>,
    pub shards: Vec<ShardRef>,
    pub senders: Arc<[mpsc::Sender<Input>]>,
    /// The shard that does not come to its questions.
    standing: Rc<Cell<Option<usize>>>,
}

/// What all gateways stand on.
struct Ground {
    setup: Setup,
    clock: SharedClock,
    backplane: Arc<Gated>,
    registry: Arc<Away>,
    roster: Arc<InMemoryRoster>,
    sessions: Arc<InMemorySessions>,
    starts: Arc<InMemoryStarts>,
    gates: Arc<Gates>,
    fakes: Fakes,
    pods: Arc<Pods>,
}

/// The wall clock, moved by tokio's.
struct VirtualClock(Instant);

impl Clock for VirtualClock {
    fn now_ms(&self) -> u64 {
        1_700_000_000_000 + self.0.elapsed().as_millis() as u64
    }
}

/// Runs a test in virtual time, and checks that nothing is left when all clients are gone.
pub fn simulate(test: impl AsyncFnOnce(&Sim)) {
    simulate_with(Setup::default(), test);
}

pub fn simulate_with(setup: Setup, test: impl AsyncFnOnce(&Sim)) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let sim = Sim::start(setup).await;
        test(&sim).await;
        sim.end().await;
    });
}

const SHARDS: usize = 2;
const PARTITIONS: Layout = Layout { guild_partitions: 2, user_partitions: 1 };

// === impl Ground ===

impl Ground {
    async fn start(&self, name: &str, tasks: &Tasks, runs: &mut JoinSet<()>) -> Pod {
        let (fakes, settings) = (&self.fakes, &self.setup.settings);
        let neighbours = (self.setup.pods > 1)
            .then(|| Neighbours { address: format!("{name}:1"), ways: self.pods.clone() });
        let services = Arc::new(Services {
            backplane: self.backplane.clone(),
            registry: self.registry.clone(),
            registry_lost: Default::default(),
            owed: Default::default(),
            user_events: Default::default(),
            accounts: clients::local_accounts(fakes.clone(), Handle::current()),
            guilds: clients::local_guilds(fakes.clone(), Handle::current()),
            messages: clients::local_messages(fakes.clone(), Handle::current()),
            presences: Presences::new(vec![clients::local_presence(fakes.clone(), Handle::current())]),
            roster: self.roster.clone(),
            sessions: self.sessions.clone(),
            neighbours,
            takings: Semaphore::new(limits::TAKINGS_MAX),
            positions: Positions::new(PARTITIONS),
            history: Default::default(),
            bot_starts: BotStarts::new(settings.max_concurrency, self.starts.clone(), self.clock.clone()),
            clock: self.clock.clone(),
            chance: Chance::Seeded(Mutex::new(self.setup.seed)),
            gate: Gate::new(settings, SHARDS),
            tls: None,
            settings: settings.clone(),
            public_url: "ws://sim".into(),
            pod: PodName::new(name),
            started: Instant::now(),
            interest: Default::default(),
            loads: Default::default(),
            book: PresenceBook::new(1),
            stats: GatewayStats::default(),
            events: Default::default(),
            forms: Default::default(),
            streams: Default::default(),
        });
        let (senders, inboxes): (Vec<_>, Vec<_>) =
            (0..SHARDS).map(|_| mpsc::channel(limits::SHARD_QUEUE_MAX)).unzip();
        let senders: Arc<[mpsc::Sender<Input>]> = senders.into();
        let shards: Vec<ShardRef> = (0..SHARDS)
            .map(|index| {
                Shard::new(index, services.clone(), senders.clone(), Poller::Pipes(Default::default()))
            })
            .collect();
        let stop = tasks.spawner().stop_token().clone();
        let intake = Intake { services: services.clone(), shards: senders.clone(), stop: stop.clone() };
        intake.start(tasks.spawner()).await.unwrap();
        let spawner = tasks.spawner();
        let registration = Registration::new(services.clone(), senders.clone());
        spawner.spawn_lasting("registration", registration.keep(stop.clone()));
        spawner.spawn_lasting("keeper", presence::keep(services.clone(), 0, stop.clone()));
        spawner.spawn_lasting("lease", presence::lease::keep(services.clone(), stop.clone()));
        spawner.spawn_lasting("owner", ownership::keep(services.clone(), senders.clone(), stop.clone()));
        spawner.spawn_lasting("teller", positions::tell(services.clone(), senders.clone(), stop.clone()));
        let standing = Rc::new(Cell::new(None));
        let questions = relayed(&senders, &standing, runs);
        spawner.spawn_lasting("gate", gate::keep(services.clone(), questions, stop.clone()));
        let reconciler = Reconciler::new(services.clone(), senders.clone());
        spawner.spawn_lasting("reconciler", reconciler.run(stop.clone()));
        for (shard, inbox) in shards.iter().zip(inboxes) {
            runs.spawn_local(shard::run(shard.clone(), inbox));
        }
        let giver = Giver { services: services.clone(), shards: senders.clone() };
        self.pods.add(format!("{name}:1"), giver, self.gates.clone());
        Pod { services, shards, senders, standing }
    }
}

// === impl Sim: life ===

impl Sim {
    async fn start(setup: Setup) -> Self {
        let clock: SharedClock = Arc::new(VirtualClock(Instant::now()));
        let gates = Arc::new(Gates::default());
        let world = Arc::new(Mutex::new(small_world()));
        let options = Options { stream_events_max: setup.stream_events_max, ..Options::default() };
        let backplane = Gated::new(InProcess::new(PARTITIONS, clock.clone(), options), gates.clone());
        let fakes = Fakes {
            world: world.clone(),
            gates: gates.clone(),
            backplane: backplane.clone(),
            publishing: Arc::default(),
        };
        let registry = Away::new(Arc::new(InMemoryRegistry::new(clock.clone())));
        let pods = Arc::new(Pods::default());
        let ground = Ground {
            roster: Arc::new(InMemoryRoster::new(clock.clone())),
            sessions: Arc::new(InMemorySessions::new(clock.clone())),
            starts: Arc::new(InMemoryStarts::new(clock.clone())),
            setup,
            clock,
            backplane,
            registry,
            gates,
            fakes,
            pods,
        };
        let (tasks, mut runs) = (Tasks::new("gateway"), JoinSet::new());
        let Pod { services, shards, senders, standing } = ground.start("sim", &tasks, &mut runs).await;
        let mut others = Vec::new();
        for number in 1..ground.setup.pods {
            others.push(ground.start(&format!("sim-{number}"), &tasks, &mut runs).await);
        }
        let Ground { setup: Setup { tls, .. }, backplane, registry, gates, starts, .. } = ground;
        let (user_sequence, runs) = (Cell::new(0), Mutex::new(runs));
        Self {
            services,
            shards,
            backplane,
            gates,
            registry,
            starts,
            senders,
            others,
            world,
            user_sequence,
            tls,
            standing,
            tasks,
            runs,
        }
    }

    /// Waits until no session can be resumed any more; then nothing may be left of any.
    async fn end(self) {
        self.backplane.fail_reads(false);
        (0..PARTITIONS.guild_partitions)
            .for_each(|partition| self.backplane.set_flow(Partition(partition), Flow::Open));
        let sessions_end_ms = limits::ZOMBIE_MS + self.services.settings.resume_ms + 10_000;
        self.wait(sessions_end_ms + limits::PRESENCE_RENEW_MS).await;
        let first = Pod {
            services: self.services.clone(),
            shards: self.shards.clone(),
            senders: self.senders.clone(),
            standing: self.standing.clone(),
        };
        let pods: Vec<&Pod> = self.others.iter().chain([&first]).collect();
        for pod in &pods {
            self.expect_nothing_left(pod);
        }
        self.tasks.stop();
        for sender in pods.iter().flat_map(|pod| pod.senders.iter()) {
            sender.send(Input::Stop).await.unwrap();
        }
        let runs = self.runs.into_inner().join_all();
        tokio::time::timeout(Duration::from_secs(10), runs).await.expect("the shards end");
        assert!(self.tasks.shutdown(Duration::from_secs(10)).await, "the intake ends");
    }

    fn expect_nothing_left(&self, pod: &Pod) {
        for shard in &pod.shards {
            let shard = shard.borrow();
            assert_eq!(shard.conns.len(), 0, "connections are left");
            assert_eq!(shard.sessions.len(), 0, "sessions are left");
            assert!(shard.by_id.is_empty() && shard.by_user.is_empty(), "traces of sessions are left");
            assert!(shard.identifying.is_empty() && shard.starting.is_empty(), "an IDENTIFY is left");
            assert!(shard.taking.is_empty(), "a session that is being taken is left");
            assert!(shard.openings.is_empty() && shard.guilds.is_empty(), "guilds are left");
            assert!(shard.voices.is_empty(), "voice channels are left");
        }
        assert!(pod.services.loads.is_empty(), "loads of guilds are left");
        assert_eq!(pod.services.presences.copies.guilds(), [], "copies of presences are left");
        let interest = &pod.services.interest;
        assert_eq!(interest.users(), [], "interest in users is left");
        let left: Vec<GuildId> =
            self.world().guild_ids().filter(|id| !interest.guild(*id).is_empty()).collect();
        assert_eq!(left, [], "interest in guilds is left");
        for gauge in ["connections", "sessions", "guilds_open"] {
            assert_eq!(pod.count(gauge), 0, "{gauge} are counted wrong");
        }
        assert!(pod.services.streams.open(Compression::Zlib, 1).is_some(), "compressors are left");
    }

    pub fn count(&self, name: &str) -> u64 {
        count(&self.services, name)
    }

    /// For so long a shard does not answer how late it is.
    pub async fn hold_shard(&self, shard: usize, ms: u64) {
        self.standing.set(Some(shard));
        self.wait(ms).await;
        self.standing.set(None);
    }

    /// Lets everything happen that can happen now.
    pub async fn settle(&self) {
        self.wait(1).await;
    }

    pub async fn wait(&self, ms: u64) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

// === impl Sim: clients ===

impl Sim {
    /// A socket whose handshake is done.
    pub fn connect(&self, shard: usize, user: u64) -> Client {
        self.connect_as(shard, user, Speech::JSON)
    }

    /// The same of a client that wants to be spoken to in this way.
    pub fn connect_as(&self, shard: usize, user: u64, speech: Speech) -> Client {
        connect(&self.services, &self.senders[shard], user, speech, self.tls)
    }

    /// A new socket at another gateway that resumes this client's session.
    pub fn resume_at(&self, pod: usize, client: &Client, seq: u64) -> Client {
        let mut next = self.connect_to(pod, client.user);
        next.resume(&client.session_id, seq);
        (next.session_id, next.seq) = (client.session_id.clone(), seq);
        next
    }

    /// A socket at another gateway whose handshake is done.
    pub fn connect_to(&self, pod: usize, user: u64) -> Client {
        let pod = &self.others[pod];
        connect(&pod.services, &pod.senders[0], user, Speech::JSON, self.tls)
    }

    /// Gives every gateway the events of the users that it has.
    pub async fn route(&self, events: Vec<UserEvent>) {
        let others = self.others.iter().map(|pod| &pod.services);
        for services in others.chain([&self.services]) {
            let is_here = |event: &UserEvent| !services.interest.user(event.user).is_empty();
            let here: Vec<UserEvent> = events.iter().filter(|event| is_here(event)).cloned().collect();
            if !here.is_empty() {
                self.backplane.deliver(&services.pod, here).await.unwrap();
            }
        }
        self.settle().await;
    }

    /// A session with all its guilds; what came so far is not shown.
    pub async fn session(&self, shard: usize, user: u64) -> Client {
        self.session_as(shard, user, Speech::JSON).await
    }

    pub async fn session_as(&self, shard: usize, user: u64, speech: Speech) -> Client {
        let mut client = self.connect_as(shard, user, speech);
        client.identify(Intents::ALL.bits());
        self.settle().await;
        let news = client.news();
        assert!(news.len() > 1 && news[0] == "READY" && news[1].starts_with("GUILD_CREATE"), "{news:?}");
        client
    }

    /// A new socket that resumes this client's session.
    pub fn resume(&self, shard: usize, client: &Client, seq: u64) -> Client {
        self.resume_as(shard, client, seq, Speech::JSON)
    }

    pub fn resume_as(&self, shard: usize, client: &Client, seq: u64, speech: Speech) -> Client {
        let mut next = self.connect_as(shard, client.user, speech);
        next.resume(&client.session_id, seq);
        (next.session_id, next.seq) = (client.session_id.clone(), seq);
        next
    }

    /// The client has just been told that it has no session: op 1, and op 9 once it has beaten.
    pub async fn expect_refusal(&self, client: &mut Client) {
        assert_eq!(client.news(), ["op 1"]);
        client.beat();
        self.settle().await;
        assert_eq!(client.news(), ["op 9 false"]);
    }
}

// === impl Sim: what happens ===

impl Sim {
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock()
    }

    pub fn partition(&self, guild: u64) -> Partition {
        PARTITIONS.guild(guild_id(guild))
    }

    /// Deliveries of the guild's partition wait, are lost, or go on.
    pub fn set_flow(&self, flow: Flow) {
        self.backplane.set_flow(self.partition(GUILD), flow);
    }

    pub async fn tell_guild(&self, told: &Told) {
        for envelope in &told.guild {
            let subject = Subject::Guild(envelope.guild_id.expect("events of guilds name theirs"));
            self.backplane.publish(subject, envelope.event_id, envelope.encode()).await.unwrap();
        }
    }

    pub async fn tell_users(&self, told: &Told) {
        for (user, envelope) in &told.users {
            self.user_sequence.set(self.user_sequence.get() + 1);
            let event =
                UserEvent { user: *user, sequence: self.user_sequence.get(), envelope: envelope.encode() };
            self.backplane.deliver(&self.services.pod, vec![event]).await.unwrap();
        }
    }

    /// Stores events of users as a service does, and answers what `fanout` has to deliver.
    pub async fn store(&self, told: &Told) -> Vec<UserEvent> {
        let mut stored = Vec::new();
        for (user, envelope) in &told.users {
            let envelope_bytes = envelope.encode();
            let subject = Subject::User(*user);
            let ack =
                self.backplane.publish(subject, envelope.event_id, envelope_bytes.clone()).await.unwrap();
            stored.push(UserEvent { user: *user, sequence: ack.sequence, envelope: envelope_bytes });
        }
        stored
    }

    pub async fn deliver(&self, events: Vec<UserEvent>) {
        self.backplane.deliver(&self.services.pod, events).await.unwrap();
        self.settle().await;
    }

    pub async fn tell(&self, told: &Told) {
        self.tell_guild(told).await;
        self.tell_users(told).await;
        self.settle().await;
    }

    /// Changes the guild without telling anybody.
    pub fn apply(&self, change: Change) -> Told {
        self.world().apply(guild_id(GUILD), change)
    }

    pub async fn change(&self, change: Change) {
        let told = self.apply(change);
        self.tell(&told).await;
    }

    /// The same, and the guild alone is told.
    pub async fn change_quietly(&self, change: Change) {
        let told = self.apply(change);
        self.tell_guild(&told).await;
        self.settle().await;
    }

    /// Sends a message to a channel.
    pub async fn say(&self, channel: u64, content: &str) {
        let told = self.world().message(guild_id(GUILD), channel_id(channel), content);
        self.tell(&told).await;
    }

    /// Somebody types in a channel.
    pub async fn typing(&self, channel: u64) {
        let envelope = self.world().typing(guild_id(GUILD), channel_id(channel));
        let subject = Ephemeral { guild: guild_id(GUILD), channel: Some(channel_id(channel)) };
        self.backplane.publish_ephemeral(subject, envelope.encode());
        self.settle().await;
    }

    /// The pod goes away: everybody is told over this time. Answers when nobody is left.
    pub fn drain(&self, shard: usize, spread_ms: u64) -> oneshot::Receiver<()> {
        let (done, drained) = oneshot::channel();
        let sent = self.senders[shard].try_send(Input::Drain(Duration::from_millis(spread_ms), done));
        assert!(sent.is_ok());
        drained
    }

    /// How many calls wait there.
    pub fn waiting(&self, call: Call, user: u64) -> usize {
        self.gates.waiting(call, user)
    }
}

impl Pod {
    pub fn count(&self, name: &str) -> u64 {
        count(&self.services, name)
    }
}

fn count(services: &Services, name: &str) -> u64 {
    services.stats.all().iter().find(|(other, _)| *other == name).expect("a counter").1
}

/// A socket whose handshake is done.
fn connect(services: &Services, shard: &mpsc::Sender<Input>, user: u64, speech: Speech, tls: bool) -> Client {
    let (socket, client) = if tls { encrypted() } else { plain() };
    let encoding = if speech.is_etf { Encoding::Etf } else { Encoding::Json };
    let compression = match speech.transport {
        Transport::Plain => None,
        Transport::Zlib => Some(Compression::Zlib),
        Transport::Zstd => Some(Compression::Zstd),
    };
    let (form, own) = Form::of(encoding, compression, services.settings.compressing);
    let stream = own.and_then(|own| services.streams.open(own, services.streams_max()));
    services.stats.connections.add(1);
    let socket = NewSocket {
        socket,
        greeting: Bytes::new(),
        rest: BytesMut::new(),
        form,
        stream,
        start: SocketStart::Hello,
    };
    assert!(shard.try_send(Input::Socket(socket)).is_ok());
    Client::new(client, user, speech)
}

/// alice owns the guild; bob and carol are in it; staff may see `staff`, and only alice is.
fn small_world() -> World {
    let mut world = World::new();
    for (id, name) in [(ALICE, "alice"), (BOB, "bob"), (CAROL, "carol"), (DAVE, "dave")] {
        world.add_user(user_id(id), name);
    }
    let guild = guild_id(GUILD);
    world.add_guild(guild, user_id(ALICE));
    world.add_guild(guild_id(OTHER_GUILD), user_id(DAVE));
    let staff_only = vec![hidden(guild), allow(model::OverwriteKind::Role(role_id(STAFF_ROLE)))];
    let channel = |id: u64, kind, overwrites| Change::NewChannel(channel_id(id), kind, overwrites);
    for change in [
        Change::RolePermissions(role_id(STAFF_ROLE), Permissions::NONE),
        channel(GENERAL, ChannelKind::Text, Vec::new()),
        channel(STAFF, ChannelKind::Text, staff_only),
        channel(LOUNGE, ChannelKind::Voice, Vec::new()),
        Change::Join(user_id(BOB)),
        Change::Join(user_id(CAROL)),
    ] {
        world.apply(guild, change);
    }
    for (channel, name) in [(GENERAL, "general"), (STAFF, "staff"), (LOUNGE, "lounge")] {
        let change = Change::Rename(ChannelId::new(channel).unwrap(), name.into());
        world.apply(guild, change);
    }
    world
}

/// Shorthands for the users of the small world.
pub fn bob() -> UserId {
    user_id(BOB)
}

pub fn dave() -> UserId {
    user_id(DAVE)
}

/// Everything that a client may ask for.
pub fn all_intents() -> u32 {
    Intents::ALL.bits()
}

/// The change that gives bob these roles.
pub fn roles_of_bob(roles: &[u64]) -> Change {
    Change::Roles(bob(), roles.iter().map(|role| role_id(*role)).collect())
}
