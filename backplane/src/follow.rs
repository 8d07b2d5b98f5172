//! Follows the guild events of one partition: every event once and in order, or the loss of it as a value.
//!
//! A [`Follower`] reads in *partition mode* ([`Whole`]: all events of the partition, in the order of their sequences) or
//! in *guild mode* ([`Each`]: those of the guilds that the pod has open, in order for each guild), decodes each envelope
//! once, and drops what a replaced writer sent or what came before ([`Fence`]). [`turnover`] leads from one mode to the
//! other. It has no task of its own: it works while its owner waits in [`Follower::next`], so it ends with its owner. What
//! is under way survives a `next` that is cancelled.

mod each;
mod questions;
mod repair;
mod stats;
mod turnover;
mod whole;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::{GuildId, limits};
use proto::Envelope;
use rustc_hash::FxHashMap;
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::chain::LostCause;
use crate::fence::{Fence, Verdict};
use crate::open_guilds::{Mode, OpenGuilds};
use crate::port::{Backplane, Listener, StreamState, Unavailable};
use crate::subject::{Partition, Stream};
use each::Each;
pub use stats::{FollowCounts, FollowStats};
use turnover::Turnover;
use whole::Whole;

/// Follows one partition.
pub struct Follower {
    site: Site,
    reader: Reader,
    /// Changes the mode; none where the whole partition is always followed.
    turnover: Option<Turnover>,
    /// What guild mode gave of each guild above the sequence at which partition mode went on.
    given: FxHashMap<GuildId, u64>,
    is_closed: bool,
    fence: Fence,
    tail_check: Interval,
    /// Everything up to here was handed out or dropped.
    passed: u64,
    incarnation: u64,
    status: watch::Sender<FollowStatus>,
}

/// What is followed, and where it is counted.
#[derive(Clone)]
struct Site {
    backplane: Arc<dyn Backplane>,
    partition: Partition,
    stats: Arc<FollowStats>,
}

enum Reader {
    Whole(Whole),
    Each(Each),
}

/// What a reader has to give.
enum Step {
    Event { guild: GuildId, sequence: u64, bytes: Bytes },
    Lost { guild: Option<GuildId>, cause: LostCause, after: u64, count: u64 },
    NewIncarnation { incarnation: u64, seen: u64 },
    Seen(u64),
}

/// What has become of a reader that waited.
enum Waited {
    GoesOn,
    Closed,
    /// The stream is another one: a subscription to all of it, and a state that is younger.
    Anew(Listener, StreamState),
}

/// What a follower gives.
#[expect(clippy::large_enum_variant, reason = "nearly all are events, and a box for each would cost more")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Followed {
    Event(FollowedEvent),
    /// Events above `after` are lost for good: whatever was built from this partition's events, or from the guild's if
    /// one is named, has to be built anew.
    Lost {
        guild: Option<GuildId>,
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
/// up to `seen` (in guild mode: every one of an open guild) was returned and, if the caller deals with each before he asks
/// for the next one, dealt with; or it was reported lost, or dropped (as a repeat, as a replaced writer's, or as
/// malformed). The status only moves while somebody waits in `next()`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowStatus {
    pub incarnation: u64,
    pub seen: u64,
    /// Something is missing that has not been found yet: nothing behind it is given.
    pub gap_open: bool,
    pub mode: Mode,
}

