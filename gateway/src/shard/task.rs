//! The task of one connection: reads, and writes when the socket was full.
//!
//! It is a future written by hand, because there are as many of them as connections and nearly all of them wait: it holds
//! where its connection is and, only between the parts of a message, what was read so far. The socket lies in the
//! shard's table, and so does the waker by which the shard calls. What comes after the connection (waiting until the
//! client has hung up) is a task of its own.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use model::limits;

use super::conn::{CLOSE_GRACE, ConnId};
use super::{NewSocket, Shard, ShardRef, SocketStart};
use crate::link::Action;
use crate::link::command::Resume;
use crate::socket::Socket;
use crate::stats::Count;
use crate::wire::close::client_ends_session;
use crate::wire::{CloseCode, Decoder, Message};

/// How a connection ended.
enum End {
    /// The socket broke, or we closed it.
    Lost,
    /// The client said goodbye for good.
    Goodbye,
    /// The socket goes on at another shard.
    Moved(Resume, usize),
}

/// What is to be done after a message.
enum Flow {
    Go,
    End(End),
}

const READ_BYTES: usize = 4096;

/// See the module.
pub(super) struct Serve {
    shard: ShardRef,
    id: ConnId,
    partial: Option<Box<Partial>>,
}

/// What was read and is no whole message yet.
#[derive(Default)]
struct Partial {
    buffer: BytesMut,
    decoder: Decoder,
}

impl Serve {
    /// `rest` is what was read behind the handshake.
    pub(super) fn new(shard: ShardRef, id: ConnId, rest: BytesMut) -> Self {
        let partial = Partial { buffer: rest, decoder: Decoder::default() };
        Self { shard, id, partial: Some(Box::new(partial)) }
    }

    /// Waits until something was read. False when the connection is over.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut this = self.shard.borrow_mut();
        loop {
            let Some(conn) = this.conn(self.id) else { return Poll::Ready(Ok(false)) };
            if conn.is_dead || conn.outbox.is_closed() {
                return Poll::Ready(Ok(false));
            }
            conn.wake_by(cx.waker());
            if conn.is_blocked && conn.socket.poll_write_ready(cx)?.is_ready() {
                this.flush(&self.shard, self.id);
                this.flush_dirty(&self.shard);
                continue;
            }
            if conn.socket.poll_read_ready(cx)?.is_pending() {
                return Poll::Pending;
            }
            let partial = self.partial.get_or_insert_default();
            partial.buffer.reserve(READ_BYTES);
            match conn.socket.try_read_buf(&mut partial.buffer) {
                Ok(count) => return Poll::Ready(Ok(count > 0)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => forget_if_whole(&mut self.partial),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn take_messages(&mut self) -> Flow {
        let Some(partial) = &mut self.partial else { return Flow::Go };
        let (shard, id) = (&self.shard, self.id);
        let mut this = shard.borrow_mut();
        let mut flow = Flow::Go;
        while let Flow::Go = flow {
            match partial.decoder.decode(&mut partial.buffer, limits::GATEWAY_PAYLOAD_BYTES_MAX) {
                Ok(None) => break,
                Ok(Some(message)) => flow = this.take_message(shard, id, message),
                Err(error) => {
                    this.close(id, error.close_code());
                    break;
                }
            }
        }
        this.flush_dirty(shard);
        flow
    }

    fn finish(&mut self, end: End) {
        let mut this = self.shard.borrow_mut();
        match end {
            End::Moved(resume, other) => {
                let rest = self.partial.take().map(|partial| partial.buffer).unwrap_or_default();
                this.move_away(&self.shard, self.id, rest, resume, other);
            }
            End::Goodbye => this.conn_ended(self.id, true),
            End::Lost => this.conn_ended(self.id, false),
        }
    }
}

/// Between messages nothing is held.
fn forget_if_whole(partial: &mut Option<Box<Partial>>) {
    if partial.as_ref().is_some_and(|partial| partial.buffer.is_empty() && partial.decoder.is_idle()) {
        *partial = None;
    }
}

impl Future for Serve {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Flow::End(end) = self.take_messages() {
                self.finish(end);
                return Poll::Ready(());
            }
            forget_if_whole(&mut self.partial);
            match self.poll_read(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(Ok(false) | Err(_)) => {
                    self.finish(End::Lost);
                    return Poll::Ready(());
                }
            }
        }
    }
}

impl Shard {
    fn take_message(&mut self, me: &ShardRef, id: ConnId, message: Message) -> Flow {
        let now_ms = self.services.now_ms();
        self.services.stats.payloads.add(1);
        let Some(conn) = self.conn(id) else { return Flow::End(End::Lost) };
        if conn.outbox.is_closing() && !matches!(message, Message::Close { .. }) {
            return Flow::Go;
        }
        let action = match message {
            Message::Text(payload) | Message::Binary(payload) => conn.link.payload(now_ms, &payload),
            Message::Ping(payload) => {
                conn.outbox.push_pong(payload);
                self.mark(id);
                return self.frame_taken(id, now_ms);
            }
            Message::Pong => return self.frame_taken(id, now_ms),
            Message::Close { code, .. } => {
                conn.outbox.echo_close(code);
                self.mark(id);
                self.flush_dirty(me);
                return Flow::End(if client_ends_session(code) { End::Goodbye } else { End::Lost });
            }
        };
        match action {
            None => Flow::Go,
            Some(Action::Resume(resume)) => match self.shard_of(&resume) {
                Some(other) if other != self.index => Flow::End(End::Moved(resume, other)),
                _ => {
                    self.resume(me, id, resume);
                    Flow::Go
                }
            },
            Some(action) => {
                self.act(me, id, action);
                Flow::Go
            }
        }
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

    fn move_away(&mut self, me: &ShardRef, id: ConnId, rest: BytesMut, resume: Resume, other: usize) {
        self.flush(me, id);
        let is_written = self.conn(id).is_some_and(|conn| conn.outbox.is_empty());
        if !is_written {
            return self.conn_ended(id, false);
        }
        match self.forget_conn(id).map(Socket::unbind) {
            Some(Ok(stream)) => {
                self.move_socket(NewSocket { stream, rest, start: SocketStart::Resume(resume) }, other);
            }
            _ => self.services.stats.connections.sub(1),
        }
    }
}

/// Ends our direction, then gives the client the time to end its own: closing a socket with unread bytes would cut off
/// the close frame, and some clients wait for the end of the stream before they reconnect.
pub(super) async fn linger(socket: Socket) {
    // Whether the client answered or not, the socket is dropped now.
    let _: Result<io::Result<()>, _> = tokio::time::timeout(CLOSE_GRACE, socket.finish()).await;
}
