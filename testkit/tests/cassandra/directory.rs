//! The directory: its suite, and names that are unique over replicas.

use std::sync::Arc;

use futures_util::future::join_all;
use guilds::store::{CassandraStore, Commit, DirectoryStore, StoreError, Write};
use model::clock::ManualClock;
use model::{User, UserId};
use storage::cassandra::LeasedWrites;
use storage::{Epoch, Lease, Slot, SlotSet};
use testkit::cassandra;
use testkit::conformance::backplane::fresh;
use testkit::conformance::directory::NOW_MS;
use testkit::leases::Granted;

async fn store() -> Option<(CassandraStore, ManualClock)> {
    let session = cassandra::session_of_services().await?;
    let clock = ManualClock::at(NOW_MS);
    let writes = LeasedWrites::new(session.clone(), Granted::new());
    let store = CassandraStore::prepare(&session, writes, Arc::new(clock.clone())).await.unwrap();
    Some((store, clock))
}

async fn make() -> Option<Arc<dyn DirectoryStore>> {
    store().await.map(|(store, _)| Arc::new(store) as Arc<dyn DirectoryStore>)
}

testkit::directory_conformance!(make);

fn id() -> UserId {
    UserId::new(fresh()).unwrap()
}

fn name() -> String {
    format!("u{:x}", fresh())
}

async fn put(store: &CassandraStore, user: UserId, writes: Vec<Write>) -> Result<(), StoreError> {
    put_in(Epoch(1), store, user, writes).await
}

async fn put_in(
    epoch: Epoch,
    store: &CassandraStore,
    user: UserId,
    writes: Vec<Write>,
) -> Result<(), StoreError> {
    let lease = Lease { set: SlotSet::Users, slot: Slot::of(user.get()), epoch };
    store.commit(&lease, Commit { writes, ..Commit::default() }).await
}

async fn register(store: &CassandraStore, name: &str) -> Result<UserId, StoreError> {
    let user = id();
    let writes = vec![Write::PutUsername(name.into(), user), Write::PutUser(User::new(user, name, false))];
    put(store, user, writes).await.map(|()| user)
}

#[tokio::test]
async fn of_many_who_want_one_name_one_has_it() {
    let Some((store, _)) = store().await else { return };
    let name = &name();
    let outcomes = join_all((0..4).map(|_| register(&store, name))).await;
    let winners: Vec<&UserId> = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok()).collect();
    assert_eq!(winners.len(), 1, "{outcomes:?}");
    assert_eq!(store.user_named(name).await, Ok(Some(*winners[0])));
    assert_eq!(register(&store, name).await, Err(StoreError::NameTaken));
}

#[tokio::test]
async fn a_name_that_nobody_bears_is_free_after_a_minute() {
    let Some((store, clock)) = store().await else { return };
    // A process died between claim and row.
    let (gone, name) = (id(), &name());
    put(&store, gone, vec![Write::PutUsername(name.clone(), gone)]).await.unwrap();
    assert_eq!(store.user_named(name).await, Ok(None));
    assert_eq!(register(&store, name).await, Err(StoreError::NameTaken), "it may still be at it");
    clock.advance(model::limits::USERNAME_CLAIM_MS);
    let bob = register(&store, name).await.unwrap();
    assert_eq!(store.user_named(name).await, Ok(Some(bob)));
    clock.advance(model::limits::USERNAME_CLAIM_MS);
    assert_eq!(register(&store, name).await, Err(StoreError::NameTaken), "who bears a name keeps it");
}

/// A claim whose row was not written in a minute, and whoever made it is at it still.
#[tokio::test]
async fn a_claim_that_is_used_after_all_is_renewed_before_the_row_is_written() {
    let Some((store, clock)) = store().await else { return };
    let (alice, name) = (id(), &name());
    let claim = || vec![Write::PutUsername(name.clone(), alice)];
    put(&store, alice, claim()).await.unwrap();
    clock.advance(model::limits::USERNAME_CLAIM_MS);
    // Her change is repeated: this is what comes before its row.
    put(&store, alice, claim()).await.unwrap();
    assert_eq!(register(&store, name).await, Err(StoreError::NameTaken), "she is about to bear it");
    put(&store, alice, vec![Write::PutUser(User::new(alice, name.as_str(), false))]).await.unwrap();
    assert_eq!(store.user_named(name).await, Ok(Some(alice)));

    // The other way round: who was overtaken does not write the row.
    let (carol, name) = (id(), &self::name());
    put(&store, carol, vec![Write::PutUsername(name.clone(), carol)]).await.unwrap();
    clock.advance(model::limits::USERNAME_CLAIM_MS);
    let bob = register(&store, name).await.unwrap();
    let row = Write::PutUser(User::new(carol, name.as_str(), false));
    let late = put(&store, carol, vec![Write::PutUsername(name.clone(), carol), row]).await;
    assert_eq!(late, Err(StoreError::NameTaken));
    assert_eq!((store.user_named(name).await, store.user(carol).await), (Ok(Some(bob)), Ok(None)));
}

/// An owner that was replaced writes late: the row is the new owner's, and says that the name is borne.
#[tokio::test]
async fn a_name_is_not_given_up_by_a_change_that_another_owner_has_overwritten() {
    let Some((store, _)) = store().await else { return };
    let (old, new) = (name(), name());
    let alice = register(&store, &old).await.unwrap();
    let row = |name: &str| Write::PutUser(User::new(alice, name, false));
    put_in(Epoch(2), &store, alice, vec![row(&old)]).await.unwrap();
    let rename =
        vec![Write::DeleteUsername(old.clone(), alice), Write::PutUsername(new.clone(), alice), row(&new)];
    put(&store, alice, rename.clone()).await.unwrap();
    assert_eq!(store.user_named(&old).await, Ok(Some(alice)));
    assert_eq!(register(&store, &old).await, Err(StoreError::NameTaken));
    // The new owner's own change gives it up.
    put_in(Epoch(2), &store, alice, rename).await.unwrap();
    assert_eq!(store.user_named(&new).await, Ok(Some(alice)));
    register(&store, &old).await.unwrap();
}
