//! Publishing what is stored: again and again with the same event id, until it is acknowledged.
//!
//! Whoever has stored a change must not give its event up: clients would keep what was before for ever. So a publish that
//! fails is repeated in place, and whoever publishes decides after each failure whether to go on (a lease that was lost, a
//! shutdown, a number of tries). A stream forgets event ids after two minutes, so an event that is older is looked for
//! before it is published again; otherwise it would stand there twice after a long outage.

use std::time::Duration;

use bytes::Bytes;
use model::Subject;
use model::clock::Clock;
use model::limits::{OUTBOX_LOOKUP_MS, PUBLISH_RETRY_MS_MAX, PUBLISH_TIMEOUT_MS};
use model::snowflake;
use proto::{Envelope, trace};
use tokio::time::{sleep, timeout};
use tracing::{Instrument as _, field};

use crate::port::{Backplane, Unavailable};

/// The first wait between two attempts; each further one is twice as long, up to `PUBLISH_RETRY_MS_MAX`.
const RETRY_MS_MIN: u64 = 20;

/// Publishes an event, whose id is a snowflake, and repeats it until it is acknowledged or `again` says no: that is
/// asked after each attempt that failed, with the number of attempts so far.
///
/// Answers whether the stream did not have it yet. An error is the last attempt's, and says nothing of whether the event
/// lies in its stream.
pub async fn publish(
    backplane: &dyn Backplane,
    clock: &dyn Clock,
    subject: Subject,
    event_id: u64,
    envelope: &Bytes,
    mut again: impl FnMut(u32) -> bool,
) -> Result<bool, Unavailable> {
    let attempt = || attempt(backplane, clock, subject, event_id, envelope);
    let again = |attempts, error: &Unavailable| {
        let is_repeated = again(attempts);
        tracing::warn!(%error, event_id, attempts, is_repeated, "publish failed");
        is_repeated
    };
    let span = tracing::info_span!(
        target: trace::TARGET,
        "publish",
        otel.kind = "producer",
        otel.status_code = field::Empty,
        messaging.operation.name = "publish",
        messaging.destination.name = ?subject,
        messaging.message.id = event_id,
    );
    // What an outbox or a write of several requests gives has no other trace than the one that it carries.
    if !span.is_disabled()
        && trace::current().is_empty()
        && let Ok(event) = Envelope::decode(envelope.clone())
    {
        trace::follow(&span, &event.traceparent);
    }
    let published = repeat(attempt, again).instrument(span.clone()).await;
    if published.is_err() {
        span.record("otel.status_code", "ERROR");
    }
    published
}

async fn attempt(
    backplane: &dyn Backplane,
    clock: &dyn Clock,
    subject: Subject,
    event_id: u64,
    envelope: &Bytes,
) -> Result<bool, Unavailable> {
    let age_ms = clock.now_ms().saturating_sub(snowflake::timestamp_ms(event_id));
    if age_ms > OUTBOX_LOOKUP_MS && backplane.contains(subject, event_id).await? {
        return Ok(false);
    }
    backplane.publish(subject, event_id, envelope.clone()).await.map(|ack| !ack.duplicate)
}

/// Each attempt has `PUBLISH_TIMEOUT_MS`.
async fn repeat<T, F: Future<Output = Result<T, Unavailable>>>(
    mut attempt: impl FnMut() -> F,
    mut again: impl FnMut(u32, &Unavailable) -> bool,
) -> Result<T, Unavailable> {
    let (mut attempts, mut wait_ms) = (0, RETRY_MS_MIN);
    loop {
        let error = match timeout(Duration::from_millis(PUBLISH_TIMEOUT_MS), attempt()).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(error)) => error,
            Err(_) => Unavailable(format!("no acknowledgement within {PUBLISH_TIMEOUT_MS} ms")),
        };
        attempts += 1;
        if !again(attempts, &error) {
            return Err(error);
        }
        sleep(Duration::from_millis(wait_ms)).await;
        wait_ms = (wait_ms * 2).min(PUBLISH_RETRY_MS_MAX);
    }
}

#[cfg(test)]
mod tests;
