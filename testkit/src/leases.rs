//! Leases as a test wants them: all are had until they are taken away.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use storage::{Epoch, Lease, Leases, NotOwner, Slot, SlotSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Every lease that was not taken away, in whatever epoch.
#[derive(Debug, Default)]
pub struct Granted {
    gone: Mutex<HashSet<Lease>>,
    until: Mutex<Option<Instant>>,
}

impl Granted {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    pub fn take_away(&self, lease: Lease) {
        self.gone.lock().insert(lease);
    }

    /// From now on all leases end at this moment.
    pub fn end_at(&self, until: Instant) {
        *self.until.lock() = Some(until);
    }
}

impl Leases for Granted {
    fn lease(&self, set: SlotSet, slot: Slot) -> Result<Lease, NotOwner> {
        let lease = Lease { set, slot, epoch: Epoch(1) };
        self.check(&lease).map(|()| lease)
    }

    fn check(&self, lease: &Lease) -> Result<(), NotOwner> {
        let is_over = self.until.lock().is_some_and(|until| until <= Instant::now());
        if is_over || self.gone.lock().contains(lease) {
            return Err(NotOwner { set: lease.set, slot: lease.slot, owner: None });
        }
        Ok(())
    }

    fn end_of(&self, _: &Lease) -> CancellationToken {
        CancellationToken::new()
    }

    fn write_until(&self) -> Option<Instant> {
        *self.until.lock()
    }
}
