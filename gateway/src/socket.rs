//! The socket of a connection: TCP, TLS over it, or in tests a pipe in memory, so that a shard can be driven in virtual time.
//!
//! Only what a shard does with a socket is here; without tests and TLS it is a `TcpStream` that does not block and nothing
//! else.

use std::cell::RefCell;
use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::tls::Session;
use crate::wire::TryWrite;

#[cfg(test)]
pub(crate) mod pipe;

/// A socket that is bound to no runtime.
pub(crate) enum Socket {
    Tcp(TcpStream),
    Tls(Box<Encrypted<TcpStream>>),
    #[cfg(test)]
    Pipe(pipe::ServerEnd),
    #[cfg(test)]
    TlsPipe(Box<Encrypted<pipe::ServerEnd>>),
}

/// TLS over a socket.
pub(crate) struct Encrypted<R> {
    raw: R,
    session: RefCell<Session>,
}

impl<R> Encrypted<R> {
    pub(crate) fn new(raw: R, session: Session) -> Self {
        Self { raw, session: RefCell::new(session) }
    }
}

impl Socket {
    /// What the system knows it by.
    pub(crate) fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(stream) => Some(stream),
            Self::Tls(tls) => Some(&tls.raw),
            #[cfg(test)]
            Self::Pipe(_) | Self::TlsPipe(_) => None,
        }
    }

    /// What tests have in its place.
    #[cfg(test)]
    pub(crate) fn pipe(&self) -> Option<&pipe::ServerEnd> {
        match self {
            Self::Pipe(pipe) => Some(pipe),
            Self::TlsPipe(tls) => Some(&tls.raw),
            Self::Tcp(_) | Self::Tls(_) => None,
        }
    }

    /// Reads what is there; [`io::ErrorKind::WouldBlock`] when that is nothing. The buffer has room for a record of TLS.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => (&mut &*stream).read(buffer),
            Self::Tls(tls) => tls.session.borrow_mut().read(&tls.raw, buffer),
            #[cfg(test)]
            Self::Pipe(pipe) => pipe.read(buffer),
            #[cfg(test)]
            Self::TlsPipe(tls) => tls.session.borrow_mut().read(&tls.raw, buffer),
        }
    }

    /// Ends our direction, then reads until the client ends its own.
    pub(crate) async fn finish(self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => finish(stream, &[]).await,
            Self::Tls(tls) => {
                let Encrypted { raw, session } = *tls;
                finish(raw, &session.into_inner().goodbye()).await
            }
            #[cfg(test)]
            Self::Pipe(pipe) => {
                pipe.finish(&[]).await;
                Ok(())
            }
            #[cfg(test)]
            Self::TlsPipe(tls) => {
                let Encrypted { raw, session } = *tls;
                raw.finish(&session.into_inner().goodbye()).await;
                Ok(())
            }
        }
    }
}

async fn finish(stream: TcpStream, last: &[u8]) -> io::Result<()> {
    let mut stream = tokio::net::TcpStream::from_std(stream)?;
    stream.write_all(last).await?;
    stream.shutdown().await?;
    let mut discard = [0; 512];
    while stream.read(&mut discard).await? > 0 {}
    Ok(())
}

impl TryWrite for Socket {
    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => (&mut &*stream).write_vectored(slices),
            Self::Tls(tls) => tls.session.borrow_mut().write(&tls.raw, slices),
            #[cfg(test)]
            Self::Pipe(pipe) => pipe.try_write_vectored(slices),
            #[cfg(test)]
            Self::TlsPipe(tls) => tls.session.borrow_mut().write(&tls.raw, slices),
        }
    }
}
