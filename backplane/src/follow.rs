//! Follows the guild events of one partition: every event once and in order, or the loss of it as a value.
//!
//! A [`Follower`] drives a [`Chain`] with a subscription, the tail and reads of the stream, decodes each envelope once,
//! and drops what a replaced writer sent or what came before ([`Fence`]). It has no task of its own: it works while its
//! owner waits in [`Follower::next`], so it ends with its owner. A repair in flight survives a `next` that is cancelled.

mod repair;
mod stats;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::limits;
use proto::Envelope;
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::chain::{Chain, LostCause, Output, Taken};
use crate::fence::{Fence, Verdict};
use crate::port::{Backplane, Delivery, Listener, Unavailable};
use crate::subject::{Partition, Stream};
use repair::{Answer, InFlight};
pub use stats::{FollowCounts, FollowStats};

/// Follows one partition.
pub struct Follower {
    backplane: Arc<dyn Backplane>,
    partition: Partition,
    listener: Listener,
    is_closed: bool,
    chain: Chain<Bytes>,
    fence: Fence,
    repair: Option<InFlight>,
    /// Repairs that failed since the last that did not.
    failures: u32,
    tail_check: Interval,
    /// The tail at the last check: whoever is still below it at the next has missed something.
    tail_before: u64,
    /// Whether repeats came since the last check: they may be the first events of another incarnation.
    has_repeats: bool,
    /// Everything up to here was handed out or dropped.
    passed: u64,
    incarnation: u64,
    status: watch::Sender<FollowStatus>,
    stats: Arc<FollowStats>,
}

/// What a follower gives.
#[expect(clippy::large_enum_variant, reason = "nearly all are events, and a box for each would cost more")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Followed {
    Event(FollowedEvent),
    /// Events above `after` are lost for good: whatever was built from this partition's events has to be built anew.
    Lost {
        cause: LostCause,
        after: u64,
    },
    /// The stream began anew, and `seen` with it: everything built from this partition's events has to be built anew,
    /// and positions of the old incarnation are void.
    NewIncarnation,
}

/// An event with its place in the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowedEvent {
    pub sequence: u64,
    pub envelope: Envelope,
}

/// How far a follower is.
///
/// `seen` advances over an event when `next()` is called again after it has returned it. So every event with a sequence
/// up to `seen` was returned and, if the caller deals with each before he asks for the next one, dealt with; or it was
/// reported lost, or dropped (as a repeat, as a replaced writer's, or as malformed). The status only moves while
/// somebody waits in `next()`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowStatus {
    pub incarnation: u64,
    pub seen: u64,
    /// Something is missing that has not been found yet: nothing behind it is given.
    pub gap_open: bool,
}