impl Follower {
    /// Subscribes, then takes the stream's last sequence as `seen`: what was published before is not given.
    pub async fn start(backplane: Arc<dyn Backplane>, partition: Partition) -> Result<Self, Unavailable> {
        let (listener, state) = repair::subscribe_patiently(&*backplane, partition).await?;
        let status = FollowStatus {
            incarnation: state.incarnation,
            seen: state.last,
            gap_open: false,
            mode: Mode::Partition,
        };
        let mut tail_check = interval(Duration::from_millis(limits::TAIL_BEHIND_MS));
        tail_check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            site: Site { backplane, partition, stats: Arc::default() },
            reader: Reader::Whole(Whole::new(listener, state)),
            turnover: None,
            given: FxHashMap::default(),
            is_closed: false,
            fence: Fence::new(limits::FENCE_IDS_MAX),
            tail_check,
            passed: state.last,
            incarnation: state.incarnation,
            status: watch::Sender::new(status),
        })
    }

    /// The same for the guilds that the pod has open: while they are few, no others are listened to.
    pub async fn start_for(
        backplane: Arc<dyn Backplane>,
        partition: Partition,
        open: Arc<OpenGuilds>,
    ) -> Result<Self, Unavailable> {
        let mut follower = Self::start(backplane, partition).await?;
        open.hears_all(partition);
        follower.turnover = Turnover::new(open, partition);
        Ok(follower)
    }

    pub fn partition(&self) -> Partition {
        self.site.partition
    }

    /// The stream that it reads.
    pub fn stream(&self) -> Stream {
        self.site.stream()
    }

    pub fn status(&self) -> watch::Receiver<FollowStatus> {
        self.status.subscribe()
    }

    pub fn stats(&self) -> Arc<FollowStats> {
        Arc::clone(&self.site.stats)
    }

    /// What comes next; `None` when the backplane has closed. Cancel-safe.
    pub async fn next(&mut self) -> Option<Followed> {
        loop {
            self.tell_status();
            while let Some(step) = self.reader.pop() {
                if let Some(followed) = self.take(step) {
                    return Some(followed);
                }
            }
            self.tell_status();
            if self.is_closed {
                return None;
            }
            if let Some(turnover) = &mut self.turnover {
                turnover.turn(&self.site, &mut self.reader, &mut self.given);
            }
            self.wait().await;
        }
    }

    /// Waits until something happens. Cancel-safe: each branch is.
    async fn wait(&mut self) {
        let site = &self.site;
        let waited = tokio::select! {
            biased;
            () = turnover::wait(&mut self.turnover) => Waited::GoesOn,
            waited = self.reader.wait(site) => waited,
            _ = self.tail_check.tick() => {
                self.reader.look(site);
                Waited::GoesOn
            }
        };
        match waited {
            Waited::GoesOn => {}
            Waited::Closed => self.is_closed = true,
            Waited::Anew(listener, state) => {
                self.reader = Reader::Whole(Whole::anew(listener, state));
                if let Some(turnover) = &mut self.turnover {
                    turnover.begin_anew(&self.site);
                }
            }
        }
    }

    fn take(&mut self, step: Step) -> Option<Followed> {
        match step {
            Step::Event { guild, sequence, bytes } => {
                if self.reader.mode() == Mode::Partition {
                    self.passed = sequence;
                    if self.given.get(&guild).is_some_and(|given| sequence <= *given) {
                        return None;
                    }
                }
                let envelope = self.admit(sequence, bytes)?;
                Some(Followed::Event(FollowedEvent { sequence, envelope }))
            }
            Step::Lost { guild, cause, after, count } => {
                if guild.is_none() {
                    self.passed = after + count;
                }
                self.site.stats.lost(cause).add(count);
                tracing::warn!(
                    partition = self.site.partition.0,
                    ?guild,
                    ?cause,
                    after,
                    count,
                    "events lost"
                );
                Some(Followed::Lost { guild, cause, after })
            }
            Step::NewIncarnation { incarnation, seen } => {
                self.passed = seen;
                self.incarnation = incarnation;
                self.given.clear();
                self.fence.begin_anew();
                self.site.stats.incarnations.add(1);
                tracing::warn!(partition = self.site.partition.0, incarnation, "stream began anew");
                Some(Followed::NewIncarnation)
            }
            Step::Seen(seen) => {
                self.passed = seen;
                None
            }
        }
    }

    fn admit(&mut self, sequence: u64, event: Bytes) -> Option<Envelope> {
        let stats = &self.site.stats;
        let envelope = match Envelope::decode(event) {
            Ok(envelope) => envelope,
            Err(error) => {
                stats.malformed.add(1);
                tracing::warn!(partition = self.site.partition.0, sequence, %error, "malformed event skipped");
                return None;
            }
        };
        match self.fence.check(&envelope, sequence) {
            Verdict::Pass => Some(envelope),
            Verdict::Fenced => {
                stats.fenced.add(1);
                None
            }
            Verdict::Repeat => {
                stats.duplicates.add(1);
                None
            }
        }
    }

    fn tell_status(&mut self) {
        let now = FollowStatus {
            incarnation: self.incarnation,
            seen: self.passed,
            gap_open: self.reader.is_gap_open(),
            mode: self.reader.mode(),
        };
        self.status.send_if_modified(|status| std::mem::replace(status, now) != now);
    }
}

impl Reader {
    fn mode(&self) -> Mode {
        match self {
            Self::Whole(_) => Mode::Partition,
            Self::Each(_) => Mode::Guilds,
        }
    }

    fn pop(&mut self) -> Option<Step> {
        match self {
            Self::Whole(whole) => whole.pop(),
            Self::Each(each) => each.pop(),
        }
    }

    fn is_gap_open(&self) -> bool {
        match self {
            Self::Whole(whole) => whole.is_gap_open(),
            Self::Each(each) => each.is_gap_open(),
        }
    }

    async fn wait(&mut self, site: &Site) -> Waited {
        match self {
            Self::Whole(whole) => whole.wait(site).await,
            Self::Each(each) => each.wait(site).await,
        }
    }

    /// Compares with the tail, every now and then.
    fn look(&mut self, site: &Site) {
        match self {
            Self::Whole(whole) => whole.look(site),
            Self::Each(each) => each.look(site),
        }
    }
}

impl Site {
    fn stream(&self) -> Stream {
        Stream::Guilds(self.partition)
    }
}

#[cfg(test)]
mod tests;
