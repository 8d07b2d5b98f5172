//! The suites, each test in a keyspace of its own.

use std::sync::Arc;

use async_trait::async_trait;
use model::clock::SystemClock;
use storage::cassandra::{
    Cassandra, CassandraOutbox, CassandraRegister, CassandraWorkers, LeasedWrites, SCHEMA, WriteBatch,
};
use storage::{
    Lease, Marker, OutboxRow, Ownership, Pass, Register, Replica, Republish, Timing, Watermark,
    WorkerRegister,
};
use testkit::cassandra;
use testkit::conformance::outbox::Outboxes;
use testkit::conformance::ownership::Owners;
use testkit::leases::Granted;

async fn session() -> Option<Arc<Cassandra>> {
    cassandra::session(&[&SCHEMA]).await
}

async fn make_register() -> Option<Arc<dyn Register>> {
    Some(Arc::new(CassandraRegister::prepare(&session().await?, "tests").await.unwrap()))
}

async fn make_workers() -> Option<Arc<dyn WorkerRegister>> {
    Some(Arc::new(CassandraWorkers::prepare(&session().await?).await.unwrap()))
}

async fn make_owners() -> Option<Owners> {
    let register = make_register().await?;
    Some(Box::new(move || {
        let register = register.clone();
        Box::pin(async move {
            let replica = Replica::new(register, "127.0.0.1:9091", SystemClock::shared(), Timing::default());
            replica as Arc<dyn Ownership>
        })
    }))
}

/// The outbox as a store on Cassandra uses it.
struct OnCassandra {
    outbox: CassandraOutbox,
    writes: Arc<LeasedWrites>,
}

#[async_trait]
impl Outboxes for OnCassandra {
    async fn put(&self, lease: &Lease, rows: &[OutboxRow], markers: &[Marker]) {
        let mut batch = WriteBatch::new();
        rows.iter().for_each(|row| self.outbox.put_row(&mut batch, row));
        markers.iter().for_each(|marker| self.outbox.put_marker(&mut batch, marker));
        self.writes.write(lease, &batch).await.unwrap();
    }

    async fn put_watermark(&self, lease: &Lease, published_ms: u64) {
        let Lease { set, slot, epoch } = *lease;
        self.outbox.put_watermark(Watermark { set, slot: Some(slot), epoch, published_ms }).await.unwrap();
    }

    async fn sweep(
        &self,
        lease: &Lease,
        pass: Pass,
        now_ms: u64,
        republish: &mut dyn Republish,
    ) -> Result<(), String> {
        self.outbox.sweep(lease, pass, now_ms, republish).await.map_err(|error| error.to_string())
    }
}

async fn make_outbox() -> Option<Arc<dyn Outboxes>> {
    let session = session().await?;
    let outbox = CassandraOutbox::prepare(&session).await.unwrap();
    Some(Arc::new(OnCassandra { outbox, writes: LeasedWrites::new(session, Granted::new()) }))
}

testkit::register_conformance!(make_register);
testkit::workers_conformance!(make_workers);
testkit::ownership_conformance!(make_owners);
testkit::outbox_conformance!(make_outbox);
