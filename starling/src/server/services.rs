//! The services of one process: opened on the embedded engine and the in-process backplane, joined by local clients.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use backplane::{Backplane, InMemoryRegistry, InMemoryRoster, InProcess, Registry, Roster};
use fanout::Fanout;
use guilds::{Directory, PasswordCost};
use messages::{FilterConfig, Messages, RateLimitConfig};
use model::GuildId;
use model::clock::{SharedClock, SystemClock};
use model::limits::STREAM_EXPIRE_MS;
use parking_lot::Mutex;
use presence::Presence;
use presence::table::Bounds;
use presence::voice::VoiceConfig;
use proto::Writer;
use proto::clients::{
    AccountsClient, GuildsClient, MessagesClient, PresenceClient, local_accounts, local_guilds,
    local_messages, local_presence,
};
use storage::{EmbeddedLeases, Engine, EngineOptions, Epoch, IdFloor, Slot, SlotSet, Snowflakes, WorkerId};
use tokio::runtime::Handle;

use crate::admin::metrics::{self, Readings};
use crate::admin::{Gate, Readiness};
use crate::settings::Settings;

/// Folder of the database in the data directory.
const STORE: &str = "store";

/// A client of each service.
#[derive(Clone)]
pub struct Clients {
    pub accounts: AccountsClient,
    pub guilds: GuildsClient,
    pub messages: MessagesClient,
    pub presence: PresenceClient,
}

/// The services as they run.
pub struct Services {
    pub clients: Clients,
    pub backplane: Arc<dyn Backplane>,
    pub registry: Arc<dyn Registry>,
    pub roster: Arc<dyn Roster>,
    pub clock: SharedClock,
    streams: Arc<InProcess>,
    engine: Engine,
    pub(super) directory: Directory,
    pub(super) messages: Messages,
    pub(super) presence: Presence,
    pub(super) fanout: Fanout,
}

/// Puts something between the streams of this process and all who use them.
pub type Wrap = fn(Arc<InProcess>) -> Arc<dyn Backplane>;

impl Services {
    /// Opens them in order. What an earlier run stored and did not publish is published when this answers.
    pub async fn open(settings: &Settings, gate: &Gate, wrap: Wrap) -> anyhow::Result<Self> {
        let dir = settings.data_dir.join(STORE);
        let engine = tokio::task::spawn_blocking(move || Engine::open(&dir, EngineOptions::default()))
            .await
            .context("open the database")??;
        let clock = SystemClock::shared();
        let streams = InProcess::new(Default::default(), clock.clone(), Default::default());
        let backplane = wrap(streams.clone());
        let registry = Arc::new(InMemoryRegistry::new(clock.clone()));
        let roster = Arc::new(InMemoryRoster::new(clock.clone()));
        let leases = EmbeddedLeases::start(&engine).await?;
        let epoch = leases.epoch();
        let leases = Arc::new(leases);
        let floor = Arc::new(IdFloor::open(&engine)?);
        let ids = Arc::new(Mutex::new(Snowflakes::new(WorkerId::of_epoch(epoch), floor.recorded_ms())));

        gate.set(Readiness::Starting("what an earlier run left is being published"));
        let directory = Directory::open(guilds::Config {
            engine: engine.clone(),
            leases: leases.clone(),
            backplane: backplane.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            floor: floor.clone(),
            password_cost: PasswordCost::default(),
            actor_idle_ms: None,
        })
        .await
        .context("open the directory")?;
        let runtime = Handle::current();
        let accounts = local_accounts(directory.clone(), runtime.clone());
        let guilds = local_guilds(directory.clone(), runtime.clone());
        let messages = Messages::open(messages::Config {
            engine: engine.clone(),
            leases,
            backplane: backplane.clone(),
            guilds: guilds.clone(),
            accounts: accounts.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            floor,
            rate_limit: RateLimitConfig {
                messages: settings.sends_per_window.get_u32(),
                window_ms: settings.sends_window_ms.get(),
            },
            filter: FilterConfig {
                words: settings.filter_words.0.clone(),
                patterns: settings.filter_patterns.0.clone(),
            },
        })
        .await
        .context("open the message service")?;
        gate.set(Readiness::Starting("the edges are being started"));
        let presence = Presence::start(presence::Config {
            backplane: backplane.clone(),
            clock: clock.clone(),
            event_ids: event_ids(ids, clock.clone()),
            writer: Arc::new(move |guild| writer(guild, epoch)),
            voice: voice(settings),
            roster: roster.clone(),
            settles_after_ms: None,
            bounds: Bounds::default(),
        });
        let fanout =
            Fanout::start(fanout::Config { backplane: backplane.clone(), registry: registry.clone() });
        let clients = Clients {
            accounts,
            guilds,
            messages: local_messages(messages.clone(), runtime.clone()),
            presence: local_presence(presence.clone(), runtime),
        };
        Ok(Self {
            clients,
            backplane,
            registry,
            roster,
            clock,
            streams,
            engine,
            directory,
            messages,
            presence,
            fanout,
        })
    }

    /// What they count, for `/metrics`.
    pub fn readings(&self) -> Readings {
        let (messages, presence, fanout) =
            (self.messages.clone(), self.presence.clone(), self.fanout.clone());
        let engine = self.engine.clone();
        Arc::new(move || {
            let mut all = metrics::engine(&engine.stats());
            all.extend(metrics::messages(&messages));
            all.extend(metrics::presence(&presence.stats()));
            all.extend(metrics::fanout(&fanout.stats()));
            all
        })
    }

    /// Frees what streams that nobody touches hold too long, for ever.
    pub fn expire(&self) -> impl Future<Output = ()> + Send + 'static {
        let streams = self.streams.clone();
        async move {
            loop {
                tokio::time::sleep(Duration::from_millis(STREAM_EXPIRE_MS)).await;
                streams.expire();
            }
        }
    }

    /// Ends them in order, and closes the database.
    pub async fn shutdown(self) -> anyhow::Result<()> {
        drop(self.clients);
        self.fanout.shutdown().await;
        self.presence.shutdown().await;
        self.messages.shutdown().await;
        self.directory.shutdown().await;
        self.engine.close().await.context("close the database")
    }
}

fn event_ids(ids: Arc<Mutex<Snowflakes>>, clock: SharedClock) -> presence::EventIds {
    Arc::new(move || ids.lock().next(clock.now_ms()))
}

fn writer(guild: GuildId, epoch: Epoch) -> Writer {
    Writer { set: SlotSet::Guilds.code(), slot: Slot::of(guild.get()).get(), epoch: epoch.0 }
}

fn voice(settings: &Settings) -> VoiceConfig {
    VoiceConfig {
        endpoints: settings.voice_endpoints.0.clone(),
        default_endpoint: settings.voice_endpoint.0.clone(),
        ..VoiceConfig::new(settings.voice_key.0.unwrap_or_else(model::entropy::bytes))
    }
}
