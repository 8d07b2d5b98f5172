//! Who came before a replica in its place, and what it leaves to whoever comes after.
//!
//! A replica that was killed leaves its row, and its slots are nobody's until that row has shown no sign of life for ten
//! seconds: silence is all that others can see. Whoever is started in its place may know more, that the process has
//! ended. Then nothing is sent under its lease any more, and what was sent is written or given up after
//! [`Timing::settle`](super::Timing::settle); the row can go then, whatever time the lease would have had left.
//!
//! An address proves nothing of the kind: two processes may have the same, one of them cut off from the other. What does is
//! a matter of the adapter.

use super::register::ReplicaId;
use async_trait::async_trait;
use tokio::time::Instant;

/// What is known of those who were in this place before, and where it is written down who is there.
#[async_trait]
pub trait Lineage: Send + Sync {
    /// Ids with which processes have joined that have ended. Of some it may not be known.
    fn ended(&self) -> &[ReplicaId];

    /// A moment at which they all had ended.
    fn ended_by(&self) -> Instant;

    /// Writes down that this process joins with an id, before it does. If that fails whoever comes after it waits for the
    /// lease's end.
    async fn note(&self, id: ReplicaId);
}
