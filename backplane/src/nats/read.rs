//! Reading a stream again.
//!
//! Any replica answers, and one may lag behind the leader: so an answer that is not complete proves nothing. What is
//! missing from it is compared with the leader's state, and what the leader has is asked for there.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use async_nats::jetstream::stream::{LastRawMessageErrorKind, RawMessageErrorKind};
use async_nats::{HeaderMap, Message, Request, StatusCode, header};
use bytes::Bytes;
use futures_util::StreamExt;
use model::limits;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::link::{Link, Silence};
use super::names::Names;
use super::streams;
use crate::port::{ReadError, Stored, Unavailable};
use crate::subject::{Stream, Subject};

/// The stored events of a range in order, at most `max`.
pub(super) async fn read(
    link: &Link,
    names: &Names,
    stream: Stream,
    range: RangeInclusive<u64>,
    max: usize,
) -> Result<Vec<Stored>, ReadError> {
    let name = names.stream(stream);
    let (start, end) = ((*range.start()).max(1), *range.end());
    if range.is_empty() || max == 0 {
        return Ok(Vec::new());
    }
    let wanted = usize::try_from(end - start + 1).unwrap_or(usize::MAX).min(max);
    let mut found = BTreeMap::new();
    let mut next = start;
    while found.len() < wanted && next <= end {
        let page = page(link, &name, json!({ "seq": next, "batch": wanted - found.len() })).await?;
        let is_last = page.is_last();
        for message in page.messages.into_iter().filter(|message| message.sequence <= end) {
            next = message.sequence + 1;
            found.extend(stored(names, message).map(|stored| (stored.sequence, stored)));
        }
        if is_last {
            break;
        }
    }
    if found.len() < wanted || !is_contiguous(&found, start) {
        let state = streams::state(link, &name).await?;
        if end > state.last {
            return Err(ReadError::BeyondEnd(range, state.last));
        }
        complete(link, names, &name, state.first.max(start)..=end, max, &mut found).await?;
    }
    Ok(found.into_values().take(max).collect())
}

/// The stored events of one subject in a range that ends with an event of it. A replica that has the range's end has all
/// before it; where it is missing, the leader says whether it is gone.
pub(super) async fn read_subject(
    link: &Link,
    names: &Names,
    subject: Subject,
    range: RangeInclusive<u64>,
    max: usize,
) -> Result<Vec<Stored>, ReadError> {
    let name = names.stream(names.layout().stream(subject));
    let subject = names.subject(subject);
    let (mut next, end) = ((*range.start()).max(1), *range.end());
    let mut found = Vec::new();
    while found.len() < max && next <= end {
        let question = json!({ "seq": next, "next_by_subj": subject, "batch": max - found.len() });
        let page = page(link, &name, question).await?;
        let is_last = page.is_last();
        for message in page.messages {
            next = message.sequence + 1;
            found.extend(stored(names, message).filter(|stored| stored.sequence <= end));
        }
        if is_last {
            break;
        }
    }
    if found.len() < max && next <= end {
        let state = streams::state(link, &name).await?;
        if end > state.last {
            return Err(ReadError::BeyondEnd(range, state.last));
        }
        if end >= state.first && at_leader(link, &name, end).await?.is_some() {
            return Err(Unavailable(format!("a replica of stream {name} lags behind")).into());
        }
    }
    Ok(found)
}

/// The subject of a stored message, as one replica has it.
pub(super) async fn subject_at(
    link: &Link,
    stream: &str,
    sequence: u64,
) -> Result<Option<String>, Unavailable> {
    let question = Request::new().payload(json!({ "seq": sequence }).to_string().into());
    let answer = link.ask(format!("$JS.API.DIRECT.GET.{stream}"), question).await?;
    match answer.status {
        Some(StatusCode::NOT_FOUND) => Ok(None),
        None | Some(StatusCode::OK) => Ok(Some(numbered(answer)?.subject)),
        Some(status) => Err(unexpected(status, answer.description.as_deref())),
    }
}

/// The sequence of the subject's last event; 0 when there is none.
pub(super) async fn last(link: &Link, names: &Names, subject: Subject) -> Result<u64, Unavailable> {
    let stream = names.stream(names.layout().stream(subject));
    let question = format!("$JS.API.DIRECT.GET.{stream}.{}", names.subject(subject));
    let answer = link.ask(question, Request::new()).await?;
    match answer.status {
        Some(StatusCode::NOT_FOUND) => Ok(0),
        None | Some(StatusCode::OK) => Ok(numbered(answer)?.sequence),
        Some(status) => Err(unexpected(status, answer.description.as_deref())),
    }
}

/// Whether an event with this id is stored on the subject. The leader says which is the last: only who has read up to
/// there knows that it is not.
pub(super) async fn contains(
    link: &Link,
    names: &Names,
    subject: Subject,
    event_id: u64,
) -> Result<bool, Unavailable> {
    let name = names.stream(names.layout().stream(subject));
    // The version before wrote the number alone.
    let wanted = [names.event(subject, event_id), event_id.to_string()];
    let subject = names.subject(subject);
    let Some(last) = last_at_leader(link, &name, &subject).await? else { return Ok(false) };
    let mut next = 1;
    while next <= last {
        let question = json!({ "seq": next, "next_by_subj": subject, "batch": limits::NATS_CONTAINS_PAGE });
        let page = page(link, &name, question).await?;
        let Some(end) = page.messages.last().map(|message| message.sequence) else { break };
        let mut ids = page.messages.iter().filter_map(|message| message.headers.get(header::NATS_MESSAGE_ID));
        if ids.any(|id| wanted.iter().any(|wanted| id.as_str() == wanted)) {
            return Ok(true);
        }
        next = end + 1;
        if page.is_last() {
            break;
        }
    }
    if next > last || streams::state(link, &name).await?.first > last {
        return Ok(false);
    }
    Err(Unavailable(format!("a replica of stream {name} lags behind")))
}

