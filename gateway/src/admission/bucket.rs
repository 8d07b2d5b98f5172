//! A token bucket that can be slowed down.

use model::limits::OVERLOAD_PACE_DIVISOR;

/// How fast those who come are taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    Full,
    /// The pod has too much to do: some are taken in all the same, as it may be so for long.
    Slow,
}

/// What one takes, in parts of a token.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost(u64);

impl Cost {
    pub(super) const TOKEN: Self = Self(TOKEN);

    /// For one token there are so many of them.
    pub(super) fn one_of(count: u64) -> Self {
        Self(TOKEN / count.max(1))
    }
}

/// See the module. Holds what may be taken at once.
#[derive(Debug)]
pub(super) struct Bucket {
    per_sec: u64,
    /// Tokens that it holds at most.
    burst: u64,
    /// In parts of a token: `TOKEN` of them are one.
    filled: u64,
    filled_at_ms: u64,
}

impl Bucket {
    /// A full one. A rate of 0 is taken for 1.
    pub(super) fn new(now_ms: u64, per_sec: u32, burst_ms: u64) -> Self {
        let per_sec = u64::from(per_sec.max(1));
        let burst = (per_sec * burst_ms / 1000).max(1);
        Self { per_sec, burst, filled: burst * TOKEN, filled_at_ms: now_ms }
    }

    pub(super) fn take(&mut self, now_ms: u64, pace: Pace, cost: Cost) -> bool {
        self.fill(now_ms, pace);
        let is_there = self.filled >= cost.0;
        if is_there {
            self.filled -= cost.0;
        }
        is_there
    }

    /// In how many milliseconds so much will be there.
    pub(super) fn wait_ms(&mut self, now_ms: u64, pace: Pace, cost: Cost) -> u64 {
        self.fill(now_ms, pace);
        cost.0.saturating_sub(self.filled).div_ceil(self.parts_per_ms(pace))
    }

    fn fill(&mut self, now_ms: u64, pace: Pace) {
        let passed_ms = now_ms.saturating_sub(self.filled_at_ms);
        self.filled_at_ms += passed_ms;
        let gained = passed_ms.saturating_mul(self.parts_per_ms(pace));
        let room = match pace {
            Pace::Full => self.burst * TOKEN,
            Pace::Slow => (self.burst * TOKEN / OVERLOAD_PACE_DIVISOR).max(TOKEN),
        };
        self.filled = self.filled.saturating_add(gained).min(room);
    }

    fn parts_per_ms(&self, pace: Pace) -> u64 {
        match pace {
            Pace::Full => self.per_sec * OVERLOAD_PACE_DIVISOR,
            Pace::Slow => self.per_sec,
        }
    }
}

/// So that a millisecond at the slowest pace is a whole number of parts.
const TOKEN: u64 = 1000 * OVERLOAD_PACE_DIVISOR;

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(bucket: &mut Bucket, now_ms: u64, pace: Pace) -> usize {
        taken_at(bucket, now_ms, pace, Cost::TOKEN)
    }

    fn taken_at(bucket: &mut Bucket, now_ms: u64, pace: Pace, cost: Cost) -> usize {
        std::iter::from_fn(|| bucket.take(now_ms, pace, cost).then_some(())).count()
    }

    #[test]
    fn of_what_costs_less_more_is_taken() {
        let mut bucket = Bucket::new(0, 10, 1000);
        let half = Cost::one_of(2);
        assert_eq!(taken_at(&mut bucket, 0, Pace::Full, half), 20);
        assert_eq!(bucket.wait_ms(0, Pace::Full, half), 50);
        assert_eq!((taken(&mut bucket, 50, Pace::Full), taken_at(&mut bucket, 50, Pace::Full, half)), (0, 1));
    }

    #[test]
    fn what_was_not_taken_can_be_made_up_for_up_to_the_burst() {
        let mut bucket = Bucket::new(0, 100, 500);
        assert_eq!(taken(&mut bucket, 0, Pace::Full), 50);
        assert_eq!((bucket.wait_ms(0, Pace::Full, Cost::TOKEN), taken(&mut bucket, 9, Pace::Full)), (10, 0));
        assert_eq!(taken(&mut bucket, 10, Pace::Full), 1);
        assert_eq!(taken(&mut bucket, 1_000_000, Pace::Full), 50);
    }

    #[test]
    fn under_load_an_eighth_is_taken_at_once_and_by_and_by() {
        let mut bucket = Bucket::new(0, 80, 1000);
        assert_eq!(taken(&mut bucket, 0, Pace::Slow), 10);
        assert_eq!(bucket.wait_ms(0, Pace::Slow, Cost::TOKEN), 100);
        assert_eq!(taken(&mut bucket, 1000, Pace::Slow), 10);
        assert_eq!(taken(&mut bucket, 2000, Pace::Full), 80);
    }

    #[test]
    fn the_smallest_rate_still_lets_somebody_in() {
        let mut bucket = Bucket::new(0, 0, 0);
        assert_eq!(taken(&mut bucket, 0, Pace::Slow), 1);
        let wait_ms = bucket.wait_ms(0, Pace::Slow, Cost::TOKEN);
        assert_eq!((wait_ms, taken(&mut bucket, 8000, Pace::Slow)), (8000, 1));
    }
}
