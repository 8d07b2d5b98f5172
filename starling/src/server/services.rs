//! The services of one process: opened on the embedded engine and the in-process backplane, joined by local clients.

use std::sync::Arc;
use std::time::Duration;

use backplane::{
    Backplane, InMemoryRegistry, InMemoryRoster, InMemorySessions, InMemoryStarts, InProcess, Registry,
    Roster, Sessions, Starts,
};
use fanout::Fanout;
use guilds::Directory;
use messages::Messages;
use model::clock::{SharedClock, SystemClock};
use model::limits::STREAM_EXPIRE_MS;
use model::slots::VOICE_WRITERS;
use presence::Presence;
use proto::Writer;
use proto::clients::{local_messages, local_presence};
use tokio::runtime::Handle;

use super::clients::{Clients, DirectoryClients};
use super::keep::{self, Embedded, Keep};
use super::workers::Workers;
use crate::admin::metrics::{self, Readings};
use crate::admin::{Gate, Readiness};
use crate::settings::Settings;

/// The services as they run.
pub struct Services {
    pub clients: Clients,
    pub backplane: Arc<dyn Backplane>,
    pub registry: Arc<dyn Registry>,
    pub roster: Arc<dyn Roster>,
    pub sessions: Arc<dyn Sessions>,
    pub starts: Arc<dyn Starts>,
    pub clock: SharedClock,
    streams: Arc<InProcess>,
    keep: Keep,
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
        let embedded = Embedded::open(settings, Workers::All).await?;
        let epoch = embedded.epoch();
        let keep = Keep::from(embedded);
        let clock = SystemClock::shared();
        let streams = InProcess::new(Default::default(), clock.clone(), Default::default());
        let backplane = wrap(streams.clone());
        let registry = Arc::new(InMemoryRegistry::new(clock.clone()));
        let roster = Arc::new(InMemoryRoster::new(clock.clone()));
        let sessions = Arc::new(InMemorySessions::new(clock.clone()));

        gate.set(Readiness::Starting("what an earlier run left is being published"));
        let runtime = Handle::current();
        let directory = super::guilds::open(&keep, backplane.clone(), None, &clock).await?;
        let clients = DirectoryClients::local(&directory, &runtime);
        let messages =
            super::messages::open(&keep, backplane.clone(), clients.clone(), &clock, settings).await?;
        gate.set(Readiness::Starting("the edges are being started"));
        let base = super::presence::Base {
            backplane: backplane.clone(),
            roster: roster.clone(),
            event_ids: keep::event_ids(keep.ids.clone(), clock.clone()),
            clock: clock.clone(),
            writer: Writer { set: VOICE_WRITERS, slot: 0, epoch: epoch.0 },
            // Gateways of an earlier run have ended with it.
            settles_after_ms: None,
        };
        let presence = super::presence::start(base, settings);
        let fanout =
            Fanout::start(fanout::Config { backplane: backplane.clone(), registry: registry.clone() });
        let clients = Clients {
            directory: clients,
            messages: local_messages(messages.clone(), runtime.clone()),
            presence: vec![local_presence(presence.clone(), runtime)],
        };
        Ok(Self {
            clients,
            backplane,
            registry,
            roster,
            sessions,
            starts: Arc::new(InMemoryStarts::new(clock.clone())),
            clock,
            streams,
            keep,
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
        let store = self.keep.readings();
        Arc::new(move || {
            let mut all = store();
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
        self.keep.close().await
    }
}
