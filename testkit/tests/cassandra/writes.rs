//! Writes under leases: owners in order, whatever order their writes come in.

use std::sync::Arc;
use std::time::Duration;

use storage::cassandra::{
    Cassandra, CassandraOutbox, LeasedWriteError, LeasedWrites, PreparedStatement, SCHEMA, Schema,
    WriteBatch, WriteError, migrate,
};
use storage::{Bucket, Epoch, Lease, Marker, Pass, Republish, RepublishError, Slot, SlotSet, Unpublished};
use testkit::cassandra::{self, CassandraServer};
use testkit::leases::Granted;
use tokio::time::{Instant, timeout};

const CELLS: Schema = Schema {
    name: "test",
    steps: &[&["CREATE TABLE IF NOT EXISTS cells (id bigint PRIMARY KEY, value text)"]],
};
const PUT: &str = "INSERT INTO cells (id, value) VALUES (?, ?)";
const REMOVE: &str = "DELETE FROM cells WHERE id = ?";
const GET: &str = "SELECT value FROM cells WHERE id = ?";

fn lease(epoch: u64) -> Lease {
    Lease { set: SlotSet::Channels, slot: Slot::of(7), epoch: Epoch(epoch) }
}

struct Cells {
    session: Arc<Cassandra>,
    put: PreparedStatement,
    leases: Arc<Granted>,
    writes: Arc<LeasedWrites>,
}

impl Cells {
    async fn on(session: Arc<Cassandra>) -> Self {
        let leases = Granted::new();
        let writes = LeasedWrites::new(session.clone(), leases.clone());
        let put = session.prepare_write(PUT).await.unwrap();
        Self { session, put, leases, writes }
    }

    async fn put(&self, lease: Lease, id: i64, value: &str) -> Result<(), LeasedWriteError> {
        let mut batch = WriteBatch::new();
        batch.add(&self.put, (id, value.to_owned()));
        self.writes.write(&lease, &batch).await
    }

    async fn remove(&self, lease: Lease, id: i64) {
        let remove = self.session.prepare_write(REMOVE).await.unwrap();
        let mut batch = WriteBatch::new();
        batch.add(&remove, (id,));
        self.writes.write(&lease, &batch).await.unwrap();
    }

    async fn get(&self, id: i64) -> Option<String> {
        let get = self.session.prepare_read(GET).await.unwrap();
        let rows = self.session.rows(&get, (id,)).await.unwrap();
        rows.maybe_first_row::<(String,)>().unwrap().map(|(value,)| value)
    }
}

#[tokio::test]
async fn what_a_later_owner_wrote_stays_whatever_comes_late() {
    let Some(session) = cassandra::session(&[&CELLS]).await else { return };
    let cells = Cells::on(session).await;
    for (epoch, value) in [(5, "first"), (5, "second"), (6, "third"), (5, "late"), (6, "fourth")] {
        cells.put(lease(epoch), 1, value).await.unwrap();
        let expected = if value == "late" { "third" } else { value };
        assert_eq!(cells.get(1).await.as_deref(), Some(expected));
    }
    cells.remove(lease(6), 1).await;
    cells.put(lease(5), 1, "late").await.unwrap();
    assert_eq!(cells.get(1).await, None, "what was removed stays so");
    cells.put(lease(6), 1, "anew").await.unwrap();
    assert_eq!(cells.get(1).await.as_deref(), Some("anew"));
    cells.remove(lease(5), 1).await;
    assert_eq!(cells.get(1).await.as_deref(), Some("anew"));
}

#[tokio::test]
async fn who_has_no_lease_writes_nothing() {
    let Some(session) = cassandra::session(&[&CELLS]).await else { return };
    let cells = Cells::on(session).await;
    cells.leases.take_away(lease(5));
    let error = cells.put(lease(5), 1, "a").await.unwrap_err();
    assert!(matches!(error, LeasedWriteError::NotOwner(_)), "{error}");
    assert_eq!(cells.get(1).await, None);
    cells.put(lease(6), 1, "b").await.unwrap();
}

