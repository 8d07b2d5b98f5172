//! How late the shards are.
//!
//! Ten times a second each shard is sent a question through its inbox, and answers when its turn comes to it. How long that
//! takes is what an event waits before anything is done with it. A single long turn is no overload (an event for a large
//! guild makes one); but a shard whose answers have *all* been late for a while does not get to the end of its queue any
//! more, whether its time goes into events, reading, or starts. No answer at all is late, too.

use model::limits::{LATE_MS, OVERLOAD_MS};

/// See the module.
#[derive(Debug)]
pub(super) struct Load {
    shards: Vec<Turns>,
}

#[derive(Debug, Clone, Default)]
struct Turns {
    /// A question waits for its answer since then.
    asked_at_ms: Option<u64>,
    /// Every answer has been late since then.
    late_since_ms: Option<u64>,
    /// How late the last answer was.
    last_ms: u64,
}

impl Load {
    pub(super) fn new(shards: usize) -> Self {
        Self { shards: vec![Turns::default(); shards] }
    }

    /// Whether the shard is to be asked now: it has answered the last question.
    pub(super) fn ask(&mut self, now_ms: u64, shard: usize) -> bool {
        let Some(turns) = self.shards.get_mut(shard) else { return false };
        let is_idle = turns.asked_at_ms.is_none();
        turns.asked_at_ms.get_or_insert(now_ms);
        is_idle
    }

    pub(super) fn answered(&mut self, now_ms: u64, shard: usize) {
        let Some(turns) = self.shards.get_mut(shard) else { return };
        let Some(asked_at_ms) = turns.asked_at_ms.take() else { return };
        turns.last_ms = now_ms.saturating_sub(asked_at_ms);
        if turns.last_ms <= LATE_MS {
            turns.late_since_ms = None;
        } else {
            turns.late_since_ms.get_or_insert(asked_at_ms);
        }
    }

    /// How late the latest shard is.
    pub(super) fn late_ms(&self, now_ms: u64) -> u64 {
        self.shards.iter().map(|turns| turns.late_ms(now_ms)).max().unwrap_or_default()
    }

    pub(super) fn is_too_much(&self, now_ms: u64) -> bool {
        self.shards.iter().any(|turns| turns.is_too_much(now_ms))
    }
}

impl Turns {
    fn late_ms(&self, now_ms: u64) -> u64 {
        let open_ms = self.asked_at_ms.map_or(0, |asked_at_ms| now_ms.saturating_sub(asked_at_ms));
        open_ms.max(self.last_ms)
    }

    fn is_too_much(&self, now_ms: u64) -> bool {
        let open_since_ms =
            self.asked_at_ms.filter(|asked_at_ms| now_ms.saturating_sub(*asked_at_ms) > LATE_MS);
        let since_ms = self.late_since_ms.or(open_since_ms);
        since_ms.is_some_and(|since_ms| now_ms.saturating_sub(since_ms) >= OVERLOAD_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_long_turn_is_no_overload_and_a_row_of_late_ones_is() {
        let mut load = Load::new(2);
        assert!(load.ask(0, 1) && !load.ask(100, 1), "one question at a time");
        load.answered(400, 1);
        assert_eq!((load.late_ms(400), load.is_too_much(400)), (400, false));
        assert!(load.ask(400, 1));
        assert!(!load.is_too_much(499) && load.is_too_much(500), "late since the first question");
        load.answered(600, 1);
        assert!(load.is_too_much(600), "it answered late again");
        assert!(load.ask(600, 1));
        load.answered(700, 1);
        assert_eq!((load.is_too_much(700), load.late_ms(700)), (false, 100), "one answer in time is enough");
    }

    #[test]
    fn a_shard_that_says_nothing_is_late() {
        let mut load = Load::new(1);
        assert!(load.ask(1000, 0));
        assert!(!load.is_too_much(1499) && load.is_too_much(1500));
        assert_eq!(load.late_ms(1500), 500);
        load.answered(1600, 0);
        load.answered(1600, 0);
        assert!(load.ask(1600, 0));
        load.answered(1601, 0);
        assert!(!load.is_too_much(1601));
    }
}
