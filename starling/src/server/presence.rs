//! The presence service: as a part of the whole, and as a process of its own, which keeps nothing: gateways tell it
//! everything again.

use std::sync::Arc;

use ::presence::table::Bounds;
use ::presence::voice::VoiceConfig;
use ::presence::{EventIds, Presence as Service, WriterOf};
use backplane::Backplane;
use model::GuildId;
use model::clock::{SharedClock, SystemClock};
use parking_lot::Mutex;
use proto::Writer;
use proto::clients::presence_server;
use proto::serving::Services;
use storage::{Slot, Snowflakes};
use tasks::Ended;

use super::keep::event_ids;
use super::part::{Ground, Part};
use super::workers::Workers;
use crate::admin::metrics::{self, Readings};
use crate::role::Role;
use crate::settings::Settings;

/// Starts it on the runtime that this is called on.
pub(super) fn start(
    backplane: Arc<dyn Backplane>,
    clock: SharedClock,
    event_ids: EventIds,
    writer: WriterOf,
    settings: &Settings,
) -> Service {
    let voice = VoiceConfig {
        endpoints: settings.voice_endpoints.0.clone(),
        default_endpoint: settings.voice_endpoint.0.clone(),
        ..VoiceConfig::new(settings.voice_key.0.unwrap_or_else(model::entropy::bytes))
    };
    Service::start(::presence::Config {
        backplane,
        clock,
        event_ids,
        writer,
        voice,
        bounds: Bounds::default(),
    })
}

/// The part of the role `presence`.
pub(crate) struct Presence(Service);

impl Part for Presence {
    const ROLE: Role = Role::Presence;

    async fn open(ground: Ground<'_>) -> anyhow::Result<Self> {
        let Ground { settings, cluster, .. } = ground;
        let clock = SystemClock::shared();
        let ids = Snowflakes::new(Workers::Presence.by_chance(), clock.now_ms());
        let ids = event_ids(Arc::new(Mutex::new(ids)), clock.clone());
        Ok(Self(start(cluster.backplane(), clock, ids, Arc::new(writer), settings)))
    }

    fn serves(&self) -> Option<Services> {
        Some(Services::new().with(presence_server(self.0.clone())))
    }

    fn readings(&self) -> Readings {
        let service = self.0.clone();
        Arc::new(move || metrics::presence(&service.stats()))
    }

    async fn ended(&self) -> Ended {
        self.0.ended().await
    }

    async fn shutdown(self) -> anyhow::Result<()> {
        self.0.shutdown().await;
        Ok(())
    }
}

/// Who is in a voice channel is told by no owner of a slot: a set of its own, or its epoch would be compared with those of
/// the directory, and one of the two would be taken for replaced.
fn writer(guild: GuildId) -> Writer {
    Writer { set: NO_SET, slot: Slot::of(guild.get()).get(), epoch: 0 }
}

/// The sets of slots are numbered from 1.
const NO_SET: u8 = 0;
