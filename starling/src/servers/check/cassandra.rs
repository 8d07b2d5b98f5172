//! What `starling check` says of Cassandra.

use model::limits::CASSANDRA_BATCH_BYTES;
use storage::cassandra::{Config, ConnectError, Inspected, SchemaError, inspect};

use super::{Outcome, number};
use crate::server::SCHEMAS;

pub(super) async fn look(config: &Config) -> Outcome {
    match inspect(config, &SCHEMAS).await {
        Ok(found) => judge(&found, &config.keyspace),
        Err(error) => Outcome::Wrong(advice(&error)),
    }
}

fn judge(found: &Inspected, keyspace: &str) -> Outcome {
    let Inspected { version, is_scylla, batch_bytes_max } = found;
    let (what, (major, minor)) =
        if *is_scylla { ("ScyllaDB, as version", (0, 0)) } else { ("version", VERSION_LEAST) };
    if number(version) < (major, minor) {
        return Outcome::Wrong(format!("version {version}; use {major}.{minor} or later"));
    }
    match batch_bytes_max {
        Some(bytes) if *bytes < CASSANDRA_BATCH_BYTES => Outcome::Odd(format!(
            "{what} {version}, but batch_size_fail_threshold is {} KiB: large changes are refused; set {} KiB",
            bytes / 1024,
            CASSANDRA_BATCH_BYTES / 1024
        )),
        _ => Outcome::Well(format!("{what} {version}, all tables in keyspace {keyspace}")),
    }
}

fn advice(error: &ConnectError) -> String {
    match error {
        ConnectError::Refused { .. } => {
            format!("{error}; see that it runs, and that cassandra_hosts, user and password are right")
        }
        ConnectError::Schema(SchemaError::Read(_)) => {
            format!("{error}; see that most of its nodes run, then check again")
        }
        // These say it themselves.
        _ => error.to_string(),
    }
}

/// What everything runs on that is tested.
const VERSION_LEAST: (u32, u32) = (5, 0);

#[cfg(test)]
mod tests {
    use super::*;

    fn said(version: &str, is_scylla: bool, batch_bytes_max: Option<u64>) -> String {
        match judge(&Inspected { version: version.to_owned(), is_scylla, batch_bytes_max }, "k") {
            Outcome::Well(text) => format!("ok {text}"),
            Outcome::Odd(text) => format!("odd {text}"),
            Outcome::Wrong(text) => format!("wrong {text}"),
        }
    }

    #[test]
    fn versions_and_the_limit_of_batches_are_judged() {
        assert_eq!(said("5.0.6", false, Some(8 << 20)), "ok version 5.0.6, all tables in keyspace k");
        assert_eq!(said("3.0.8", true, None), "ok ScyllaDB, as version 3.0.8, all tables in keyspace k");
        assert_eq!(said("4.1.3", false, None), "wrong version 4.1.3; use 5.0 or later");
        let small = said("5.0.6", false, Some(50 << 10));
        assert!(small.starts_with("odd ") && small.contains("is 50 KiB"), "{small}");
    }
}
