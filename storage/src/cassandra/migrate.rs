//! Brings a keyspace to the state that is configured, again and again with the same result.
//!
//! Keyspace, the two tables of the migration itself, then each step that was not applied, in order, written down when all
//! nodes agree on it. A lock in the keyspace lets one migration work at a time: Cassandra makes two tables of one name
//! when two nodes are asked at once. The lock's own table cannot be made under it, so it is given its identity by us,
//! and two that make it make the same one.

mod lock;

use super::{
    Config, ConnectError, ReadError, Replication, Schema, SchemaError, WriteError,
    schema::{self, Applied, STEPS_TABLE},
    session,
};
use lock::Lock;
use model::limits::CASSANDRA_KEYSPACE_MS;
use scylla::{client::session::Session, errors::UseKeyspaceError};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::{Instant, sleep};

/// What a migration did. Nothing, the second time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Migrated {
    /// Whether the keyspace was not there.
    pub made_keyspace: bool,
    /// Whether it had another replication. Then every node has to be repaired: until that is done, a quorum may lack rows.
    pub changed_replication: bool,
    /// Steps that were applied, by the schema's name.
    pub applied: Vec<(&'static str, usize)>,
}

/// Why the keyspace is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// No way to Cassandra.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// What is there does not fit.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A change that Cassandra does not make.
    #[error("change the schema by {statement:?}: {source}")]
    Change {
        /// The change.
        statement: String,
        /// What became of it.
        source: WriteError,
    },
    /// The new keyspace can't be used.
    #[error("use the keyspace: {0}")]
    Use(#[from] UseKeyspaceError),
    /// The lock can't be read or written.
    #[error("lock the schema: {0}")]
    Lock(#[from] lock::LockError),
    /// It was held too long without a sign of life.
    #[error("another migration took over, as this one stood still; run it again")]
    Lost,
}

/// Brings the keyspace and these tables to the state that the configuration and the code ask for.
pub async fn migrate(config: &Config, schemas: &[&Schema]) -> Result<Migrated, MigrateError> {
    let keyspace = config.keyspace().map_err(ConnectError::from)?.to_owned();
    let session = session::session(config, None).await?;
    let work = Work { config, session: &session };
    let (made_keyspace, changed_replication) = work.keyspace(&keyspace).await?;
    enter(&session, &keyspace).await?;
    work.change(&lock::table(&keyspace)).await?;
    let lock = Lock::take(&session).await?;
    let outcome = tokio::select! {
        outcome = work.steps(schemas) => outcome,
        () = lock.keep() => Err(MigrateError::Lost),
    };
    lock.release().await;
    Ok(Migrated { made_keyspace, changed_replication, applied: outcome? })
}

/// Another migration may be making it at this moment: its row is there before the node takes statements for it.
async fn enter(session: &Session, keyspace: &str) -> Result<(), UseKeyspaceError> {
    let until = Instant::now() + Duration::from_millis(CASSANDRA_KEYSPACE_MS);
    loop {
        match session.use_keyspace(keyspace, false).await {
            Err(_) if Instant::now() < until => sleep(KEYSPACE_PAUSE).await,
            entered => return entered,
        }
    }
}

const KEYSPACE_PAUSE: Duration = Duration::from_millis(100);

struct Work<'a> {
    config: &'a Config,
    session: &'a Session,
}

