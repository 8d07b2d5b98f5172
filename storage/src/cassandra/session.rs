//! The session: connected once, shared by everything in the process that talks to Cassandra.

use super::{
    Config, ConnectError, ReadError, Schema, WriteError, conditional, config, retry::UnwrittenOnly, schema,
};
use model::limits;
use scylla::{
    client::{
        PoolSize,
        execution_profile::{ExecutionProfile, ExecutionProfileBuilder, ExecutionProfileHandle},
        session::Session,
        session_builder::SessionBuilder,
    },
    deserialize::row::DeserializeRow,
    errors::NewSessionError,
    policies::{
        load_balancing::DefaultPolicy, retry::DefaultRetryPolicy,
        speculative_execution::SimpleSpeculativeExecutionPolicy,
    },
    response::query_result::QueryRowsResult,
    serialize::row::SerializeRow,
    statement::{Consistency, SerialConsistency, Statement, batch::Batch, prepared::PreparedStatement},
};
use std::{fmt, num::NonZeroUsize, sync::Arc, time::Duration};

/// A session in one keyspace. It connects again for ever; what is asked meanwhile fails in time.
pub struct Cassandra {
    session: Session,
    keyspace: String,
    reads: ExecutionProfileHandle,
    writes: ExecutionProfileHandle,
}

/// A row that is copied out of its answer.
pub trait OwnedRow: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata> {}

impl<T: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>> OwnedRow for T {}

// === impl Cassandra ===

impl Cassandra {
    /// Connects, and checks that these tables are there as the code expects them.
    pub async fn connect(config: &Config, schemas: &[&Schema]) -> Result<Arc<Self>, ConnectError> {
        let keyspace = config.keyspace()?.to_owned();
        let session = session(config, Some(&keyspace)).await?;
        schema::check(&session, schemas).await?;
        let (reads, writes) = (reads(config).into_handle(), writes(config).into_handle());
        Ok(Arc::new(Self { session, keyspace, reads, writes }))
    }

    /// The keyspace that unqualified names of tables lie in.
    pub fn keyspace(&self) -> &str {
        &self.keyspace
    }

    /// The driver's session, for what has no method here.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Prepares a question.
    pub async fn prepare_read(&self, cql: &str) -> Result<PreparedStatement, ConnectError> {
        self.prepare(cql, &self.reads, true).await
    }

    /// Prepares a write that changes nothing when it is repeated.
    pub async fn prepare_write(&self, cql: &str) -> Result<PreparedStatement, ConnectError> {
        self.prepare(cql, &self.writes, true).await
    }

    /// Prepares a write with a condition (`IF`).
    pub async fn prepare_conditional(&self, cql: &str) -> Result<PreparedStatement, ConnectError> {
        self.prepare(cql, &self.writes, false).await
    }

    /// Prepares a question that waits for conditional writes which are under way.
    pub async fn prepare_serial_read(&self, cql: &str) -> Result<PreparedStatement, ConnectError> {
        let mut prepared = self.prepare_conditional(cql).await?;
        prepared.set_consistency(Consistency::LocalSerial);
        Ok(prepared)
    }

    async fn prepare(
        &self,
        cql: &str,
        profile: &ExecutionProfileHandle,
        is_idempotent: bool,
    ) -> Result<PreparedStatement, ConnectError> {
        let prepared = self.session.prepare(cql).await;
        let wrap = |source| ConnectError::Prepare { statement: cql.to_owned(), source: Box::new(source) };
        let mut prepared = prepared.map_err(wrap)?;
        prepared.set_execution_profile_handle(Some(profile.clone()));
        prepared.set_is_idempotent(is_idempotent);
        Ok(prepared)
    }

    /// A batch of writes that changes nothing when it is repeated, in which the statements' own settings do not count.
    pub fn batch(&self, mut batch: Batch) -> Batch {
        batch.set_execution_profile_handle(Some(self.writes.clone()));
        batch.set_is_idempotent(true);
        batch
    }

