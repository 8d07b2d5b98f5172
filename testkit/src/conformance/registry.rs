//! What every session registry has to do.

use std::sync::Arc;

use backplane::{PodName, Registry};
use model::UserId;

use super::backplane::fresh;
use super::eventually;

/// Makes one test of each property; the maker is an `async fn() -> Option<Arc<dyn Registry>>`, whose entries live for
/// `ENTRY_MS`.
#[macro_export]
macro_rules! registry_conformance {
    ($maker:path) => {
        $crate::conformance_tests_where_possible! { $maker, [$crate::conformance::registry]
            a_registration_names_those_that_were_not_there
            a_user_may_be_on_several_pods
            unregistering_takes_one_user_from_one_pod
            a_user_without_sessions_is_nowhere
            many_users_are_registered_at_once
            what_is_not_renewed_ends
        }
    };
}

fn pod() -> PodName {
    PodName::new(format!("pod-{}", fresh()))
}

fn user() -> UserId {
    UserId::new(fresh()).expect("above zero")
}

async fn pods(registry: &Arc<dyn Registry>, user: UserId) -> Vec<PodName> {
    let mut pods = registry.pods(&[user]).await.expect("an answer").remove(0);
    pods.sort();
    pods
}

pub async fn a_registration_names_those_that_were_not_there(registry: Arc<dyn Registry>) {
    let (pod, users) = (pod(), [user(), user(), user()]);
    assert_eq!(registry.register(&pod, &users[..2]).await, Ok(users[..2].to_vec()));
    assert_eq!(registry.register(&pod, &users).await, Ok(vec![users[2]]));
    assert_eq!(registry.register(&pod, &users).await, Ok(vec![]));
    assert_eq!(
        registry.register(&self::pod(), &users[..1]).await,
        Ok(vec![users[0]]),
        "another pod's are not ours"
    );
}

pub async fn a_user_may_be_on_several_pods(registry: Arc<dyn Registry>) {
    let (mut on, user) = ([pod(), pod(), pod()], user());
    for pod in &on {
        registry.register(pod, &[user]).await.expect("an answer");
    }
    on.sort();
    assert_eq!(pods(&registry, user).await, on);
}

pub async fn unregistering_takes_one_user_from_one_pod(registry: Arc<dyn Registry>) {
    let (on, users) = ([pod(), pod()], [user(), user()]);
    for pod in &on {
        registry.register(pod, &users).await.expect("an answer");
    }
    for _ in 0..2 {
        registry.unregister(&on[0], users[0]).await.expect("again is no error");
    }
    assert_eq!(pods(&registry, users[0]).await, [on[1].clone()]);
    assert_eq!(pods(&registry, users[1]).await.len(), 2);
    assert_eq!(registry.register(&on[0], &users).await, Ok(vec![users[0]]));
}

pub async fn a_user_without_sessions_is_nowhere(registry: Arc<dyn Registry>) {
    assert_eq!(registry.pods(&[user(), user()]).await, Ok(vec![vec![], vec![]]));
    assert_eq!(registry.pods(&[]).await, Ok(vec![]));
}

pub async fn many_users_are_registered_at_once(registry: Arc<dyn Registry>) {
    let (pod, mut users) = (pod(), std::iter::repeat_with(user).take(2_500).collect::<Vec<_>>());
    let mut missing = registry.register(&pod, &users).await.expect("an answer");
    missing.sort();
    users.sort();
    assert_eq!(missing, users);
    assert_eq!(registry.register(&pod, &users).await, Ok(vec![]));
    users.push(user());
    let found = registry.pods(&users).await.expect("an answer");
    assert!(found[..2_500].iter().all(|pods| *pods == [pod.clone()]));
    assert_eq!((found.len(), &found[2_500]), (2_501, &vec![]), "in the order of the users");
}

pub async fn what_is_not_renewed_ends(registry: Arc<dyn Registry>) {
    let (renewed, silent, user) = (pod(), pod(), user());
    for pod in [&renewed, &silent] {
        registry.register(pod, &[user]).await.expect("an answer");
    }
    eventually("the entry of the silent pod ends", async || {
        assert_eq!(registry.register(&renewed, &[user]).await, Ok(vec![]), "it was renewed in time");
        pods(&registry, user).await == [renewed.clone()]
    })
    .await;
    assert_eq!(registry.register(&silent, &[user]).await, Ok(vec![user]), "an entry that ended is not there");
}
