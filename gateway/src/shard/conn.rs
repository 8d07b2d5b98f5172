//! Connections as the shard has them, and what is written to them.
//!
//! Whoever makes something for a connection puts it into its outbox and marks it; at the end of each batch all that is
//! pending is written with one `writev` per connection, right here. The connection's own task writes only when the
//! socket was full.

use std::task::Waker;

use bytes::Bytes;
use slab::Slab;
use tasks::LocalTasks;
use tokio::sync::oneshot;
use tokio::time::Duration;

use super::task::{Serve, linger};
use super::{Input, NewSocket, Shard, ShardRef, SocketStart};
use crate::audience::SessionKey;
use crate::growth::reserve_some;
use crate::link::{self, Link};
use crate::socket::Socket;
use crate::stats::Count;
use crate::wire::{Class, CloseCode, Outbox, Progress, SharedBody, write_pending};

/// A connection's place, and which of the connections that had it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ConnId {
    pub(super) place: u32,
    serial: u32,
}

pub(super) struct Conn {
    serial: u32,
    pub(super) socket: Socket,
    /// Wakes the connection's task: the socket was full, or the connection is to end.
    waker: Option<Waker>,
    pub(super) outbox: Outbox,
    pub(super) link: Link,
    pub(super) session: Option<SessionKey>,
    pub(super) is_blocked: bool,
    is_dirty: bool,
    /// The task is to end at once.
    pub(super) is_dead: bool,
    /// Once a close frame is queued: when the connection ends, written or not.
    kill_at_ms: u64,
}

impl Conn {
    /// The task is called by this from now on.
    pub(super) fn wake_by(&mut self, waker: &Waker) {
        if !self.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            self.waker = Some(waker.clone());
        }
    }

    /// Has the task look again. Before its first look it needs no call.
    fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    pub(super) fn die(&mut self) {
        self.is_dead = true;
        self.wake();
    }

    pub(super) fn is(&self, id: ConnId) -> bool {
        self.serial == id.serial
    }

    /// Whether frames may go straight to the socket: they overtake nothing, and it takes them.
    pub(super) fn is_open_and_empty(&self) -> bool {
        !self.is_blocked && self.outbox.is_empty() && !self.outbox.is_closing()
    }
}

impl Shard {
    pub(super) fn on_socket(&mut self, me: &ShardRef, new: NewSocket) {
        let Ok(socket) = Socket::bind(new.stream) else {
            self.services.stats.connections.sub(1);
            return;
        };
        let now_ms = self.services.now_ms();
        self.conn_serial = self.conn_serial.wrapping_add(1);
        let serial = self.conn_serial;
        reserve_some(&mut self.conns);
        let place = self.conns.insert(Conn {
            serial,
            socket,
            waker: None,
            outbox: Outbox::new(self.services.settings.outbox_bytes_max),
            link: Link::new(now_ms),
            session: None,
            is_blocked: false,
            is_dirty: false,
            is_dead: false,
            kill_at_ms: 0,
        });
        // Far more connections than a process has sockets.
        let id = ConnId { place: u32::try_from(place).expect("sockets are fewer than 2³²"), serial };
        self.conn_timers.set(self.conns[place].link.deadline_ms(self.services.zombie_ms()), id);
        self.tasks.spawn(Serve::new(me.clone(), id, new.rest));
        match new.start {
            SocketStart::Hello => {
                self.send(id, link::hello(self.services.heartbeat_interval_ms()));
                if self.is_draining {
                    self.send(id, Bytes::from_static(link::RECONNECT));
                    self.close(id, CloseCode::GoingAway);
                }
            }
            SocketStart::Resume(resume) => {
                self.conns[place].link.moved_for_resume();
                self.resume(me, id, resume);
            }
            SocketStart::Close(code) => self.close(id, code),
        }
    }

    /// The connection, unless another has its place by now.
    pub(super) fn conn(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.conns.get_mut(id.place as usize).filter(|conn| conn.is(id))
    }

    /// Queues a payload without a sequence.
    pub(super) fn send(&mut self, id: ConnId, payload: Bytes) {
        let Some(conn) = self.conn(id) else { return };
        if conn.outbox.push_text(payload, Class::Durable).is_err() {
            return self.overflow(id);
        }
        self.mark(id);
    }

    /// Queues a dispatch.
    pub(super) fn dispatch(&mut self, id: ConnId, seq: u32, body: SharedBody, class: Class) {
        let Some(conn) = self.conn(id) else { return };
        if conn.outbox.push_dispatch(seq, body, class).is_err() {
            return self.overflow(id);
        }
        self.services.stats.dispatches.add(1);
        self.mark(id);
    }

    /// The connection is written at the end of the batch.
    pub(super) fn mark(&mut self, id: ConnId) {
        if let Some(conn) = self.conn(id)
            && !conn.is_dirty
        {
            conn.is_dirty = true;
            self.dirty.push(id);
        }
    }

    /// The client reads too slowly: it is sent away, and may resume. Its socket would not take a close frame either.
    pub(super) fn overflow(&mut self, id: ConnId) {
        self.services.stats.slow_consumers.add(1);
        self.detach(id);
        self.kill(id);
    }

    /// Ends the connection without a word.
    pub(super) fn kill(&mut self, id: ConnId) {
        if let Some(conn) = self.conn(id) {
            conn.die();
        }
    }

