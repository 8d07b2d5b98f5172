//! The message store: its suite, and what only a cluster does.

use std::sync::Arc;

use messages::store::{CassandraStore, MessageStore};
use model::clock::ManualClock;
use storage::cassandra::LeasedWrites;
use testkit::cassandra;
use testkit::conformance::messages::NOW_MS;
use testkit::leases::Granted;

async fn make() -> Option<Arc<dyn MessageStore>> {
    let session = cassandra::session_of_services().await?;
    let writes = LeasedWrites::new(session.clone(), Granted::new());
    let clock = Arc::new(ManualClock::at(NOW_MS));
    Some(Arc::new(CassandraStore::prepare(&session, writes, clock).await.unwrap()))
}

testkit::messages_conformance!(make);
