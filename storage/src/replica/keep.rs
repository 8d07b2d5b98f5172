//! Staying alive: the version of the replica's own row is raised for as long as that works.

use super::{Replica, register::ReplicaId};
use parking_lot::Mutex;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

/// A replica that has a row.
pub(super) struct Keeper<'a> {
    replica: &'a Replica,
    id: ReplicaId,
    /// The version that the row has, as far as it was confirmed.
    version: Mutex<u64>,
}

impl<'a> Keeper<'a> {
    /// Of a row that was confirmed, and first asked for at this moment.
    pub(super) fn new(replica: &'a Replica, id: ReplicaId, version: u64, sent_at: Instant) -> Self {
        replica.table.hold_until(sent_at + replica.timing.stop);
        Self { replica, id, version: Mutex::new(version) }
    }

    pub(super) fn id(&self) -> ReplicaId {
        self.id
    }

    /// Returns when the lease is lost: the row is gone, or was not raised in time. Once it is to stop, the row says
    /// that it wants no more slots.
    pub(super) async fn keep(&self, stop: &CancellationToken) {
        let timing = self.replica.timing;
        let mut is_leaving = false;
        while let Some(until) = self.replica.table.write_until(Duration::ZERO) {
            let raised = timeout_at(until, async {
                tokio::select! {
                    () = sleep(timing.renew) => {}
                    () = stop.cancelled(), if !is_leaving => {}
                }
                is_leaving = stop.is_cancelled();
                self.raise(is_leaving).await
            });
            match raised.await {
                Ok(Some(sent_at)) if self.replica.table.extend_until(sent_at + timing.stop) => {}
                Ok(_) | Err(_) => return,
            }
        }
    }

    /// Says that the replica has gone. When that fails the others find out in time.
    pub(super) async fn leave(&self) {
        let version = *self.version.lock();
        match self.replica.register.remove(self.id, version).await {
            Ok(true) => {}
            Ok(false) => tracing::warn!("the replica's row has another version, and stays"),
            Err(error) => tracing::warn!(%error, "the replica's row may stay"),
        }
    }

    /// Raises the version by one, with as many attempts as it takes. Answers when the first was sent: others may have
    /// seen the new version since then. `None` when the row is gone.
    async fn raise(&self, is_leaving: bool) -> Option<Instant> {
        let from = *self.version.lock();
        let first_sent_at = Instant::now();
        loop {
            match self.replica.register.raise(self.id, from, is_leaving).await {
                Ok(Some(version)) if version == from + 1 => {
                    *self.version.lock() = version;
                    return Some(first_sent_at);
                }
                Ok(_) => return None,
                Err(error) => tracing::warn!(%error, "the replica's lease is not renewed yet"),
            }
            sleep(self.replica.timing.look_soon).await;
        }
    }
}
