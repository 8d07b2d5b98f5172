//! The session registry: which pods hold sessions of a user. It makes user delivery fast; the stream makes it right, so
//! losing the registry loses no event.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use model::UserId;

use crate::port::Unavailable;

/// A gateway pod's name, unique for ever: a restarted pod has another one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodName(Arc<str>);

impl PodName {
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where sessions are. Entries end by themselves unless they are renewed.
#[async_trait]
pub trait Registry: Send + Sync + 'static {
    /// These users have sessions on the pod, for `REGISTRY_ENTRY_MS`. Answers those that were not registered there.
    async fn register(&self, pod: &PodName, users: &[UserId]) -> Result<Vec<UserId>, Unavailable>;

    /// The user's last session on the pod has ended.
    async fn unregister(&self, pod: &PodName, user: UserId) -> Result<(), Unavailable>;

    /// The pods that hold sessions of each of the users, in their order.
    async fn pods(&self, users: &[UserId]) -> Result<Vec<Vec<PodName>>, Unavailable>;
}
