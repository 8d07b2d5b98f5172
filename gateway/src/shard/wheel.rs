//! One coarse timer wheel for all connections and sessions of a shard: a slot per second, checked once a second.
//!
//! A timer is only ever set for the time at which its owner is worth looking at. The owner says then whether it is due or
//! when to look again, so an event that moves a deadline (every heartbeat does) costs nothing here.

use crate::audience::SessionKey;
use crate::session::SessionId;

use super::conn::ConnId;

/// Who is to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timer {
    Conn(ConnId),
    Session(SessionKey, SessionId),
}

const SLOTS: u64 = 256;
const SLOT_MS: u64 = 1000;

#[derive(Debug)]
pub(super) struct Wheel {
    slots: Vec<Vec<(u64, Timer)>>,
    /// The first slot that has not been looked at, counted from the beginning of time.
    next: u64,
}

impl Wheel {
    pub(super) fn new(now_ms: u64) -> Self {
        Self { slots: vec![Vec::new(); SLOTS as usize], next: now_ms / SLOT_MS }
    }

    /// Gives the timer back in [`Self::due`] once `at_ms` has passed, at most a second late.
    pub(super) fn set(&mut self, at_ms: u64, timer: Timer) {
        let slot = (at_ms / SLOT_MS + 1).max(self.next);
        self.slots[(slot % SLOTS) as usize].push((slot, timer));
    }

    /// The timers whose time has come.
    pub(super) fn due(&mut self, now_ms: u64) -> Vec<Timer> {
        let mut due = Vec::new();
        let current = now_ms / SLOT_MS;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn timer(key: usize) -> Timer {
        Timer::Session(key, SessionId::new(0, [0; 16]))
    }

    #[test]
    fn timers_come_once_and_never_early() {
        let mut wheel = Wheel::new(5_000);
        for (key, at_ms) in [(0, 5_000), (1, 7_500), (2, 400_000), (3, 1_000)] {
            wheel.set(at_ms, timer(key));
        }
        assert_eq!(wheel.due(5_900), [timer(3)]);
        assert_eq!(wheel.due(6_000), [timer(0)]);
        assert_eq!(wheel.due(7_999), []);
        assert_eq!(wheel.due(8_000), [timer(1)]);
        assert_eq!(wheel.due(8_000), []);
        assert_eq!(wheel.due(400_999), [], "not yet, though its slot came round before");
        assert_eq!(wheel.due(401_000), [timer(2)]);
    }
}
