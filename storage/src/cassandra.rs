//! Cassandra: one place for how it is spoken to, and the storage half of a cluster on it.
//!
//! - [`Config`] says where it is; [`Cassandra::connect`] gives the session that everything in a process shares.
//! - [`migrate`] brings the keyspace to the state that the code expects. A [`Schema`] is a list of steps that only
//!   grows; each crate with tables has its own.
//! - [`inspect`] says what people want to know before they start anything on it.
//! - [`CassandraRegister`] and [`CassandraWorkers`] are where replicas, slots and worker ids are written down.
//! - [`LeasedWrites`] is how a store writes, [`CassandraOutbox`] what it writes beside its data.
//!
//! Every statement is prepared, idempotent, and asks for a quorum of the local datacenter. Reads are speculative: a node
//! that is slow is not waited for. Writes are not, as then nobody could say of a failed one that nothing was written;
//! they are repeated by whoever sent them, which changes nothing when the first time was written. Conditional writes
//! (`IF`) are neither repeated nor speculative: the caller reads what has become of them.

mod conditional;
mod config;
mod error;
mod inspect;
mod migrate;
mod outbox;
mod register;
mod retry;
mod schema;
mod session;
mod tables;
#[cfg(feature = "cassandra-tls")]
mod tls;
mod workers;
mod writes;

pub use config::{Config, Credentials, KeyspaceName, Replication, Tls};
pub use error::{ConnectError, ReadError, WriteError};
pub use inspect::{Inspected, inspect};
pub use migrate::{MigrateError, Migrated, migrate};
pub use outbox::{CassandraOutbox, CassandraSweepError};
pub use register::CassandraRegister;
pub use schema::{Schema, SchemaError};
pub use scylla::{serialize::row::SerializeRow, statement::prepared::PreparedStatement};
pub use session::{Cassandra, OwnedRow};
pub use tables::SCHEMA;
#[cfg(feature = "cassandra-tls")]
pub use tls::{TlsError, choose_ring};
pub use workers::CassandraWorkers;
pub use writes::{LeasedWriteError, LeasedWrites, WriteBatch};
