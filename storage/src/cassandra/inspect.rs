//! What people are told of Cassandra before anything is started on it.

use super::{Cassandra, Config, ConnectError, ReadError, Schema, session};
use scylla::client::session::Session;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// As the node says it; ScyllaDB names the version that it is compatible with.
    pub version: String,
    /// Whether it is ScyllaDB.
    pub is_scylla: bool,
    /// `batch_size_fail_threshold`, where the node says it.
    pub batch_bytes_max: Option<u64>,
}

/// Connects, looks at the node, and checks that these tables are there.
pub async fn inspect(config: &Config, schemas: &[&Schema]) -> Result<Inspected, ConnectError> {
    let session = session::session(config, None).await?;
    let unread = |error| ConnectError::Schema(super::SchemaError::Read(error));
    let version = "SELECT release_version FROM system.local WHERE key = 'local'";
    let version = first(&session, version).await.map_err(unread)?.unwrap_or_default();
    let of_scylla = "SELECT version FROM system.versions WHERE key = 'local'";
    let is_scylla = matches!(first(&session, of_scylla).await, Ok(Some(_)));
    let threshold = "SELECT value FROM system_views.settings WHERE name = 'batch_size_fail_threshold'";
    // Not every server shows its settings.
    let threshold = first(&session, threshold).await.ok().flatten();
    Cassandra::connect(config, schemas).await?;
    let batch_bytes_max = threshold.and_then(|text| bytes(&text));
    Ok(Inspected { version, is_scylla, batch_bytes_max })
}

async fn first(session: &Session, question: &str) -> Result<Option<String>, ReadError> {
    let rows = session.query_unpaged(question, ()).await?.into_rows_result()?;
    let row = rows.maybe_first_row::<(Option<String>,)>().map_err(ReadError::corrupt)?;
    Ok(row.and_then(|(text,)| text))
}

/// A size as it stands in the configuration of Cassandra.
fn bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit {
        "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_cassandra_writes_them() {
        assert_eq!(bytes("8192KiB"), Some(8 << 20));
        assert_eq!(bytes("8MiB"), Some(8 << 20));
        for bad in ["", "8", "KiB", "8kb", "99999999999GiB"] {
            assert_eq!(bytes(bad), None, "{bad}");
        }
    }
}
