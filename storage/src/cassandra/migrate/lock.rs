//! The lock of a migration: one row, whose holder raises a beat while it lives.
//!
//! It is taken, raised and given up by conditional writes. Who waits takes it over once it has seen the same beat for as
//! long as a lease lasts (see `observed`); the holder stops sooner.

use crate::{
    cassandra::{ReadError, WriteError},
    observed::Observed,
};
use model::{
    entropy,
    limits::{CASSANDRA_SCHEMA_WAIT_MS, SLOT_LEASE_MS, SLOT_LEASE_RENEW_MS, SLOT_LEASE_STOP_MS},
};
use scylla::{
    client::session::Session,
    errors::ExecutionError,
    serialize::row::SerializeRow,
    statement::{Consistency, Statement},
};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// It can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It can't be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Somebody else works for too long.
    #[error("another migration has been at work for {} s", CASSANDRA_SCHEMA_WAIT_MS / 1_000)]
    Busy,
}

/// The lock while it is held.
pub(super) struct Lock<'a> {
    session: &'a Session,
    holder: i64,
    beat: i64,
    /// When what made it ours was sent.
    sent_at: Instant,
}

/// The statement that makes its table, which is the same table whoever makes it.
pub(super) fn table(keyspace: &str) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {TABLE} (id int PRIMARY KEY, holder bigint, beat bigint) WITH ID = {}",
        table_id(keyspace)
    )
}

impl<'a> Lock<'a> {
    /// Waits until it is ours.
    pub(super) async fn take(session: &'a Session) -> Result<Self, LockError> {
        let holder = entropy::number().cast_signed();
        let give_up_at = Instant::now() + Duration::from_millis(CASSANDRA_SCHEMA_WAIT_MS);
        let mut observed = Observed::new();
        let mut attempted_at = None;
        while Instant::now() < give_up_at {
            let found = read(session).await?;
            let now = Instant::now();
            let attempt = match found {
                // An attempt of ours that was not answered.
                Some((found, beat)) if found == holder => {
                    return Ok(Self { session, holder, beat, sent_at: attempted_at.unwrap_or(now) });
                }
                None => Some(None),
                Some(other) => {
                    let is_still = observed.note((), other, now) >= Duration::from_millis(SLOT_LEASE_MS);
                    is_still.then_some(Some(other))
                }
            };
            if let Some(from) = attempt {
                // From here on others may see that it is ours.
                attempted_at.get_or_insert(now);
                let beat = from.map_or(0, |(_, beat)| beat + 1);
                if attempt_to_take(session, from, (holder, beat)).await.unwrap_or(false) {
                    return Ok(Self { session, holder, beat, sent_at: now });
                }
            }
            sleep(POLL).await;
        }
        Err(LockError::Busy)
    }

    /// Raises the beat for as long as that works; returns when the lock is or may be lost.
    pub(super) async fn keep(&self) {
        const RAISE: &str = "UPDATE schema_lock SET beat = ? WHERE id = 0 IF holder = ? AND beat = ?";
        let (mut beat, mut sent_at) = (self.beat, self.sent_at);
        loop {
            let stop_at = sent_at + Duration::from_millis(SLOT_LEASE_STOP_MS);
            let renewed = timeout_at(stop_at, async {
                sleep(Duration::from_millis(SLOT_LEASE_RENEW_MS)).await;
                loop {
                    let sent_at = Instant::now();
                    match is_applied(self.session, RAISE, (beat + 1, self.holder, beat)).await {
                        Ok(true) => return Some((beat + 1, sent_at)),
                        Ok(false) => match read(self.session).await {
                            // Raised by an attempt before, which was not answered: how old it is nobody knows now.
                            Ok(Some((holder, found))) if holder == self.holder => beat = found,
                            Ok(_) => return None,
                            Err(_) => {}
                        },
                        Err(_) => {}
                    }
                    sleep(POLL).await;
                }
            });
            match renewed.await {
                Ok(Some(renewed)) => (beat, sent_at) = renewed,
                Ok(None) | Err(_) => return,
            }
        }
    }

    /// Gives it up. When that fails the next migration waits as long as a lease lasts.
    pub(super) async fn release(self) {
        const RELEASE: &str = "DELETE FROM schema_lock WHERE id = 0 IF holder = ?";
        if let Err(error) = is_applied(self.session, RELEASE, (self.holder,)).await {
            tracing::warn!(%error, "the lock of the schema is not given up");
        }
    }
}

async fn attempt_to_take(
    session: &Session,
    from: Option<(i64, i64)>,
    (holder, beat): (i64, i64),
) -> Result<bool, ExecutionError> {
    const TAKE: &str = "INSERT INTO schema_lock (id, holder, beat) VALUES (0, ?, ?) IF NOT EXISTS";
    const TAKE_OVER: &str =
        "UPDATE schema_lock SET holder = ?, beat = ? WHERE id = 0 IF holder = ? AND beat = ?";
    match from {
        None => is_applied(session, TAKE, (holder, beat)).await,
        Some((other, seen)) => is_applied(session, TAKE_OVER, (holder, beat, other, seen)).await,
    }
}

async fn read(session: &Session) -> Result<Option<(i64, i64)>, ReadError> {
    let mut statement = Statement::new("SELECT holder, beat FROM schema_lock WHERE id = 0");
    statement.set_consistency(Consistency::LocalSerial);
    let rows = session.query_unpaged(statement, ()).await?.into_rows_result()?;
    rows.maybe_first_row().map_err(ReadError::corrupt)
}

async fn is_applied(session: &Session, cql: &str, values: impl SerializeRow) -> Result<bool, ExecutionError> {
    let result = session.query_unpaged(cql, values).await?;
    // What was not applied comes with the row as it is, after the first column.
    let rows = result.into_rows_result().ok();
    let first = rows.and_then(|rows| rows.maybe_first_row::<scylla::value::Row>().ok().flatten());
    Ok(first.and_then(|row| row.columns.first().cloned().flatten()?.as_boolean()).unwrap_or(false))
}

/// A hash of the keyspace in the form of a name-based UUID: two keyspaces of one cluster have two tables.
fn table_id(keyspace: &str) -> String {
    let hash = keyspace.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    });
    let versioned = hash & !(0xf << 76) & !(0x3 << 62) | 0x5 << 76 | 0x2 << 62;
    let text = format!("{versioned:032x}");
    [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-")
}

const TABLE: &str = "schema_lock";
const POLL: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_keyspace_has_its_own_table_and_always_the_same() {
        assert_eq!(table_id("starling"), table_id("starling"));
        assert_ne!(table_id("starling"), table_id("starlinh"));
        let id = table_id("starling");
        assert!(id.len() == 36 && &id[14..15] == "5" && "89ab".contains(&id[19..20]), "{id}");
    }
}
