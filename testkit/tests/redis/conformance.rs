//! The suites, each test under a key prefix of its own.

use std::sync::{Arc, OnceLock};

use backplane::{RedisRegistry, RedisRoster, RedisSessions, RedisStarts, Registry, Roster, Sessions, Starts};
use redis_link::Link;
use testkit::conformance::ENTRY_MS;
use testkit::conformance::starts::{DAY_MS, LANE_MS};
use testkit::redis::{self, RedisServer};

fn registry(link: Link) -> Arc<dyn Registry> {
    Arc::new(RedisRegistry::with_entry_ms(link, ENTRY_MS))
}

fn sessions(link: Link) -> Arc<dyn Sessions> {
    Arc::new(RedisSessions::with_entry_ms(link, ENTRY_MS))
}

fn roster(link: Link) -> Arc<dyn Roster> {
    Arc::new(RedisRoster::new(link))
}

fn starts(link: Link) -> Arc<dyn Starts> {
    Arc::new(RedisStarts::with_windows_ms(link, DAY_MS, LANE_MS))
}

mod on_one_server {
    use super::*;

    async fn make_registry() -> Option<Arc<dyn Registry>> {
        redis::link().map(registry)
    }

    async fn make_sessions() -> Option<Arc<dyn Sessions>> {
        redis::link().map(sessions)
    }

    async fn make_roster() -> Option<Arc<dyn Roster>> {
        redis::link().map(roster)
    }

    async fn make_starts() -> Option<Arc<dyn Starts>> {
        redis::link().map(starts)
    }

    testkit::registry_conformance!(make_registry);
    testkit::sessions_conformance!(make_sessions);
    testkit::roster_conformance!(make_roster);
    testkit::starts_conformance!(make_starts);
}

/// Such a node refuses every script that touches keys of two slots.
mod on_a_node_of_a_cluster {
    use super::*;

    static NODE: OnceLock<Option<RedisServer>> = OnceLock::new();

    fn link() -> Option<Link> {
        let node = NODE.get_or_init(RedisServer::clustered).as_ref()?;
        Some(Link::start(redis::config(node)).unwrap())
    }

    async fn make_registry() -> Option<Arc<dyn Registry>> {
        link().map(registry)
    }

    async fn make_sessions() -> Option<Arc<dyn Sessions>> {
        link().map(sessions)
    }

    async fn make_roster() -> Option<Arc<dyn Roster>> {
        link().map(roster)
    }

    async fn make_starts() -> Option<Arc<dyn Starts>> {
        link().map(starts)
    }

    testkit::registry_conformance!(make_registry);
    testkit::sessions_conformance!(make_sessions);
    testkit::roster_conformance!(make_roster);
    testkit::starts_conformance!(make_starts);
}
