//! One TLS connection over a socket that does not block, with the meaning of such a socket: a read gives what has come, a
//! write says how much was taken, and both say `WouldBlock`.
//!
//! - *Reading.* Bytes of the socket go into a buffer of the thread, and what is in whole records is given to the caller at once.
//!   Nothing that could be read is held back, as nobody would ask for it while the socket is quiet. That needs a caller with
//!   room for a whole record ([`RECORD_BYTES_MAX`]). Only a record of which the rest has not come is kept.
//! - *Writing.* What is encrypted has to be sent, in this order; it can't be taken back. So where the socket does not take all of it,
//!   the rest is kept, and of what the caller gave the last byte is not said to be taken. To the caller that is a
//!   socket which is full: he waits until it is not, and comes again with this byte first, since a frame of which a part is
//!   sent is never left out or overtaken. So nothing is ever left to be sent that nobody knows of.

use std::cell::RefCell;
use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;

use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus};
use rustls::{HandshakeKind, ServerConfig};

/// A socket as it is below TLS.
pub(crate) trait Raw {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;
}

/// See the module.
pub(crate) struct Session {
    connection: UnbufferedServerConnection,
    /// The beginning of a record.
    partial: Vec<u8>,
    /// Records that the socket has not taken.
    unsent: Vec<u8>,
    /// The caller's next byte is in these.
    owes_byte: bool,
    /// The client has said that nothing more comes.
    has_ended: bool,
    /// What has come was no TLS.
    has_failed: bool,
}

/// What a thread needs to read and write, however many connections it has.
struct Scratch {
    records: Vec<u8>,
    plain: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = const { RefCell::new(Scratch { records: Vec::new(), plain: Vec::new() }) };
}

// === impl Session: reading ===

impl Session {
    pub(super) fn new(config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        let connection = UnbufferedServerConnection::new(config)?;
        Ok(Self {
            connection,
            partial: Vec::new(),
            unsent: Vec::new(),
            owes_byte: false,
            has_ended: false,
            has_failed: false,
        })
    }

    /// How it has been agreed on, once it has.
    pub(crate) fn handshake_kind(&self) -> Option<HandshakeKind> {
        self.connection.handshake_kind().filter(|_| !self.connection.is_handshaking())
    }

    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.partial.capacity() + self.unsent.capacity()
    }

    /// Whether something waits until the socket takes it.
    pub(crate) fn wants_write(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Reads into a buffer of at least [`RECORD_BYTES_MAX`]; 0 when nothing more comes.
    pub(crate) fn read(&mut self, raw: &impl Raw, buffer: &mut [u8]) -> io::Result<usize> {
        debug_assert!(buffer.len() >= RECORD_BYTES_MAX, "there is room for a record");
        self.flush_some(raw)?;
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.records.resize(buffer.len(), 0);
            for _ in 0..READS_MAX {
                if self.has_ended {
                    return Ok(0);
                }
                let kept = self.partial.len();
                scratch.records[..kept].copy_from_slice(&self.partial);
                let count = raw.read(&mut scratch.records[kept..])?;
                if count == 0 {
                    return Ok(0);
                }
                let plain = self.take(raw, &mut scratch.records[..kept + count], buffer)?;
                if plain > 0 {
                    return Ok(plain);
                }
            }
            // Records with nothing in them: others have their turn.
            Err(io::ErrorKind::Interrupted.into())
        })
    }

    /// Takes the whole records, and answers what came after them; their content is never longer than they are.
    fn take(&mut self, raw: &impl Raw, records: &mut [u8], buffer: &mut [u8]) -> io::Result<usize> {
        let mut plain = 0;
        if self.has_failed {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let taken = self.process(records, |content| {
            buffer[plain..plain + content.len()].copy_from_slice(content);
            plain += content.len();
        });
        self.flush_some(raw)?;
        let rest = &records[taken.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?..];
        if rest.is_empty() {
            self.partial = Vec::new();
        } else {
            self.partial.clear();
            self.partial.extend_from_slice(rest);
        }
        Ok(plain)
    }

    /// Answers how many bytes are done with. What is to be sent for them is in `unsent` afterwards.
    fn process(&mut self, records: &mut [u8], mut give: impl FnMut(&[u8])) -> Result<usize, rustls::Error> {
        let mut taken = 0;
        loop {
            let UnbufferedStatus { mut discard, state } =
                self.connection.process_tls_records(&mut records[taken..]);
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        discard += record.discard;
                        give(record.payload);
                    }
                }
                Ok(ConnectionState::EncodeTlsData(data)) => encode(data, &mut self.unsent)?,
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.has_ended = true,
                // All that has come is taken. (Early data are never agreed to.)
                Ok(_) => return Ok(taken + discard),
                Err(error) => return Err(self.fail(error, &mut records[taken + discard..])),
            }
            taken += discard;
        }
    }

    /// After an error there may be an alert to be sent. Anything more than that must not be asked of the connection, and not
    /// without the bytes that it has looked at.
    fn fail(&mut self, error: rustls::Error, left: &mut [u8]) -> rustls::Error {
        self.has_failed = true;
        let UnbufferedStatus { state, .. } = self.connection.process_tls_records(left);
        if let Ok(ConnectionState::EncodeTlsData(data)) = state {
            // Without an alert the connection ends all the same.
            let _ = encode(data, &mut self.unsent);
        }
        error
    }
}

// === impl Session: writing ===

