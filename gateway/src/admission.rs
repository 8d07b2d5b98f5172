//! Who may come in now, without I/O: connections at the door, and inside it those who want to begin or resume a session.
//!
//! When a pod or a network comes back, everybody comes at once, and what each of them costs (a handshake, calls to other
//! services, the guilds) delays those who are in already. So before any of that is done, a token bucket says whether there
//! is room for one more at the door, and another one for one more start. While the shards are late ([`load`]), both are
//! filled at an eighth of their rate.
//!
//! - At the door nobody waits: who is not let in is told when to come back, and the more were told so lately, the farther
//!   apart. So they come when there is room for them, and not all together again.
//! - Inside, a start that finds no token waits for one, RESUMEs ahead of IDENTIFYs, for [`limits::START_PATIENCE_MS`] at
//!   most. As many wait as can be served in that time; the door is closed while those who wait need half of it. For one
//!   token [`limits::RESUMES_PER_START`] RESUMEs come in: they cost less.
//!
//! Times are milliseconds of any clock that does not go backwards.

mod bucket;
mod load;
#[cfg(test)]
mod tests;
mod waiting;

use model::limits;

pub(crate) use bucket::Pace;
use bucket::{Bucket, Cost};
use load::Load;
use waiting::Waiting;
pub(crate) use waiting::{Start, Ticket};

/// How many come in at most, in the long run and at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rates {
    pub(crate) connections_per_sec: u32,
    pub(crate) starts_per_sec: u32,
    pub(crate) burst_ms: u64,
}

/// Why one is not let in, or has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// More came than the rate allows.
    Rate,
    /// The shards are late.
    Load,
}

/// A connection that is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) cause: Cause,
    /// Seconds over which those are to be spread who are told to come back now.
    pub(crate) spread_s: u64,
}

/// What becomes of a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    Go,
    Wait(Ticket),
    Refused(Cause),
}

/// What has become of one who waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Go { waited_ms: u64 },
    TooLate(Cause),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Admission {
    connections: Bucket,
    starts: Bucket,
    load: Load,
    waiting: Waiting,
    /// Tokens for starts that come within [`limits::START_PATIENCE_MS`].
    served: u64,
    sent_away: SentAway,
}

/// Those who were told to come back, less those for whom there has been room since.
#[derive(Debug)]
struct SentAway {
    per_sec: u64,
    /// In thousandths.
    count: u64,
    counted_at_ms: u64,
}

impl Admission {
    pub(crate) fn new(now_ms: u64, rates: Rates, shards: usize) -> Self {
        let served = u64::from(rates.starts_per_sec) * limits::START_PATIENCE_MS / 1000;
        let per_sec = u64::from(rates.connections_per_sec.max(1));
        Self {
            connections: Bucket::new(now_ms, rates.connections_per_sec, rates.burst_ms),
            starts: Bucket::new(now_ms, rates.starts_per_sec, rates.burst_ms),
            load: Load::new(shards),
            waiting: Waiting::default(),
            served,
            sent_away: SentAway { per_sec, count: 0, counted_at_ms: now_ms },
        }
    }

    /// A connection has come.
    pub(crate) fn connect(&mut self, now_ms: u64) -> Result<(), Refused> {
        let pace = self.pace(now_ms);
        if !self.is_crowded() && self.connections.take(now_ms, pace, Cost::TOKEN) {
            return Ok(());
        }
        Err(self.send_away(now_ms))
    }

    /// Whether those who wait need half of the time that anybody waits.
    fn is_crowded(&self) -> bool {
        let count = |start| self.waiting.count(start) as u64;
        let needed = count(Start::Identify) + count(Start::Resume) / Start::Resume.per_token();
        needed > self.places(Start::Identify) as u64 / 2
    }

    /// How many of them wait at most.
    fn places(&self, start: Start) -> usize {
        let served = self.served.saturating_mul(start.per_token());
        usize::try_from(served).unwrap_or(usize::MAX).clamp(1, limits::STARTS_WAITING_MAX)
    }

    /// A connection has come for which there is no room, whatever the rate.
    pub(crate) fn send_away(&mut self, now_ms: u64) -> Refused {
        Refused { cause: cause(self.pace(now_ms)), spread_s: self.sent_away.spread_s(now_ms) }
    }

    /// Somebody wants to start.
    pub(crate) fn ask(&mut self, now_ms: u64, start: Start) -> Decision {
        let pace = self.pace(now_ms);
        if !self.waiting.is_before(start) && self.starts.take(now_ms, pace, start.cost()) {
            Decision::Go
        } else if self.waiting.count(start) >= self.places(start) {
            Decision::Refused(cause(pace))
        } else {
            Decision::Wait(self.waiting.push(now_ms, start))
        }
    }

    /// Somebody who waited has gone.
    pub(crate) fn forget(&mut self, ticket: Ticket) -> bool {
        self.waiting.remove(ticket)
    }

    /// What has become of those who wait; nothing yet of most.
    pub(crate) fn next(&mut self, now_ms: u64) -> Option<(Ticket, Outcome)> {
        let pace = self.pace(now_ms);
        let late = now_ms.checked_sub(limits::START_PATIENCE_MS);
        if let Some(place) = late.and_then(|since_ms| self.waiting.pop_since(since_ms)) {
            return Some((place.ticket, Outcome::TooLate(cause(pace))));
        }
        let cost = self.waiting.next_kind()?.cost();
        if !self.starts.take(now_ms, pace, cost) {
            return None;
        }
        let place = self.waiting.pop()?;
        Some((place.ticket, Outcome::Go { waited_ms: now_ms.saturating_sub(place.since_ms) }))
    }

    /// When [`Self::next`] will have something to say, if nobody else comes.
    pub(crate) fn next_at_ms(&mut self, now_ms: u64) -> Option<u64> {
        let pace = self.pace(now_ms);
        let late_at_ms = self.waiting.oldest_ms()? + limits::START_PATIENCE_MS;
        let cost = self.waiting.next_kind()?.cost();
        Some(late_at_ms.min(now_ms + self.starts.wait_ms(now_ms, pace, cost)))
    }

    /// Whether the shard is to be asked how late it is; [`Self::answered`] follows.
    pub(crate) fn probe(&mut self, now_ms: u64, shard: usize) -> bool {
        self.load.ask(now_ms, shard)
    }

    pub(crate) fn answered(&mut self, now_ms: u64, shard: usize) {
        self.load.answered(now_ms, shard);
    }

    pub(crate) fn late_ms(&self, now_ms: u64) -> u64 {
        self.load.late_ms(now_ms)
    }

    pub(crate) fn pace(&self, now_ms: u64) -> Pace {
        if self.load.is_too_much(now_ms) { Pace::Slow } else { Pace::Full }
    }
}

fn cause(pace: Pace) -> Cause {
    match pace {
        Pace::Full => Cause::Rate,
        Pace::Slow => Cause::Load,
    }
}

impl SentAway {
    /// One more; the time that it takes to let all of them in.
    fn spread_s(&mut self, now_ms: u64) -> u64 {
        let passed_ms = now_ms.saturating_sub(self.counted_at_ms);
        self.counted_at_ms += passed_ms;
        self.count = self.count.saturating_sub(passed_ms.saturating_mul(self.per_sec)) + 1000;
        (self.count / 1000).div_ceil(self.per_sec).clamp(1, limits::RETRY_AFTER_SPREAD_S_MAX)
    }
}
