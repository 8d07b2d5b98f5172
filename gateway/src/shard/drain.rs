//! The shard's part in the end of a gateway ([`crate::drain`]): its clients are told to leave, one after the other.
//!
//! Until it is told a client is served as ever; from then on nothing but its heartbeats is answered. It has some seconds to
//! leave by itself. Then its socket is closed, with a code after which it resumes.

use std::collections::VecDeque;

use model::limits;
use tokio::sync::oneshot;
use tokio::time::{Duration, sleep};

use super::conn::ConnId;
use super::{Shard, ShardRef};
use crate::link::Notice;
use crate::stats::Count;
use crate::wire::CloseCode;

/// A drain that is under way.
pub(super) struct Drain {
    began_ms: u64,
    /// Over how long clients are told.
    spread_ms: u64,
    waiting: VecDeque<ConnId>,
    told_count: u64,
    /// Who was told, and when their socket is closed.
    leaving: VecDeque<(u64, ConnId)>,
}

impl Drain {
    fn new(now_ms: u64, spread: Duration) -> Self {
        Self {
            began_ms: now_ms,
            spread_ms: spread.as_millis() as u64,
            waiting: VecDeque::new(),
            told_count: 0,
            leaving: VecDeque::new(),
        }
    }

    /// How many are to be told now.
    fn due(&self, now_ms: u64) -> u64 {
        let (elapsed_ms, waiting) = (now_ms.saturating_sub(self.began_ms), self.waiting.len() as u64);
        if elapsed_ms >= self.spread_ms {
            return waiting;
        }
        let all = self.told_count + waiting;
        (all * elapsed_ms).div_ceil(self.spread_ms).saturating_sub(self.told_count)
    }

    /// Somebody whose time to leave is over.
    fn take_late(&mut self, now_ms: u64) -> Option<ConnId> {
        self.leaving.pop_front_if(|(at_ms, _)| now_ms >= *at_ms).map(|(_, conn)| conn)
    }
}

impl Shard {
    /// Begins to tell everybody; `done` hears when nobody is left.
    pub(super) fn drain(&mut self, me: &ShardRef, spread: Duration, done: oneshot::Sender<()>) {
        let conns = self.conn_ids();
        self.drain = Some(Box::new(Drain::new(self.services.now_ms(), spread)));
        conns.into_iter().for_each(|conn| self.leaves_later(conn));
        let me = me.clone();
        self.tasks.spawn(async move {
            while !me.borrow_mut().drain_on(&me) {
                sleep(Duration::from_millis(limits::DRAIN_STEP_MS)).await;
            }
            // Nobody hears it if the process is in a hurry.
            let _ = done.send(());
        });
    }

    pub(super) fn is_draining(&self) -> bool {
        self.drain.is_some()
    }

    /// The connection is told in its turn.
    pub(super) fn leaves_later(&mut self, conn: ConnId) {
        if let Some(drain) = &mut self.drain {
            drain.waiting.push_back(conn);
            self.services.stats.drain_waiting.add(1);
        }
    }

    /// Tells those whose turn it is, closes those who take too long; true when nobody is left.
    fn drain_on(&mut self, me: &ShardRef) -> bool {
        let now_ms = self.services.now_ms();
        let Some(drain) = &mut self.drain else { return true };
        let due = drain.due(now_ms);
        drain.told_count += due;
        let turn: Vec<ConnId> = drain.waiting.drain(..due as usize).collect();
        self.services.stats.drain_waiting.sub(due);
        turn.into_iter().for_each(|conn| self.tell_to_leave(conn, now_ms));
        while let Some(conn) = self.drain.as_mut().and_then(|drain| drain.take_late(now_ms)) {
            self.close(conn, CloseCode::UnknownError);
        }
        self.flush_dirty(me);
        self.conns.is_empty()
    }

    fn tell_to_leave(&mut self, id: ConnId, now_ms: u64) {
        let Some(conn) = self.conn(id).filter(|conn| !conn.is_over()) else { return };
        conn.link.leave();
        self.end_starting(id);
        self.send(id, Notice::Reconnect);
        self.services.stats.drained.add(1);
        if let Some(drain) = &mut self.drain {
            drain.leaving.push_back((now_ms + limits::DRAIN_LEAVE_MS, id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_told_evenly_and_all_of_them_by_the_end() {
        let mut drain = Drain::new(1_000, Duration::from_millis(100));
        drain.waiting.extend([ConnId::from_token(0); 10]);
        let mut told = Vec::new();
        for now_ms in [1_000, 1_001, 1_010, 1_011, 1_055, 1_100] {
            let due = drain.due(now_ms);
            drain.waiting.drain(..due as usize);
            drain.told_count += due;
            told.push(drain.told_count);
        }
        assert_eq!(told, [0, 1, 1, 2, 6, 10]);
        drain.waiting.push_back(ConnId::from_token(0));
        assert_eq!(drain.due(1_100), 1, "who comes late is told at once");
        let mut at_once = Drain::new(0, Duration::ZERO);
        at_once.waiting.extend([ConnId::from_token(0); 3]);
        assert_eq!(at_once.due(0), 3);
    }
}
