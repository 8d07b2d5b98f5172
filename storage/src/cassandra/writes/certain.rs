//! A write is repeated until it is certain what has become of it, or until its lease may pass on.
//!
//! What an attempt says it says of itself alone. That another one is refused, or that nobody is there to take it, proves
//! nothing about one of unknown outcome: the other node may have other limits, a permission may have been taken away in
//! between, and the first may have been written all the same. So once an attempt is in doubt the write is, until one succeeds.

use super::LeasedWriteError;
use crate::{
    cassandra::WriteError,
    leases::{Lease, Leases, NotOwner},
};
use model::limits::{CASSANDRA_AGAIN_MS, CASSANDRA_CHANGE_MS, CASSANDRA_WRITE_MS};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Makes attempts, each with the patience that it is given. They end before any lease can pass on.
pub(super) async fn repeat<F: Future<Output = Result<(), WriteError>>>(
    leases: &dyn Leases,
    lease: &Lease,
    attempt: impl Fn(Duration) -> F,
) -> Result<(), LeasedWriteError> {
    let give_up_at = Instant::now() + Duration::from_millis(CASSANDRA_CHANGE_MS);
    let mut doubt = None;
    loop {
        let until = leases.write_until().map_or(give_up_at, |until| until.min(give_up_at));
        let left = until.saturating_duration_since(Instant::now());
        if let Err(error) = may_write(leases, lease, left) {
            return Err(doubt.map_or(error.into(), LeasedWriteError::Write));
        }
        let error = match attempt(left.min(Duration::from_millis(CASSANDRA_WRITE_MS))).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let again_at = Instant::now() + Duration::from_millis(CASSANDRA_AGAIN_MS);
        let is_last = matches!(error, WriteError::Refused(_)) || again_at >= until;
        if is_last || matches!(error, WriteError::Unknown(_)) {
            tracing::warn!(%error, ?lease, is_last, "an attempt to write has failed");
        }
        let all = doubt.take().unwrap_or(error);
        if is_last {
            return Err(all.into());
        }
        doubt = Some(all).filter(|error| matches!(error, WriteError::Unknown(_)));
        sleep_until(again_at).await;
    }
}

fn may_write(leases: &dyn Leases, lease: &Lease, left: Duration) -> Result<(), NotOwner> {
    if left.is_zero() {
        return Err(NotOwner { set: lease.set, slot: lease.slot, owner: None });
    }
    leases.check(lease)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Epoch, Slot, SlotSet};
    use parking_lot::Mutex;
    use scylla::errors::{DbError, ExecutionError, RequestAttemptError};
    use tokio_util::sync::CancellationToken;

    /// A lease that ends at this moment.
    struct Until(Instant);

    impl Leases for Until {
        fn lease(&self, set: SlotSet, slot: Slot) -> Result<Lease, NotOwner> {
            Ok(Lease { set, slot, epoch: Epoch(1) })
        }

        fn check(&self, _: &Lease) -> Result<(), NotOwner> {
            Ok(())
        }

        fn end_of(&self, _: &Lease) -> CancellationToken {
            CancellationToken::new()
        }

        fn write_until(&self) -> Option<Instant> {
            Some(self.0)
        }
    }

    #[derive(Clone, Copy)]
    enum Answer {
        Written,
        NotYet,
        Never,
        /// After the patience of the attempt.
        None,
    }

    use Answer::{Never, None as Nothing, NotYet, Written};

    fn error(error: DbError) -> WriteError {
        let attempt = RequestAttemptError::DbError(error, String::new());
        ExecutionError::LastAttemptError(attempt).into()
    }

    /// What a write comes to whose attempts are answered like this, the last answer for ever; with a lease of a minute.
    async fn outcome(answers: &[Answer]) -> (&'static str, usize) {
        let left = Mutex::new(answers.to_vec());
        let attempts = Mutex::new(0);
        let attempt = |patience| {
            *attempts.lock() += 1;
            let mut left = left.lock();
            let answer = if left.len() > 1 { left.remove(0) } else { left[0] };
            async move {
                match answer {
                    Written => Ok(()),
                    NotYet => Err(error(DbError::IsBootstrapping)),
                    Never => Err(error(DbError::Unauthorized)),
                    Nothing => {
                        tokio::time::sleep(patience).await;
                        Err(ExecutionError::RequestTimeout(patience).into())
                    }
                }
            }
        };
        let leases = Until(Instant::now() + Duration::from_secs(60));
        let lease = leases.lease(SlotSet::Channels, Slot::of(7)).unwrap();
        let outcome = match repeat(&leases, &lease, attempt).await {
            Ok(()) => "written",
            Err(LeasedWriteError::NotOwner(_)) => "not owner",
            Err(LeasedWriteError::Write(WriteError::Unavailable(_))) => "not written",
            Err(LeasedWriteError::Write(WriteError::Refused(_))) => "refused",
            Err(LeasedWriteError::Write(WriteError::Unknown(_))) => "unknown",
        };
        (outcome, attempts.into_inner())
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_was_written_is_said_of_all_attempts_or_not_at_all() {
        let rows: [(&[Answer], _); 9] = [
            (&[Written], ("written", Some(1))),
            (&[Never], ("refused", Some(1))),
            (&[NotYet, Never], ("refused", Some(2))),
            (&[NotYet], ("not written", None)),
            (&[NotYet, Nothing, Written], ("written", Some(3))),
            (&[Nothing, Never], ("unknown", Some(2))),
            (&[Nothing, NotYet], ("unknown", None)),
            (&[Nothing, NotYet, Never], ("unknown", Some(3))),
            (&[Nothing], ("unknown", Some(3))),
        ];
        for (answers, (expected, attempts)) in rows {
            let found = outcome(answers).await;
            assert_eq!(found.0, expected);
            assert!(attempts.is_none_or(|attempts| attempts == found.1), "{expected}: {}", found.1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_sent_when_there_is_no_time_to_write() {
        let leases = Until(Instant::now());
        let lease = leases.lease(SlotSet::Channels, Slot::of(7)).unwrap();
        let error = repeat(&leases, &lease, |_| std::future::ready(Ok(()))).await.unwrap_err();
        assert!(matches!(error, LeasedWriteError::NotOwner(_)));
    }
}