impl Follower {
    /// Subscribes, then takes the stream's last sequence as `seen`: what was published before is not given.
    pub async fn start(backplane: Arc<dyn Backplane>, partition: Partition) -> Result<Self, Unavailable> {
        let (listener, state) = repair::subscribe_patiently(&*backplane, partition).await?;
        let status = FollowStatus { incarnation: state.incarnation, seen: state.last, gap_open: false };
        let mut tail_check = interval(Duration::from_millis(limits::TAIL_BEHIND_MS));
        tail_check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            backplane,
            partition,
            listener,
            is_closed: false,
            chain: Chain::new(state, limits::GAP_BUFFER_EVENTS_MAX),
            fence: Fence::new(limits::FENCE_IDS_MAX),
            repair: None,
            failures: 0,
            tail_check,
            tail_before: 0,
            has_repeats: false,
            passed: state.last,
            incarnation: state.incarnation,
            status: watch::Sender::new(status),
            stats: Arc::default(),
        })
    }

    pub fn partition(&self) -> Partition {
        self.partition
    }

    /// The stream that it reads.
    pub fn stream(&self) -> Stream {
        Stream::Guilds(self.partition)
    }

    pub fn status(&self) -> watch::Receiver<FollowStatus> {
        self.status.subscribe()
    }

    pub fn stats(&self) -> Arc<FollowStats> {
        Arc::clone(&self.stats)
    }

    /// What comes next; `None` when the backplane has closed. Cancel-safe.
    pub async fn next(&mut self) -> Option<Followed> {
        loop {
            self.tell_status();
            while let Some(output) = self.chain.pop() {
                if let Some(followed) = self.take(output) {
                    return Some(followed);
                }
            }
            self.tell_status();
            if self.is_closed {
                return None;
            }
            self.begin_repair();
            self.wait().await;
        }
    }

    /// Waits until something happens, and gives it to the chain. Cancel-safe: each branch is.
    async fn wait(&mut self) {
        tokio::select! {
            biased;
            answer = repair::answer_of(&mut self.repair) => {
                self.repair = None;
                self.answered(answer);
            }
            delivery = self.listener.next() => match delivery {
                Some(delivery) => self.delivered(delivery),
                None => self.is_closed = true,
            },
            _ = self.tail_check.tick() => self.check_tail(),
        }
    }

    fn delivered(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Event { sequence, envelope, .. } => {
                let was_open = self.chain.is_gap_open();
                match self.chain.delivered(sequence, envelope) {
                    Taken::Repeat => {
                        self.has_repeats = true;
                        self.stats.duplicates.add(1);
                    }
                    Taken::Overflow => self.stats.overflows.add(1),
                    Taken::Buffered if !was_open => self.stats.gaps.add(1),
                    Taken::InOrder | Taken::Buffered => {}
                }
            }
            Delivery::Gap => {
                self.stats.gaps.add(1);
                self.chain.gap();
            }
            Delivery::Reconnected => {
                self.stats.reconnects.add(1);
                self.chain.reconnected();
            }
            Delivery::Ephemeral(_) => {}
        }
    }

    fn check_tail(&mut self) {
        if self.tail_before > self.chain.seen() && !self.chain.is_gap_open() {
            self.stats.gaps.add(1);
            self.chain.tail(self.tail_before);
        }
        self.tail_before = self.backplane.tail(self.partition);
        if std::mem::take(&mut self.has_repeats) {
            self.chain.gap();
        }
    }

    fn begin_repair(&mut self) {
        if self.repair.is_none()
            && let Some(repair) = self.chain.repair()
        {
            let backplane = Arc::clone(&self.backplane);
            self.repair = Some(repair::begin(backplane, self.partition, repair, self.failures));
        }
    }

    fn answered(&mut self, answer: Result<Answer, Unavailable>) {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                self.stats.repairs_failed.add(1);
                tracing::debug!(partition = self.partition.0, failures = self.failures, %error, "repair failed");
                return;
            }
        };
        self.failures = 0;
        self.stats.repairs.add(1);
        if let Some(listener) = answer.listener {
            self.listener = listener;
        }
        self.chain.answered(&answer.repair, answer.read, answer.is_full, answer.state);
    }

    fn take(&mut self, output: Output<Bytes>) -> Option<Followed> {
        match output {
            Output::Deliver { sequence, event } => {
                self.passed = sequence;
                let envelope = self.admit(sequence, event)?;
                Some(Followed::Event(FollowedEvent { sequence, envelope }))
            }
            Output::Lost { cause, after, count } => {
                self.passed = after + count;
                self.stats.lost(cause).add(count);
                tracing::warn!(partition = self.partition.0, ?cause, after, count, "events lost");
                Some(Followed::Lost { cause, after })
            }
            Output::NewIncarnation { incarnation, seen } => {
                self.passed = seen;
                self.incarnation = incarnation;
                self.tail_before = 0;
                self.stats.incarnations.add(1);
                tracing::warn!(partition = self.partition.0, incarnation, "stream began anew");
                Some(Followed::NewIncarnation)
            }
        }
    }

    fn admit(&mut self, sequence: u64, event: Bytes) -> Option<Envelope> {
        let envelope = match Envelope::decode(event) {
            Ok(envelope) => envelope,
            Err(error) => {
                self.stats.malformed.add(1);
                tracing::warn!(partition = self.partition.0, sequence, %error, "malformed event skipped");
                return None;
            }
        };
        match self.fence.check(&envelope) {
            Verdict::Pass => Some(envelope),
            Verdict::Fenced => {
                self.stats.fenced.add(1);
                None
            }
            Verdict::Repeat => {
                self.stats.duplicates.add(1);
                None
            }
        }
    }

    fn tell_status(&mut self) {
        let now = FollowStatus {
            incarnation: self.incarnation,
            seen: self.passed,
            gap_open: self.chain.is_gap_open(),
        };
        self.status.send_if_modified(|status| std::mem::replace(status, now) != now);
    }
}

const REPAIR_TIMEOUT: Duration = Duration::from_millis(limits::REPAIR_TIMEOUT_MS);

#[cfg(test)]
mod tests;
