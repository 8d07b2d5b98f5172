//! What has left the store and is to be published, and who waits for it.

use std::sync::Arc;

use model::MessageId;
use proto::Failure;
use storage::{Bucket, Lease, Open, OutboxEvent};
use tracing::Span;

use super::nonces::Key;
use super::{Changed, Created, Reply, Shared};

/// One write and what follows from it.
pub(super) struct Staged {
    /// What counts as published afterwards.
    pub(super) open: Vec<Open>,
    pub(super) events: Vec<OutboxEvent>,
    /// The trace that the publish belongs to; none for changes of several requests.
    pub(super) span: Span,
    pub(super) answer: Answer,
}

pub(super) enum Answer {
    Create(CreateAnswer),
    Changes(ChangesAnswer),
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

pub(super) struct ChangesAnswer {
    pub(super) answers: Vec<ChangeAnswer>,
    /// Messages that are gone, or may be, and had a nonce.
    pub(super) deleted: Vec<(Key, MessageId)>,
    /// Nobody knows whether they were stored.
    pub(super) is_unknown: bool,
}

pub(super) struct ChangeAnswer {
    pub(super) outcome: Result<Changed, Failure>,
    pub(super) reply: Option<Reply<Changed>>,
}

/// Publishes events one after the other, each again until it is acknowledged. `false`: the lease is gone, and another owner
/// publishes them, or has; so it is asked for before each event, and after the last: an owner who has slept over an
/// acknowledgement must not answer for a slot in which others have written since.
pub(super) async fn publish(shared: Arc<Shared>, lease: Lease, events: Vec<OutboxEvent>) -> bool {
    let is_owner = || shared.leases.check(&lease).is_ok();
    let again = |_| {
        let is_owner = is_owner();
        shared.stats.publish_retries.add(u64::from(is_owner));
        is_owner
    };
    for OutboxEvent { subject, event_id, envelope } in &events {
        if !is_owner() {
            return false;
        }
        let (backplane, clock) = (&*shared.backplane, &**shared.ids.clock());
        let published = backplane::publish(backplane, clock, *subject, *event_id, envelope, again).await;
        if published.is_err() {
            return false;
        }
    }
    events.is_empty() || is_owner()
}
