//! IDENTIFY and RESUME at the gate: at once, when their turn comes, or not now.
//!
//! A socket that waits is as alive as any other: it is answered its heartbeats, and may go. When its time is up it is told
//! what costs it least. An IDENTIFY gets op 9, and comes again. A RESUME does not: op 9 would end a session that is well and make
//! an IDENTIFY of it, which costs more. It gets op 7 and comes back with the same RESUME, to another pod perhaps. Before
//! both goes op 1, without which one library would wait for ever on either (see [`crate::link`]).

use super::conn::ConnId;
use super::serve::Flow;
use super::{Shard, ShardRef};
use crate::admission::Start;
use crate::gate::Entry;
use crate::link::Notice;
use crate::link::command::{Identify, Resume};
use crate::wire::CloseCode;

/// A start with what it takes.
pub(super) enum Begin {
    Identify(Box<Identify>),
    Resume(Resume),
}

impl Begin {
    fn kind(&self) -> Start {
        match self {
            Self::Identify(_) => Start::Identify,
            Self::Resume(_) => Start::Resume,
        }
    }
}

impl Shard {
    /// Begins, if there is room for one more.
    pub(super) fn ask_to_start(&mut self, me: &ShardRef, conn: ConnId, begin: Begin) -> Flow {
        let kind = begin.kind();
        match self.services.admit_start(kind) {
            Entry::Go => return self.begin(me, conn, begin),
            Entry::Refused => self.not_now(conn, kind),
            Entry::Wait(ticket, turn) => {
                self.starting.insert(conn, ticket);
                let me = me.clone();
                self.tasks.clone().spawn(async move {
                    // Nobody tells whose connection has gone.
                    let Ok(may_go) = turn.await else { return };
                    let mut this = me.borrow_mut();
                    this.turn_came(&me, conn, begin, may_go);
                    this.flush_dirty(&me);
                });
            }
        }
        Flow::Go
    }

    fn turn_came(&mut self, me: &ShardRef, conn: ConnId, begin: Begin, may_go: bool) {
        self.starting.remove(&conn);
        if self.conn(conn).is_none_or(|conn| conn.is_over() || !conn.takes_a_session()) {
            return;
        }
        if !may_go {
            return self.not_now(conn, begin.kind());
        }
        if let Flow::End(end) = self.begin(me, conn, begin) {
            self.finish(me, conn, end);
        }
    }

    fn begin(&mut self, me: &ShardRef, conn: ConnId, begin: Begin) -> Flow {
        match begin {
            Begin::Resume(resume) => return self.resume_here_or_there(me, conn, resume),
            Begin::Identify(identify) => self.identify(me, conn, *identify),
        }
        Flow::Go
    }

    fn not_now(&mut self, conn: ConnId, kind: Start) {
        match kind {
            Start::Identify => self.refuse(conn),
            Start::Resume => {
                self.send(conn, Notice::HeartbeatRequest);
                self.send(conn, Notice::Reconnect);
                self.close(conn, CloseCode::UnknownError);
            }
        }
    }

    /// The connection is over; it need not wait any more.
    pub(super) fn end_starting(&mut self, conn: ConnId) {
        if let Some(ticket) = self.starting.remove(&conn) {
            self.services.forget_start(ticket);
        }
    }
}
