//! `starling migrate` and `starling check` on a cluster that runs, and on what is wrong with one.

use std::process::Output;

use crate::House;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

async fn run(house: &House, arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = house.cluster.run(arguments).await.unwrap();
    (status.code(), text(&stdout) + &text(&stderr))
}

#[tokio::test]
async fn a_cluster_is_checked_and_migrated_again_with_the_same_result() {
    let Some(house) = House::open().await else { return };
    let first = house.cluster.run(&["migrate"]).await.unwrap();
    assert_eq!(first.status.code(), Some(0), "{first:?}");
    let migrated = text(&first.stdout);
    assert!(migrated.contains("6 streams, as configured before; incarnation "), "{migrated}");
    let of_cassandra = migrated.lines().find(|line| line.starts_with("cassandra: keyspace "));
    assert!(of_cassandra.is_some_and(|line| line.ends_with(", as configured before")), "{migrated}");
    let again = house.cluster.run(&["migrate"]).await.unwrap();
    assert_eq!(text(&again.stdout), migrated);

    let (code, checked) = run(&house, &["check"]).await;
    assert_eq!(code, Some(0), "{checked}");
    for what in ["nats ", "redis ", "cassandra ", "guilds: 2 of 2", "messages: 2 of 2", "presence: 1 of 1"] {
        assert!(checked.lines().any(|line| line.starts_with(&format!("ok    {what}"))), "{what}: {checked}");
    }

    let redis_away = ["check", "--redis-url", "redis://127.0.0.1:1"];
    let nats_away = ["check", "--nats-urls", "nats://127.0.0.1:1"];
    let cassandra_away = ["check", "--cassandra-hosts", "127.0.0.1:1"];
    let guilds = std::fs::read_to_string(house.folder.path().join("cluster.toml")).unwrap();
    let guilds = guilds
        .lines()
        .find_map(|line| line.strip_prefix("guilds_grpc = "))
        .unwrap()
        .trim_matches('"')
        .to_owned();
    let rows: [(&[&str], &str); 10] = [
        (&cassandra_away, "see that it runs, and that cassandra_hosts"),
        (&["check", "--cassandra-keyspace", "other"], "keyspace other is not there"),
        (&["check", "--cassandra-tls", "address"], "build it with the feature `cassandra-tls`"),
        (&redis_away, "wrong redis 127.0.0.1:1: Redis is away"),
        (&nats_away, "see that it runs, and that nats_urls"),
        (&["check", "--nats-guild-partitions", "5"], "run `starling migrate`"),
        (
            &["check", "--grpc-secret", "another-secret-than-theirs"],
            "wrong guilds: it does not know our secret",
        ),
        (&["check", "--messages-grpc", &guilds], "wrong messages: it is another role"),
        (&["check", "--presence-grpc", "127.0.0.1:1"], "wrong presence: it does not answer"),
        (&["migrate", "--nats-user-partitions", "3"], "was made for 2 partitions, not 3"),
    ];
    for (arguments, expected) in rows {
        let (code, said) = run(&house, arguments).await;
        assert_eq!(code, Some(1), "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
    // How much is kept is no reason to stand still.
    let (code, said) = run(&house, &["check", "--nats-guild-stream-bytes", "2000000"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("odd   nats") && said.contains("max_bytes"), "{said}");
    // It may be that only the check was not told of it.
    let (code, said) = run(&house, &["check", "--cassandra-hosts", ""]).await;
    assert_eq!(code, Some(0), "{said}");
    let divided = "without cassandra_hosts each of these 2 replicas";
    assert!(said.contains(&format!("odd   guilds_grpc: {divided}")), "{said}");
    assert!(said.contains(&format!("odd   messages_grpc: {divided}")), "{said}");
    house.cluster.stop().await;
}
