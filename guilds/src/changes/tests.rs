use std::time::Duration;

use model::User;
use tokio::time::timeout;

use super::*;
use crate::testing::World;

/// Far more than a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(30);

fn draft(user: &User) -> Draft {
    Draft { writes: vec![Write::PutUser(user.clone())], events: vec![Event::user_update(user)] }
}

fn user() -> User {
    User::new(Id::new(7 << 22).expect("not 0"), "alice", false)
}

fn lease(world: &World) -> Lease {
    world.changes.lease(SlotSet::Users, user().id.get()).expect("ours")
}

async fn published(world: &World) -> usize {
    world.events(model::Subject::User(user().id)).await.len()
}

#[tokio::test]
async fn nobody_is_told_of_success_whose_slot_passed_on_during_the_publish() {
    let world = World::new();
    let stored = world.changes.store(&lease(&world), draft(&user())).await.unwrap();
    world.backplane.hold_answers(true);
    let passes_on = async {
        doubles::until("it is published", async || (world.backplane.held() > 0).then_some(())).await;
        world.leases.take_away();
        world.backplane.hold_answers(false);
    };
    let (outcome, ()) = tokio::join!(world.changes.publish(stored), passes_on);
    assert_eq!(outcome, Err(outcome_unknown()));
    assert_eq!((published(&world).await, world.changes.ledger.open_len()), (1, 1));
}

#[tokio::test]
async fn nothing_is_published_whose_slot_passed_on_before() {
    let world = World::new();
    let stored = world.changes.store(&lease(&world), draft(&user())).await.unwrap();
    world.leases.take_away();
    assert_eq!(world.changes.publish(stored).await, Err(outcome_unknown()));
    assert_eq!((published(&world).await, world.changes.ledger.open_len()), (0, 1));

    let world = World::new();
    let silent = Draft { events: Vec::new(), ..draft(&user()) };
    let stored = world.changes.store(&lease(&world), silent).await.unwrap();
    world.leases.take_away();
    assert_eq!(
        world.changes.publish(stored).await,
        Err(outcome_unknown()),
        "its rows may have come too late"
    );
}

#[tokio::test]
async fn a_write_of_unknown_outcome_is_repeated_until_it_is_known() {
    let unknown = || StoreError::Unknown("no answer".into());
    let refused = || StoreError::Refused("too large".into());
    let away = || StoreError::Unavailable("away".into());
    let (once, always) = (1, 1_000);
    // What the store says, and how often the last of it; what comes of it, and how much is stored and not published, or may be.
    for (says, times, expected, left) in [
        (vec![unknown(), unknown()], once, Ok(()), 0),
        (vec![unknown(), away()], once, Ok(()), 0),
        (vec![unknown(), refused()], always, Err(outcome_unknown()), 1),
        (vec![unknown(), StoreError::Corrupt("odd".into())], always, Err(outcome_unknown()), 1),
        (vec![unknown(), StoreError::NameTaken], always, Err(name_taken()), 1),
        (vec![refused()], once, Err(refused().into()), 0),
        (vec![StoreError::NameTaken], once, Err(name_taken()), 0),
        (vec![away()], once, Err(away().into()), 0),
    ] {
        let world = World::new();
        let last = std::iter::repeat_n(says[says.len() - 1].clone(), times - 1);
        *world.store.outcomes.lock() = says.iter().cloned().chain(last).map(Err).collect();
        let change = async {
            let stored = world.changes.store(&lease(&world), draft(&user())).await?;
            world.changes.publish(stored).await
        };
        let outcome = timeout(PATIENCE, change).await.unwrap_or_else(|_| panic!("no end of {says:?}"));
        assert_eq!(outcome, expected, "{says:?}");
        assert_eq!(world.changes.ledger.open_len(), left, "{says:?}");
        let is_stored = world.store.user(user().id).await.unwrap().is_some();
        assert_eq!(is_stored, expected.is_ok(), "{says:?}");
    }
}
