//! How Cassandra is spoken to.

/// For the handshake with one node.
pub const CASSANDRA_CONNECT_MS: u64 = 5_000;
/// The driver queues what a connection has no room for, up to 32,768 requests on the way.
pub const CASSANDRA_CONNECTIONS_PER_NODE: usize = 2;
/// A server gives a write up after this long (`write_request_timeout`, as it is by default), and a connection on which nothing
/// was said for this long (`native_transport_idle_timeout`, which has to be set): what is sent and not heard is lost then.
pub const CASSANDRA_GIVE_UP_MS: u64 = 2_000;
pub const CASSANDRA_IDLE_MS: u64 = 20_000;
/// Without an answer for this long after a question of this age, a connection is dead.
pub const CASSANDRA_PING_MS: u64 = 5_000;
/// Between two attempts of a write.
pub const CASSANDRA_AGAIN_MS: u64 = 50;
/// For a node to know a keyspace that another migration has made.
pub const CASSANDRA_KEYSPACE_MS: u64 = 10_000;
/// What a batch may hold in Cassandra at least: a change is written together with its events.
pub const CASSANDRA_BATCH_BYTES: u64 = 8 * 1024 * 1024;
/// Time in which a write is certain, with all its attempts. Below [`CHANGE_WAIT_MS`](super::CHANGE_WAIT_MS).
pub const CASSANDRA_CHANGE_MS: u64 = 3_500;
/// Time in which a read is answered, with all its attempts.
pub const CASSANDRA_READ_MS: u64 = 2_000;
/// For one change of the schema, until all nodes agree on it.
pub const CASSANDRA_SCHEMA_MS: u64 = 30_000;
/// A migration that waits for another one gives up after this long.
pub const CASSANDRA_SCHEMA_WAIT_MS: u64 = 300_000;
/// A read that is not answered after this long is sent to another node as well, so many times.
pub const CASSANDRA_SPECULATE_MS: u64 = 100;
pub const CASSANDRA_SPECULATIONS: usize = 1;
/// Time in which one attempt to write is answered; Cassandra's own patience is two seconds.
pub const CASSANDRA_WRITE_MS: u64 = 1_500;
