//! What every session registry has to do.

use std::sync::Arc;

use backplane::{PodName, Registry};
use model::UserId;

use super::backplane::fresh;

/// Makes one test of each property; the maker is an `async fn() -> Arc<dyn Registry>`.
#[macro_export]
macro_rules! registry_conformance {
    ($maker:path) => {
        $crate::conformance_tests! { $maker, [$crate::conformance::registry]
            a_registration_names_those_that_were_not_there
            a_user_may_be_on_several_pods
            unregistering_takes_one_user_from_one_pod
            a_user_without_sessions_is_nowhere
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
    let mut pods = registry.pods(user).await.expect("an answer");
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
    assert_eq!(registry.pods(user()).await, Ok(vec![]));
}
