//! The task of one connection: reads, and writes when the socket was full.
//!
//! While nothing comes it holds no buffer: the read buffer is made when the socket is readable and dropped once it is
//! empty.

use std::io;
use std::rc::Rc;

use bytes::BytesMut;
use model::limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::conn::{CLOSE_GRACE, ConnId};
use super::{NewSocket, ShardRef, SocketStart};
use crate::link::Action;
use crate::link::command::Resume;
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

pub(super) async fn serve(
    shard: ShardRef,
    id: ConnId,
    socket: Rc<TcpStream>,
    wake: Rc<Notify>,
    mut buffer: BytesMut,
) {
    let mut decoder = Decoder::default();
    let end = loop {
        if let Flow::End(end) = take_messages(&shard, id, &mut decoder, &mut buffer) {
            break end;
        }
        if buffer.is_empty() {
            buffer = BytesMut::new();
        }
        match wait(&shard, id, &socket, &wake, &mut buffer).await {
            Ok(true) => {}
            Ok(false) | Err(_) => break End::Lost,
        }
    };
    drop(wake);
    finish(shard, id, socket, buffer, end).await;
}

/// Waits until something was read, or the shard wants something. False when the connection is over.
async fn wait(
    shard: &ShardRef,
    id: ConnId,
    socket: &TcpStream,
    wake: &Notify,
    buffer: &mut BytesMut,
) -> io::Result<bool> {
    let is_blocked = {
        let mut this = shard.borrow_mut();
        let Some(conn) = this.conn(id) else { return Ok(false) };
        if conn.is_dead || conn.outbox.is_closed() {
            return Ok(false);
        }
        conn.is_blocked
    };
    let interest = if is_blocked { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
    let ready = tokio::select! {
        () = wake.notified() => return Ok(true),
        ready = socket.ready(interest) => ready?,
    };
    if is_blocked && ready.is_writable() {
        let mut this = shard.borrow_mut();
        this.flush(shard, id);
        this.flush_dirty(shard);
    }
    if !ready.is_readable() && !ready.is_read_closed() {
        return Ok(true);
    }
    buffer.reserve(READ_BYTES);
    match socket.try_read_buf(buffer) {
        Ok(0) => Ok(false),
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        Err(error) => Err(error),
    }
}

fn take_messages(shard: &ShardRef, id: ConnId, decoder: &mut Decoder, buffer: &mut BytesMut) -> Flow {
    if buffer.is_empty() {
        return Flow::Go;
    }
    let mut this = shard.borrow_mut();
    let mut flow = Flow::Go;
    while let Flow::Go = flow {
        match decoder.decode(buffer, limits::GATEWAY_PAYLOAD_BYTES_MAX) {
            Ok(None) => break,
            Ok(Some(message)) => flow = take_message(&mut this, shard, id, message),
            Err(error) => {
                this.close(id, error.close_code());
                break;
            }
        }
    }
    this.flush_dirty(shard);
    flow
}

fn take_message(this: &mut super::Shard, shard: &ShardRef, id: ConnId, message: Message) -> Flow {
    let now_ms = this.services.now_ms();
    this.services.stats.payloads.add(1);
    let Some(conn) = this.conn(id) else { return Flow::End(End::Lost) };
    if conn.outbox.is_closing() && !matches!(message, Message::Close { .. }) {
        return Flow::Go;
    }
    let action = match message {
        Message::Text(payload) | Message::Binary(payload) => conn.link.payload(now_ms, &payload),
        Message::Ping(payload) => {
            conn.outbox.push_pong(payload);
            this.mark(id);
            return this.frame_taken(id, now_ms);
        }
        Message::Pong => return this.frame_taken(id, now_ms),
        Message::Close { code, .. } => {
            conn.outbox.echo_close(code);
            this.mark(id);
            this.flush_dirty(shard);
            return Flow::End(if client_ends_session(code) { End::Goodbye } else { End::Lost });
        }
    };
    match action {
        None => Flow::Go,
        Some(Action::Resume(resume)) => match this.shard_of(&resume) {
            Some(other) if other != this.index => Flow::End(End::Moved(resume, other)),
            _ => {
                this.resume(shard, id, resume);
                Flow::Go
            }
        },
        Some(action) => {
            this.act(shard, id, action);
            Flow::Go
        }
    }
}

impl super::Shard {
    /// A control frame counts towards the same limit as a payload.
    fn frame_taken(&mut self, id: ConnId, now_ms: u64) -> Flow {
        if let Some(conn) = self.conn(id)
            && conn.link.control_frame(now_ms).is_err()
        {
            self.close(id, CloseCode::RateLimited);
        }
        Flow::Go
    }
}

async fn finish(shard: ShardRef, id: ConnId, socket: Rc<TcpStream>, buffer: BytesMut, end: End) {
    match end {
        End::Moved(resume, other) => return move_away(&shard, id, socket, buffer, resume, other),
        End::Goodbye => shard.borrow_mut().conn_ended(id, true),
        End::Lost => shard.borrow_mut().conn_ended(id, false),
    }
    if let Ok(socket) = Rc::try_unwrap(socket) {
        linger(socket).await;
    }
}

/// Ends our direction, then gives the client the time to end its own: closing a socket with unread bytes would cut off
/// the close frame, and some clients wait for the end of the stream before they reconnect.
async fn linger(mut socket: TcpStream) {
    let drained = async {
        socket.shutdown().await?;
        let mut discard = [0; 512];
        while socket.read(&mut discard).await? > 0 {}
        Ok(())
    };
    // Whether the client answered or not, the socket is dropped now.
    let _: Result<io::Result<()>, _> = tokio::time::timeout(CLOSE_GRACE, drained).await;
}

fn move_away(
    shard: &ShardRef,
    id: ConnId,
    socket: Rc<TcpStream>,
    rest: BytesMut,
    resume: Resume,
    other: usize,
) {
    let mut this = shard.borrow_mut();
    this.flush(shard, id);
    let is_written = this.conn(id).is_some_and(|conn| conn.outbox.is_empty());
    if !is_written {
        return this.conn_ended(id, false);
    }
    this.forget_conn(id);
    if let Some(stream) = Rc::try_unwrap(socket).ok().and_then(|socket| socket.into_std().ok()) {
        this.move_socket(NewSocket { stream, rest, start: SocketStart::Resume(resume) }, other);
    } else {
        this.services.stats.connections.sub(1);
    }
}
