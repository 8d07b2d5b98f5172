//! The socket of a connection: TCP, or in tests a pipe in memory, so that a shard can be driven in virtual time.
//!
//! Only what a connection's task does with a socket is here; without tests it is a `TcpStream` and nothing else.

use std::io::{self, IoSlice};
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::wire::TryWrite;

#[cfg(test)]
pub(crate) mod pipe;

/// A socket on its way to a shard, bound to no runtime.
pub(crate) enum Stream {
    Tcp(std::net::TcpStream),
    #[cfg(test)]
    Pipe(pipe::ServerEnd),
}

/// A socket in use by a shard.
pub(crate) enum Socket {
    Tcp(TcpStream),
    #[cfg(test)]
    Pipe(pipe::ServerEnd),
}

impl Socket {
    /// Binds the socket to the runtime that this is called on.
    pub(crate) fn bind(stream: Stream) -> io::Result<Self> {
        match stream {
            Stream::Tcp(stream) => TcpStream::from_std(stream).map(Self::Tcp),
            #[cfg(test)]
            Stream::Pipe(pipe) => Ok(Self::Pipe(pipe)),
        }
    }

    pub(crate) fn unbind(self) -> io::Result<Stream> {
        match self {
            Self::Tcp(stream) => stream.into_std().map(Stream::Tcp),
            #[cfg(test)]
            Self::Pipe(pipe) => Ok(Stream::Pipe(pipe)),
        }
    }

    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            #[cfg(test)]
            Self::Pipe(pipe) => pipe.poll_read_ready(cx).map(Ok),
        }
    }

    pub(crate) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_write_ready(cx),
            #[cfg(test)]
            Self::Pipe(pipe) => pipe.poll_write_ready(cx).map(Ok),
        }
    }

    pub(crate) fn try_read_buf(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_read_buf(buffer),
            #[cfg(test)]
            Self::Pipe(pipe) => pipe.try_read_buf(buffer),
        }
    }

    /// Ends our direction, then reads until the client ends its own.
    pub(crate) async fn finish(self) -> io::Result<()> {
        match self {
            Self::Tcp(mut stream) => {
                stream.shutdown().await?;
                let mut discard = [0; 512];
                while stream.read(&mut discard).await? > 0 {}
                Ok(())
            }
            #[cfg(test)]
            Self::Pipe(pipe) => {
                pipe.finish().await;
                Ok(())
            }
        }
    }
}

impl TryWrite for Socket {
    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write_vectored(slices),
            #[cfg(test)]
            Self::Pipe(pipe) => pipe.try_write_vectored(slices),
        }
    }
}
