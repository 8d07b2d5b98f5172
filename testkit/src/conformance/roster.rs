//! What every roster has to do.

use std::sync::Arc;
use std::time::Duration;

use backplane::{PodName, Roster};

use super::backplane::fresh;
use super::{ENTRY_MS, eventually};

/// Makes one test of each property; the maker is an `async fn() -> Option<Arc<dyn Roster>>`.
#[macro_export]
macro_rules! roster_conformance {
    ($maker:path) => {
        $crate::conformance_tests_where_possible! { $maker, [$crate::conformance::roster]
            a_pod_that_renews_lives_and_one_that_does_not_ends
            a_renewal_moves_the_deadline
            a_pod_can_be_called_at_its_address_while_it_lives
        }
    };
}

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(ENTRY_MS);

fn pod() -> PodName {
    PodName::new(format!("pod-{}", fresh()))
}

/// What is left to the pod.
async fn left(roster: &Arc<dyn Roster>, pod: &PodName) -> Option<Duration> {
    let living = roster.living().await.expect("an answer");
    living.into_iter().find(|(name, _)| name == pod).map(|(_, left)| left)
}

pub async fn a_pod_that_renews_lives_and_one_that_does_not_ends(roster: Arc<dyn Roster>) {
    let (renewed, silent) = (pod(), pod());
    for pod in [&renewed, &silent] {
        roster.renew(pod, None, SHORT).await.expect("an answer");
    }
    eventually("the silent pod ends", async || {
        roster.renew(&renewed, None, SHORT).await.expect("an answer");
        assert!(left(&roster, &renewed).await.is_some(), "it was renewed in time");
        left(&roster, &silent).await.is_none()
    })
    .await;
}

pub async fn a_renewal_moves_the_deadline(roster: Arc<dyn Roster>) {
    let pods = [pod(), pod()];
    roster.renew(&pods[0], None, SHORT).await.expect("an answer");
    roster.renew(&pods[1], None, LONG).await.expect("an answer");
    assert!(left(&roster, &pods[0]).await.expect("it lives") <= SHORT);
    roster.renew(&pods[0], None, LONG).await.expect("an answer");
    for pod in &pods {
        let left = left(&roster, pod).await.expect("it lives");
        assert!(left > SHORT && left <= LONG, "{left:?}");
    }
    roster.renew(&pods[1], None, SHORT).await.expect("an answer");
    assert!(left(&roster, &pods[1]).await.is_some_and(|left| left <= SHORT), "the last word counts");
}

pub async fn a_pod_can_be_called_at_its_address_while_it_lives(roster: Arc<dyn Roster>) {
    let (called, silent, hidden) = (pod(), pod(), pod());
    let address = async |pod: &PodName| {
        let addresses = roster.addresses().await.expect("an answer");
        addresses.into_iter().find(|(name, _)| name == pod).map(|(_, address)| address)
    };
    roster.renew(&called, Some("10.0.0.1:9091"), LONG).await.expect("an answer");
    roster.renew(&silent, Some("[::1]:9091"), SHORT).await.expect("an answer");
    roster.renew(&hidden, None, LONG).await.expect("an answer");
    assert_eq!(address(&called).await.as_deref(), Some("10.0.0.1:9091"));
    assert_eq!(address(&silent).await.as_deref(), Some("[::1]:9091"));
    assert_eq!(address(&hidden).await, None);
    eventually("the silent pod ends", async || address(&silent).await.is_none()).await;
    assert!(address(&called).await.is_some());
}
