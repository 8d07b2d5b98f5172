//! Which failed attempts of a write the driver makes again by itself: only those that have written nothing.
//!
//! So the error that the driver returns, which is that of the last attempt, speaks for all of them.

use super::error::{Outcome, outcome};
use scylla::policies::retry::{RequestInfo, RetryDecision, RetryPolicy, RetrySession};

/// The policy of writes.
#[derive(Debug)]
pub(super) struct UnwrittenOnly;

/// Of one write.
#[derive(Default)]
struct Attempts {
    failed: usize,
}

/// Nodes that one write is offered to.
const ATTEMPTS_MAX: usize = 3;

impl RetryPolicy for UnwrittenOnly {
    fn new_session(&self) -> Box<dyn RetrySession> {
        Box::new(Attempts::default())
    }
}

impl RetrySession for Attempts {
    fn decide_should_retry(&mut self, request: RequestInfo<'_>) -> RetryDecision {
        self.failed += 1;
        if self.failed < ATTEMPTS_MAX && outcome(request.error) == Outcome::NotYet {
            RetryDecision::RetryNextTarget(None)
        } else {
            RetryDecision::DontRetry
        }
    }

    fn reset(&mut self) {
        *self = Self::default();
    }
}
