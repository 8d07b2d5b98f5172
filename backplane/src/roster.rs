//! The roster: which gateway pods live. One deadline for each pod, which the pod itself moves.
//!
//! It answers what nobody can know from calls alone: a pod that does not call may be dead, or only cut off from whoever
//! waits for its calls. Where the roster is lost, it is complete again after one renewal of every pod.

use std::time::Duration;

use async_trait::async_trait;

use crate::port::Unavailable;
use crate::registry::PodName;

/// See the module.
#[async_trait]
pub trait Roster: Send + Sync + 'static {
    /// The pod lives for so long from now on.
    async fn renew(&self, pod: &PodName, lifetime: Duration) -> Result<(), Unavailable>;

    /// The pods that live, with the time that is left to each.
    async fn living(&self) -> Result<Vec<(PodName, Duration)>, Unavailable>;
}
