//! What a shard has been given, and when that was known.
//!
//! Once a second the shard is told up to where everything has been put into its queue; when it takes that, it has dealt
//! with all of it. So for any moment of the last minutes there is a position above which lies everything that a session was
//! given since. A client that has confirmed what came before that moment needs nothing from below.

use std::collections::VecDeque;
use std::sync::Arc;

use model::limits;

use crate::positions::Seen;

/// Positions, each with when it was taken.
#[derive(Debug, Default)]
pub(super) struct SeenLog(VecDeque<(u64, Arc<Seen>)>);

impl SeenLog {
    pub(super) fn push(&mut self, now_ms: u64, seen: Arc<Seen>) {
        if self.last().is_some_and(|last| *last == seen) {
            return;
        }
        self.0.push_back((now_ms, seen));
        // One that is older than every event that can be replayed stays.
        while self.0.get(1).is_some_and(|(at_ms, _)| at_ms + limits::RING_AGE_MS < now_ms)
            || self.0.len() > limits::SEEN_KEPT_MAX
        {
            self.0.pop_front();
        }
    }

    pub(super) fn last(&self) -> Option<&Arc<Seen>> {
        self.0.back().map(|(_, seen)| seen)
    }

    /// The last that was taken before this moment.
    pub(super) fn before(&self, at_ms: u64) -> Option<&Arc<Seen>> {
        self.0.iter().rev().find(|(taken_ms, _)| *taken_ms < at_ms).map(|(_, seen)| seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(incarnation: u64) -> Arc<Seen> {
        let mut seen = Seen::default();
        seen.incarnation = incarnation;
        Arc::new(seen)
    }

    #[test]
    fn a_position_is_of_before_the_moment() {
        let mut log = SeenLog::default();
        assert_eq!((log.last(), log.before(9)), (None, None));
        log.push(1_000, seen(1));
        log.push(2_000, seen(1));
        log.push(3_000, seen(2));
        assert_eq!(log.before(1_000), None, "what came in the same moment may be above it");
        assert_eq!(log.before(1_001), Some(&seen(1)));
        assert_eq!(log.before(3_000), Some(&seen(1)));
        assert_eq!(log.before(u64::MAX), log.last());
        assert_eq!(log.0.len(), 2, "nothing new takes no place");
    }

    #[test]
    fn it_reaches_back_to_the_oldest_event_and_no_further() {
        let mut log = SeenLog::default();
        for second in 0..1_000 {
            log.push(second * 1_000, seen(second));
        }
        let oldest_ms = 999_000 - limits::RING_AGE_MS;
        assert!(log.before(oldest_ms).is_some());
        assert!(log.0.len() <= limits::SEEN_KEPT_MAX);
    }
}
