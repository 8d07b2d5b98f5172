//! A write of unknown outcome is repeated for as long as its lease holds.
//!
//! What may be stored is in the history, and may be found by its nonce. If it were left as it is, nobody would publish it
//! before another owner comes, long after what was sent later. So what comes behind it waits, as behind a publish that does
//! not go through; who waits for the answer is told in time that nobody knows.

use std::time::Duration;

use model::limits::STORE_RETRY_MS;
use storage::Lease;
use tokio::time::sleep;

use super::Shared;
use crate::store::StoreError;

/// Writes until it is known what has become of it, or the lease is gone. Repeated, it changes nothing when it was written.
pub(super) async fn until_known<F: Future<Output = Result<(), StoreError>>>(
    shared: &Shared,
    lease: &Lease,
    write: impl Fn() -> F,
) -> Result<(), StoreError> {
    let mut is_in_doubt = false;
    loop {
        let Err(error) = write().await else { return Ok(()) };
        is_in_doubt |= matches!(error, StoreError::Unknown);
        if !is_in_doubt {
            return Err(error);
        }
        if shared.leases.check(lease).is_err() {
            return Err(StoreError::Unknown);
        }
        tracing::warn!(%error, ?lease, "a write of unknown outcome is repeated");
        sleep(Duration::from_millis(STORE_RETRY_MS)).await;
    }
}