impl Work<'_> {
    /// Whether it was made, and whether its replication was changed.
    async fn keyspace(&self, name: &str) -> Result<(bool, bool), MigrateError> {
        let found = self.replication(name).await.map_err(SchemaError::Read)?;
        let text = text(&self.config.replication);
        match found {
            None => {
                self.change(&format!("CREATE KEYSPACE IF NOT EXISTS {name} WITH replication = {text}"))
                    .await?;
                Ok((true, false))
            }
            Some(found) if is_same(&self.config.replication, &found) => Ok((false, false)),
            Some(_) => {
                self.change(&format!("ALTER KEYSPACE {name} WITH replication = {text}")).await?;
                Ok((false, true))
            }
        }
    }

    async fn replication(&self, keyspace: &str) -> Result<Option<BTreeMap<String, String>>, ReadError> {
        const QUESTION: &str = "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = ?";
        let rows = self.session.query_unpaged(QUESTION, (keyspace,)).await?.into_rows_result()?;
        let row = rows.maybe_first_row::<(BTreeMap<String, String>,)>().map_err(ReadError::corrupt)?;
        Ok(row.map(|(replication,)| replication))
    }

    /// Applies what is missing.
    async fn steps(&self, schemas: &[&Schema]) -> Result<Vec<(&'static str, usize)>, MigrateError> {
        self.change(&format!(
            "CREATE TABLE IF NOT EXISTS {STEPS_TABLE} (name text, step int, hash bigint, PRIMARY KEY (name, step))"
        ))
        .await?;
        let mut found = schema::applied(self.session).await.map_err(SchemaError::Read)?;
        let mut applied = Vec::new();
        for schema in schemas {
            while let Some(step) = schema::first_missing(schema, &found)? {
                self.step(schema, step, &mut found).await?;
                applied.push((schema.name, step));
            }
        }
        Ok(applied)
    }

    async fn step(&self, schema: &Schema, step: usize, found: &mut Applied) -> Result<(), MigrateError> {
        let statements = schema.steps[step - 1];
        for statement in statements {
            self.change(statement).await?;
        }
        let hash = schema::hash(statements);
        let number = i32::try_from(step).expect("nobody writes so many steps");
        let statement = format!("INSERT INTO {STEPS_TABLE} (name, step, hash) VALUES (?, ?, ?)");
        let written = self.session.query_unpaged(statement.as_str(), (schema.name, number, hash)).await;
        written.map_err(|error| MigrateError::Change { statement, source: error.into() })?;
        found.insert((schema.name.to_owned(), step), hash);
        Ok(())
    }

    /// The driver waits until all nodes agree.
    async fn change(&self, statement: &str) -> Result<(), MigrateError> {
        let changed = self.session.query_unpaged(session::schema_change(self.config, statement), ()).await;
        let wrap =
            |error| MigrateError::Change { statement: statement.to_owned(), source: WriteError::from(error) };
        changed.map_err(wrap)?;
        Ok(())
    }
}

fn text(replication: &Replication) -> String {
    let entries: Vec<String> =
        wanted(replication).iter().map(|(key, value)| format!("'{key}': '{value}'")).collect();
    format!("{{{}}}", entries.join(", "))
}

/// As Cassandra shows it.
fn wanted(replication: &Replication) -> BTreeMap<String, String> {
    let entry = |key: &str, value: &str| (key.replace('\'', "''"), value.to_owned());
    match replication {
        Replication::Simple(copies) => {
            [entry("class", SIMPLE), entry("replication_factor", &copies.to_string())].into()
        }
        Replication::Datacenters(copies) => {
            let datacenters = copies.iter().map(|(name, copies)| entry(name, &copies.to_string()));
            datacenters.chain([entry("class", BY_DATACENTER)]).collect()
        }
    }
}

/// Cassandra shows classes with their package, ScyllaDB too.
fn is_same(replication: &Replication, found: &BTreeMap<String, String>) -> bool {
    let wanted = wanted(replication);
    wanted.len() == found.len()
        && wanted.iter().all(|(key, value)| {
            found.get(key).is_some_and(|found| found.rsplit('.').next() == Some(value.as_str()))
        })
}

const SIMPLE: &str = "SimpleStrategy";
const BY_DATACENTER: &str = "NetworkTopologyStrategy";

#[cfg(test)]
mod tests {
    use super::*;

    fn found(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn replication_is_compared_as_cassandra_shows_it() {
        let simple = Replication::Simple(3);
        assert_eq!(text(&simple), "{'class': 'SimpleStrategy', 'replication_factor': '3'}");
        let shown = [("class", "org.apache.cassandra.locator.SimpleStrategy"), ("replication_factor", "3")];
        assert!(is_same(&simple, &found(&shown)));
        assert!(!is_same(&Replication::Simple(1), &found(&shown)));

        let by_datacenter = Replication::Datacenters(vec![("b".into(), 3), ("a".into(), 2)]);
        assert_eq!(text(&by_datacenter), "{'a': '2', 'b': '3', 'class': 'NetworkTopologyStrategy'}");
        let shown =
            [("class", "org.apache.cassandra.locator.NetworkTopologyStrategy"), ("a", "2"), ("b", "3")];
        assert!(is_same(&by_datacenter, &found(&shown)));
        assert!(!is_same(&by_datacenter, &found(&shown[..2])));
        assert!(!is_same(&simple, &found(&shown)));
    }
}
