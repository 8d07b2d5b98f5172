//! The schema: made and changed by a migration, and only checked by who connects.

use storage::cassandra::{
    Cassandra, Config, ConnectError, KeyspaceName, MigrateError, Migrated, Replication, Schema, SchemaError,
    migrate,
};
use testkit::cassandra;

const ONE_STEP: Schema = Schema { name: "test", steps: &[&[MAKE_A]] };
const TWO_STEPS: Schema = Schema { name: "test", steps: &[&[MAKE_A], &[ADD_TO_A, MAKE_B]] };
const ANOTHER: Schema = Schema { name: "another", steps: &[&[MAKE_C]] };
const MAKE_A: &str = "CREATE TABLE IF NOT EXISTS a (id bigint PRIMARY KEY)";
const ADD_TO_A: &str = "ALTER TABLE a ADD IF NOT EXISTS name text";
const MAKE_B: &str = "CREATE TABLE IF NOT EXISTS b (id bigint PRIMARY KEY)";
const MAKE_C: &str = "CREATE TABLE IF NOT EXISTS c (id bigint PRIMARY KEY)";

async fn refused(config: &Config, schemas: &[&Schema]) -> ConnectError {
    Cassandra::connect(config, schemas).await.expect_err("it connects")
}

#[tokio::test]
async fn a_migration_makes_what_is_missing_and_then_does_nothing() {
    let Some(address) = cassandra::shared() else { return };
    let config = cassandra::config(address);
    let error = refused(&config, &[]).await;
    assert!(matches!(error, ConnectError::NoKeyspace { .. }), "{error}");

    let first = migrate(&config, &[&ONE_STEP, &ANOTHER]).await.unwrap();
    let applied = vec![("test", 1), ("another", 1)];
    assert_eq!(first, Migrated { made_keyspace: true, changed_replication: false, applied });
    for _ in 0..2 {
        assert_eq!(migrate(&config, &[&ONE_STEP, &ANOTHER]).await.unwrap(), Migrated::default());
    }
    Cassandra::connect(&config, &[&ONE_STEP, &ANOTHER]).await.unwrap();

    let error = refused(&config, &[&TWO_STEPS]).await;
    let is_behind = |error: &ConnectError| {
        matches!(error, ConnectError::Schema(SchemaError::Behind { name: "test", applied: 1, needed: 2 }))
    };
    assert!(is_behind(&error), "{error}");
    let second = migrate(&config, &[&TWO_STEPS]).await.unwrap();
    assert_eq!(second, Migrated { applied: vec![("test", 2)], ..Migrated::default() });
    let session = Cassandra::connect(&config, &[&ONE_STEP, &TWO_STEPS]).await.unwrap();
    session.prepare_read("SELECT name FROM a").await.unwrap();
    assert_eq!(
        migrate(&config, &[&ONE_STEP]).await.unwrap(),
        Migrated::default(),
        "an older version changes nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn migrations_at_one_time_apply_each_step_once() {
    let Some(address) = cassandra::shared() else { return };
    let config = cassandra::config(address);
    let at_once = || async { migrate(&config, &[&TWO_STEPS, &ANOTHER]).await.unwrap() };
    let all: [Migrated; 4] = tokio::join!(at_once(), at_once(), at_once(), at_once()).into();
    let mut applied: Vec<_> = all.into_iter().flat_map(|migrated| migrated.applied).collect();
    applied.sort_unstable();
    assert_eq!(applied, [("another", 1), ("test", 1), ("test", 2)]);
}

#[tokio::test]
async fn a_step_that_was_changed_is_found_out() {
    let Some(address) = cassandra::shared() else { return };
    let config = cassandra::config(address);
    migrate(&config, &[&ONE_STEP]).await.unwrap();
    let changed = Schema { name: "test", steps: &[&[MAKE_B]] };
    let error = migrate(&config, &[&changed]).await.unwrap_err();
    assert!(matches!(error, MigrateError::Schema(SchemaError::Differs { name: "test", step: 1 })), "{error}");
    let error = refused(&config, &[&changed]).await;
    assert!(matches!(error, ConnectError::Schema(SchemaError::Differs { .. })), "{error}");
}

#[tokio::test]
async fn a_step_that_fails_is_begun_again() {
    let Some(address) = cassandra::shared() else { return };
    let config = cassandra::config(address);
    let broken = Schema { name: "test", steps: &[&[MAKE_A, "CREATE TABLE nonsense"]] };
    let error = migrate(&config, &[&broken]).await.unwrap_err();
    assert!(
        matches!(&error, MigrateError::Change { statement, .. } if statement.contains("nonsense")),
        "{error}"
    );
    let migrated = migrate(&config, &[&TWO_STEPS]).await.unwrap();
    assert_eq!(migrated.applied, [("test", 1), ("test", 2)]);
}

#[tokio::test]
async fn a_changed_replication_is_applied() {
    let Some(address) = cassandra::shared() else { return };
    let config = cassandra::config(address);
    migrate(&config, &[]).await.unwrap();
    let by_datacenter = Replication::Datacenters(vec![("datacenter1".into(), 1)]);
    let config = Config { replication: by_datacenter, ..config };
    for changed_replication in [true, false] {
        let migrated = migrate(&config, &[]).await.unwrap();
        assert_eq!(migrated, Migrated { changed_replication, ..Migrated::default() });
    }
}

#[tokio::test]
async fn what_cannot_be_is_said_precisely() {
    let Some(address) = cassandra::shared() else { return };
    let bad = Config { keyspace: "a.b".into(), ..cassandra::config(address) };
    let error = refused(&bad, &[]).await;
    assert!(matches!(&error, ConnectError::KeyspaceName(KeyspaceName(name)) if name == "a.b"), "{error}");
    let nowhere = cassandra::config("127.0.0.1:1");
    let error = refused(&nowhere, &[]).await;
    assert!(
        matches!(&error, ConnectError::Refused { nodes, .. } if nodes.contains("127.0.0.1:1")),
        "{error}"
    );
}
