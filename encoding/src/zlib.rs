//! `compress=zlib-stream`, and the compression of single payloads.
//!
//! A connection's messages are one zlib stream (RFC 1950), which never ends: a header of two bytes, then blocks of deflate
//! (RFC 1951). Each message ends in a sync flush, an empty stored block: it brings the stream to a whole byte and is how
//! clients know that a message is complete (`00 00 ff ff`).
//!
//! # Shared
//!
//! A compressor of its own for each connection takes 2 to 14 µs an event, each time anew, and holds 300 KB. What makes it each
//! connection's own is that it refers to what this connection was sent before. [`Sharer`] refers to nothing: it compresses an
//! event by itself, once for everybody, and each connection splices the outcome into its stream:
//!
//! ```text
//! 78 9c │ 00 LEN NLEN {"op":0,"s":1234      , │ deflate blocks  00 00 ff ff │ 00 LEN NLEN {"op":0,"s":1235 …
//! header│ stored block: the prefix            │ the event, for everybody    │ the next message
//! ```
//!
//! This is a valid stream because each piece begins and ends on a whole byte (the stored block because its content is bytes, the
//! event because it ends in a sync flush), no block has the mark of the last one, and no distance reaches back beyond the
//! event that it is in, whatever stands before that. The checksum of zlib comes at the end of a stream, so there is none.
//! [ADR 0017](../../../docs/adr/0017-shared-compression.md) has what it costs.
//!
//! # For each connection
//!
//! [`Stream`] is the ordinary way, with the history of the connection.

use bytes::Bytes;
use zlib_rs::{Deflate, DeflateConfig, DeflateFlush};

use crate::payload::{Dispatch, Format, Payload, Shared};

/// How hard [`Sharer`] tries, and [`payload`].
///
/// Messages of 887 bytes become 540 in 20 µs (level 1: 675 in 8 µs, level 6: 534 in 26 µs), an answer of 387 KB becomes 64 in
/// 1.6 ms (level 6: 61 in 3.9 ms).
pub const SHARED_LEVEL: i32 = 2;

/// How hard [`Stream`] tries.
///
/// The same messages become 221 bytes in 2.4 µs, each time for each connection (level 2: 191 in 11 µs, level 6: 180 in 14 µs).
pub const STREAM_LEVEL: i32 = 1;

/// The header of zlib: deflate with a window of 32 KiB, default level, no dictionary.
const HEADER: [u8; 2] = [0x78, 0x9c];

// === Shared ===

/// Makes events and payloads fit to be spliced into any connection's stream.
pub struct Sharer {
    deflate: Deflate,
    /// Where the compressor writes, as long as the largest output was.
    scratch: Vec<u8>,
}

impl Sharer {
    #[expect(clippy::new_without_default, reason = "it takes 300 KB, which should not happen by the way")]
    pub fn new() -> Self {
        Self::with_level(SHARED_LEVEL)
    }

    /// With another level of 1 to 9, to compare.
    pub fn with_level(level: i32) -> Self {
        // A negative window is how zlib names deflate without the header and checksum of zlib.
        let config = DeflateConfig { window_bits: -WINDOW_BITS, ..DeflateConfig::new(level) };
        Self { deflate: Deflate::new_with_config(config), scratch: Vec::new() }
    }

    /// The event in the form in which every connection can send it.
    pub fn share<F: Format>(&mut self, dispatch: &Dispatch<F>) -> Shared {
        let rest = self.compress(dispatch.rest());
        Shared::compressed(stored_prefix(F::PREFIX), rest)
    }

    /// A whole message for a connection that has been sent its first.
    pub fn whole<F: Format>(&mut self, payload: &Payload<F>) -> Bytes {
        self.compress(payload.as_slice())
    }

    /// The first message of a connection.
    pub fn opening<F: Format>(&mut self, payload: &Payload<F>) -> Bytes {
        [&HEADER, &*self.whole(payload)].concat().into()
    }

    fn compress(&mut self, input: &[u8]) -> Bytes {
        self.deflate.reset();
        let len = compress(&mut self.deflate, input, DeflateFlush::SyncFlush, &mut self.scratch);
        Bytes::copy_from_slice(&self.scratch[..len])
    }
}

/// What is a session's own of an event that is shared, between the prefix and the rest: in stored blocks, none the last.
pub fn stored(bytes: &[u8]) -> Bytes {
    let count = bytes.len().div_ceil(usize::from(u16::MAX));
    let mut blocks = Vec::with_capacity(bytes.len() + count * STORED_HEADER_BYTES);
    for content in bytes.chunks(u16::MAX.into()) {
        blocks.extend(stored_header(content.len()));
        blocks.extend(content);
    }
    blocks.into()
}

/// A stored block, not the last, that holds the prefix.
const fn stored_prefix(prefix: crate::Prefix) -> crate::Prefix {
    prefix.behind(&stored_header(prefix.len()))
}

const fn stored_header(len: usize) -> [u8; STORED_HEADER_BYTES] {
    let len = (len as u16).to_le_bytes();
    [0, len[0], len[1], !len[0], !len[1]]
}

const STORED_HEADER_BYTES: usize = 5;

// === For each connection ===

/// The compressor of one connection.
pub struct Stream(Deflate);

impl Stream {
    #[expect(clippy::new_without_default, reason = "it takes 300 KB, which should not happen by the way")]
    pub fn new() -> Self {
        Self::with_level(STREAM_LEVEL)
    }

    /// With another level of 1 to 9, to compare.
    pub fn with_level(level: i32) -> Self {
        Self(Deflate::new_with_config(DeflateConfig::new(level)))
    }

    /// The next message of the connection.
    pub fn message(&mut self, payload: &[u8]) -> Vec<u8> {
        let mut message = Vec::new();
        let len = compress(&mut self.0, payload, DeflateFlush::SyncFlush, &mut message);
        message.truncate(len);
        message
    }
}

// === Single payloads ===

/// A payload as a zlib stream of its own, for who said `compress: true` in IDENTIFY.
pub fn payload(payload: &[u8]) -> Vec<u8> {
    let mut deflate = Deflate::new_with_config(DeflateConfig::new(SHARED_LEVEL));
    let mut stream = Vec::new();
    let len = compress(&mut deflate, payload, DeflateFlush::Finish, &mut stream);
    stream.truncate(len);
    stream
}

// === The compressor ===

/// The largest there is, 32 KiB, which [`HEADER`] says.
const WINDOW_BITS: i32 = 15;

/// Compresses all of `input` into `output`, which grows as it must; answers how many bytes of it are the outcome.
fn compress(deflate: &mut Deflate, input: &[u8], flush: DeflateFlush, output: &mut Vec<u8>) -> usize {
    let (read_before, written_before) = (deflate.total_in(), deflate.total_out());
    // JSON shrinks to less than this.
    grow(output, input.len() / 2 + ROOM);
    loop {
        let read = (deflate.total_in() - read_before) as usize;
        let written = (deflate.total_out() - written_before) as usize;
        if output.len() - written < ROOM {
            grow(output, output.len() * 2);
        }
        deflate
            .compress(&input[read..], &mut output[written..], flush)
            .expect("the compressor is given room and is not used after the end of its stream");
        let written = (deflate.total_out() - written_before) as usize;
        // With room left nothing waits inside, and all of the input was read.
        if written < output.len() {
            return written;
        }
    }
}

/// More than a flush takes.
const ROOM: usize = 64;

fn grow(output: &mut Vec<u8>, len: usize) {
    if output.len() < len {
        output.resize(len, 0);
    }
}

#[cfg(test)]
mod tests;
