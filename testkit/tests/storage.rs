//! The conformance suites of slots, outbox and stores on the adapters that need no server.

#![expect(clippy::unwrap_used, reason = "a test ends where it unwraps")]

use std::sync::Arc;

use async_trait::async_trait;
use guilds::store::DirectoryStore;
use messages::store::MessageStore;
use model::clock::SystemClock;
use storage::{
    Batch, EmbeddedLeases, Engine, EngineOptions, IdFloor, Lease, Marker, MemoryRegister, MemoryWorkers,
    Outbox, OutboxRow, Ownership, Pass, Register, Replica, Republish, SyncHook, Timing, WorkerRegister,
};
use tempfile::TempDir;
use testkit::conformance::outbox::Outboxes;
use testkit::conformance::ownership::Owners;

/// An engine in a folder that goes with it.
fn engine() -> Engine {
    let dir = TempDir::new().unwrap();
    let path = dir.path().to_owned();
    let keeps_folder: SyncHook = Arc::new(move || {
        let _ = &dir;
        Ok(())
    });
    let options = EngineOptions { sync_hook: Some(keeps_folder), ..EngineOptions::default() };
    Engine::open(&path, options).unwrap()
}

mod in_memory {
    use super::*;

    async fn make_register() -> Option<Arc<dyn Register>> {
        Some(Arc::new(MemoryRegister::default()))
    }

    async fn make_workers() -> Option<Arc<dyn WorkerRegister>> {
        Some(Arc::new(MemoryWorkers::default()))
    }

    async fn make_owners() -> Option<Owners> {
        let register = make_register().await?;
        Some(Box::new(move || {
            let register = register.clone();
            Box::pin(async move {
                let replica =
                    Replica::new(register, "127.0.0.1:9091", SystemClock::shared(), Timing::default());
                replica as Arc<dyn Ownership>
            })
        }))
    }

    testkit::register_conformance!(make_register);
    testkit::workers_conformance!(make_workers);
    testkit::ownership_conformance!(make_owners);
}

mod embedded {
    use super::*;

    async fn make_owners() -> Option<Owners> {
        let engine = engine();
        Some(Box::new(move || {
            let engine = engine.clone();
            Box::pin(
                async move { Arc::new(EmbeddedLeases::start(&engine).await.unwrap()) as Arc<dyn Ownership> },
            )
        }))
    }

    /// The outbox as an embedded store uses it.
    struct Embedded {
        outbox: Outbox,
        engine: Engine,
    }

    #[async_trait]
    impl Outboxes for Embedded {
        async fn put(&self, _: &Lease, rows: &[OutboxRow], markers: &[Marker]) {
            let mut batch = Batch::new();
            rows.iter().for_each(|row| self.outbox.put_row(&mut batch, row));
            markers.iter().for_each(|marker| self.outbox.put_marker(&mut batch, marker));
            self.engine.commit(batch).await.unwrap();
        }

        async fn put_watermark(&self, lease: &Lease, published_ms: u64) {
            let mut batch = Batch::new();
            self.outbox.put_watermark(&mut batch, lease.set, lease.epoch, published_ms);
            self.engine.commit(batch).await.unwrap();
        }

        async fn sweep(
            &self,
            lease: &Lease,
            pass: Pass,
            _: u64,
            republish: &mut dyn Republish,
        ) -> Result<(), String> {
            if pass == Pass::Late {
                // The lock on the directory rules out that anything comes late.
                return Ok(());
            }
            let swept = self.outbox.sweep(lease.set, lease.epoch, republish).await;
            swept.map(drop).map_err(|error| error.to_string())
        }
    }

    async fn make_outbox() -> Option<Arc<dyn Outboxes>> {
        let engine = engine();
        Some(Arc::new(Embedded { outbox: Outbox::open(&engine).unwrap(), engine }))
    }

    async fn make_messages() -> Option<Arc<dyn MessageStore>> {
        let engine = engine();
        let floor = Arc::new(IdFloor::open(&engine).unwrap());
        Some(Arc::new(messages::store::EmbeddedStore::open(&engine, floor).unwrap()))
    }

    async fn make_directory() -> Option<Arc<dyn DirectoryStore>> {
        let engine = engine();
        let floor = Arc::new(IdFloor::open(&engine).unwrap());
        Some(Arc::new(guilds::store::EmbeddedStore::open(&engine, floor).unwrap()))
    }

    testkit::directory_conformance!(make_directory);
    testkit::ownership_conformance!(make_owners);
    testkit::outbox_conformance!(make_outbox);
    testkit::messages_conformance!(make_messages);
}
