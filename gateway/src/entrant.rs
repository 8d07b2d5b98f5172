//! A socket that has come in and is no shard's yet: it waits on the runtime of the acceptor, until it is one.

use std::io::{self, IoSlice};

use bytes::BytesMut;
use rustls::HandshakeKind;
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::socket::{Encrypted, Socket};
use crate::tls::{RECORD_BYTES_MAX, Raw, Session};

/// See the module.
pub(crate) struct Entrant {
    stream: TcpStream,
    tls: Option<Box<Session>>,
}

impl Entrant {
    pub(crate) fn new(stream: TcpStream, tls: Option<Session>) -> Self {
        Self { stream, tls: tls.map(Box::new) }
    }

    /// How TLS was agreed on, if it was.
    pub(crate) fn handshake_kind(&self) -> Option<HandshakeKind> {
        self.tls.as_ref().and_then(|tls| tls.handshake_kind())
    }

    /// Appends what has come; 0 when nothing more comes. With TLS the handshake goes first.
    pub(crate) async fn read(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        let Self { stream, tls } = self;
        loop {
            let is_full = tls.as_ref().is_some_and(|tls| tls.wants_write());
            let interest = if is_full { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
            stream.ready(interest).await?;
            let read = match tls {
                None => stream.try_read_buf(buffer),
                Some(tls) => {
                    let start = buffer.len();
                    buffer.resize(start + RECORD_BYTES_MAX, 0);
                    let read = tls.read(stream, &mut buffer[start..]);
                    buffer.truncate(start + *read.as_ref().unwrap_or(&0));
                    read
                }
            };
            match read {
                Err(error) if is_for_now(&error) => {}
                read => return read,
            }
        }
    }

    pub(crate) async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.stream.writable().await?;
            let written = match &mut self.tls {
                None => Raw::write(&self.stream, bytes),
                Some(tls) => tls.write(&self.stream, &[IoSlice::new(bytes)]),
            };
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => bytes = &bytes[count..],
                Err(error) if is_for_now(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Ends our direction, then reads until the client ends its own.
    pub(crate) async fn finish(self) -> io::Result<()> {
        self.into_socket()?.finish().await
    }

    pub(crate) fn into_socket(self) -> io::Result<Socket> {
        let stream = self.stream.into_std()?;
        Ok(match self.tls {
            None => Socket::Tcp(stream),
            Some(session) => Socket::Tls(Box::new(Encrypted::new(stream, *session))),
        })
    }
}

fn is_for_now(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
