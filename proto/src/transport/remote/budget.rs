//! How many calls may be made again: a share of the calls that are made at all.
//!
//! A repeat helps when one replica of many has a bad moment. When all have, repeats are what keeps them down; so each call
//! pays in a little, each repeat takes out a whole, and when nothing is left a call that failed has failed.

use std::sync::atomic::{AtomicU32, Ordering};

use model::limits::{RPC_BUDGET_PERCENT, RPC_BUDGET_RESERVE};

/// What is left for repeats, in hundredths.
pub(super) struct Budget(AtomicU32);

const WHOLE: u32 = 100;

impl Budget {
    pub(super) fn new() -> Self {
        Self(AtomicU32::new(RPC_BUDGET_RESERVE * WHOLE))
    }

    /// A call is made.
    pub(super) fn pay_in(&self) {
        let more = |left: u32| Some((left + RPC_BUDGET_PERCENT).min(RPC_BUDGET_RESERVE * WHOLE));
        self.change(more);
    }

    /// A call would be made again: whether it may.
    pub(super) fn take(&self) -> bool {
        self.change(|left| left.checked_sub(WHOLE))
    }

    fn change(&self, change: impl FnMut(u32) -> Option<u32>) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_the_reserve_one_of_five_calls_may_be_repeated() {
        let budget = Budget::new();
        assert!((0..RPC_BUDGET_RESERVE).all(|_| budget.take()) && !budget.take());
        let is_repeated = |_: &u32| {
            budget.pay_in();
            budget.take()
        };
        let repeats = (0..1_000).filter(is_repeated).count();
        assert_eq!(repeats as u32, 1_000 * RPC_BUDGET_PERCENT / WHOLE);
    }

    #[test]
    fn quiet_times_save_up_no_more_than_the_reserve() {
        let budget = Budget::new();
        (0..10_000).for_each(|_| budget.pay_in());
        assert_eq!((0..100).filter(|_| budget.take()).count() as u32, RPC_BUDGET_RESERVE);
    }
}
