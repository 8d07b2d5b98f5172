//! The socket of a connection: TCP, or in tests a pipe in memory, so that a shard can be driven in virtual time.
//!
//! Only what a shard does with a socket is here; without tests it is a `TcpStream` that does not block and nothing else.

use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::wire::TryWrite;

#[cfg(test)]
pub(crate) mod pipe;

/// A socket that is bound to no runtime.
pub(crate) enum Socket {
    Tcp(TcpStream),
    #[cfg(test)]
    Pipe(pipe::ServerEnd),
}

impl Socket {
    /// Reads what is there; [`io::ErrorKind::WouldBlock`] when that is nothing.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => (&mut &*stream).read(buffer),
            #[cfg(test)]
            Self::Pipe(pipe) => pipe.read(buffer),
        }
    }

    /// Ends our direction, then reads until the client ends its own.
    pub(crate) async fn finish(self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => {
                let mut stream = tokio::net::TcpStream::from_std(stream)?;
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
            Self::Tcp(stream) => (&mut &*stream).write_vectored(slices),
            #[cfg(test)]
            Self::Pipe(pipe) => pipe.try_write_vectored(slices),
        }
    }
}