#[tokio::test]
async fn a_statement_that_cannot_be_is_refused_at_once() {
    let Some(session) = cassandra::session(&[&CELLS]).await else { return };
    let cells = Cells::on(session).await;
    let mut batch = WriteBatch::new();
    batch.add(&cells.put, ("not a number".to_owned(), "a".to_owned()));
    let error = cells.writes.write(&lease(5), &batch).await.unwrap_err();
    assert!(matches!(error, LeasedWriteError::Write(WriteError::Refused(_))), "{error}");
}

/// Notes what comes in which pass.
#[derive(Default)]
struct Notes(Vec<String>);

#[async_trait::async_trait]
impl Republish for Notes {
    async fn republish(&mut self, unpublished: Unpublished) -> Result<(), RepublishError> {
        let Unpublished::Marker { marker, .. } = unpublished else { return Err("a row".into()) };
        self.0.push(format!("left {}", marker.channel));
        Ok(())
    }

    async fn too_late(&mut self, unpublished: Unpublished) -> Result<(), RepublishError> {
        let Unpublished::Marker { marker, .. } = unpublished else { return Err("a row".into()) };
        self.0.push(format!("late {}", marker.channel));
        Ok(())
    }
}

/// Data and marker are written together. The late pass finds what came after the first, and what lies in other slots is
/// nobody's matter here.
#[tokio::test]
async fn a_slot_is_swept_by_itself_and_once_more_for_what_came_late() {
    let Some(session) = cassandra::session(&[&CELLS, &SCHEMA]).await else { return };
    let cells = Cells::on(session).await;
    let outbox = CassandraOutbox::prepare(&cells.session).await.unwrap();
    let now_ms = 1_700_000_000_000;
    let write = async |lease: Lease, channel: u64| {
        let Lease { set, slot, epoch } = lease;
        let mut batch = WriteBatch::new();
        batch.add(&cells.put, (channel.cast_signed(), "stored".to_owned()));
        outbox.put_marker(&mut batch, &Marker { set, slot, epoch, bucket: Bucket::of_ms(now_ms), channel });
        cells.writes.write(&lease, &batch).await.unwrap();
        assert_eq!(cells.get(channel.cast_signed()).await.as_deref(), Some("stored"));
    };
    let sweep = async |epoch, pass| {
        let mut notes = Notes::default();
        outbox.sweep(&lease(epoch), pass, now_ms, &mut notes).await.unwrap();
        notes.0
    };
    write(lease(5), 7).await;
    write(Lease { slot: Slot::of(8), ..lease(5) }, 8).await;
    assert_eq!(sweep(6, Pass::First).await, ["left 7"]);
    write(lease(5), 9).await;
    assert_eq!(sweep(6, Pass::Late).await, ["late 7", "late 9"]);
    assert_eq!(sweep(7, Pass::First).await, [""; 0]);
}

/// Nothing that is sent under a lease is still waited for when the lease may pass on, and nobody says that nothing was
/// written.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_ends_before_its_lease_can_pass_on() {
    let Some(mut server) = CassandraServer::start() else { return };
    let config = cassandra::config(&server.address());
    migrate(&config, &[&CELLS]).await.unwrap();
    let cells = Cells::on(Cassandra::connect(&config, &[&CELLS]).await.unwrap()).await;
    cells.put(lease(5), 1, "before").await.unwrap();
    server.freeze();
    let until = Instant::now() + Duration::from_secs(2);
    cells.leases.end_at(until);
    let put = timeout(Duration::from_secs(10), cells.put(lease(5), 1, "after")).await.expect("it ends");
    assert!(Instant::now() < until + Duration::from_millis(200), "in time");
    let error = put.unwrap_err();
    assert!(matches!(error, LeasedWriteError::Write(WriteError::Unknown(_))), "{error}");
    server.thaw();
    let next = Cells::on(cells.session.clone()).await;
    next.put(lease(6), 1, "next").await.unwrap();
    assert_eq!(next.get(1).await.as_deref(), Some("next"));
}
