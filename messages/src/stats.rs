//! Counters, for whoever turns them into metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that only rises.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What the service did since it was opened.
#[derive(Debug, Default)]
pub struct Stats {
    /// Messages that were stored and published.
    pub created: Counter,
    /// Sends that were answered with an earlier message, by their nonce.
    pub repeated: Counter,
    pub edited: Counter,
    pub deleted: Counter,
    pub reactions: Counter,
    pub typings: Counter,
    pub rate_limited: Counter,
    pub filtered: Counter,
    /// Publishes that failed and were repeated.
    pub publish_retries: Counter,
    /// Times when a channel's publishes stood still for longer than senders wait.
    pub stalls: Counter,
    /// Requests refused because a channel's queue was full.
    pub overloaded: Counter,
    pub guilds_loaded: Counter,
    /// Permission checks that asked the directory because the view may have missed something.
    pub direct_checks: Counter,
    /// Events that the sweep at the start published again.
    pub swept: Counter,
    /// Messages that an owner wrote after it had lost its slot, and that were removed.
    pub late: Counter,
    /// Messages that may be such, and stayed: nobody knows whether they had been published.
    pub unsure: Counter,
    pub channels_started: Counter,
    pub channels_ended: Counter,
}
