//! What every register of replicas and slots has to do.

use std::sync::Arc;

use futures_util::future::join_all;
use model::limits::SLOT_BATCH_LEN;
use storage::{Epoch, Holding, Lease, Member, Register, ReplicaId, Slot, SlotSet};

use super::backplane::fresh;

/// Makes one test of each property; the maker is an `async fn() -> Option<Arc<dyn Register>>` of an empty register.
#[macro_export]
macro_rules! register_conformance {
    ($maker:path) => {
        $crate::conformance_tests_where_possible! { $maker, [$crate::conformance::register]
            a_replica_is_there_from_its_joining_until_it_is_removed
            a_batch_of_slots_is_taken_by_who_saw_them_as_they_are
            what_a_removed_replica_had_sent_gives_it_nothing
            a_slot_is_released_by_its_owner_under_its_lease
            sets_are_apart
            of_many_who_take_the_same_slots_one_has_them
        }
    };
}

const SET: SlotSet = SlotSet::Channels;

fn id() -> ReplicaId {
    ReplicaId(fresh())
}

fn member(id: ReplicaId) -> Member {
    Member { id, address: "10.0.0.7:9091".into(), version: 1, is_leaving: false }
}

fn nobodys(set: SlotSet, slot: u16) -> Holding {
    let slot = Slot::new(slot).expect("below 1,024");
    Holding { set, slot, owner: None, epoch: Epoch(0) }
}

fn held(seen: Holding, owner: ReplicaId, epoch: u64) -> Holding {
    Holding { owner: Some(owner), epoch: Epoch(epoch), ..seen }
}

fn lease(held: Holding) -> Lease {
    Lease { set: held.set, slot: held.slot, epoch: held.epoch }
}

async fn take(register: &Arc<dyn Register>, owner: ReplicaId, seen: &[Holding], epoch: u64) -> bool {
    let slots: Vec<_> = seen.iter().map(|seen| (*seen, Epoch(epoch))).collect();
    register.take(owner, &slots).await.expect("an answer")
}

async fn holdings(register: &Arc<dyn Register>, sets: &[SlotSet]) -> Vec<Holding> {
    let mut holdings = register.look(sets).await.expect("an answer").holdings;
    holdings.sort_by_key(|held| (held.set, held.slot));
    holdings
}

async fn members(register: &Arc<dyn Register>) -> Vec<Member> {
    let mut members = register.look(&[SET]).await.expect("an answer").members;
    members.sort_by_key(|member| member.id);
    members
}

pub async fn a_replica_is_there_from_its_joining_until_it_is_removed(register: Arc<dyn Register>) {
    let (one, other) = (id(), id());
    assert_eq!(members(&register).await, []);
    register.join(&member(one)).await.expect("an answer");
    register.join(&member(other)).await.expect("an answer");
    register.join(&member(one)).await.expect_err("an id is used once");

    let raise = async |from, is_leaving| register.raise(one, from, is_leaving).await.expect("an answer");
    assert_eq!(raise(1, false).await, Some(2));
    assert_eq!(raise(1, false).await, Some(2), "it is not 1 any more");
    assert_eq!(raise(7, true).await, Some(2), "and never was 7");
    assert_eq!(raise(2, true).await, Some(3));
    let mut expected = vec![Member { version: 3, is_leaving: true, ..member(one) }, member(other)];
    expected.sort_by_key(|member| member.id);
    assert_eq!(members(&register).await, expected);

    let remove = async |version| register.remove(one, version).await.expect("an answer");
    assert!(!remove(2).await, "it has given a sign of life since");
    assert!(remove(3).await && !remove(3).await);
    assert_eq!(raise(3, false).await, None);
    assert_eq!(members(&register).await, [member(other)]);
}

pub async fn a_batch_of_slots_is_taken_by_who_saw_them_as_they_are(register: Arc<dyn Register>) {
    let (one, other) = (id(), id());
    let count = u16::try_from(SLOT_BATCH_LEN).expect("a batch is short");
    let free: Vec<Holding> = (0..count).map(|slot| nobodys(SET, slot)).collect();
    assert!(take(&register, one, &free, 5).await);
    assert!(!take(&register, other, &free[..1], 5).await, "it is taken");
    let first: Vec<Holding> = free.iter().map(|seen| held(*seen, one, 5)).collect();
    assert_eq!(holdings(&register, &[SET]).await, first);

    // One that is not as it was seen, and none is taken.
    assert!(!take(&register, other, &[first[0], first[1], free[2]], 6).await);
    assert!(!take(&register, other, &[held(free[0], other, 5)], 6).await, "another owner");
    assert!(!take(&register, other, &[held(free[0], one, 4)], 6).await, "another epoch");
    assert_eq!(holdings(&register, &[SET]).await, first);
    assert!(take(&register, other, &first[..2], 6).await);
    let mut second = first;
    second[..2].iter_mut().for_each(|row| *row = held(*row, other, 6));
    assert_eq!(holdings(&register, &[SET]).await, second);
}

