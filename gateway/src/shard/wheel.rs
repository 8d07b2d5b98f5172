//! A coarse timer wheel, of which a shard has one for its connections, one for refusals and one for its sessions: a slot per
//! second, checked once a second.
//!
//! A timer is only ever set for the time at which its owner is worth looking at. The owner says then whether it is due or
//! when to look again, so an event that moves a deadline (every heartbeat does) costs nothing here.

const SLOTS: u32 = 256;
const SLOT_MS: u64 = 1000;

/// `T` says who is to be looked at.
#[derive(Debug)]
pub(super) struct Wheel<T> {
    slots: Vec<Vec<(u32, T)>>,
    /// The first slot that has not been looked at, counted from the beginning of time.
    next: u32,
}

impl<T> Wheel<T> {
    pub(super) fn new(now_ms: u64) -> Self {
        Self { slots: (0..SLOTS).map(|_| Vec::new()).collect(), next: slot_of(now_ms) }
    }

    /// Gives the timer back in [`Self::due`] once `at_ms` has passed, at most a second late.
    pub(super) fn set(&mut self, at_ms: u64, timer: T) {
        let slot = (slot_of(at_ms) + 1).max(self.next);
        self.slots[(slot % SLOTS) as usize].push((slot, timer));
    }

    /// The timers whose time has come.
    pub(super) fn due(&mut self, now_ms: u64) -> Vec<T> {
        let mut due = Vec::new();
        let current = slot_of(now_ms);
        for slot in self.next..=current.min(self.next + SLOTS - 1) {
            let index = (slot % SLOTS) as usize;
            let timers = std::mem::take(&mut self.slots[index]);
            for (at, timer) in timers {
                if at <= current { due.push(timer) } else { self.slots[index].push((at, timer)) }
            }
        }
        self.next = self.next.max(current + 1);
        due
    }
}

/// A process does not live for the 136 years after which this ends.
fn slot_of(at_ms: u64) -> u32 {
    (at_ms / SLOT_MS) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_come_once_and_never_early() {
        let mut wheel = Wheel::new(5_000);
        for (key, at_ms) in [(0, 5_000), (1, 7_500), (2, 400_000), (3, 1_000)] {
            wheel.set(at_ms, key);
        }
        assert_eq!(wheel.due(5_900), [3]);
        assert_eq!(wheel.due(6_000), [0]);
        assert!(wheel.due(7_999).is_empty());
        assert_eq!(wheel.due(8_000), [1]);
        assert!(wheel.due(8_000).is_empty());
        assert!(wheel.due(400_999).is_empty(), "not yet, though its slot came round before");
        assert_eq!(wheel.due(401_000), [2]);
    }
}
