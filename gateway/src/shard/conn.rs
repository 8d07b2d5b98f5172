//! Connections as the shard has them, and what is written to them.
//!
//! Whoever makes something for a connection puts it into its outbox ([`super::send`]) and marks it; at the end of each batch all that is
//! pending is written with one `writev` per connection, right here. A socket that was full is written to when it is
//! told to have room.

use tasks::LocalTasks;
use tokio::time::Duration;

use super::serve::{Partial, linger};
use super::{Input, NewSocket, Shard, ShardRef, SocketStart};
use crate::audience::SessionKey;
use crate::form::{Form, Stream};
use crate::growth::reserve_some;
use crate::link::{Link, Notice};
use crate::poller::Token;
use crate::socket::Socket;
use crate::stats::Count;
use crate::wire::{CloseCode, Outbox, Progress, write_pending};

/// A connection's place, and which of the connections that had it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ConnId {
    pub(super) place: u32,
    serial: u32,
}

pub(super) struct Conn {
    serial: u32,
    pub(super) socket: Socket,
    pub(super) outbox: Outbox,
    pub(super) link: Link,
    pub(super) session: Option<SessionKey>,
    pub(super) form: Form,
    pub(super) stream: Option<Box<Stream>>,
    pub(super) is_blocked: bool,
    is_dirty: bool,
    /// It ends at the end of the batch.
    is_dead: bool,
    pub(super) partial: Option<Box<Partial>>,
    /// Once a close frame is queued: when the connection ends, written or not.
    kill_at_ms: u64,
}

impl ConnId {
    pub(super) fn from_token(token: Token) -> Self {
        Self { place: (token >> 32) as u32, serial: token as u32 }
    }

    fn token(self) -> Token {
        Token::from(self.place) << 32 | Token::from(self.serial)
    }
}

impl Conn {
    /// Whether nothing that comes counts any more.
    pub(super) fn is_over(&self) -> bool {
        self.is_dead || self.outbox.is_closed()
    }

    pub(super) fn is(&self, id: ConnId) -> bool {
        self.serial == id.serial
    }

    /// Whether an IDENTIFY that has come through still matters to it.
    pub(super) fn takes_a_session(&self) -> bool {
        !self.outbox.is_closing() && !self.link.is_leaving()
    }

    /// Whether frames may go straight to the socket: they overtake nothing, it takes them, and they go as they are.
    pub(super) fn is_open_and_empty(&self) -> bool {
        !self.is_blocked && self.stream.is_none() && self.outbox.is_empty() && !self.outbox.is_closing()
    }
}

impl Shard {
    pub(super) fn on_socket(&mut self, me: &ShardRef, new: NewSocket) {
        let now_ms = self.services.now_ms();
        self.conn_serial = self.conn_serial.wrapping_add(1);
        let serial = self.conn_serial;
        reserve_some(&mut self.conns);
        let place = self.conns.insert(Conn {
            serial,
            socket: new.socket,
            outbox: Outbox::new(self.services.settings.outbox_bytes_max),
            link: Link::new(now_ms),
            session: None,
            form: new.form,
            stream: new.stream,
            is_blocked: false,
            is_dirty: false,
            is_dead: false,
            partial: None,
            kill_at_ms: 0,
        });
        // Far more connections than a process has sockets.
        let id = ConnId { place: u32::try_from(place).expect("sockets are fewer than 2³²"), serial };
        self.conn_timers.set(self.conns[place].link.deadline_ms(self.services.zombie_ms()), id);
        if self.poller.watch(&self.conns[place].socket, id.token()).is_err() {
            return self.kill(id);
        }
        if !new.greeting.is_empty() {
            self.conns[place].outbox.push_raw(new.greeting);
            self.mark(id);
        }
        match new.start {
            SocketStart::Hello => {
                self.greet(id);
                if self.is_draining() {
                    self.send(id, Notice::Reconnect);
                    self.close(id, CloseCode::UnknownError);
                }
            }
            SocketStart::Resume(resume) => {
                self.conns[place].link.moved_for_resume();
                self.resume(me, id, resume);
                self.leaves_later(id);
            }
            SocketStart::Close(code) => self.close(id, code),
        }
        if !new.rest.is_empty() {
            // No answer to these may go ahead of the greeting.
            self.flush(me, id);
            self.take_bytes(me, id, &new.rest);
        }
    }

