//! The members that send: each has its own connection and sends one message at a time, so that a schedule of many
//! messages a second is met by many members, and no rate limit of a single one is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use tokio::time::{self, Instant};

use crate::marker::Marker;
use crate::receivers::histogram;
use crate::target::Target;

mod voice;

pub use voice::PUBLISH_PATH;
use voice::Voice;

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

/// What became of one message.
pub enum Outcome {
    /// `took_us` where the server acknowledges.
    Accepted {
        id: u64,
        index: u32,
        took_us: Option<u64>,
    },
    Limited,
    Failed(String),
}

/// Sends the messages of one run by the schedule, spread over so many members.
pub async fn send(
    target: &Arc<Target>,
    run: u32,
    senders: usize,
    schedule: Schedule,
    began: Instant,
) -> anyhow::Result<Sent> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    let mut voices = Vec::new();
    for member in 0..senders {
        voices.push(Voice::new(target, member).await?);
    }
    // A moment for all senders to be there.
    let start = Instant::now() + Duration::from_millis(100);
    for mut voice in voices {
        let next = Arc::clone(&next);
        tasks.spawn(async move {
            voice.warm_up().await;
            let mut outcomes = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= schedule.messages {
                    return outcomes;
                }
                let due = start + schedule.gap * u32::try_from(index).unwrap_or(u32::MAX);
                time::sleep_until(due).await;
                let index = u32::try_from(index).unwrap_or(u32::MAX);
                let due_us = due.saturating_duration_since(began).as_micros() as u64;
                let marker = Marker { run, index, due_us };
                outcomes.push(voice.send(marker, due, schedule.size).await);
            }
        });
    }
    Ok(gather(tasks).await)
}

async fn gather(mut tasks: JoinSet<Vec<Outcome>>) -> Sent {
    let mut sent =
        Sent { order: Vec::new(), limited: 0, failed: 0, first_failure: None, latency_us: histogram() };
    let mut ids = Vec::new();
    while let Some(outcomes) = tasks.join_next().await {
        for outcome in outcomes.expect("senders do not panic") {
            match outcome {
                Outcome::Accepted { id, index, took_us } => {
                    ids.push((id, index));
                    if let Some(took_us) = took_us {
                        sent.latency_us.saturating_record(took_us.max(1));
                    }
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