    /// Says why, and ends the connection once that is written. The session lives on if the code says so.
    pub(super) fn close(&mut self, id: ConnId, code: CloseCode) {
        let kill_at_ms = self.services.now_ms() + CLOSE_GRACE.as_millis() as u64;
        let Some(conn) = self.conn(id).filter(|conn| !conn.outbox.is_closing()) else { return };
        conn.outbox.close_after_pending(code);
        conn.kill_at_ms = kill_at_ms;
        let session = conn.session;
        self.conn_timers.set(kill_at_ms, id);
        self.services.stats.closes.add(1);
        match session {
            Some(_) if code.can_resume() => self.detach(id),
            Some(key) => self.end_session(key),
            None => {}
        }
        self.mark(id);
    }

    /// Writes all that is pending.
    pub(super) fn flush_dirty(&mut self, me: &ShardRef) {
        while let Some(id) = self.dirty.pop() {
            if let Some(conn) = self.conn(id) {
                conn.is_dirty = false;
                if !conn.is_blocked {
                    self.flush(me, id);
                }
            }
        }
    }

    /// Writes what is pending on one connection; what waits behind it in the session's ring follows.
    pub(super) fn flush(&mut self, me: &ShardRef, id: ConnId) {
        loop {
            let Some(conn) = self.conns.get_mut(id.place as usize).filter(|conn| conn.is(id))
            else {
                return;
            };
            self.services.stats.ephemeral_dropped.add(u64::from(conn.outbox.take_dropped()));
            match write_pending(&conn.socket, &mut conn.outbox, &mut self.writes) {
                Ok(Progress::Drained) => conn.is_blocked = false,
                Ok(Progress::Blocked) => {
                    conn.is_blocked = true;
                    conn.wake();
                    return;
                }
                Err(_) => {
                    conn.die();
                    return;
                }
            }
            if conn.outbox.is_closed() {
                conn.wake();
                return;
            }
            let Some(key) = conn.session else { return };
            self.pump(me, key);
            if self.conn(id).is_none_or(|conn| conn.outbox.is_empty()) {
                return;
            }
        }
    }

    /// The connection's task has ended.
    pub(super) fn conn_ended(&mut self, id: ConnId, ends_session: bool) {
        let Some(conn) = self.conn(id) else { return };
        let (session, dropped) = (conn.session, conn.outbox.take_dropped());
        self.services.stats.ephemeral_dropped.add(dropped.into());
        match session {
            Some(key) if ends_session => self.end_session(key),
            Some(_) => self.detach(id),
            None => drop(self.end_identifying(id)),
        }
        if let Some(socket) = self.forget_conn(id) {
            self.tasks.spawn(linger(socket));
        }
        self.services.stats.connections.sub(1);
    }

    pub(super) fn check_conn(&mut self, id: ConnId, now_ms: u64) {
        let zombie_ms = self.services.zombie_ms();
        let Some(conn) = self.conn(id) else { return };
        if conn.outbox.is_closing() {
            if now_ms >= conn.kill_at_ms {
                self.kill(id);
            }
            return;
        }
        match conn.link.expired(now_ms, zombie_ms) {
            None => {
                let deadline_ms = conn.link.deadline_ms(zombie_ms);
                self.conn_timers.set(deadline_ms, id);
            }
            Some(code) => {
                self.services.stats.zombies.add(1);
                self.close(id, code);
            }
        }
    }

    /// Forgets a connection whose socket goes on elsewhere.
    pub(super) fn forget_conn(&mut self, id: ConnId) -> Option<Socket> {
        self.conn(id)?;
        self.conns.try_remove(id.place as usize).map(|conn| conn.socket)
    }

    /// Hands a socket to the shard that has the session it wants to resume.
    pub(super) fn move_socket(&mut self, socket: NewSocket, shard: usize) {
        if self.peers[shard].try_send(Input::Socket(socket)).is_err() {
            // The other shard is overloaded: the socket closes, and the client comes back by itself.
            self.services.stats.connections.sub(1);
        }
    }

    pub(super) fn drain(&mut self, me: &ShardRef, grace: Duration, done: oneshot::Sender<()>) {
        self.is_draining = true;
        let ids = self.conn_ids();
        for id in ids {
            self.send(id, Bytes::from_static(link::RECONNECT));
        }
        let me = me.clone();
        self.tasks.spawn(async move {
            let deadline = tokio::time::Instant::now() + grace;
            while tokio::time::Instant::now() < deadline && !me.borrow().conns.is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            me.borrow_mut().close_all(&me);
            // The closes are written by now, or nobody reads them.
            let _ = done.send(());
        });
    }

    fn conn_ids(&self) -> Vec<ConnId> {
        self.conns.iter().map(|(place, conn)| ConnId { place: place as u32, serial: conn.serial }).collect()
    }

    fn close_all(&mut self, me: &ShardRef) {
        let ids = self.conn_ids();
        for id in ids {
            self.close(id, CloseCode::GoingAway);
        }
        self.flush_dirty(me);
    }

    /// The shard ends: every connection's task does.
    pub(super) fn end(&mut self) -> LocalTasks {
        for (_, conn) in &mut self.conns {
            conn.die();
        }
        self.tasks.clone()
    }
}

/// How long a closed connection may linger until the client's close comes.
pub(super) const CLOSE_GRACE: Duration = Duration::from_secs(3);
