//! What is noted of each event that is received: by whom, in which order, how late.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::{Counters, Received};
use crate::marker::Marker;

const READ_BYTES: usize = 256 * 1024;

/// What the connections of a thread share. All of it is touched between two awaits only.
pub(super) struct Notes {
    /// The first of the runs, which are numbered in a row.
    run: u32,
    began: Instant,
    pub(super) counters: Arc<Counters>,
    pub(super) scratch: RefCell<Vec<u8>>,
    received: RefCell<Vec<Received>>,
}

impl Notes {
    pub(super) fn new(
        receivers: usize,
        (run, runs): (u32, usize),
        began: Instant,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            run,
            began,
            counters,
            scratch: RefCell::new(vec![0; READ_BYTES]),
            received: RefCell::new((0..runs).map(|_| Received::empty(receivers)).collect()),
        }
    }

    pub(super) fn into_received(self) -> Vec<Received> {
        self.received.into_inner()
    }

    /// Notes the frame of one receiver, if it belongs to one of the runs.
    pub(super) fn take(&self, place: usize, payload: &[u8], now_us: u64) {
        let Some(marker) = Marker::find(payload) else { return };
        let mut received = self.received.borrow_mut();
        let run = marker.run.checked_sub(self.run).and_then(|run| received.get_mut(run as usize));
        let Some(received) = run else { return };
        let took_us = now_us.saturating_sub(marker.due_us);
        received.orders[place].push(marker.index);
        received.latency_us.saturating_record(took_us.max(1));
        received.bytes += payload.len();
        let index = marker.index as usize;
        if received.last_us.len() <= index {
            received.last_us.resize(index + 1, 0);
        }
        received.last_us[index] = received.last_us[index].max(took_us);
        self.counters.delivered.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn now_us(&self) -> u64 {
        self.began.elapsed().as_micros() as u64
    }
}
