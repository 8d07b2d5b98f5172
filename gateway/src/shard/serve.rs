//! What comes from a connection's socket.
//!
//! A connection has no task and no buffer: there are as many of them as clients, and nearly all of them wait. The shard is
//! told which sockets have news, reads those into a buffer of its own, and keeps for a connection only what is no whole
//! message yet. What comes after a connection (waiting until the client has hung up) is a task.

use std::io;

use bytes::{Bytes, BytesMut};
use encoding::etf;
use model::limits;

use super::conn::{CLOSE_GRACE, Conn, ConnId};
use super::{NewSocket, Shard, ShardRef, SocketStart};
use crate::link::Action;
use crate::link::command::Resume;
use crate::poller::Token;
use crate::socket::Socket;
use crate::stats::Count;
use crate::wire::close::client_ends_session;
use crate::wire::{CloseCode, Decoder, Message};

/// How a connection ended.
pub(super) enum End {
    /// The socket broke, or we closed it.
    Lost,
    /// The client said goodbye for good.
    Goodbye,
    /// The socket goes on at another shard.
    Moved(Resume, usize),
}

/// What is to be done after a message.
pub(super) enum Flow {
    Go,
    End(End),
}

/// What was read and is no whole message yet.
#[derive(Default)]
pub(super) struct Partial {
    buffer: BytesMut,
    decoder: Decoder,
}

impl Partial {
    /// Between messages nothing is held.
    fn is_over(&self) -> bool {
        self.buffer.is_empty() && self.decoder.is_idle()
    }
}

impl Shard {
    /// Serves the connections whose sockets have news.
    pub(super) fn serve(&mut self, me: &ShardRef, news: &[Token]) {
        for token in news {
            let id = ConnId::from_token(*token);
            if self.conn(id).is_some_and(|conn| conn.is_blocked) {
                self.flush(me, id);
            }
            self.read(me, id);
        }
        self.flush_dirty(me);
    }

    /// Reads what is there; of a client that sends more than its share, the rest is read in the next turn.
    fn read(&mut self, me: &ShardRef, id: ConnId) {
        for _ in 0..READS_MAX {
            let Some(conn) = self.conns.get(id.place as usize).filter(|conn| conn.is(id) && !conn.is_over())
            else {
                return;
            };
            match conn.socket.read(&mut self.scratch) {
                Ok(0) => return self.finish(me, id, End::Lost),
                Ok(count) => {
                    let scratch = std::mem::take(&mut self.scratch);
                    self.take_bytes(me, id, &scratch[..count]);
                    self.scratch = scratch;
                    if count < self.scratch.len() {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return self.finish(me, id, End::Lost),
            }
        }
        self.poller.look_again();
    }

    /// Takes the messages that are complete with these bytes.
    pub(super) fn take_bytes(&mut self, me: &ShardRef, id: ConnId, bytes: &[u8]) {
        let Some(conn) = self.conn(id) else { return };
        let mut partial = match conn.partial.take() {
            Some(partial) => partial,
            None => self.spare_partial.take().unwrap_or_default(),
        };
        partial.buffer.extend_from_slice(bytes);
        let flow = self.take_messages(me, id, &mut partial);
        if partial.is_over() {
            self.spare_partial = Some(partial);
        } else if let Some(conn) = self.conn(id) {
            conn.partial = Some(partial);
        }
        if let Flow::End(end) = flow {
            self.finish(me, id, end);
        }
    }

    fn take_messages(&mut self, me: &ShardRef, id: ConnId, partial: &mut Partial) -> Flow {
        loop {
            match partial.decoder.decode(&mut partial.buffer, limits::GATEWAY_PAYLOAD_BYTES_MAX) {
                Ok(None) => return Flow::Go,
                Ok(Some(message)) => match self.take_message(me, id, message) {
                    Flow::Go => {}
                    end @ Flow::End(_) => return end,
                },
                Err(error) => {
                    self.close(id, error.close_code());
                    return Flow::Go;
                }
            }
        }
    }

    pub(super) fn finish(&mut self, me: &ShardRef, id: ConnId, end: End) {
        match end {
            End::Moved(resume, other) => self.move_away(me, id, resume, other),
            End::Goodbye => self.conn_ended(id, true),
            End::Lost => self.conn_ended(id, false),
        }
    }

    fn take_message(&mut self, me: &ShardRef, id: ConnId, message: Message) -> Flow {
        let now_ms = self.services.now_ms();
        self.services.stats.payloads.add(1);
        let Some(conn) = self.conn(id) else { return Flow::End(End::Lost) };
        if conn.outbox.is_closing() && !matches!(message, Message::Close { .. }) {
            return Flow::Go;
        }
        let action = match message {
            Message::Text(_) if conn.form.is_etf() => Some(Action::Close(CloseCode::DecodeError)),
            Message::Binary(term) if conn.form.is_etf() => match etf::to_json(&term) {
                Ok(payload) => conn.link.payload(now_ms, &payload),
                Err(_) => Some(Action::Close(CloseCode::DecodeError)),
            },
            Message::Text(payload) | Message::Binary(payload) => conn.link.payload(now_ms, &payload),
            Message::Ping(payload) => {
                conn.outbox.push_pong(payload);
                self.mark(id);
                return self.frame_taken(id, now_ms);
            }
            Message::Pong => return self.frame_taken(id, now_ms),
            Message::Close { code, .. } => {
                conn.outbox.echo_close(code);
                self.flush(me, id);
                return Flow::End(if client_ends_session(code) { End::Goodbye } else { End::Lost });
            }
        };
        action.map_or(Flow::Go, |action| self.act(me, id, action))
    }

    /// A control frame counts towards the same limit as a payload.
    fn frame_taken(&mut self, id: ConnId, now_ms: u64) -> Flow {
        if let Some(conn) = self.conn(id)
            && conn.link.control_frame(now_ms).is_err()
        {
            self.close(id, CloseCode::RateLimited);
        }
        Flow::Go
    }

    fn move_away(&mut self, me: &ShardRef, id: ConnId, resume: Resume, other: usize) {
        self.flush(me, id);
        let is_written = self.conn(id).is_some_and(|conn| conn.outbox.is_empty());
        if !is_written {
            return self.conn_ended(id, false);
        }
        let partial = self.conn(id).and_then(|conn| conn.partial.take());
        let rest = partial.map(|partial| partial.buffer).unwrap_or_default();
        match self.forget_conn(id) {
            Some(Conn { socket, form, stream, .. }) => {
                let (greeting, start) = (Bytes::new(), SocketStart::Resume(resume));
                self.move_socket(NewSocket { socket, greeting, rest, form, stream, start }, other);
            }
            None => self.services.stats.connections.sub(1),
        }
    }
}

/// Ends our direction, then gives the client the time to end its own: closing a socket with unread bytes would cut off
/// the close frame, and some clients wait for the end of the stream before they reconnect.
pub(super) async fn linger(socket: Socket) {
    // Whether the client answered or not, the socket is dropped now.
    let _: Result<io::Result<()>, _> = tokio::time::timeout(CLOSE_GRACE, socket.finish()).await;
}

/// The longest read, and the buffer of a shard. It has room for a record of TLS.
pub(super) const READ_BYTES: usize = crate::tls::RECORD_BYTES_MAX;

/// How often one socket is read in a turn.
const READS_MAX: usize = 4;
