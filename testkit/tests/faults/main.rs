//! A cluster of real processes in which something breaks while people talk. Whatever breaks, clients see delays or precise
//! errors: what was acknowledged reaches everybody who may see it, once and in order, and nobody else
//! ([`testkit::traffic`] says how that is known).
//!
//! Two clusters run side by side, as most of the time is spent waiting for leases: in one the servers fail that all roles
//! stand on, in the other the roles that write. `cargo test -p testkit --test faults` needs the servers that
//! `make servers` installs. It runs a part of the steps at which writers die; `FAULTS=all` runs all of them, and freezes
//! replicas beyond their lease, which takes some minutes more.

#![expect(clippy::unwrap_used, reason = "a test ends where it unwraps")]

mod audit;
mod gateways;
mod replicas;
mod revocation;
mod servers;
mod town;

use testkit::cluster::Database;
use town::Town;

/// Whether every step is to be gone through.
fn is_full() -> bool {
    std::env::var("FAULTS").is_ok_and(|faults| faults == "all")
}

#[tokio::test]
async fn servers_fail_and_nothing_is_lost() {
    let Some(town) = Town::open(3, Database::Own).await else { return };
    servers::a_node_of_nats_is_killed(&town).await;
    servers::the_whole_of_nats_is_restarted(&town).await;
    servers::a_gateway_is_cut_from_nats(&town).await;
    servers::cassandra_is_stopped(&town).await;
    servers::redis_is_stopped_and_emptied(&town).await;
    servers::presence_is_killed(&town).await;
    town.close().await;
}

#[tokio::test]
async fn gateways_are_replaced_and_nobody_begins_anew() {
    gateways::both_are_replaced_in_turn().await;
}

#[tokio::test]
async fn a_gateway_is_killed_and_what_came_last_comes_again() {
    gateways::one_is_killed().await;
}

#[tokio::test]
async fn writers_die_and_freeze_and_nothing_is_lost() {
    if cfg!(not(debug_assertions)) {
        println!("skipped: release builds have no fail points");
        return;
    }
    let Some(town) = Town::open(1, Database::Shared).await else { return };
    replicas::messages_is_killed_at_each_step(&town).await;
    revocation::guilds_is_killed_at_each_step_of_a_revocation(&town).await;
    if is_full() {
        replicas::a_replica_is_frozen_beyond_its_lease(&town).await;
    }
    audit::one_writer_at_a_time(&town).await;
    town.close().await;
}