    /// The connection, unless another has its place by now.
    pub(super) fn conn(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.conns.get_mut(id.place as usize).filter(|conn| conn.is(id))
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
        if let Some(conn) = self.conn(id)
            && !conn.is_dead
        {
            conn.is_dead = true;
            self.over.push(id);
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

    /// Writes all that is pending, and ends the connections that are over.
    pub(super) fn flush_dirty(&mut self, me: &ShardRef) {
        while let Some(id) = self.dirty.pop() {
            if let Some(conn) = self.conn(id) {
                conn.is_dirty = false;
                if !conn.is_blocked {
                    self.flush(me, id);
                }
            }
        }
        while let Some(id) = self.over.pop() {
            self.conn_ended(id, false);
        }
    }

    /// Writes what is pending on one connection; what waits behind it in the session's ring follows.
    pub(super) fn flush(&mut self, me: &ShardRef, id: ConnId) {
        loop {
            let Some(conn) = self.conns.get_mut(id.place as usize).filter(|conn| conn.is(id)) else {
                return;
            };
            self.services.stats.ephemeral_dropped.add(u64::from(conn.outbox.take_dropped()));
            let was_blocked = conn.is_blocked;
            match write_pending(&conn.socket, &mut conn.outbox, &mut self.writes) {
                Ok(progress) => conn.is_blocked = progress == Progress::Blocked,
                Err(_) => return self.kill(id),
            }
            if conn.is_blocked != was_blocked
                && self.poller.watch_writes(&conn.socket, id.token(), conn.is_blocked).is_err()
            {
                return self.kill(id);
            }
            if conn.outbox.is_closed() {
                return self.over.push(id);
            }
            if conn.is_blocked {
                return;
            }
            let Some(key) = conn.session else { return };
            self.pump(me, key);
            if self.conn(id).is_none_or(|conn| conn.outbox.is_empty()) {
                return;
            }
        }
    }

    /// The connection is over.
    pub(super) fn conn_ended(&mut self, id: ConnId, ends_session: bool) {
        let Some(conn) = self.conn(id) else { return };
        let (session, dropped) = (conn.session, conn.outbox.take_dropped());
        self.services.stats.ephemeral_dropped.add(dropped.into());
        match session {
            Some(key) if ends_session => self.end_session(key),
            Some(_) => self.detach(id),
            None => {
                self.end_starting(id);
                self.end_identifying(id);
            }
        }
        if let Some(conn) = self.forget_conn(id) {
            self.tasks.spawn(linger(conn.socket));
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
    pub(super) fn forget_conn(&mut self, id: ConnId) -> Option<Conn> {
        self.conn(id)?;
        let conn = self.conns.try_remove(id.place as usize)?;
        self.poller.forget(&conn.socket);
        Some(conn)
    }

    /// Hands a socket to the shard that has the session it wants to resume.
    pub(super) fn move_socket(&mut self, socket: NewSocket, shard: usize) {
        if self.peers[shard].try_send(Input::Socket(socket)).is_err() {
            // The other shard is overloaded: the socket closes, and the client comes back by itself.
            self.services.stats.connections.sub(1);
        }
    }

    pub(super) fn conn_ids(&self) -> Vec<ConnId> {
        self.conns.iter().map(|(place, conn)| ConnId { place: place as u32, serial: conn.serial }).collect()
    }

    /// The shard ends, and with it every connection.
    pub(super) fn end(&mut self) -> LocalTasks {
        for id in self.conn_ids() {
            self.conn_ended(id, false);
        }
        self.tasks.clone()
    }
}

/// How long a closed connection may linger until the client's close comes.
pub(super) const CLOSE_GRACE: Duration = Duration::from_secs(3);
