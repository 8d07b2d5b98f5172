//! The roster: which gateway pods live, and where each can be called. One deadline for each pod, which the pod itself moves.
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
    /// The pod lives for so long from now on. With an address (`host:port`, without spaces) others can call it there.
    async fn renew(
        &self,
        pod: &PodName,
        address: Option<&str>,
        lifetime: Duration,
    ) -> Result<(), Unavailable>;

    /// The pods that live, with the time that is left to each.
    async fn living(&self) -> Result<Vec<(PodName, Duration)>, Unavailable>;

    /// Those of them that can be called, with their addresses.
    async fn addresses(&self) -> Result<Vec<(PodName, String)>, Unavailable>;
}
