//! A writer that is started in the place of one that was killed: it knows that the other has ended.

use std::time::Duration;

use model::limits::{SLOT_LEASE_MS, SLOT_SETTLE_MS};
use testkit::cluster::Options;
use tokio::time::Instant;

use crate::House;
use crate::faults::send_until_it_is_taken;

/// Whoever does not know it waits for the lease's end, which is counted from its own start.
#[tokio::test]
async fn a_replica_that_is_started_again_does_not_wait_for_the_lease_of_the_one_before() {
    let one = |folder| Options { messages: 1, ..Options::small(folder) };
    let Some(house) = House::open_with(one).await else { return };
    let (alice, messages) = (house.rest(0, "alice"), house.cluster.member("messages-1"));
    let before = send_until_it_is_taken(&alice, house.general(), 0, "before").await;
    messages.kill();
    let killed_at = Instant::now();
    let after = send_until_it_is_taken(&alice, house.general(), 0, "after").await;
    let took = killed_at.elapsed();
    println!("taken {took:?} after the kill");
    let (settle, lease) = (Duration::from_millis(SLOT_SETTLE_MS), Duration::from_millis(SLOT_LEASE_MS));
    assert!((settle..lease).contains(&took), "after {took:?}");
    let history = alice.get(&format!("/channels/{}/messages?limit=2", house.general())).await;
    let ids: Vec<_> = history.as_array().unwrap().iter().map(|message| message["id"].clone()).collect();
    assert_eq!(ids, [after, before]);
    house.cluster.stop().await;
}
