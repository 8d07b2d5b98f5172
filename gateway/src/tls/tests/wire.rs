//! A server's session and rustls' client, joined by buffers.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use super::super::{RECORD_BYTES_MAX, Raw, Session, Tls};
use super::Pair;

/// What the server takes for a socket.
pub(super) struct Wire {
    incoming: RefCell<VecDeque<u8>>,
    outgoing: RefCell<Vec<u8>>,
    /// What may be written until it is set again.
    room: Cell<usize>,
}

pub(super) struct Peers {
    pub(super) server: Session,
    pub(super) client: ClientConnection,
    pub(super) wire: Wire,
}

impl Wire {
    pub(super) fn set_room(&self, room: usize) {
        self.room.set(room);
    }

    /// Bytes for the server.
    pub(super) fn come(&self, bytes: &[u8]) {
        self.incoming.borrow_mut().extend(bytes);
    }

    pub(super) fn take_incoming(&self) -> Vec<u8> {
        self.incoming.borrow_mut().drain(..).collect()
    }

    pub(super) fn take_outgoing(&self) -> Vec<u8> {
        self.outgoing.take()
    }
}

impl Raw for Wire {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.incoming.borrow_mut().read(buffer)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.room.get());
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.room.set(self.room.get() - count);
        self.outgoing.borrow_mut().extend_from_slice(&bytes[..count]);
        Ok(count)
    }
}

impl Peers {
    pub(super) fn new(server: &Tls, client: Arc<ClientConfig>) -> Self {
        let name = ServerName::try_from("localhost").unwrap();
        Self {
            server: server.session().unwrap(),
            client: ClientConnection::new(client, name).unwrap(),
            wire: Wire {
                incoming: RefCell::default(),
                outgoing: RefCell::default(),
                room: Cell::new(usize::MAX),
            },
        }
    }

    /// Two who have shaken hands.
    pub(super) fn agreed(pair: &Pair) -> Self {
        let mut peers = Self::new(&pair.server, pair.client.clone());
        peers.agree().unwrap();
        peers
    }

    pub(super) fn agree(&mut self) -> Result<(), Box<dyn std::error::Error>> {
        for _ in 0..4 {
            self.client_flushes();
            match self.server.read(&self.wire, &mut [0; RECORD_BYTES_MAX]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return Err(format!("{other:?} in the handshake").into()),
            }
            self.client_takes()?;
        }
        match self.client.is_handshaking() || self.server.handshake_kind().is_none() {
            true => Err("they did not come to an end".into()),
            false => Ok(()),
        }
    }

    /// A word there and one back.
    pub(super) fn exchange(&mut self) {
        self.client_writes(b"ping");
        assert_eq!(self.server_reads(), b"ping");
        assert_eq!(self.server.write(&self.wire, &[io::IoSlice::new(b"pong")]).unwrap(), 4);
        assert_eq!(self.client_reads(), b"pong");
    }

    pub(super) fn client_writes(&mut self, bytes: &[u8]) {
        let mut left = bytes;
        while !left.is_empty() {
            let count = self.client.writer().write(left).unwrap();
            left = &left[count..];
            self.client_flushes();
        }
    }

    pub(super) fn client_flushes(&mut self) {
        let mut records = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut records).unwrap();
        }
        self.wire.come(&records);
    }

    /// All that has come to the client.
    pub(super) fn client_reads(&mut self) -> Vec<u8> {
        let records = self.wire.take_outgoing();
        let (mut left, mut plain) = (&records[..], Vec::new());
        while !left.is_empty() {
            self.client.read_tls(&mut left).unwrap();
            let state = self.client.process_new_packets().unwrap();
            let start = plain.len();
            plain.resize(start + state.plaintext_bytes_to_read(), 0);
            self.client.reader().read_exact(&mut plain[start..]).unwrap();
        }
        plain
    }

    /// All that has come to the server: it is asked until it has nothing more.
    pub(super) fn server_reads(&mut self) -> Vec<u8> {
        let (mut plain, mut buffer) = (Vec::new(), [0; RECORD_BYTES_MAX]);
        loop {
            match self.server.read(&self.wire, &mut buffer) {
                Ok(count) => plain.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return plain,
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn client_takes(&mut self) -> Result<(), rustls::Error> {
        let records = self.wire.take_outgoing();
        let mut left = &records[..];
        while !left.is_empty() {
            self.client.read_tls(&mut left).unwrap();
            self.client.process_new_packets()?;
        }
        Ok(())
    }
}
