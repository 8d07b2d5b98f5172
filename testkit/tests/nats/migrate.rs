//! The streams: made and changed by a migration, and only checked by who connects.

use backplane::nats::{Config, ConnectError, MigrateError, Migrated, migrate};
use backplane::{Backplane, Layout, Nats, Partition, Stream};
use testkit::nats;

use crate::LAYOUT;

fn config() -> Config {
    nats::config(&nats::shared().url(), LAYOUT)
}

async fn refused(config: &Config) -> ConnectError {
    match Nats::connect(config).await {
        Ok(_) => panic!("it connects"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_migration_makes_what_is_missing_and_then_does_nothing() {
    let config = config();
    let missing = ConnectError::Missing(format!("{}_ev-0", config.prefix));
    assert_eq!(refused(&config).await, missing);
    let first = migrate(&config).await.unwrap();
    assert_eq!((first.made.len(), first.changed.len()), (4, 0));
    for _ in 0..2 {
        let again = migrate(&config).await.unwrap();
        assert_eq!(again, Migrated { incarnation: first.incarnation, ..Migrated::default() });
    }
    let backplane = Nats::connect(&config).await.unwrap();
    let state = backplane.state(Stream::Users(Partition(1))).await.unwrap();
    assert_eq!((state.incarnation, state.first, state.last), (first.incarnation, 1, 0));
}

#[tokio::test]
async fn a_changed_bound_is_applied_and_keeps_the_incarnation() {
    let config = config();
    let first = migrate(&config).await.unwrap();
    let larger = Config { guild_stream_bytes: config.guild_stream_bytes + 1, ..config.clone() };
    Nats::connect(&larger).await.expect("how much is kept is no reason to stand still");
    let changed = migrate(&larger).await.unwrap();
    assert_eq!((changed.made.len(), changed.changed.len()), (0, 2));
    assert_eq!(changed.incarnation, first.incarnation);
}

#[tokio::test]
async fn another_number_of_partitions_is_refused() {
    let config = config();
    migrate(&config).await.unwrap();
    for layout in [Layout { guild_partitions: 1, ..LAYOUT }, Layout { guild_partitions: 3, ..LAYOUT }] {
        let other = Config { layout, ..config.clone() };
        let error = migrate(&other).await.unwrap_err();
        assert!(matches!(error, MigrateError::Layout { .. }), "{error}");
        let error = refused(&other).await;
        assert!(matches!(error, ConnectError::Differs { field: "partitions", .. }), "{error}");
    }
}

/// More users' streams are a change of layout as well; what is missing then is made only where nothing is there yet.
#[tokio::test]
async fn a_stream_that_is_made_later_gives_all_a_new_incarnation() {
    let config = config();
    let guilds_only = Config { layout: Layout { user_partitions: 0, ..LAYOUT }, ..config.clone() };
    let first = migrate(&guilds_only).await.unwrap();
    assert_eq!(first.made.len(), 2);
    let second = migrate(&config).await.unwrap();
    assert_eq!((second.made.len(), second.changed.len()), (2, 2));
    assert_ne!(second.incarnation, first.incarnation);
    let backplane = Nats::connect(&config).await.unwrap();
    let state = backplane.state(Stream::Guilds(Partition(0))).await.unwrap();
    assert_eq!(state.incarnation, second.incarnation);
}

#[tokio::test]
async fn what_cannot_be_is_said_precisely() {
    let bad = Config { prefix: "a.b".into(), ..config() };
    assert_eq!(refused(&bad).await, ConnectError::Prefix("a.b".into()));
    let nowhere = Config { servers: vec!["nats://127.0.0.1:1".into()], ..config() };
    let error = refused(&nowhere).await;
    assert!(
        matches!(&error, ConnectError::Refused { servers, .. } if servers.contains("127.0.0.1:1")),
        "{error}"
    );
    let many = Config { replicas: 3, ..config() };
    let error = migrate(&many).await.unwrap_err();
    assert!(matches!(&error, MigrateError::Stream { reason, .. } if reason.contains("replicas")), "{error}");
}
