//! Replicas on a register in memory, in virtual time: several of them, some of which stand still, die or come and go,
//! while answers are late or lost. However it goes, no slot is written to under two leases at one time.

mod place;
mod world;

use super::*;
use crate::leases::{Epoch, Pass};
use std::collections::BTreeMap;
use world::{Faults, World};

const SET: SlotSet = SlotSet::Channels;

async fn pass(secs: u64) {
    sleep(Duration::from_secs(secs)).await;
}

#[tokio::test(start_paused = true)]
async fn the_first_replica_takes_everything_and_gives_a_newcomer_its_share() {
    let world = World::new(1, Faults::default());
    let first = world.start("10.0.0.1:9091");
    first.replica.settled(&[SET]).await;
    assert_eq!(first.owned(), 1_024);
    let second = world.start("10.0.0.2:9091");
    second.replica.settled(&[SET]).await;
    assert_eq!((first.owned(), second.owned()), (1_024, 0), "it has not lived long enough");
    pass(20).await;
    world.check_shares(&[&first, &second]);
    let refused = (0..1_024).filter_map(Slot::new).find_map(|slot| first.replica.lease(SET, slot).err());
    assert_eq!(refused.unwrap().owner.as_deref(), Some("10.0.0.2:9091"));
    world.check_never_two();
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_swept_before_it_is_served_and_once_more() {
    let world = World::new(2, Faults::default());
    let first = world.start("10.0.0.1:9091");
    first.replica.settled(&[SET]).await;
    let sweeps = |pass| first.service.sweeps(pass);
    assert_eq!((sweeps(Pass::First), sweeps(Pass::Late)), (1_024, 0));
    pass(29).await;
    assert_eq!(sweeps(Pass::Late), 0);
    pass(10).await;
    assert_eq!((sweeps(Pass::First), sweeps(Pass::Late)), (1_024, 1_024));
}

#[tokio::test(start_paused = true)]
async fn who_leaves_is_replaced_at_once_and_who_dies_when_its_lease_has_ended() {
    let world = World::new(3, Faults::default());
    let replicas = ["10.0.0.1:9091", "10.0.0.2:9091", "10.0.0.3:9091"].map(|address| world.start(address));
    pass(20).await;
    world.check_shares(&replicas.iter().collect::<Vec<_>>());
    let [first, second, third] = replicas;
    third.stop().await;
    assert_eq!(third.owned(), 0);
    pass(3).await;
    world.check_shares(&[&first, &second]);
    let before = second.owned();
    assert!(before > 0);
    second.kill();
    pass(8).await;
    assert!(first.owned() < 1_024, "the dead one's lease may not have ended");
    pass(6).await;
    world.check_shares(&[&first]);
    world.check_never_two();
}

#[tokio::test(start_paused = true)]
async fn who_is_stopped_while_it_takes_slots_gives_them_up() {
    let world = World::new(7, Faults::slow());
    let first = world.start("10.0.0.1:9091");
    while world.had().await == 0 {
        sleep(Duration::from_millis(10)).await;
    }
    timeout(Duration::from_secs(60), first.stop()).await.expect("it ends");
    assert_eq!(world.had().await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_stood_still_beyond_its_lease_owns_nothing_when_it_wakes() {
    let world = World::new(4, Faults::default());
    let (first, second) = (world.start("10.0.0.1:9091"), world.start("10.0.0.2:9091"));
    pass(20).await;
    let leases = first.leases();
    assert!(!leases.is_empty());
    first.freeze();
    pass(5).await;
    first.thaw();
    pass(5).await;
    assert_eq!(first.leases(), leases, "within its lease it goes on as if nothing had been");
    first.freeze();
    pass(20).await;
    assert_eq!(second.owned(), 1_024);
    // Not one step of the frozen one has been made: the lease ends by time alone.
    for lease in &leases {
        assert!(first.replica.check(lease).is_err());
    }
    first.thaw();
    pass(20).await;
    world.check_shares(&[&first, &second]);
    let epochs: BTreeMap<Slot, Epoch> = leases.iter().map(|lease| (lease.slot, lease.epoch)).collect();
    assert!(first.leases().iter().all(|lease| epochs.get(&lease.slot).is_none_or(|old| lease.epoch > *old)));
    assert!(first.service.drained(&leases), "what was held under the old leases is forgotten");
    world.check_never_two();
}

/// What was sent under a lease may still be on its way when the service did not end in time.
#[tokio::test(start_paused = true)]
async fn a_slot_that_is_not_drained_in_time_passes_on_when_nothing_can_be_written_any_more() {
    let world = World::new(6, Faults::default());
    let first = world.start("10.0.0.1:9091");
    first.replica.settled(&[SET]).await;
    let leases = first.leases();
    first.service.hang();
    let second = world.start("10.0.0.2:9091");
    let refused = |lease: &&Lease| first.replica.check(lease).is_err();
    while !leases.iter().any(|lease| refused(&lease)) {
        sleep(Duration::from_millis(10)).await;
    }
    let refused: Vec<&Lease> = leases.iter().filter(refused).collect();
    let refused_at = Instant::now();
    let is_had = |lease: &&Lease| second.replica.table.check_slot(SET, lease.slot);
    while !refused.iter().any(is_had) {
        sleep(Duration::from_millis(10)).await;
    }
    let (passed, settle) = (refused_at.elapsed(), Timing::default().settle);
    assert!(passed + Duration::from_millis(10) >= settle, "after {passed:?}");
}

/// A late sweep deletes: what it has sent must not arrive after the next owner has looked.
#[tokio::test(start_paused = true)]
async fn a_slot_that_is_being_swept_passes_on_when_the_sweep_is_over() {
    let world = World::new(8, Faults::default());
    let first = world.start("10.0.0.1:9091");
    first.replica.settled(&[SET]).await;
    first.service.hang_late();
    pass(35).await;
    let swept = first.service.hanging();
    assert!(!swept.is_empty());
    let second = world.start("10.0.0.2:9091");
    let (mut refused_at, mut passed) = (BTreeMap::new(), 0);
    while passed == 0 {
        sleep(Duration::from_millis(10)).await;
        for lease in &swept {
            if first.replica.lease(SET, lease.slot).is_err() {
                refused_at.entry(lease.slot).or_insert_with(Instant::now);
            }
            if second.replica.table.check_slot(SET, lease.slot) {
                passed += 1;
                assert!(refused_at[&lease.slot].elapsed() >= Timing::default().settle);
                assert!(!first.service.hanging().contains(lease));
            }
        }
    }
}

/// A sweep that can't be done holds its slot back, and no other, nor the process that has it.
#[tokio::test(start_paused = true)]
async fn a_slot_that_cannot_be_swept_is_not_served() {
    let world = World::new(5, Faults::default());
    let first = world.start("10.0.0.1:9091");
    let slot = Slot::new(7).unwrap();
    first.service.fail_sweeps_of(Some(slot));
    timeout(Duration::from_secs(60), first.replica.settled(&[SET])).await.expect("the others are served");
    assert_eq!(first.owned(), 1_023);
    let refused = first.replica.lease(SET, slot).unwrap_err();
    assert_eq!(refused.slot, slot);
    first.service.fail_sweeps_of(None);
    pass(3).await;
    assert_eq!(first.owned(), 1_024);
}

#[tokio::test(start_paused = true)]
async fn however_it_goes_no_slot_has_two_owners_and_in_the_end_each_has_one() {
    for seed in 0..4 {
        let world = World::new(100 + seed, Faults::rough());
        let names: Vec<String> = (1..=4).map(|n| format!("10.0.0.{n}:9091")).collect();
        let mut replicas: Vec<_> = names.iter().map(|name| world.start(name)).collect();
        for _ in 0..25 {
            pass(1 + world.below(5)).await;
            let chosen = usize::try_from(world.below(4)).unwrap();
            match world.below(6) {
                0 => replicas[chosen].freeze(),
                1 | 2 => replicas[chosen].thaw(),
                3 => replicas[chosen].kill(),
                4 if replicas[chosen].is_dead() => replicas[chosen] = world.start(&names[chosen]),
                5 if replicas[chosen].is_dead() => replicas[chosen] = world.start_after(&replicas[chosen]),
                _ => {}
            }
        }
        world.calm();
        // Whoever was killed last is dead by then.
        pass(1).await;
        for (replica, name) in replicas.iter_mut().zip(&names) {
            replica.thaw();
            if replica.is_dead() {
                *replica = world.start(name);
            }
        }
        pass(60).await;
        world.check_shares(&replicas.iter().collect::<Vec<_>>());
        world.check_never_two();
    }
}
