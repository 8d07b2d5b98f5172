//! Publishing: stored and acknowledged, or of unknown outcome.

use std::time::Duration;

use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::response::Response;
use async_nats::{HeaderMap, Request, header};
use bytes::Bytes;
use model::limits;
use proto::trace;

use super::link::Link;
use super::names::Names;
use crate::port::{Ack, Unavailable};
use crate::subject::Subject;

pub(super) async fn publish(
    link: &Link,
    names: &Names,
    subject: Subject,
    event_id: u64,
    envelope: Bytes,
) -> Result<Ack, Unavailable> {
    let stream = names.stream(names.layout().stream(subject));
    let mut headers = HeaderMap::new();
    headers.insert(header::NATS_MESSAGE_ID, names.event(subject, event_id).as_str());
    headers.insert(header::NATS_EXPECTED_STREAM, stream.as_str());
    let traceparent = trace::current();
    if !traceparent.is_empty() {
        headers.insert(trace::TRACEPARENT, traceparent.as_str());
    }
    let request = Request::new().headers(headers).payload(envelope);
    let answer = link.ask_within(PATIENCE, names.subject(subject), request).await?;
    match serde_json::from_slice(&answer.payload) {
        Ok(Response::Ok(PublishAck { sequence, duplicate, .. })) if sequence > 0 => {
            Ok(Ack { sequence, duplicate })
        }
        Ok(Response::Ok(_)) => Err(Unavailable(format!("stream {stream} acknowledged nothing"))),
        Ok(Response::Err { error }) => {
            Err(Unavailable(format!("stream {stream} did not store the event: {error}")))
        }
        Err(error) => Err(Unavailable(format!("NATS gave an answer that is none: {error}"))),
    }
}

const PATIENCE: Duration = Duration::from_millis(limits::PUBLISH_TIMEOUT_MS);
