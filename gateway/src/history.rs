//! What has happened, read from the streams for sessions that come from other pods.
//!
//! When a pod ends, thousands of sessions come at once, and many of them lack the same events of the same guild. So a range
//! is read once for all who want it at the same time, and few ranges at once. There is no consumer in it.

use std::sync::Arc;

use backplane::fence::{Fence, Verdict};
use backplane::{ReadError, Subject};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use model::limits;
use parking_lot::Mutex;
use proto::Envelope;
use rustc_hash::FxHashMap;
use tokio::sync::Semaphore;

use crate::services::Services;

/// An event as it is read again.
#[derive(Debug)]
pub(crate) struct Past {
    pub(crate) sequence: u64,
    pub(crate) envelope: Envelope,
}

/// Why a range can't be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Missing {
    #[error("the stream no longer has all of it")]
    Gone,
    #[error("there are more than {max} events", max = limits::RING_EVENTS_MAX)]
    TooMany,
    #[error("the stream can't be read: {0}")]
    Away(String),
}

type Answer = Result<Arc<[Past]>, Missing>;
type Reading = BoxFuture<'static, Answer>;
/// Whose events, above which sequence and up to which.
type Range = (Subject, u64, u64);

/// See the module.
pub(crate) struct History {
    running: Mutex<FxHashMap<Range, WeakShared<Reading>>>,
    places: Semaphore,
}

impl Default for History {
    fn default() -> Self {
        Self { running: Mutex::default(), places: Semaphore::new(limits::HISTORY_READS_MAX) }
    }
}

impl History {
    /// The events of a subject above `after`, up to `last`, which is one of them. What a replaced owner published and what
    /// was published twice is left out.
    pub(crate) async fn read(services: &Arc<Services>, subject: Subject, after: u64, last: u64) -> Answer {
        if last <= after {
            return Ok(Arc::default());
        }
        let range = (subject, after, last);
        let reading = services.history.join(services, range);
        reading.await
    }

    /// The reading of this range that is under way, or a new one.
    fn join(&self, services: &Arc<Services>, range: Range) -> Shared<Reading> {
        let mut running = self.running.lock();
        if let Some(reading) = running.get(&range).and_then(WeakShared::upgrade)
            && reading.peek().is_none()
        {
            return reading;
        }
        running.retain(|_, reading| reading.upgrade().is_some());
        let services = services.clone();
        let reading = async move { read(&services, range).await }.boxed().shared();
        running.extend(reading.downgrade().map(|weak| (range, weak)));
        reading
    }
}

async fn read(services: &Services, (subject, after, last): Range) -> Answer {
    let _place =
        services.history.places.acquire().await.map_err(|_| Missing::Away("the gateway ends".into()))?;
    let backplane = &services.backplane;
    let (mut past, mut next) = (Vec::new(), after + 1);
    let mut fence = Fence::new(limits::FENCE_IDS_MAX);
    while next <= last {
        let read = backplane.read_subject(subject, next..=last, limits::REPAIR_EVENTS_MAX).await;
        let stored = match read {
            Ok(stored) => stored,
            Err(ReadError::BeyondEnd(..)) => return Err(Missing::Gone),
            Err(ReadError::Unavailable(error)) => return Err(Missing::Away(error.to_string())),
        };
        let Some(newest) = stored.last() else { break };
        next = newest.sequence + 1;
        for event in stored {
            match Envelope::decode(event.envelope) {
                Ok(envelope) if passes(&mut fence, subject, &envelope, event.sequence) => {
                    past.push(Past { sequence: event.sequence, envelope });
                }
                Ok(_) => {}
                Err(_) => crate::stats::Count::add(&services.stats.events_malformed, 1),
            }
        }
        if past.len() > limits::RING_EVENTS_MAX {
            return Err(Missing::TooMany);
        }
    }
    // Asked afterwards: what has expired was left out.
    let stream = backplane.layout().stream(subject);
    let state = backplane.state(stream).await.map_err(|error| Missing::Away(error.to_string()))?;
    if state.first > after + 1 { Err(Missing::Gone) } else { Ok(past.into()) }
}

fn passes(fence: &mut Fence, subject: Subject, envelope: &Envelope, sequence: u64) -> bool {
    let verdict = match subject {
        Subject::Guild(_) => fence.check(envelope, sequence),
        Subject::User(user) => fence.check_of_user(user, envelope, sequence),
    };
    verdict == Verdict::Pass
}
