//! The members that send: each has its own connection and sends one message at a time, so that a schedule of many
//! messages a second is met by many members, and no rate limit of a single one is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::sync::watch;
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
    /// Of each guild the indexes of acknowledged messages, in the order of their ids.
    pub orders: Vec<Vec<u32>>,
    /// Their ids, in the same order.
    pub ids: Vec<Vec<u64>>,
    /// Answered with 429.
    pub limited: usize,
    /// Answered with another refusal, or not at all.
    pub failed: usize,
    /// The first of those.
    pub first_failure: Option<String>,
    /// Microseconds from when a message was due until it was acknowledged.
    pub latency_us: Histogram<u64>,
}

impl Sent {
    /// How many messages were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.orders.iter().map(Vec::len).sum()
    }

    /// How many deliveries they are for so many receivers of each guild.
    pub fn deliveries(&self, receivers: &[usize]) -> usize {
        self.orders.iter().zip(receivers).map(|(order, receivers)| order.len() * receivers).sum()
    }
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

/// Sends the messages of one run by the schedule, spread over so many members. Ends early when it is told to.
pub async fn send(
    target: &Arc<Target>,
    run: u32,
    senders: usize,
    schedule: Schedule,
    began: Instant,
    stop: watch::Receiver<bool>,
) -> anyhow::Result<Sent> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    let mut voices = Vec::new();
    for sender in 0..senders {
        voices.push(Voice::new(target, sender).await?);
    }
    // A moment for all senders to be there.
    let start = Instant::now() + Duration::from_millis(100);
    for mut voice in voices {
        let (next, mut stop) = (Arc::clone(&next), stop.clone());
        tasks.spawn(async move {
            voice.warm_up().await;
            let mut outcomes = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= schedule.messages {
                    return (voice.guild(), outcomes);
                }
                let due = start + schedule.gap * u32::try_from(index).unwrap_or(u32::MAX);
                tokio::select! {
                    () = time::sleep_until(due) => {}
                    // Whoever let the other end go leaves the schedule to its end.
                    Ok(_) = stop.wait_for(|stop| *stop) => return (voice.guild(), outcomes),
                }
                let index = u32::try_from(index).unwrap_or(u32::MAX);
                let due_us = due.saturating_duration_since(began).as_micros() as u64;
                let marker = Marker { run, index, due_us };
                outcomes.push(voice.send(marker, due, schedule.size).await);
            }
        });
    }
    Ok(gather(tasks, target.guild_count()).await)
}

/// For a schedule that is kept to its end.
pub fn never() -> watch::Receiver<bool> {
    watch::channel(false).1
}

async fn gather(mut tasks: JoinSet<(usize, Vec<Outcome>)>, guilds: usize) -> Sent {
    let mut sent = Sent {
        orders: Vec::new(),
        ids: Vec::new(),
        limited: 0,
        failed: 0,
        first_failure: None,
        latency_us: histogram(),
    };
    let mut ids = vec![Vec::new(); guilds];
    while let Some(outcomes) = tasks.join_next().await {
        let (guild, outcomes) = outcomes.expect("senders do not panic");
        for outcome in outcomes {
            match outcome {
                Outcome::Accepted { id, index, took_us } => {
                    ids[guild].push((id, index));
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
    for mut ids in ids {
        ids.sort_unstable();
        sent.orders.push(ids.iter().map(|(_, index)| *index).collect());
        sent.ids.push(ids.into_iter().map(|(id, _)| id).collect());
    }
    sent
}
