//! The members that send: each has its own connection and sends one message at a time, so that a schedule of many
//! messages a second is met by many members, and no rate limit of a single one is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use http::{Method, StatusCode};
use serde_json::json;
use testkit::rest::Rest;
use tokio::task::JoinSet;
use tokio::time::{self, Instant};

use crate::marker::Marker;
use crate::receivers::histogram;
use crate::target::Target;

/// When messages are sent.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    pub messages: usize,
    /// Between two messages; nothing for all at once.
    pub gap: Duration,
    pub size: usize,
}

/// What became of the messages.
#[derive(Debug)]
pub struct Sent {
    /// Indexes of acknowledged messages in the order of their ids.
    pub order: Vec<u32>,
    /// Answered with 429.
    pub limited: usize,
    /// Answered with another refusal, or not at all.
    pub failed: usize,
    /// The first of those.
    pub first_failure: Option<String>,
    /// Microseconds from when a message was due until it was acknowledged.
    pub latency_us: Histogram<u64>,
}

enum Outcome {
    Acknowledged { id: u64, index: u32, took_us: u64 },
    Limited,
    Failed(String),
}

/// Sends the messages of the schedule, spread over so many members.
pub async fn send(target: &Arc<Target>, senders: usize, schedule: Schedule, began: Instant) -> Sent {
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    // A moment for all senders to be there.
    let start = Instant::now() + Duration::from_millis(100);
    for member in 0..senders {
        let (target, next) = (Arc::clone(target), Arc::clone(&next));
        tasks.spawn(async move {
            let rest = target.rest(member);
            // Connects before the first message is due.
            let _ = rest.call(Method::GET, "/gateway", None).await;
            let mut outcomes = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= schedule.messages {
                    return outcomes;
                }
                let due = start + schedule.gap * u32::try_from(index).unwrap_or(u32::MAX);
                time::sleep_until(due).await;
                let index = u32::try_from(index).unwrap_or(u32::MAX);
                outcomes.push(send_one(&target, &rest, index, due, began, schedule.size).await);
            }
        });
    }
    gather(tasks).await
}

async fn send_one(
    target: &Target,
    rest: &Rest,
    index: u32,
    due: Instant,
    began: Instant,
    size: usize,
) -> Outcome {
    let due_us = due.saturating_duration_since(began).as_micros() as u64;
    let content = Marker { run: target.run, index, due_us }.content(size);
    let path = format!("/channels/{}/messages", target.seed.channel_id);
    let body = json!({ "content": content, "nonce": format!("{}-{index}", target.run) });
    match rest.call(Method::POST, &path, Some(&body)).await {
        Ok(answer) if answer.status == StatusCode::OK => {
            let took_us = due.elapsed().as_micros() as u64;
            match answer.json()["id"].as_str().and_then(|id| id.parse().ok()) {
                Some(id) => Outcome::Acknowledged { id, index, took_us },
                None => Outcome::Failed("an answer without an id".to_owned()),
            }
        }
        Ok(answer) if answer.status == StatusCode::TOO_MANY_REQUESTS => Outcome::Limited,
        Ok(answer) => {
            Outcome::Failed(format!("{} {}", answer.status, String::from_utf8_lossy(&answer.bytes)))
        }
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

async fn gather(mut tasks: JoinSet<Vec<Outcome>>) -> Sent {
    let mut sent =
        Sent { order: Vec::new(), limited: 0, failed: 0, first_failure: None, latency_us: histogram() };
    let mut ids = Vec::new();
    while let Some(outcomes) = tasks.join_next().await {
        for outcome in outcomes.expect("senders do not panic") {
            match outcome {
                Outcome::Acknowledged { id, index, took_us } => {
                    ids.push((id, index));
                    sent.latency_us.saturating_record(took_us.max(1));
                }
                Outcome::Limited => sent.limited += 1,
                Outcome::Failed(why) => {
                    sent.failed += 1;
                    sent.first_failure.get_or_insert(why);
                }
            }
        }
    }
    ids.sort_unstable();
    sent.order = ids.into_iter().map(|(_, index)| index).collect();
    sent
}
