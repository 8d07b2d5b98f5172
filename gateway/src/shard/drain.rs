//! The shard's part in the end of a gateway ([`crate::drain`]): its clients are told to leave, one after the other.
//!
//! Until its turn comes a client is served as ever. Then its session is packed up and left for whoever takes it
//! ([`super::parking`]), and only when that is done the client is told; from its turn on nothing but its heartbeats is answered. It
//! has some seconds to leave by itself. Then its socket is closed, with a code after which it resumes. Sessions without a socket
//! have their turn like all others.

use std::collections::VecDeque;

use model::limits;
use tokio::sync::oneshot;
use tokio::time::{Duration, sleep};

use super::conn::ConnId;
use super::{Shard, ShardRef};
use crate::audience::SessionKey;
use crate::link::Notice;
use crate::session::SessionId;
use crate::stats::Count;
use crate::wire::CloseCode;

/// A drain that is under way.
pub(super) struct Drain {
    began_ms: u64,
    /// Over how long turns begin.
    spread_ms: u64,
    waiting: VecDeque<Leaver>,
    begun_count: u64,
    /// Whose guilds are being opened, and until when that is waited for.
    held: VecDeque<(u64, Leaver)>,
    /// Who was told, and when their socket is closed.
    leaving: VecDeque<(u64, ConnId)>,
    /// Sessions whose record is on its way.
    parking_count: u64,
    /// The last record was not taken.
    is_registry_away: bool,
}

/// Who has a turn.
#[derive(Debug, Clone, Copy)]
enum Leaver {
    /// A connection, with its session if it has one.
    Conn(ConnId),
    /// A session without a connection, or that had none.
    Session(SessionKey, SessionId),
}

impl Drain {
    fn new(now_ms: u64, spread: Duration) -> Self {
        Self {
            began_ms: now_ms,
            spread_ms: spread.as_millis() as u64,
            waiting: VecDeque::new(),
            begun_count: 0,
            held: VecDeque::new(),
            leaving: VecDeque::new(),
            parking_count: 0,
            is_registry_away: false,
        }
    }

    /// How many turns are to begin now: as many as are due, and not more than records can be on their way.
    fn due(&self, now_ms: u64) -> u64 {
        let (elapsed_ms, waiting) = (now_ms.saturating_sub(self.began_ms), self.waiting.len() as u64);
        let due = if elapsed_ms >= self.spread_ms {
            waiting
        } else {
            let all = self.begun_count + waiting;
            (all * elapsed_ms).div_ceil(self.spread_ms).saturating_sub(self.begun_count)
        };
        due.min(limits::PARKINGS_MAX.saturating_sub(self.parking_count))
    }

    /// Somebody whose time to leave is over.
    fn take_late(&mut self, now_ms: u64) -> Option<ConnId> {
        let is_late = self.leaving.front().is_some_and(|(at_ms, _)| now_ms >= *at_ms);
        if is_late { self.leaving.pop_front().map(|(_, conn)| conn) } else { None }
    }
}

