//! What has left the store and is to be published, and who waits for it.

use std::sync::Arc;

use proto::Failure;
use storage::{Bucket, Lease, OutboxEvent};
use tokio::time::{sleep, timeout};

use super::nonces::Key;
use super::{Changed, Created, Reply, Shared};
use crate::events;
use crate::limits::{PUBLISH_BACKOFF_MAX, PUBLISH_BACKOFF_MIN, PUBLISH_TRY};

/// One write and what follows from it.
pub(super) struct Staged {
    /// Ids to be counted as published afterwards.
    pub(super) ids: Vec<u64>,
    pub(super) events: Vec<OutboxEvent>,
    pub(super) answer: Answer,
}

pub(super) enum Answer {
    Create(CreateAnswer),
    Changes(Vec<ChangeAnswer>),
}

pub(super) struct CreateAnswer {
    pub(super) outcome: Result<Created, Failure>,
    /// The nonce that this send holds.
    pub(super) key: Option<Key>,
    /// Nobody knows whether it was stored.
    pub(super) is_unknown: bool,
    /// The bucket whose marker was stored with it.
    pub(super) marked: Option<Bucket>,
    pub(super) reply: Option<Reply<Created>>,
}

pub(super) struct ChangeAnswer {
    pub(super) outcome: Result<Changed, Failure>,
    pub(super) reply: Option<Reply<Changed>>,
}

/// Publishes events one after the other, each again until it is acknowledged. `false`: another owner will do it.
pub(super) async fn publish(shared: Arc<Shared>, lease: Lease, events: Vec<OutboxEvent>) -> bool {
    for event in events {
        let Some(subject) = events::subject(event.subject) else { continue };
        let mut backoff = PUBLISH_BACKOFF_MIN;
        loop {
            let attempt = shared.backplane.publish(subject, event.event_id, event.envelope.clone());
            match timeout(PUBLISH_TRY, attempt).await {
                Ok(Ok(_)) => break,
                Ok(Err(error)) => {
                    tracing::warn!(%error, event_id = event.event_id, "publish failed, repeating")
                }
                Err(_) => tracing::warn!(event_id = event.event_id, "publish not answered, repeating"),
            }
            if shared.leases.check(&lease).is_err() {
                return false;
            }
            shared.stats.publish_retries.add(1);
            sleep(backoff).await;
            backoff = (backoff * 2).min(PUBLISH_BACKOFF_MAX);
        }
    }
    true
}
