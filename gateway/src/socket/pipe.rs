//! A socket in memory. The client's end reads when the test says so, and may be narrow: what it has not read fills it.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;
use parking_lot::Mutex;

/// The server's end; dropping it ends the connection.
pub(crate) struct ServerEnd(Arc<Shared>);

/// The client's end; dropping it ends the connection as a lost network does: without a word.
pub(crate) struct ClientEnd(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
}

struct State {
    to_server: BytesMut,
    to_client: BytesMut,
    /// Bytes that wait for the client at most.
    capacity: usize,
    /// The server has ended its direction.
    server_ended: bool,
    /// The server holds the socket no more.
    server_gone: bool,
    /// The connection broke: reads and writes fail.
    is_reset: bool,
    /// The server's task, which waits for any of this to change.
    server: Option<Waker>,
}

/// A connection, wide enough for everything.
pub(crate) fn pair() -> (ServerEnd, ClientEnd) {
    let state = State {
        to_server: BytesMut::new(),
        to_client: BytesMut::new(),
        capacity: usize::MAX,
        server_ended: false,
        server_gone: false,
        is_reset: false,
        server: None,
    };
    let shared = Arc::new(Shared { state: Mutex::new(state) });
    (ServerEnd(shared.clone()), ClientEnd(shared))
}

impl ServerEnd {
    pub(super) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_until(cx, |state| state.is_reset || !state.to_server.is_empty())
    }

    pub(super) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_until(cx, |state| state.is_reset || state.to_client.len() < state.capacity)
    }

    fn poll_until(&self, cx: &mut Context<'_>, is_ready: impl Fn(&State) -> bool) -> Poll<()> {
        let mut state = self.0.state.lock();
        if is_ready(&state) {
            return Poll::Ready(());
        }
        state.server = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(super) fn try_read_buf(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        let mut state = self.0.state.lock();
        if state.is_reset {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if state.to_server.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let taken = state.to_server.split();
        buffer.extend_from_slice(&taken);
        Ok(taken.len())
    }

    pub(super) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.0.state.lock();
        if state.is_reset {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let mut written = 0;
        for slice in slices {
            let room = state.capacity.saturating_sub(state.to_client.len()).min(slice.len());
            state.to_client.extend_from_slice(&slice[..room]);
            written += room;
        }
        if written == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(written) }
    }

    pub(super) async fn finish(self) {
        self.0.state.lock().server_ended = true;
        poll_fn(|cx| {
            self.0.state.lock().to_server.clear();
            self.poll_until(cx, |state| state.is_reset)
        })
        .await;
    }
}

impl Drop for ServerEnd {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.server_ended = true;
        state.server_gone = true;
    }
}

impl State {
    fn wake_server(&mut self) {
        if let Some(server) = self.server.take() {
            server.wake();
        }
    }
}

impl ClientEnd {
    pub(crate) fn write(&self, bytes: &[u8]) {
        let mut state = self.0.state.lock();
        state.to_server.extend_from_slice(bytes);
        state.wake_server();
    }

    /// Takes all that has come.
    pub(crate) fn read(&self) -> BytesMut {
        let mut state = self.0.state.lock();
        state.wake_server();
        state.to_client.split()
    }

    /// How much may wait unread.
    pub(crate) fn set_capacity(&self, capacity: usize) {
        let mut state = self.0.state.lock();
        state.capacity = capacity;
        state.wake_server();
    }

    /// Breaks the connection.
    pub(crate) fn reset(&self) {
        let mut state = self.0.state.lock();
        state.is_reset = true;
        state.wake_server();
    }

    /// Whether the server has ended its direction.
    pub(crate) fn is_ended(&self) -> bool {
        self.0.state.lock().server_ended
    }

    /// Whether the server has let go of the socket.
    pub(crate) fn is_gone(&self) -> bool {
        self.0.state.lock().server_gone
    }
}

impl Drop for ClientEnd {
    fn drop(&mut self) {
        self.reset();
    }
}
