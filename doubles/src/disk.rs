//! A disk that can be held up.

use std::io;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

/// Decides which fsyncs go through. Dropped, all do, so that an engine behind it can end.
#[derive(Default)]
pub struct Disk(Arc<Gate>);

#[derive(Default)]
struct Gate {
    /// How many go through before they are held; `None`: all.
    left: Mutex<Option<u64>>,
    opened: Condvar,
}

impl Disk {
    /// Holds every fsync back from now on.
    pub fn hold(&self) {
        self.let_through(0);
    }

    /// Holds them back after so many.
    pub fn let_through(&self, count: u64) {
        self.set(Some(count));
    }

    /// Lets all through, also those that wait.
    pub fn free(&self) {
        self.set(None);
    }

    /// What the engine calls in the place of each fsync; it does not tell the engine of a failure.
    pub fn hook(&self) -> Arc<dyn Fn() -> io::Result<()> + Send + Sync> {
        let gate = Arc::clone(&self.0);
        Arc::new(move || {
            let mut left = gate.left.lock();
            gate.opened.wait_while(&mut left, |left| *left == Some(0));
            if let Some(left) = &mut *left {
                *left -= 1;
            }
            Ok(())
        })
    }

    fn set(&self, left: Option<u64>) {
        *self.0.left.lock() = left;
        self.0.opened.notify_all();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.free();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn what_is_held_goes_through_once_it_is_free() {
        let disk = Disk::default();
        let hook = disk.hook();
        hook().unwrap();
        disk.let_through(1);
        hook().unwrap();
        let (passed, waits) = sync_channel(1);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                hook().unwrap();
                passed.send(()).unwrap();
            });
            assert!(waits.try_recv().is_err());
            drop(disk);
            waits.recv().unwrap();
        });
    }
}