/// A stored message.
pub(super) struct Numbered {
    pub(super) sequence: u64,
    pub(super) subject: String,
    headers: HeaderMap,
    payload: Bytes,
}

pub(super) struct Page {
    pub(super) messages: Vec<Numbered>,
    /// What the replica says at the end; it says nothing where it has nothing.
    pub(super) end: Option<HeaderMap>,
}

impl Page {
    /// Whether the replica that answered has nothing behind it.
    fn is_last(&self) -> bool {
        self.end.as_ref().is_none_or(|end| number(end, PENDING) == Some(0))
    }
}

/// Some messages in order, from one replica.
pub(super) async fn page(link: &Link, stream: &str, question: Value) -> Result<Page, Unavailable> {
    let inbox = link.client().new_inbox();
    let gathered = async {
        let failed = |error: &dyn std::fmt::Display| Unavailable(format!("NATS: {error}"));
        let mut answers = link.client().subscribe(inbox.clone()).await.map_err(|error| failed(&error))?;
        let subject = format!("$JS.API.DIRECT.GET.{stream}");
        let question = Bytes::from(question.to_string());
        link.client().publish_with_reply(subject, inbox, question).await.map_err(|error| failed(&error))?;
        let mut messages = Vec::new();
        while let Some(answer) = answers.next().await {
            match answer.status {
                None | Some(StatusCode::OK) => messages.push(numbered(answer)?),
                Some(StatusCode::NOT_FOUND) => return Ok(Page { messages, end: None }),
                Some(status) if status.as_u16() == END_OF_BATCH => {
                    return Ok(Page { messages, end: Some(answer.headers.unwrap_or_default()) });
                }
                Some(StatusCode::NO_RESPONDERS) => return Err(Silence::NoResponders.into()),
                Some(status) => return Err(unexpected(status, answer.description.as_deref())),
            }
        }
        Err(Unavailable("the connection to NATS has ended".into()))
    };
    let patience = Duration::from_millis(limits::NATS_QUESTION_MS);
    timeout(patience, gathered).await.unwrap_or_else(|_| Err(Silence::TimedOut.into()))
}

/// Adds what is missing of the range from the leader.
async fn complete(
    link: &Link,
    names: &Names,
    stream: &str,
    range: RangeInclusive<u64>,
    max: usize,
    found: &mut BTreeMap<u64, Stored>,
) -> Result<(), Unavailable> {
    let missing: Vec<u64> = range.take(max).filter(|sequence| !found.contains_key(sequence)).collect();
    if missing.len() > limits::NATS_LAGGING_READS_MAX {
        return Err(Unavailable(format!("a replica of stream {stream} lags behind by {}", missing.len())));
    }
    for sequence in missing {
        let message = at_leader(link, stream, sequence).await?;
        found.extend(message.and_then(|message| stored(names, message)).map(|stored| (sequence, stored)));
    }
    Ok(())
}

/// The message as the stream's leader has it.
async fn at_leader(link: &Link, stream: &str, sequence: u64) -> Result<Option<Numbered>, Unavailable> {
    let leader = link.context().get_stream_no_info(stream).await;
    let leader = leader.map_err(|error| Unavailable(format!("NATS: {error}")))?;
    match leader.get_raw_message(sequence).await {
        Ok(message) => {
            let subject = message.subject.to_string();
            let (headers, payload) = (message.headers, message.payload);
            Ok(Some(Numbered { sequence, subject, headers, payload }))
        }
        Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(Unavailable(format!("stream {stream} gives no event: {error}"))),
    }
}

async fn last_at_leader(link: &Link, stream: &str, subject: &str) -> Result<Option<u64>, Unavailable> {
    let failed =
        |error: &dyn std::fmt::Display| Unavailable(format!("stream {stream} gives no event: {error}"));
    let leader = link.context().get_stream_no_info(stream).await.map_err(|error| failed(&error))?;
    match leader.get_last_raw_message_by_subject(subject).await {
        Ok(message) => Ok(Some(message.sequence)),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(failed(&error)),
    }
}

fn numbered(message: Message) -> Result<Numbered, Unavailable> {
    let headers = message.headers.unwrap_or_default();
    let sequence = number(&headers, header::NATS_SEQUENCE.as_ref());
    let subject = headers.get(header::NATS_SUBJECT).map(|subject| subject.as_str().to_owned());
    match (sequence, subject) {
        (Some(sequence), Some(subject)) => {
            Ok(Numbered { sequence, subject, headers, payload: message.payload })
        }
        _ => Err(Unavailable("NATS gave an event without its sequence".into())),
    }
}

fn stored(names: &Names, message: Numbered) -> Option<Stored> {
    let subject = names.parse(&message.subject)?;
    Some(Stored { sequence: message.sequence, subject, envelope: message.payload })
}

fn is_contiguous(found: &BTreeMap<u64, Stored>, start: u64) -> bool {
    found.keys().zip(start..).all(|(found, expected)| *found == expected)
}

pub(super) fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name).and_then(|value| value.as_str().parse().ok())
}

fn unexpected(status: StatusCode, description: Option<&str>) -> Unavailable {
    Unavailable(format!("NATS answers {status} {}", description.unwrap_or_default()))
}

const END_OF_BATCH: u16 = 204;
const PENDING: &str = "Nats-Num-Pending";
