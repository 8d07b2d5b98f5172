//! Whether a fault strikes: a function of the seed and of what it would strike.

use std::collections::HashMap;

use parking_lot::Mutex;

/// The kinds of fault. Each is decided apart from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    DropSilently = 1,
    DropWithGap,
    Repeat,
    Swap,
    Delay,
    Reconnect,
    PublishRefused,
    PublishUnanswered,
    PublishRepeated,
    StoreTwice,
    Question,
    DeliverUnanswered,
    BeginAnew,
}

/// Whether the fault strikes `(key, detail)`, at a rate of so many in a thousand.
pub(super) fn strikes(seed: u64, fault: Fault, rate: u32, key: u64, detail: u64) -> bool {
    rate > 0 && roll(seed, fault, key, detail) % 1000 < u64::from(rate)
}

/// A number that looks random, and is the same for the same arguments.
pub(super) fn roll(seed: u64, fault: Fault, key: u64, detail: u64) -> u64 {
    [fault as u64, key, detail].into_iter().fold(mix(seed), |state, word| mix(state ^ word))
}

/// The id under which an event is stored a second time.
pub(super) fn other_id(event_id: u64) -> u64 {
    mix(event_id) | 1
}

/// One step of SplitMix64.
pub(super) fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// Counts attempts, so that what is tried again does not fail for ever.
#[derive(Default)]
pub(super) struct Attempts(Mutex<HashMap<u64, u64>>);

impl Attempts {
    pub(super) fn next(&self, key: u64) -> u64 {
        let mut attempts = self.0.lock();
        if attempts.len() >= ATTEMPTS_MAX {
            attempts.clear();
        }
        let attempt = attempts.entry(key).or_default();
        *attempt += 1;
        *attempt
    }

    pub(super) fn forget(&self, key: u64) {
        self.0.lock().remove(&key);
    }
}

const ATTEMPTS_MAX: usize = 64 * 1024;