/// It may be on its way when somebody who knows of its death has removed the row.
pub async fn what_a_removed_replica_had_sent_gives_it_nothing(register: Arc<dyn Register>) {
    let (dead, next) = (id(), id());
    register.join(&member(dead)).await.expect("an answer");
    let free = nobodys(SET, 3);
    assert!(take(&register, dead, &[free], 5).await);
    assert!(register.remove(dead, 1).await.expect("an answer"));
    assert_eq!(register.raise(dead, 1, false).await.expect("an answer"), None);
    assert_eq!(members(&register).await, [], "a raise makes no row");

    let left = held(free, dead, 5);
    assert!(take(&register, next, &[left], 6).await);
    assert!(!take(&register, dead, &[left], 6).await, "it is not as it was seen");
    let released = register.release(dead, &[lease(left)]).await;
    assert!(!released.expect("an answer"));
    assert_eq!(holdings(&register, &[SET]).await, [held(free, next, 6)]);

    register.join(&member(dead)).await.expect("an answer");
    assert!(register.remove(dead, 1).await.expect("an answer"), "a joining that comes late is undone");
    assert_eq!(members(&register).await, []);
}

pub async fn a_slot_is_released_by_its_owner_under_its_lease(register: Arc<dyn Register>) {
    let (one, other) = (id(), id());
    let free = [nobodys(SET, 3), nobodys(SET, 1_023)];
    assert!(take(&register, one, &free, 5).await);
    let rows = free.map(|seen| held(seen, one, 5));
    let leases = rows.map(lease);
    let release = async |owner, leases: &[Lease]| register.release(owner, leases).await.expect("an answer");
    assert!(!release(other, &leases).await && !release(one, &[Lease { epoch: Epoch(4), ..leases[0] }]).await);
    assert!(!release(one, &[leases[0], Lease { epoch: Epoch(6), ..leases[1] }]).await, "all or none");
    assert_eq!(holdings(&register, &[SET]).await, rows);
    assert!(release(one, &leases).await);
    // Its epoch stays, so that the next owner's is higher.
    let free_again = rows.map(|row| Holding { owner: None, ..row });
    assert_eq!(holdings(&register, &[SET]).await, free_again);
    assert!(!take(&register, other, &free, 5).await, "that is how it was before");
    assert!(take(&register, other, &free_again, 6).await);
    assert!(!release(one, &leases).await);
}

pub async fn sets_are_apart(register: Arc<dyn Register>) {
    let (one, other) = (id(), id());
    assert!(take(&register, one, &[nobodys(SlotSet::Guilds, 7)], 5).await);
    assert!(take(&register, other, &[nobodys(SlotSet::Users, 7)], 6).await);
    let (guilds, users) =
        (held(nobodys(SlotSet::Guilds, 7), one, 5), held(nobodys(SlotSet::Users, 7), other, 6));
    assert_eq!(holdings(&register, &[SlotSet::Guilds]).await, [guilds]);
    assert_eq!(holdings(&register, &[SlotSet::Guilds, SlotSet::Users]).await, [guilds, users]);
    assert_eq!(holdings(&register, &[SET]).await, []);
}

pub async fn of_many_who_take_the_same_slots_one_has_them(register: Arc<dyn Register>) {
    let takers: Vec<ReplicaId> = (0..4).map(|_| id()).collect();
    let free: Vec<(Holding, Epoch)> = (0..8).map(|slot| (nobodys(SET, slot), Epoch(5))).collect();
    let taken = join_all(takers.iter().map(|taker| register.take(*taker, &free))).await;
    let rows = holdings(&register, &[SET]).await;
    let owner = rows.first().and_then(|row| row.owner);
    assert!(rows.len() == free.len() && rows.iter().all(|row| row.owner == owner && row.epoch == Epoch(5)));
    for (taker, taken) in takers.iter().zip(taken) {
        // Who has no answer knows nothing.
        if let Ok(is_taken) = taken {
            assert_eq!(is_taken, Some(*taker) == owner, "{taker:?} of {takers:?}");
        }
    }
}