impl Shard {
    /// Begins to tell everybody; `done` hears when nobody is left.
    pub(super) fn drain(&mut self, me: &ShardRef, spread: Duration, done: oneshot::Sender<()>) {
        let conns = self.conn_ids().into_iter().map(Leaver::Conn);
        let others = self.services.neighbours.is_some();
        let alone = self.sessions.iter().filter(|(_, slot)| others && slot.conn.is_none());
        let alone = alone.map(|(key, slot)| Leaver::Session(key, slot.session.profile.id));
        let leavers: Vec<Leaver> = conns.chain(alone).collect();
        self.drain = Some(Box::new(Drain::new(self.services.now_ms(), spread)));
        leavers.into_iter().for_each(|leaver| self.line_up(leaver));
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

    /// The connection has its turn, with whatever session it has by then.
    pub(super) fn leaves_later(&mut self, conn: ConnId) {
        self.line_up(Leaver::Conn(conn));
    }

    /// The session has lost its connection.
    pub(super) fn leaves_alone(&mut self, key: SessionKey, id: SessionId) {
        if self.services.neighbours.is_some() {
            self.line_up(Leaver::Session(key, id));
        }
    }

    fn line_up(&mut self, leaver: Leaver) {
        if let Some(drain) = &mut self.drain {
            drain.waiting.push_back(leaver);
            self.services.stats.drain_waiting.add(1);
        }
    }

    /// Begins the turns that are due, closes those who take too long; true when nobody is left.
    fn drain_on(&mut self, me: &ShardRef) -> bool {
        let now_ms = self.services.now_ms();
        // A checkpoint that is on its way must not come after the record.
        let is_writing = self.checkpoints.is_writing();
        let Some(drain) = &mut self.drain else { return true };
        let due = if is_writing { 0 } else { drain.due(now_ms) };
        drain.begun_count += due;
        let held = std::mem::take(&mut drain.held);
        let turns: Vec<Leaver> = drain.waiting.drain(..due as usize).collect();
        self.services.stats.drain_waiting.sub(due);
        for (until_ms, leaver) in held {
            self.take_turn(me, leaver, until_ms, now_ms);
        }
        for leaver in turns {
            self.take_turn(me, leaver, now_ms + limits::DRAIN_OPENING_MS, now_ms);
        }
        while let Some(conn) = self.drain.as_mut().and_then(|drain| drain.take_late(now_ms)) {
            self.close(conn, CloseCode::UnknownError);
        }
        self.flush_dirty(me);
        let is_over =
            |drain: &Drain| drain.waiting.is_empty() && drain.held.is_empty() && drain.parking_count == 0;
        self.conns.is_empty() && self.drain.as_deref().is_none_or(is_over)
    }

    fn take_turn(&mut self, me: &ShardRef, leaver: Leaver, until_ms: u64, now_ms: u64) {
        let session = self.session_of(leaver);
        let is_opening = session.is_some_and(|key| self.sessions[key].opening_count > 0);
        if is_opening && now_ms < until_ms {
            if let Some(drain) = &mut self.drain {
                drain.held.push_back((until_ms, leaver));
            }
            return;
        }
        let others = self.services.neighbours.is_some();
        match (session, leaver) {
            (Some(key), Leaver::Conn(conn)) if others => self.park(me, key, Some(conn)),
            (Some(key), Leaver::Session(..)) if others => self.park(me, key, None),
            (_, Leaver::Conn(conn)) => self.tell_to_leave(conn),
            (_, Leaver::Session(..)) => {}
        }
    }

    fn session_of(&mut self, leaver: Leaver) -> Option<SessionKey> {
        match leaver {
            Leaver::Conn(conn) => self.key_of(conn),
            // One that has a connection by now leaves with that.
            Leaver::Session(key, id) => self.session(key, id).filter(|slot| slot.conn.is_none()).map(|_| key),
        }
    }

    /// A record begins its way to the registry. Answers how long it may be tried again: not for everybody anew while the
    /// registry is away.
    pub(super) fn parking_begins(&mut self) -> Duration {
        let Some(drain) = &mut self.drain else { return Duration::ZERO };
        drain.parking_count += 1;
        let patience_ms = if drain.is_registry_away { 0 } else { limits::PARKING_MS };
        Duration::from_millis(patience_ms)
    }

    pub(super) fn parking_ended(&mut self, is_left: bool) {
        if let Some(drain) = &mut self.drain {
            drain.parking_count -= 1;
            drain.is_registry_away = !is_left;
        }
    }

    pub(super) fn tell_to_leave(&mut self, id: ConnId) {
        let at_ms = self.services.now_ms() + limits::DRAIN_LEAVE_MS;
        let Some(conn) = self.conn(id).filter(|conn| !conn.is_over()) else { return };
        conn.link.leave();
        self.end_starting(id);
        self.send(id, Notice::Reconnect);
        self.services.stats.drained.add(1);
        if let Some(drain) = &mut self.drain {
            drain.leaving.push_back((at_ms, id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_told_evenly_and_all_of_them_by_the_end() {
        let mut drain = Drain::new(1_000, Duration::from_millis(100));
        drain.waiting.extend([Leaver::Conn(ConnId::from_token(0)); 10]);
        let mut told = Vec::new();
        for now_ms in [1_000, 1_001, 1_010, 1_011, 1_055, 1_100] {
            let due = drain.due(now_ms);
            drain.waiting.drain(..due as usize);
            drain.begun_count += due;
            told.push(drain.begun_count);
        }
        assert_eq!(told, [0, 1, 1, 2, 6, 10]);
        drain.waiting.push_back(Leaver::Conn(ConnId::from_token(0)));
        assert_eq!(drain.due(1_100), 1, "who comes late is told at once");
        let mut at_once = Drain::new(0, Duration::ZERO);
        at_once.waiting.extend([Leaver::Conn(ConnId::from_token(0)); 3]);
        assert_eq!(at_once.due(0), 3);
        at_once.parking_count = limits::PARKINGS_MAX - 1;
        assert_eq!(at_once.due(0), 1, "no more records are on their way than the registry can take");
    }
}
