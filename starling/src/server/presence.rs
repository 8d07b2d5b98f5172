//! The presence service: as a part of the whole, and as a process of its own, which keeps nothing: gateways tell it
//! everything again.

use std::sync::Arc;

use ::presence::table::Bounds;
use ::presence::voice::VoiceConfig;
use ::presence::{Config, EventIds, Presence as Service};
use backplane::{Backplane, Roster};
use model::clock::{SharedClock, SystemClock};
use model::limits::PRESENCE_SETTLE_MS;
use model::slots::VOICE_WRITERS;
use parking_lot::Mutex;
use proto::Writer;
use proto::clients::presence_server;
use proto::serving::Services;
use storage::Snowflakes;
use tasks::Ended;

use super::cassandra::{LeasedIds, connect};
use super::keep::event_ids;
use super::part::{Ground, Part};
use super::workers::Workers;
use crate::admin::metrics::{self, Readings};
use crate::role::Role;
use crate::settings::Settings;

/// What it stands on besides its settings.
pub(super) struct Base {
    pub(super) backplane: Arc<dyn Backplane>,
    pub(super) roster: Arc<dyn Roster>,
    pub(super) clock: SharedClock,
    pub(super) event_ids: EventIds,
    pub(super) writer: Writer,
    pub(super) settles_after_ms: Option<u64>,
}

/// Starts it on the runtime that this is called on.
pub(super) fn start(base: Base, settings: &Settings) -> Service {
    let voice = VoiceConfig {
        endpoints: settings.voice_endpoints.0.clone(),
        default_endpoint: settings.voice_endpoint.0.clone(),
        ..VoiceConfig::new(settings.voice_key.0.unwrap_or_else(model::entropy::bytes))
    };
    let Base { backplane, roster, clock, event_ids, writer, settles_after_ms } = base;
    let bounds = Bounds::default();
    let config = Config { backplane, clock, event_ids, writer, voice, roster, settles_after_ms, bounds };
    Service::start(config)
}

/// The part of the role `presence`.
pub(crate) struct Presence {
    service: Service,
    /// Its worker id, where replicas share Cassandra; it keeps nothing else there.
    leased: Option<LeasedIds>,
}

impl Part for Presence {
    const ROLE: Role = Role::Presence;

    async fn open(ground: Ground<'_>) -> anyhow::Result<Self> {
        let Ground { settings, cluster, gate } = ground;
        let clock = SystemClock::shared();
        let leased = match settings.cassandra() {
            Some(config) => Some(LeasedIds::take(&connect(&config, gate).await?, &clock, gate).await?),
            None => None,
        };
        let by_chance = || {
            let ids = Snowflakes::new(Workers::Presence.by_chance(), clock.now_ms());
            Arc::new(Mutex::new(ids))
        };
        let ids = leased.as_ref().map_or_else(by_chance, |leased| leased.ids.clone());
        let ids = event_ids(ids, clock.clone());
        let base = Base {
            backplane: cluster.backplane(),
            roster: cluster.roster(),
            clock,
            event_ids: ids,
            // There are no leases for places among the replicas, so no writer replaces another.
            writer: Writer { set: VOICE_WRITERS, slot: 0, epoch: 0 },
            settles_after_ms: Some(PRESENCE_SETTLE_MS),
        };
        Ok(Self { service: start(base, settings), leased })
    }

    fn serves(&self) -> Option<Services> {
        Some(Services::new().with(presence_server(self.service.clone())))
    }

    fn readings(&self) -> Readings {
        let service = self.service.clone();
        Arc::new(move || metrics::presence(&service.stats()))
    }

    async fn ended(&self) -> Ended {
        let lost = async {
            match &self.leased {
                Some(leased) => leased.ended().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = self.service.ended() => ended,
            ended = lost => ended,
        }
    }

    async fn shutdown(self) -> anyhow::Result<()> {
        self.service.shutdown().await;
        if let Some(leased) = self.leased {
            leased.give_up().await;
        }
        Ok(())
    }
}
