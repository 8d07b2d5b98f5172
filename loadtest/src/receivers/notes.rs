//! What is noted of each event that is received: by whom, in which order, how late; and of each arrival.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::{Counters, Crowd, Journeys, Received};
use crate::marker::Marker;

const READ_BYTES: usize = 256 * 1024;

/// What the connections of a thread share. All of it is touched between two awaits only.
pub(super) struct Notes {
    /// The first of the runs, which are numbered in a row.
    run: u32,
    began: Instant,
    /// The numbers of this thread's receivers among all, by place.
    pub(super) members: Vec<usize>,
    pub(super) counters: Arc<Counters>,
    /// Where all of them read into.
    pub(super) scratch: RefCell<Vec<u8>>,
    /// Where compressed messages are laid out.
    pub(super) room: RefCell<Vec<u8>>,
    pub(super) journeys: RefCell<Journeys>,
    received: RefCell<Vec<Received>>,
}

impl Notes {
    pub(super) fn new(members: Vec<usize>, run: u32, crowd: &Crowd, counters: Arc<Counters>) -> Self {
        let received = (0..crowd.runs).map(|_| Received::empty(crowd.first, &members)).collect();
        Self {
            run,
            began: crowd.began,
            members,
            counters,
            scratch: RefCell::new(vec![0; READ_BYTES]),
            room: RefCell::default(),
            journeys: RefCell::new(Journeys::new()),
            received: RefCell::new(received),
        }
    }

    pub(super) fn into_parts(self) -> (Vec<Received>, Journeys) {
        (self.received.into_inner(), self.journeys.into_inner())
    }

    /// A receiver is there, for the first time or again.
    pub(super) fn opened(&self, away_since: Option<Instant>) {
        let mut journeys = self.journeys.borrow_mut();
        let us = |since: Instant| (since.elapsed().as_micros() as u64).max(1);
        match away_since {
            Some(since) => {
                journeys.away_us.saturating_record(us(since));
                self.counters.returned.fetch_add(1, Ordering::Relaxed);
            }
            None => journeys.came_us.saturating_record(us(self.began)),
        }
        self.counters.open.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes the event of one receiver, if it belongs to one of the runs; it took so many bytes on the wire.
    pub(super) fn take(&self, place: usize, payload: &[u8], wire_bytes: usize, now_us: u64) {
        let Some(marker) = Marker::find(payload) else { return };
        let mut received = self.received.borrow_mut();
        let run = marker.run.checked_sub(self.run).and_then(|run| received.get_mut(run as usize));
        let Some(received) = run else { return };
        let took_us = now_us.saturating_sub(marker.due_us);
        received.orders[place].push(marker.index);
        received.latency_us.saturating_record(took_us.max(1));
        received.bytes += payload.len();
        received.wire_bytes += wire_bytes;
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
