//! A connection's last moments: after the goodbye its socket is read until the caller has closed it, too.
//!
//! A call may cross with the goodbye. If the socket were closed with that call unread, the kernel would answer with a reset,
//! which takes what the caller has not read yet with it: the goodbye, from which it would know that the call was not
//! taken and can be made again. HTTP/2 leaves the socket to the connection, so it is lent, and given back when the
//! connection lets go of it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use model::limits::RPC_LINGER_MS;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// A socket that goes back to its owner when it is dropped.
pub(super) struct Lent<S> {
    /// There until it is dropped.
    socket: Option<S>,
    owner: Option<oneshot::Sender<S>>,
}

/// Lends a socket; the other half gets it back.
pub(super) fn lend<S>(socket: S) -> (Lent<S>, oneshot::Receiver<S>) {
    let (owner, given_back) = oneshot::channel();
    (Lent { socket: Some(socket), owner: Some(owner) }, given_back)
}

/// Reads what still comes, into nothing, until the caller has closed or has had its time.
pub(super) async fn until_closed<S: AsyncRead + Unpin>(given_back: oneshot::Receiver<S>) {
    let drain = async {
        let Ok(mut socket) = given_back.await else { return };
        let mut nothing = [0; 1024];
        while let Ok(1..) = socket.read(&mut nothing).await {}
    };
    let _ = timeout(Duration::from_millis(RPC_LINGER_MS), drain).await;
}

impl<S> Lent<S> {
    fn socket(&mut self) -> &mut S {
        self.socket.as_mut().expect("it is there until it is dropped")
    }
}

impl<S> Drop for Lent<S> {
    fn drop(&mut self) {
        if let (Some(socket), Some(owner)) = (self.socket.take(), self.owner.take()) {
            // An owner that no longer waits has it closed.
            let _ = owner.send(socket);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lent<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(self.socket()).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Lent<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(self.socket()).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.socket()).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.as_ref().is_some_and(S::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.socket()).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.socket()).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_crosses_with_the_goodbye_is_read() {
        let (mut caller, server) = duplex(16);
        let (mut lent, given_back) = lend(server);
        lent.write_all(b"goodbye").await.unwrap();
        lent.shutdown().await.unwrap();
        drop(lent);
        let crossing = async {
            caller.write_all(&[7; 4096]).await.unwrap();
            let mut heard = String::new();
            caller.read_to_string(&mut heard).await.unwrap();
            drop(caller);
            heard
        };
        let (heard, ()) = tokio::join!(crossing, until_closed(given_back));
        assert_eq!(heard, "goodbye");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_waited_for_without_end() {
        let (_caller, server) = duplex(16);
        let (lent, given_back) = lend(server);
        drop(lent);
        let began = tokio::time::Instant::now();
        until_closed(given_back).await;
        assert_eq!(began.elapsed(), Duration::from_millis(RPC_LINGER_MS));
    }
}
