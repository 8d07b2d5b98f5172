//! A socket in memory. The client's end reads when the test says so, and may be narrow: what it has not read fills it.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice, Read as _, Write as _};
use std::sync::Arc;
use std::task::{Poll, Waker};

use bytes::{Buf, BytesMut};
use parking_lot::Mutex;
use rustls::ClientConnection;
use tokio::sync::Notify;

use crate::poller::Token;
use crate::tls::Raw;

/// Which pipes of a shard have news.
#[derive(Default)]
pub(crate) struct News {
    tokens: Mutex<Vec<Token>>,
    told: Notify,
}

/// The server's end; dropping it ends the connection.
pub(crate) struct ServerEnd(Arc<Shared>);

/// The client's end; dropping it ends the connection as a lost network does: without a word.
pub(crate) struct ClientEnd {
    shared: Arc<Shared>,
    tls: Option<RefCell<Box<ClientConnection>>>,
}

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
    /// Who is told that any of this has changed.
    watcher: Option<(Arc<News>, Token)>,
    /// Who waits for the client to be gone.
    lingerer: Option<Waker>,
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
        watcher: None,
        lingerer: None,
    };
    let shared = Arc::new(Shared { state: Mutex::new(state) });
    (ServerEnd(shared.clone()), ClientEnd { shared, tls: None })
}

impl News {
    pub(crate) async fn wait(&self, tokens: &mut Vec<Token>) {
        loop {
            tokens.append(&mut self.tokens.lock());
            if !tokens.is_empty() {
                return;
            }
            self.told.notified().await;
        }
    }

    fn tell(&self, token: Token) {
        let mut tokens = self.tokens.lock();
        if !tokens.contains(&token) {
            tokens.push(token);
        }
        self.told.notify_one();
    }
}

impl ServerEnd {
    pub(crate) fn watch(&self, news: &Arc<News>, token: Token) {
        let mut state = self.0.state.lock();
        state.watcher = Some((news.clone(), token));
        if state.is_reset || !state.to_server.is_empty() {
            state.wake_server();
        }
    }

    pub(crate) fn unwatch(&self) {
        self.0.state.lock().watcher = None;
    }

    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.0.state.lock();
        if state.is_reset {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if state.to_server.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = state.to_server.len().min(buffer.len());
        state.to_server.copy_to_slice(&mut buffer[..count]);
        if !state.to_server.is_empty() {
            state.wake_server();
        }
        Ok(count)
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

    pub(super) async fn finish(self, last: &[u8]) {
        {
            let mut state = self.0.state.lock();
            state.to_client.extend_from_slice(last);
            state.server_ended = true;
        }
        poll_fn(|cx| {
            let mut state = self.0.state.lock();
            state.to_server.clear();
            state.lingerer = Some(cx.waker().clone());
            if state.is_reset { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl Raw for ServerEnd {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read(buffer)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.try_write_vectored(&[IoSlice::new(bytes)])
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
        if let Some((news, token)) = &self.watcher {
            news.tell(*token);
        }
        if let Some(lingerer) = self.lingerer.take() {
            lingerer.wake();
        }
    }
}

impl ClientEnd {
    /// The same, with TLS over it. The handshake begins with the first read.
    pub(crate) fn with_tls(mut self, client: ClientConnection) -> Self {
        self.tls = Some(RefCell::new(Box::new(client)));
        self
    }

    pub(crate) fn write(&self, bytes: &[u8]) {
        let Some(tls) = &self.tls else { return self.write_raw(bytes) };
        let mut tls = tls.borrow_mut();
        tls.writer().write_all(bytes).expect("a client's payload fits");
        self.flush(&mut tls);
    }

    /// Takes all that has come.
    pub(crate) fn read(&self) -> BytesMut {
        let raw = self.read_raw();
        let Some(tls) = &self.tls else { return raw };
        let (mut tls, mut left, mut plain) = (tls.borrow_mut(), &raw[..], BytesMut::new());
        while !left.is_empty() {
            tls.read_tls(&mut left).expect("it reads from memory");
            let state = tls.process_new_packets().expect("the server's records are good");
            let start = plain.len();
            plain.resize(start + state.plaintext_bytes_to_read(), 0);
            tls.reader().read_exact(&mut plain[start..]).expect("it is there");
        }
        self.flush(&mut tls);
        plain
    }

    fn flush(&self, tls: &mut ClientConnection) {
        let mut records = Vec::new();
        while tls.wants_write() {
            tls.write_tls(&mut records).expect("it writes to memory");
        }
        self.write_raw(&records);
    }

    fn write_raw(&self, bytes: &[u8]) {
        let mut state = self.shared.state.lock();
        state.to_server.extend_from_slice(bytes);
        state.wake_server();
    }

    fn read_raw(&self) -> BytesMut {
        let mut state = self.shared.state.lock();
        state.wake_server();
        state.to_client.split()
    }

    /// How much may wait unread.
    pub(crate) fn set_capacity(&self, capacity: usize) {
        let mut state = self.shared.state.lock();
        state.capacity = capacity;
        state.wake_server();
    }

    /// Breaks the connection.
    pub(crate) fn reset(&self) {
        let mut state = self.shared.state.lock();
        state.is_reset = true;
        state.wake_server();
    }

    /// Whether the server has ended its direction.
    pub(crate) fn is_ended(&self) -> bool {
        self.shared.state.lock().server_ended
    }

    /// Whether the server has let go of the socket.
    pub(crate) fn is_gone(&self) -> bool {
        self.shared.state.lock().server_gone
    }
}

impl Drop for ClientEnd {
    fn drop(&mut self) {
        self.reset();
    }
}
