//! What all shards of a pod share.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use backplane::{Backplane, PodName, Registry, Roster, Sessions};
use model::clock::SharedClock;
use model::{Timestamp, UserId, limits};
use parking_lot::Mutex;
use proto::clients::{AccountsClient, GuildsClient, MessagesClient};
use rustc_hash::FxHashSet;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use crate::bot_starts::BotStarts;
use crate::chance::Chance;
use crate::config::{Compressing, Settings};
use crate::form::{FormsSeen, Streams};
use crate::gate::Gate;
use crate::history::History;
use crate::interest::Interest;
use crate::loads::Loads;
use crate::neighbours::Neighbours;
use crate::positions::Positions;
use crate::presence::Presences;
use crate::presence::book::PresenceBook;
use crate::stats::GatewayStats;
use crate::tls::Tls;

/// Clients of the other services, settings and shared state.
pub(crate) struct Services {
    pub(crate) backplane: Arc<dyn Backplane>,
    pub(crate) registry: Arc<dyn Registry>,
    /// A user could not be registered.
    pub(crate) registry_lost: Notify,
    /// Users with sessions here whose entry was gone, which was found by somebody else than the renewal.
    pub(crate) owed: Mutex<FxHashSet<UserId>>,
    /// Held while events of users are given to the shards: nothing newer overtakes what is read from the stream for those
    /// who were not registered.
    pub(crate) user_events: tokio::sync::Mutex<()>,
    pub(crate) roster: Arc<dyn Roster>,
    pub(crate) sessions: Arc<dyn Sessions>,
    /// None where there are no other gateways.
    pub(crate) neighbours: Option<Neighbours>,
    /// Sessions that are being taken from other pods.
    pub(crate) takings: Semaphore,
    pub(crate) positions: Positions,
    pub(crate) history: History,
    pub(crate) accounts: AccountsClient,
    pub(crate) guilds: GuildsClient,
    pub(crate) messages: MessagesClient,
    pub(crate) presences: Presences,
    pub(crate) clock: SharedClock,
    pub(crate) chance: Chance,
    pub(crate) settings: Settings,
    pub(crate) public_url: String,
    pub(crate) pod: PodName,
    pub(crate) started: Instant,
    pub(crate) interest: Interest,
    pub(crate) loads: Loads,
    pub(crate) gate: Gate,
    pub(crate) tls: Option<Tls>,
    pub(crate) bot_starts: BotStarts,
    pub(crate) book: PresenceBook,
    pub(crate) stats: GatewayStats,
    /// Stored events that this pod has taken.
    pub(crate) events: AtomicU64,
    pub(crate) forms: FormsSeen,
    pub(crate) streams: Streams,
}

impl Services {
    /// The user's sessions here may have missed events: the registry did not have the user.
    pub(crate) fn owe(&self, user: UserId) {
        self.owed.lock().insert(user);
        self.registry_lost.notify_one();
    }

    /// Milliseconds since the start, which never go backwards.
    pub(crate) fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// How long a connection lives without a heartbeat.
    pub(crate) fn zombie_ms(&self) -> u64 {
        limits::zombie_ms(self.settings.heartbeat_interval_ms)
    }

    pub(crate) fn wall(&self) -> Timestamp {
        Timestamp::from_ms(self.clock.now_ms())
    }

    /// An interval for HELLO, never the same for all clients.
    pub(crate) fn heartbeat_interval_ms(&self) -> u64 {
        let interval = self.settings.heartbeat_interval_ms;
        interval - self.chance.below(limits::HEARTBEAT_JITTER_MS.min(interval / 2))
    }

    /// Connections that may have a compressor of their own. The operator who wants it so has memory for all.
    pub(crate) fn streams_max(&self) -> usize {
        match self.settings.compressing {
            Compressing::Shared => limits::GATEWAY_STREAMS_MAX,
            Compressing::Stream => self.settings.connections_max,
        }
    }

    /// How long to wait before trying again for the `attempt`th time, with jitter.
    pub(crate) fn backoff(&self, attempt: u32) -> Duration {
        let ceiling = limits::RETRY_MS_MIN.saturating_mul(1 << attempt.min(10)).min(limits::RETRY_MS_MAX);
        Duration::from_millis(ceiling / 2 + self.chance.below(ceiling / 2 + 1))
    }
}