impl Session {
    /// Takes what it can of these bytes.
    pub(crate) fn write(&mut self, raw: &impl Raw, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.flush(raw)?;
        let owed = usize::from(self.owes_byte);
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.plain.clear();
            gather(slices, owed, &mut scratch.plain);
            self.owes_byte = false;
            if scratch.plain.is_empty() {
                return Ok(owed);
            }
            scratch.records.clear();
            self.encrypt(&scratch.plain, &mut scratch.records)?;
            let sent = match raw.write(&scratch.records) {
                Ok(sent) => sent,
                Err(error) if is_for_now(&error) => 0,
                Err(error) => return Err(error),
            };
            let taken = owed + scratch.plain.len();
            if sent == scratch.records.len() {
                return Ok(taken);
            }
            self.unsent.extend_from_slice(&scratch.records[sent..]);
            self.owes_byte = true;
            if taken == 1 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(taken - 1) }
        })
    }

    /// What remains to be sent, with a goodbye at its end.
    pub(crate) fn goodbye(mut self) -> Vec<u8> {
        let mut last = std::mem::take(&mut self.unsent);
        if !self.has_failed
            && let UnbufferedStatus { state: Ok(ConnectionState::WriteTraffic(mut traffic)), .. } =
                self.connection.process_tls_records(&mut self.partial)
        {
            // Without it the client sees that the connection has ended, and not that it was meant to.
            let _ = grow(&mut last, 0, |room| traffic.queue_close_notify(room).map_err(required_size));
        }
        last
    }

    fn flush_some(&mut self, raw: &impl Raw) -> io::Result<()> {
        match self.flush(raw) {
            Err(error) if is_for_now(&error) => Ok(()),
            flushed => flushed,
        }
    }

    /// `WouldBlock` while something is left.
    fn flush(&mut self, raw: &impl Raw) -> io::Result<()> {
        let mut sent = 0;
        let flushed = loop {
            if sent == self.unsent.len() {
                break Ok(());
            }
            match raw.write(&self.unsent[sent..]) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        self.unsent.drain(..sent);
        if self.unsent.is_empty() {
            self.unsent = Vec::new();
        }
        flushed
    }

    fn encrypt(&mut self, plain: &[u8], records: &mut Vec<u8>) -> io::Result<()> {
        if self.has_failed {
            return Err(io::ErrorKind::InvalidData.into());
        }
        // The connection remembers how much of these bytes it has looked at.
        let UnbufferedStatus { state, .. } = self.connection.process_tls_records(&mut self.partial);
        let Ok(ConnectionState::WriteTraffic(mut traffic)) = state else {
            return Err(io::Error::new(io::ErrorKind::NotConnected, "TLS is not agreed on"));
        };
        let likely = plain.len() + OVERHEAD_BYTES;
        grow(records, likely, |room| traffic.encrypt(plain, room).map_err(required_size))
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

/// Copies what goes into one record, behind the first `skip` bytes. It never ends on the first of several bytes of a slice: with
/// such a byte a frame would begin of which the caller is told that nothing is taken.
fn gather(slices: &[IoSlice<'_>], mut skip: usize, plain: &mut Vec<u8>) {
    for slice in slices {
        let skipped = skip.min(slice.len());
        skip -= skipped;
        let slice = &slice[skipped..];
        let room = WRITE_BYTES_MAX - plain.len();
        if slice.len() > room {
            plain.extend_from_slice(if room == 1 { &[] } else { &slice[..room] });
            return;
        }
        plain.extend_from_slice(slice);
    }
}

fn is_for_now(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn encode(
    mut data: EncodeTlsData<'_, ServerConnectionData>,
    records: &mut Vec<u8>,
) -> Result<(), rustls::Error> {
    grow(records, 0, |room| {
        data.encode(room).map_err(|error| match error {
            EncodeError::InsufficientSize(size) => Some(size.required_size),
            EncodeError::AlreadyEncoded => None,
        })
    })
}

fn required_size(error: EncryptError) -> Option<usize> {
    match error {
        EncryptError::InsufficientSize(size) => Some(size.required_size),
        EncryptError::EncryptExhausted => None,
    }
}

/// Lets something be written at the end, which says how much room it needs if there is too little.
fn grow(
    bytes: &mut Vec<u8>,
    likely: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>,
) -> Result<(), rustls::Error> {
    let (start, mut room) = (bytes.len(), likely);
    loop {
        bytes.resize(start + room, 0);
        match write(&mut bytes[start..]) {
            Ok(count) => {
                bytes.truncate(start + count);
                return Ok(());
            }
            Err(Some(needed)) if needed > room => room = needed,
            Err(_) => {
                bytes.truncate(start);
                return Err(rustls::Error::EncryptError);
            }
        }
    }
}

impl Raw for std::net::TcpStream {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&mut &*self).read(buffer)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        (&mut &*self).write(bytes)
    }
}

impl Raw for tokio::net::TcpStream {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.try_read(buffer)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.try_write(bytes)
    }
}

/// The longest record that a client may send, with its header.
pub(crate) const RECORD_BYTES_MAX: usize = 5 + 16_384 + 2_048;

/// What goes into one record, and so may wait for a slow client.
const WRITE_BYTES_MAX: usize = 16_384;

/// What a record takes besides its content, and then some.
const OVERHEAD_BYTES: usize = 128;

/// How often the socket is read for a caller who has been given nothing.
const READS_MAX: usize = 4;
