//! The store in the data directory, of which one process alone writes.

use std::sync::Arc;

use ::guilds::store::DirectoryStore;
use ::messages::store::MessageStore;
use anyhow::Context as _;
use parking_lot::Mutex;
use storage::{EmbeddedLeases, Engine, EngineOptions, Epoch, IdFloor, SharedSnowflakes, Snowflakes};

use crate::admin::metrics::{self, Readings};
use crate::server::workers::Workers;
use crate::settings::Settings;

/// Folder of the database in the data directory.
const STORE: &str = "store";

/// The store as it is open.
pub(in crate::server) struct Embedded {
    engine: Engine,
    floor: Arc<IdFloor>,
    pub(super) leases: Arc<EmbeddedLeases>,
    pub(super) ids: SharedSnowflakes,
}

impl Embedded {
    /// Opens the store and begins its next epoch.
    pub(in crate::server) async fn open(settings: &Settings, workers: Workers) -> anyhow::Result<Self> {
        let dir = settings.data_dir.join(STORE);
        let engine = tokio::task::spawn_blocking(move || Engine::open(&dir, EngineOptions::default()))
            .await
            .context("open the database")??;
        let leases = Arc::new(EmbeddedLeases::start(&engine).await?);
        let floor = Arc::new(IdFloor::open(&engine)?);
        let worker = workers.of_epoch(leases.epoch());
        let ids = Arc::new(Mutex::new(Snowflakes::new(worker, floor.recorded_ms())));
        Ok(Self { engine, floor, leases, ids })
    }

    pub(in crate::server) fn epoch(&self) -> Epoch {
        self.leases.epoch()
    }

    pub(super) fn directory_store(&self) -> anyhow::Result<Arc<dyn DirectoryStore>> {
        let store = ::guilds::store::EmbeddedStore::open(&self.engine, self.floor.clone());
        Ok(Arc::new(store.context("open the directory's tables")?))
    }

    pub(super) fn message_store(&self) -> anyhow::Result<Arc<dyn MessageStore>> {
        let store = ::messages::store::EmbeddedStore::open(&self.engine, self.floor.clone());
        Ok(Arc::new(store.context("open the messages' tables")?))
    }

    /// What it counts, for `/metrics`.
    pub(super) fn readings(&self) -> Readings {
        let engine = self.engine.clone();
        Arc::new(move || metrics::engine(&engine.stats()))
    }

    pub(super) async fn close(self) -> anyhow::Result<()> {
        self.engine.close().await.context("close the database")
    }
}
