//! Handing an outbox to the socket.
//!
//! Whoever makes an event writes it at once. So this is neither `async` nor tied to a task: it writes until nothing is
//! pending or the socket takes no more, and in the second case the caller waits for `writable` and calls again. When
//! nothing waits, frames need not be queued in the first place: [`write_frames`] writes them from where they are.

use std::io::{self, IoSlice};

use model::limits::WRITE_FRAMES_MAX;

use super::outbox::{Frame, Heads, Outbox, Slices};

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing is pending.
    Drained,
    /// The socket takes no more for now: wait until it is writable.
    Blocked,
}

/// What writing has cost so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteStats {
    /// Calls of `writev`, also those that found the socket full.
    pub syscalls: u64,
    /// Bytes that sockets took.
    pub bytes: u64,
}

/// A socket that can be written to without waiting.
pub trait TryWrite {
    /// Writes what the socket takes now; [`io::ErrorKind::WouldBlock`] when that is nothing.
    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
}

/// Writes all that is pending, as far as the socket takes it.
pub fn write_pending(
    socket: &impl TryWrite,
    outbox: &mut Outbox,
    stats: &mut WriteStats,
) -> io::Result<Progress> {
    while !outbox.is_empty() {
        let (mut heads, mut slices) = (Heads::default(), Slices::new());
        outbox.gather(&mut heads, &mut slices);
        stats.syscalls += 1;
        let result = socket.try_write_vectored(&slices);
        drop(slices);
        match result {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => {
                stats.bytes += n as u64;
                outbox.advance(n);
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(Progress::Blocked),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(Progress::Drained)
}

/// Writes frames for which nothing waits in the outbox, and answers how many bytes the socket took. What it did not take
/// is the outbox's: [`Outbox::push_rest`].
pub fn write_frames(
    socket: &impl TryWrite,
    frames: &[Frame<'_>],
    stats: &mut WriteStats,
) -> io::Result<usize> {
    let mut taken = 0;
    for portion in frames.chunks(WRITE_FRAMES_MAX) {
        let (mut heads, mut slices) = (Heads::default(), Slices::new());
        let len = heads.lay_out(portion, &mut slices);
        stats.syscalls += 1;
        match socket.try_write_vectored(&slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => {
                stats.bytes += n as u64;
                taken += n;
                if n < len {
                    break;
                }
            }
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => break,
            Err(e) => return Err(e),
        }
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    use super::*;
    use crate::wire::{Class, SharedBody};

    const PATIENCE: Duration = Duration::from_secs(20);

    impl TryWrite for TcpStream {
        fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            Self::try_write_vectored(self, slices)
        }
    }

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        server.writable().await.unwrap();
        (server, client)
    }

    #[tokio::test]
    async fn eight_pending_events_are_one_call() {
        let (server, mut client) = pair().await;
        let mut outbox = Outbox::new(1 << 20);
        let body = SharedBody::json("MESSAGE_CREATE", &[b'1'; 300]);
        for seq in 1..=8 {
            outbox.push_dispatch(seq, body.clone(), Class::Durable).unwrap();
        }
        let mut stats = WriteStats::default();
        assert_eq!(write_pending(&server, &mut outbox, &mut stats).unwrap(), Progress::Drained);
        assert_eq!(stats, WriteStats { syscalls: 1, bytes: 8 * body.frame_len() as u64 });

        let mut received = vec![0; 8 * body.frame_len()];
        timeout(PATIENCE, client.read_exact(&mut received)).await.unwrap().unwrap();
        for (seq, frame) in (1..).zip(received.chunks(body.frame_len())) {
            assert!(frame[4..].starts_with(format!(r#"{{"op":0,"s":{seq:<10},"t":"#).as_bytes()));
        }
    }

    #[tokio::test]
    async fn a_full_socket_blocks_and_goes_on_where_it_stopped() {
        const FRAMES: u32 = 2_000;
        let (server, mut client) = pair().await;
        let body = SharedBody::json("MESSAGE_CREATE", &[b'1'; 10_000]);
        let total = FRAMES as usize * body.frame_len();
        let mut outbox = Outbox::new(total);
        for seq in 1..=FRAMES {
            outbox.push_dispatch(seq, body.clone(), Class::Durable).unwrap();
        }
        let mut stats = WriteStats::default();
        assert_eq!(write_pending(&server, &mut outbox, &mut stats).unwrap(), Progress::Blocked);
        assert!(stats.bytes > 0 && !outbox.is_empty());

        let mut received = vec![0; total];
        let written = async {
            while write_pending(&server, &mut outbox, &mut stats).unwrap() == Progress::Blocked {
                server.writable().await.unwrap();
            }
        };
        let both = async { tokio::join!(written, client.read_exact(&mut received)).1 };
        timeout(PATIENCE, both).await.unwrap().unwrap();
        assert_eq!(stats.bytes, total as u64);
        for (seq, frame) in (1..).zip(received.chunks(body.frame_len())) {
            let start = format!(r#"{{"op":0,"s":{seq:<10},"t":"MESSAGE_CREATE","d":1"#);
            assert!(frame[4..].starts_with(start.as_bytes()) && frame.ends_with(b"1}"), "frame {seq}");
        }
    }

    #[tokio::test]
    async fn a_peer_that_is_gone_is_an_error() {
        let (server, client) = pair().await;
        client.set_zero_linger().unwrap();
        drop(client);
        timeout(PATIENCE, server.readable()).await.unwrap().unwrap();
        let mut outbox = Outbox::new(1 << 20);
        let mut stats = WriteStats::default();
        outbox.push_dispatch(0, SharedBody::text("x"), Class::Durable).unwrap();
        assert!(write_pending(&server, &mut outbox, &mut stats).is_err());
    }
}
