//! Replicas that are started in the place of others that have ended, and know it.

use super::*;

/// Its row goes when nothing more of it can be written, and no sooner: then its slots are anybody's.
#[tokio::test(start_paused = true)]
async fn who_is_started_in_the_place_of_one_that_has_ended_does_not_wait_for_its_lease() {
    let world = World::new(9, Faults::default());
    let (first, second) = (world.start("10.0.0.1:9091"), world.start("10.0.0.2:9091"));
    pass(20).await;
    let (owned, [id]) = (first.owned(), first.ids()[..].try_into().unwrap());
    assert!(owned > 0);
    first.kill();
    sleep(Duration::from_millis(1)).await;
    let (next, began) = (world.start_after(&first), Instant::now());
    while world.has(id).await {
        assert_eq!((next.owned(), second.owned()), (0, 1_024 - owned));
        let settled = timeout(Duration::ZERO, next.replica.settled(&[SET])).await;
        assert!(settled.is_err(), "it will have more in a moment");
        sleep(Duration::from_millis(10)).await;
    }
    let (settle, took) = (Timing::default().settle, began.elapsed());
    assert!((settle..settle + Duration::from_secs(1)).contains(&took), "after {took:?}");
    timeout(Duration::from_secs(2), next.replica.settled(&[SET])).await.expect("it has them all");
    world.check_shares(&[&next, &second]);
    world.check_never_two();
}

/// One that does not know it waits, whatever its address.
#[tokio::test(start_paused = true)]
async fn an_equal_address_proves_no_death() {
    let world = World::new(10, Faults::default());
    let first = world.start("10.0.0.1:9091");
    pass(20).await;
    first.freeze();
    let other = world.start("10.0.0.1:9091");
    pass(8).await;
    assert_eq!(other.owned(), 0);
    pass(6).await;
    assert_eq!(other.owned(), 1_024);
    world.check_never_two();
}

#[tokio::test(start_paused = true)]
async fn all_ids_of_a_place_are_known_to_whoever_comes_next() {
    let world = World::new(11, Faults::default());
    let first = world.start("10.0.0.1:9091");
    pass(10).await;
    first.freeze();
    pass(20).await;
    // Nobody else was there to remove its row, but its own lease has ended: it joins again, as another.
    first.thaw();
    pass(20).await;
    assert_eq!((first.ids().len(), first.owned()), (2, 1_024));
    first.kill();
    pass(1).await;
    // This one comes to nothing, and has joined.
    let second = world.start_after(&first);
    pass(1).await;
    second.kill();
    pass(1).await;
    let third = world.start_after(&second);
    pass(5).await;
    assert_eq!((third.ids().len(), third.owned()), (4, 1_024));
    for ended in second.ids() {
        assert!(!world.has(ended).await);
        // What was on its way when it ended is of no more use.
        world.join_late(ended).await;
    }
    pass(2).await;
    assert_eq!(third.owned(), 1_024);
    for ended in second.ids() {
        assert!(!world.has(ended).await, "its row came late, and goes at once");
    }
    world.check_never_two();
}
