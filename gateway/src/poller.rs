//! Which sockets of a shard have news.
//!
//! A runtime keeps a quarter of a kilobyte for each socket, and as much again for the task that waits for it. So a shard has
//! an epoll of its own: the kernel keeps a number for each socket, and the runtime knows one thing only, the epoll
//! itself. Sockets are watched as long as they have something to read (level-triggered), and for room to write only
//! while they are full. The epoll itself makes an edge with each piece of news, not as long as there is some.

use std::cell::Cell;
use std::io;
use std::mem::MaybeUninit;
#[cfg(test)]
use std::sync::Arc;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fd::OwnedFd;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::socket::Socket;
#[cfg(test)]
use crate::socket::pipe;

/// What a shard knows a socket by.
pub(crate) type Token = u64;

/// See the module.
pub(crate) enum Poller {
    Epoll {
        epoll: AsyncFd<OwnedFd>,
        /// The last look has not shown everything.
        has_more: Cell<bool>,
    },
    #[cfg(test)]
    Pipes(Arc<pipe::News>),
}

impl Poller {
    /// A poller that is waited for on the runtime that this is called on.
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe, and asks for what holds here: the descriptor stays"
        )]
        AsyncFd::with_interest(epoll, Interest::READABLE)
            .map(|epoll| Self::Epoll { epoll, has_more: Cell::new(false) })
    }

    /// From now on what there is to read from the socket is told by this token.
    pub(crate) fn watch(&self, socket: &Socket, token: Token) -> io::Result<()> {
        match self {
            Self::Epoll { epoll, .. } => {
                let socket = socket.tcp().ok_or(io::ErrorKind::Unsupported)?;
                Ok(epoll::add(epoll, socket, EventData::new_u64(token), EventFlags::IN)?)
            }
            #[cfg(test)]
            Self::Pipes(news) => {
                socket.pipe().ok_or(io::ErrorKind::Unsupported)?.watch(news, token);
                Ok(())
            }
        }
    }

    /// Whether room to write is told as well.
    pub(crate) fn watch_writes(&self, socket: &Socket, token: Token, is_full: bool) -> io::Result<()> {
        match self {
            Self::Epoll { epoll, .. } => {
                let socket = socket.tcp().ok_or(io::ErrorKind::Unsupported)?;
                let flags = if is_full { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
                Ok(epoll::modify(epoll, socket, EventData::new_u64(token), flags)?)
            }
            #[cfg(test)]
            Self::Pipes(_) => Ok(()),
        }
    }

    /// The socket goes on elsewhere.
    pub(crate) fn forget(&self, socket: &Socket) {
        match self {
            Self::Epoll { epoll, .. } => {
                // One that was never watched is none to forget.
                let _ = socket.tcp().map(|socket| epoll::delete(epoll, socket));
            }
            #[cfg(test)]
            Self::Pipes(_) => drop(socket.pipe().map(pipe::ServerEnd::unwatch)),
        }
    }

    /// There is more to read than was read: the next look does not wait for news.
    pub(crate) fn look_again(&self) {
        match self {
            Self::Epoll { has_more, .. } => has_more.set(true),
            #[cfg(test)]
            Self::Pipes(_) => {}
        }
    }

    /// Waits until sockets have news, and adds their tokens.
    pub(crate) async fn wait(&self, tokens: &mut Vec<Token>) {
        match self {
            Self::Epoll { epoll, has_more } => loop {
                if !has_more.take() {
                    // Cleared before it is looked at: what comes from now on makes a new edge.
                    epoll.readable().await.expect("the runtime lives as long as its shard").clear_ready();
                }
                let count = take_news(epoll.get_ref(), tokens).expect("the epoll is ours, and open");
                has_more.set(count == NEWS_MAX);
                if count > 0 {
                    return;
                }
            },
            #[cfg(test)]
            Self::Pipes(news) => news.wait(tokens).await,
        }
    }
}

