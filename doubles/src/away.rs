//! A session registry that is away while a test says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use backplane::{PodName, Registry, Unavailable};
use model::UserId;

/// Another registry, with a way to it that can be cut.
pub struct Away {
    registry: Arc<dyn Registry>,
    is_away: AtomicBool,
}

impl Away {
    pub fn new(registry: Arc<dyn Registry>) -> Arc<Self> {
        Arc::new(Self { registry, is_away: AtomicBool::new(false) })
    }

    pub fn set(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::SeqCst);
    }

    fn reach(&self) -> Result<&dyn Registry, Unavailable> {
        match self.is_away.load(Ordering::SeqCst) {
            true => Err(Unavailable("away".into())),
            false => Ok(&*self.registry),
        }
    }
}

#[async_trait]
impl Registry for Away {
    async fn register(&self, pod: &PodName, users: &[UserId]) -> Result<Vec<UserId>, Unavailable> {
        self.reach()?.register(pod, users).await
    }

    async fn unregister(&self, pod: &PodName, user: UserId) -> Result<(), Unavailable> {
        self.reach()?.unregister(pod, user).await
    }

    async fn pods(&self, users: &[UserId]) -> Result<Vec<Vec<PodName>>, Unavailable> {
        self.reach()?.pods(users).await
    }
}
