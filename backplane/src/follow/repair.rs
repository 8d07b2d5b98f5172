//! A repair in flight: the read, then the state, each under a timeout, after a pause if the last one failed.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::{GuildId, limits};
use tokio::time::{Instant, sleep, timeout};

use crate::chain::Repair;
use crate::port::{Backplane, Listener, ReadError, Stored, StreamState, Unavailable};
use crate::subject::{Partition, Stream, Subject};

/// What a repair found.
pub(super) struct Answer {
    pub(super) repair: Repair,
    pub(super) read: Vec<(u64, (GuildId, Bytes))>,
    /// The range may have more than was read.
    pub(super) is_full: bool,
    pub(super) state: StreamState,
    /// A new subscription, where the stream turned out to be another one.
    pub(super) listener: Option<Listener>,
}

/// Questions that are under way. They survive a `next` that is cancelled.
pub(super) type InFlight<T> = Pin<Box<dyn Future<Output = Result<T, Unavailable>> + Send>>;

/// Asks after a pause if it failed before.
pub(super) fn begin<T>(
    failures: u32,
    asked: impl Future<Output = Result<T, Unavailable>> + Send + 'static,
) -> InFlight<T> {
    Box::pin(async move {
        if failures > 0 {
            sleep(backoff(failures)).await;
        }
        timeout(REPAIR_TIMEOUT, asked).await.unwrap_or_else(|_| Err(no_answer()))
    })
}

/// Waits for the answer and takes it; for ever when nothing was asked.
pub(super) async fn answer_of<T>(in_flight: &mut Option<InFlight<T>>) -> Result<T, Unavailable> {
    let Some(asked) = in_flight else { return std::future::pending().await };
    let answer = asked.await;
    *in_flight = None;
    answer
}

fn no_answer() -> Unavailable {
    Unavailable(format!("no answer in {} ms", limits::REPAIR_TIMEOUT_MS))
}

/// [`subscribe`], as often as it takes: a server that elects a leader is away for a moment.
///
/// # Errors
/// The last one, after [`limits::FOLLOW_START_MS`].
pub(super) async fn subscribe_patiently(
    backplane: &dyn Backplane,
    partition: Partition,
) -> Result<(Listener, StreamState), Unavailable> {
    let deadline = Instant::now() + Duration::from_millis(limits::FOLLOW_START_MS);
    let mut failures = 0;
    loop {
        let error = match timeout(REPAIR_TIMEOUT, subscribe(backplane, partition)).await {
            Ok(Ok(subscribed)) => return Ok(subscribed),
            Ok(Err(error)) => error,
            Err(_) => no_answer(),
        };
        failures += 1;
        let pause = backoff(failures);
        if Instant::now() + pause >= deadline {
            return Err(error);
        }
        sleep(pause).await;
    }
}

/// A subscription, and a state that is younger than it.
pub(super) async fn subscribe(
    backplane: &dyn Backplane,
    partition: Partition,
) -> Result<(Listener, StreamState), Unavailable> {
    let listener = backplane.listen(partition).await?;
    let state = backplane.state(Stream::Guilds(partition)).await?;
    Ok((listener, state))
}

pub(super) async fn ask(
    backplane: Arc<dyn Backplane>,
    partition: Partition,
    repair: Repair,
) -> Result<Answer, Unavailable> {
    let stream = Stream::Guilds(partition);
    let mut read = Vec::new();
    let mut is_full = true;
    if let Some(range) = repair.range.clone() {
        match backplane.read(stream, range, limits::REPAIR_EVENTS_MAX).await {
            Ok(stored) => {
                is_full = stored.len() >= limits::REPAIR_EVENTS_MAX;
                let of_guild = |stored: Stored| match stored.subject {
                    Subject::Guild(guild) => Some((stored.sequence, (guild, stored.envelope))),
                    Subject::User(_) => None,
                };
                read = stored.into_iter().filter_map(of_guild).collect();
            }
            Err(ReadError::Unavailable(error)) => return Err(error),
            // The state will tell which of the two is wrong.
            Err(ReadError::BeyondEnd(..)) => {}
        }
    }
    let mut state = backplane.state(stream).await?;
    let mut listener = None;
    if repair.is_foreign(&state) {
        // What the old subscription still holds may be of either incarnation.
        let (fresh, younger) = subscribe(&*backplane, partition).await?;
        listener = Some(fresh);
        state = younger;
    }
    Ok(Answer { repair, read, is_full, state, listener })
}

fn backoff(failures: u32) -> Duration {
    let doubled = limits::REPAIR_BACKOFF_MIN_MS << (failures - 1).min(16);
    let most = doubled.min(limits::REPAIR_BACKOFF_MAX_MS);
    Duration::from_millis(most / 2 + model::entropy::below(most / 2 + 1))
}

const REPAIR_TIMEOUT: Duration = Duration::from_millis(limits::REPAIR_TIMEOUT_MS);
