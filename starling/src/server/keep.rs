//! What a process keeps: the store in its data directory, the right to write to it, and the ids that go with that.
//!
//! The store is the embedded one. Another one is chosen here and nowhere else: the services get what they stand on from
//! this, whichever it is.

use std::sync::Arc;

use anyhow::Context as _;
use model::clock::SharedClock;
use parking_lot::Mutex;
use storage::{EmbeddedLeases, Engine, EngineOptions, Epoch, IdFloor, SharedSnowflakes, Snowflakes};

use super::workers::Workers;
use crate::admin::metrics::{self, Readings};
use crate::settings::Settings;

/// Folder of the database in the data directory.
const STORE: &str = "store";

/// The store as it is open.
pub(super) struct Keep {
    pub(super) engine: Engine,
    pub(super) leases: Arc<EmbeddedLeases>,
    pub(super) floor: Arc<IdFloor>,
    /// The process's one generator of ids.
    pub(super) ids: SharedSnowflakes,
}

impl Keep {
    /// Opens the store and begins its next epoch.
    pub(super) async fn open(settings: &Settings, workers: Workers) -> anyhow::Result<Self> {
        let dir = settings.data_dir.join(STORE);
        let engine = tokio::task::spawn_blocking(move || Engine::open(&dir, EngineOptions::default()))
            .await
            .context("open the database")??;
        let leases = Arc::new(EmbeddedLeases::start(&engine).await?);
        let floor = Arc::new(IdFloor::open(&engine)?);
        let worker = workers.of_epoch(leases.epoch());
        let ids = Arc::new(Mutex::new(Snowflakes::new(worker, floor.recorded_ms())));
        Ok(Self { engine, leases, floor, ids })
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.leases.epoch()
    }

    /// What it counts, for `/metrics`.
    pub(super) fn readings(&self) -> Readings {
        let engine = self.engine.clone();
        Arc::new(move || metrics::engine(&engine.stats()))
    }

    /// Closes it, once nobody uses it any more.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        self.engine.close().await.context("close the database")
    }
}

/// Ids of events from a generator that may be shared with others.
pub(super) fn event_ids(ids: SharedSnowflakes, clock: SharedClock) -> presence::EventIds {
    Arc::new(move || ids.lock().next(clock.now_ms()))
}
