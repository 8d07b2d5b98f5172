//! Starts and stops a gateway: threads of the shards, intake, acceptor, what keeps presence informed.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use backplane::{GuildMode, OpenGuilds, Unavailable};
use model::limits;
use tasks::{Ended, Spawner, Tasks};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::LocalSet;

use crate::acceptor::Acceptor;
use crate::bot_starts::BotStarts;
use crate::chance::Chance;
use crate::config::Config;
use crate::drain;
use crate::gate::{self, Gate};
use crate::giver::Giver;
use crate::history::History;
use crate::intake::Intake;
use crate::interest::Interest;
use crate::ownership;
use crate::poller::Poller;
use crate::positions::{self, Positions};
use crate::presence::book::PresenceBook;
use crate::presence::{self, Presences, Reconciler};
use crate::registration::Registration;
use crate::services::Services;
use crate::shard::{self, Input, Shard};
use crate::stats::GatewayStats;
use crate::tls::{Tls, TlsError};

/// A running gateway.
pub struct Gateway {
    local_addr: SocketAddr,
    services: Arc<Services>,
    shards: Arc<[mpsc::Sender<Input>]>,
    threads: Vec<JoinHandle<()>>,
    /// The acceptor and its handshakes: they end first.
    door: Tasks,
    /// What serves those who are inside; the shards' threads are watched as its.
    tasks: Tasks,
}

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("address of the listener could not be read: {0}")]
    Listener(#[source] io::Error),
    #[error("thread of a shard could not be started: {0}")]
    Thread(#[source] io::Error),
    #[error(transparent)]
    Backplane(#[from] Unavailable),
    #[error("a gateway has 1 to 64 shards, {0} were asked for")]
    Shards(usize),
    #[error("windows of time do not fit together: {0}")]
    Windows(&'static str),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("a gateway needs a replica of presence, none was given")]
    NoPresence,
}

impl Gateway {
    /// Begins to serve: once this answers, clients may connect.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        if !(1..=64).contains(&config.shards) {
            return Err(StartError::Shards(config.shards));
        }
        let settings = &config.settings;
        limits::windows_fit(settings.heartbeat_interval_ms, settings.resume_ms)
            .map_err(StartError::Windows)?;
        let local_addr = config.listener.local_addr().map_err(StartError::Listener)?;
        let (listener, count) = (config.listener, config.shards);
        if config.presence.is_empty() {
            return Err(StartError::NoPresence);
        }
        let mode = GuildMode { subjects_max: config.settings.guild_subjects_max, ..GuildMode::default() };
        let open_guilds =
            (mode.subjects_max > 0).then(|| Arc::new(OpenGuilds::new(config.backplane.layout(), mode)));
        let positions = Positions::new(config.backplane.layout());
        let services = Arc::new(Services {
            backplane: config.backplane,
            registry: config.registry,
            registry_lost: Default::default(),
            owed: Default::default(),
            user_events: Default::default(),
            roster: config.roster,
            sessions: config.sessions,
            neighbours: config.neighbours,
            takings: Semaphore::new(limits::TAKINGS_MAX),
            positions,
            history: History::default(),
            book: PresenceBook::new(config.presence.len()),
            presences: Presences::new(config.presence),
            accounts: config.accounts,
            guilds: config.guilds,
            messages: config.messages,
            bot_starts: BotStarts::new(config.settings.max_concurrency, config.starts, config.clock.clone()),
            clock: config.clock,
            chance: Chance::System,
            gate: Gate::new(&config.settings, count),
            tls: config.tls.map(Tls::load).transpose()?,
            settings: config.settings,
            public_url: config.public_url,
            pod: config.pod,
            started: tokio::time::Instant::now(),
            interest: Interest::new(open_guilds),
            loads: Default::default(),
            stats: GatewayStats::default(),
            events: Default::default(),
            forms: Default::default(),
            streams: Default::default(),
        });
        let (senders, inboxes): (Vec<_>, Vec<_>) =
            (0..count).map(|_| mpsc::channel(limits::SHARD_QUEUE_MAX)).unzip();
        let shards: Arc<[mpsc::Sender<Input>]> = senders.into();
        let (door, tasks) = (Tasks::new(SERVICE), Tasks::new(SERVICE));
        let (spawner, stop) = (tasks.spawner(), tasks.spawner().stop_token());
        let threads = start_shards(&services, &shards, inboxes, spawner)?;
        let intake = Intake { services: services.clone(), shards: shards.clone(), stop: stop.clone() };
        intake.start(spawner).await?;
        for place in 0..services.presences.replica_count() {
            let keeper = presence::keep(services.clone(), place, stop.clone());
            spawner.spawn_lasting("a keeper of presence", keeper);
        }
        spawner
            .spawn_lasting("its lease in the roster", presence::lease::keep(services.clone(), stop.clone()));
        let gate = gate::keep(services.clone(), shards.clone(), stop.clone());
        spawner.spawn_lasting("its gate", gate);
        let reconciler = Reconciler::new(services.clone(), shards.clone());
        spawner.spawn_lasting("the reconciler of presences", reconciler.run(stop.clone()));
        let registration = Registration::new(services.clone(), shards.clone());
        spawner.spawn_lasting("its registration", registration.keep(stop.clone()));
        let ownership = ownership::keep(services.clone(), shards.clone(), stop.clone());
        spawner.spawn_lasting("the owner of its sessions", ownership);
        let teller = positions::tell(services.clone(), shards.clone(), stop.clone());
        spawner.spawn_lasting("the teller of positions", teller);
        if services.tls.is_some() {
            let (services, stop) = (services.clone(), stop.clone());
            spawner.spawn_lasting("the keeper of its certificate", async move {
                if let Some(tls) = &services.tls {
                    tls.certificate().keep(&stop).await;
                }
            });
        }
        let acceptor = Acceptor::new(listener, services.clone(), shards.clone(), door.spawner().clone());
        door.spawner().spawn_lasting("its acceptor", acceptor.run());
        Ok(Self { local_addr, services, shards, threads, door, tasks })
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// What other gateways ask of this one.
    pub fn giver(&self) -> impl proto::v1::gateway_server::Gateway + Clone + use<> {
        Giver { services: self.services.clone(), shards: self.shards.clone() }
    }

    /// Counters by name.
    pub fn stats(&self) -> &GatewayStats {
        &self.services.stats
    }

    /// Waits for a task that ends by itself, which only a defect does.
    pub async fn ended(&self) -> Ended {
        tokio::select! {
            ended = self.door.ended() => ended,
            ended = self.tasks.ended() => ended,
        }
    }

    /// A view of the counters that outlives this handle.
    pub fn stats_reader(&self) -> impl Fn() -> Vec<(&'static str, u64)> + Send + Sync + 'static {
        let services = self.services.clone();
        move || services.stats.all()
    }

    /// Stops accepting, leaves all sessions to other gateways, tells everybody to go there (see `drain`), and ends once they
    /// have. Others may ask for sessions until the end.
    pub async fn shutdown(self) {
        self.door.stop();
        drain::run(&self.services, &self.shards).await;
        let stop = Duration::from_secs(5);
        tokio::join!(self.door.shutdown(stop), self.tasks.shutdown(stop));
        // The shards hold senders to each other, so they are told.
        let stopping = self.shards.iter().map(|shard| shard.send(Input::Stop));
        futures_util::future::join_all(stopping).await;
        let joined = tokio::task::spawn_blocking(move || {
            self.threads.into_iter().for_each(|thread| drop(thread.join()))
        });
        let _ = tokio::time::timeout(Duration::from_secs(10), joined).await;
    }
}

fn start_shards(
    services: &Arc<Services>,
    shards: &Arc<[mpsc::Sender<Input>]>,
    inboxes: Vec<mpsc::Receiver<Input>>,
    tasks: &Spawner,
) -> Result<Vec<JoinHandle<()>>, StartError> {
    let start = |(index, inbox)| {
        let (services, shards, tasks) = (services.clone(), shards.clone(), tasks.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let poller = {
            let _on = runtime.enter();
            Poller::new()?
        };
        std::thread::Builder::new().name(format!("shard-{index}")).spawn(move || {
            tasks.run_thread(format!("shard {index}"), || {
                LocalSet::new().block_on(&runtime, async {
                    shard::run(Shard::new(index, services, shards, poller), inbox).await;
                });
            });
        })
    };
    inboxes.into_iter().enumerate().map(start).collect::<io::Result<_>>().map_err(StartError::Thread)
}

/// How whoever reads a log knows the service.
const SERVICE: &str = "gateway";
