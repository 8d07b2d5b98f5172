//! A new message on its way to the store, and what is published when it is there.

use std::sync::Arc;

use proto::trace;
use storage::{Bucket, Lease, Open};
use tasks::fail_point::reach;
use tracing::{Instrument as _, Span};

use super::certain::until_known;
use super::nonces::Key;
use super::staged::{Answer, CreateAnswer, Staged};
use super::{Created, Draft, Reply, Shared, store_failure};
use crate::events::Origin;
use crate::render::Scene;
use crate::store::{NewMessage, StoreError};

/// A message on its way to the store.
pub(super) struct Pending {
    pub(super) open: Open,
    pub(super) created: Created,
    pub(super) key: Option<Key>,
    pub(super) mark: Option<Bucket>,
    pub(super) reply: Reply<Created>,
}

pub(super) async fn store(shared: Arc<Shared>, lease: Lease, draft: Draft, pending: Pending) -> Staged {
    let Draft { place, mut message, author, cast, referenced, slow_mode, span, .. } = draft;
    let Pending { open, mut created, key, mark, reply } = pending;
    message.id = created.id;
    let member = author.member().map(|member| &**member);
    let scene = Scene { member, referenced: referenced.as_ref(), ..Scene::new(&cast) };
    let told = Origin { lease, place, channel: message.channel_id }.create(&message, &scene);
    created.json = Some(scene.answer(&message).into());
    let new = NewMessage { lease, message, mark: mark.is_some(), keep_sender: slow_mode.is_some() };
    reach("messages.numbered");
    let write = || shared.store.create(&new).instrument(store_span());
    let stored = until_known(&shared, &lease, write).await;
    reach("messages.stored");
    let is_unknown = matches!(stored, Err(StoreError::Unknown));
    // What may have been stored stays in flight, so that the next owner looks for it.
    let open = if is_unknown { Vec::new() } else { vec![open] };
    let events = if stored.is_ok() { told } else { Vec::new() };
    let outcome = stored.map(|()| created).map_err(|error| store_failure(&error));
    let answer = CreateAnswer { outcome, key, is_unknown, marked: mark, reply: Some(reply) };
    Staged { open, events, span, answer: Answer::Create(answer) }
}

/// One durable write of a message.
fn store_span() -> Span {
    tracing::info_span!(
        target: trace::TARGET,
        "store message",
        otel.kind = "client",
        db.operation.name = "insert",
        db.collection.name = "messages",
    )
}