/// Answers how many there were.
fn take_news(epoll: &OwnedFd, tokens: &mut Vec<Token>) -> io::Result<usize> {
    let mut events = [const { MaybeUninit::<Event>::uninit() }; NEWS_MAX];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    let (news, _) = epoll::wait(epoll, &mut events, Some(&at_once))?;
    tokens.extend(news.iter().map(|event| event.data.u64()));
    Ok(news.len())
}

/// How many sockets are served before the shard looks at its inbox again.
const NEWS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use futures_util::FutureExt;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn pair() -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        server.set_nonblocking(true).unwrap();
        (Socket::Tcp(server), client)
    }

    async fn news(poller: &Poller) -> Vec<Token> {
        let mut tokens = Vec::new();
        tokio::time::timeout(PATIENCE, poller.wait(&mut tokens)).await.expect("there is news");
        tokens
    }

    #[tokio::test]
    async fn news_is_told_until_it_is_read_and_again_when_there_is_more() {
        let poller = Poller::new().unwrap();
        let ((first, mut client), (second, _other)) = (pair(), pair());
        poller.watch(&first, 7).unwrap();
        poller.watch(&second, 8).unwrap();
        let mut buffer = [0; 16];
        for _ in 0..3 {
            client.write_all(b"hello").unwrap();
            assert_eq!(news(&poller).await, [7]);
            assert_eq!(first.read(&mut buffer[..2]).unwrap(), 2);
            assert_eq!(poller.wait(&mut Vec::new()).now_or_never(), None, "it has been told");
            poller.look_again();
            assert_eq!(news(&poller).await, [7], "there is more");
            assert_eq!(first.read(&mut buffer).unwrap(), 3);
            assert_eq!(poller.wait(&mut Vec::new()).now_or_never(), None);
        }
        drop(client);
        assert_eq!(news(&poller).await, [7]);
        assert_eq!(first.read(&mut buffer).unwrap(), 0);
        poller.forget(&first);
        assert_eq!(poller.wait(&mut Vec::new()).now_or_never(), None);
    }

    #[tokio::test]
    async fn more_sockets_than_one_look_shows_are_all_told() {
        let poller = Poller::new().unwrap();
        let pairs: Vec<(Socket, TcpStream)> = (0..NEWS_MAX + 50).map(|_| pair()).collect();
        for (token, (socket, client)) in (0..).zip(&pairs) {
            poller.watch(socket, token).unwrap();
            (&mut &*client).write_all(b"x").unwrap();
        }
        let mut told = std::collections::BTreeSet::new();
        while told.len() < pairs.len() {
            for token in news(&poller).await {
                assert_eq!(pairs[token as usize].0.read(&mut [0; 8]).unwrap(), 1, "each is told once");
                told.insert(token);
            }
        }
    }

    #[tokio::test]
    async fn room_to_write_is_told_while_it_is_asked_for() {
        let poller = Poller::new().unwrap();
        let (socket, mut client) = pair();
        poller.watch(&socket, 7).unwrap();
        assert_eq!(poller.wait(&mut Vec::new()).now_or_never(), None);
        let Socket::Tcp(stream) = &socket else { panic!("it is one") };
        while (&*stream).write(&[0; 65_536]).is_ok() {}
        poller.watch_writes(&socket, 7, true).unwrap();
        assert_eq!(poller.wait(&mut Vec::new()).now_or_never(), None, "it is full");
        let reader = std::thread::spawn(move || client.read_exact(&mut vec![0; 1 << 20]).map(|()| client));
        assert_eq!(news(&poller).await, [7]);
        poller.watch_writes(&socket, 7, false).unwrap();
        let mut rest = Vec::new();
        while let Some(()) = poller.wait(&mut rest).now_or_never() {}
        assert!(rest.len() <= 1, "{rest:?}");
        drop(socket);
        drop(reader.join().unwrap());
    }
}