    /// All rows of an answer: for questions whose answer is known to be small.
    pub async fn rows(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<QueryRowsResult, ReadError> {
        Ok(self.session.execute_unpaged(statement, values).await?.into_rows_result()?)
    }

    /// The same, decoded.
    pub async fn all<R: OwnedRow>(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<Vec<R>, ReadError> {
        let rows = self.rows(statement, values).await?;
        let rows = rows.rows::<R>().map_err(ReadError::corrupt)?;
        rows.collect::<Result<_, _>>().map_err(ReadError::corrupt)
    }

    /// The first row, decoded, where there is one.
    pub async fn first<R: OwnedRow>(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<Option<R>, ReadError> {
        let rows = self.rows(statement, values).await?;
        rows.maybe_first_row().map_err(ReadError::corrupt)
    }

    /// Writes once. What is repeated, and for how long, is the caller's matter.
    pub async fn write(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<(), WriteError> {
        self.session.execute_unpaged(statement, values).await?;
        Ok(())
    }

    /// Writes once what was prepared with a condition; whether the condition held. Of an error nobody knows what it means.
    pub async fn decide(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<bool, WriteError> {
        let result = self.session.execute_unpaged(statement, values).await?;
        Ok(conditional::answer(result).is_some_and(|answer| answer.is_applied))
    }
}

impl fmt::Debug for Cassandra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cassandra").field("keyspace", &self.keyspace).finish_non_exhaustive()
    }
}

/// Connects; into a keyspace, if it is one that must be there.
pub(super) async fn session(config: &Config, keyspace: Option<&str>) -> Result<Session, ConnectError> {
    let per_host = NonZeroUsize::new(config.connections_per_node).unwrap_or(NonZeroUsize::MIN);
    let mut builder = SessionBuilder::new()
        .known_nodes(&config.nodes)
        .pool_size(PoolSize::PerHost(per_host))
        .connection_timeout(Duration::from_millis(limits::CASSANDRA_CONNECT_MS))
        .keepalive_interval(Duration::from_millis(limits::CASSANDRA_PING_MS))
        .keepalive_timeout(Duration::from_millis(limits::CASSANDRA_PING_MS))
        .schema_agreement_timeout(Duration::from_millis(limits::CASSANDRA_SCHEMA_MS))
        .default_execution_profile_handle(reads(config).into_handle())
        // Statements are prepared, so the driver needs to know the replication of keyspaces and no tables.
        .fetch_full_schema_metadata(false);
    if let Some(config::Credentials { name, password }) = &config.credentials {
        builder = builder.user(name, password);
    }
    if let Some(tls) = &config.tls {
        builder = with_tls(builder, tls)?;
    }
    if let Some(keyspace) = keyspace {
        builder = builder.use_keyspace(keyspace, false);
    }
    builder.build().await.map_err(|error| match (error, keyspace) {
        (NewSessionError::UseKeyspaceError(source), Some(keyspace)) => {
            ConnectError::NoKeyspace { keyspace: keyspace.to_owned(), source: Box::new(source) }
        }
        (source, _) => ConnectError::Refused { nodes: config.nodes.join(", "), source: Box::new(source) },
    })
}

#[cfg(feature = "cassandra-tls")]
fn with_tls(builder: SessionBuilder, tls: &config::Tls) -> Result<SessionBuilder, ConnectError> {
    Ok(builder.tls_context(Some(super::tls::client_config(tls)?)))
}

#[cfg(not(feature = "cassandra-tls"))]
fn with_tls(_: SessionBuilder, _: &config::Tls) -> Result<SessionBuilder, ConnectError> {
    Err(ConnectError::WithoutTls)
}

/// A statement that changes the schema: slow, and not to be tried twice at one time.
pub(super) fn schema_change(config: &Config, cql: &str) -> Statement {
    let mut statement = Statement::new(cql);
    let profile = writes(config).to_builder();
    let profile = profile.request_timeout(Some(Duration::from_millis(limits::CASSANDRA_SCHEMA_MS))).build();
    statement.set_execution_profile_handle(Some(profile.into_handle()));
    statement
}

fn reads(config: &Config) -> ExecutionProfile {
    profile(config)
        .request_timeout(Some(Duration::from_millis(limits::CASSANDRA_READ_MS)))
        .retry_policy(Arc::new(DefaultRetryPolicy::new()))
        .speculative_execution_policy(Some(Arc::new(SimpleSpeculativeExecutionPolicy {
            max_retry_count: limits::CASSANDRA_SPECULATIONS,
            retry_interval: Duration::from_millis(limits::CASSANDRA_SPECULATE_MS),
        })))
        .build()
}

fn writes(config: &Config) -> ExecutionProfile {
    profile(config)
        .request_timeout(Some(Duration::from_millis(limits::CASSANDRA_WRITE_MS)))
        .retry_policy(Arc::new(UnwrittenOnly))
        .build()
}

fn profile(config: &Config) -> ExecutionProfileBuilder {
    let mut balancing = DefaultPolicy::builder().token_aware(true).permit_dc_failover(false);
    if let Some(datacenter) = &config.datacenter {
        balancing = balancing.prefer_datacenter(datacenter.clone());
    }
    ExecutionProfile::builder()
        .consistency(Consistency::LocalQuorum)
        .serial_consistency(Some(SerialConsistency::LocalSerial))
        .load_balancing_policy(balancing.build())
}
