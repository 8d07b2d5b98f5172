//! `compress=zstd-stream`.
//!
//! A connection's messages are one zstd frame (RFC 8878), which never ends: a frame header, then blocks. A message is complete
//! once its last block is, so each WebSocket message is a whole number of blocks.
//!
//! # Shared
//!
//! As in [`crate::zlib`], [`Sharer`] compresses an event by itself, once for everybody, and each connection splices the outcome
//! into its frame behind a raw block with the prefix:
//!
//! ```text
//! frame header │ raw block: {"op":0,"s":1234      , │ reset: 33 spaces │ blocks of the event │ raw block: {"op":0, …
//! ```
//!
//! Four things tie a block to what stands before it in its frame. They are dealt with one by one:
//!
//! - *Content that matches refer to.* An event is compressed as a frame of its own, so its matches stay within it. The window of the
//!   connection's frame is as large as the largest that events are compressed with ([`WINDOW_LOG`]), so what they reach is there.
//! - *Tables.* A block may use the Huffman and FSE tables of the one before it. The first block of a frame never does, and the
//!   others of an event follow it directly. Raw blocks change no table.
//! - *Repeated offsets.* A match may say "as far back as the last one", or the last but one or two. A frame begins with the offsets 1, 4
//!   and 8, and its very first block may use these. In a connection's frame they are whatever the event before left behind, and
//!   the decoder would copy from the wrong place **without noticing**. So a [`RESET`] goes before each event.
//! - *The mark of the last block*, which is taken off ([`blocks`]).
//!
//! The reset is two blocks that decode to spaces, and spaces between two members or before a value are legal JSON. In ETF no byte
//! means nothing, so there is no reset: [`Sharer`] takes [`Json`] only, and ETF has [`Stream`].
//!
//! An event that the reset would make longer than it is goes as raw blocks, which need none.
//! [ADR 0017](../../../docs/adr/0017-shared-compression.md) has what it costs.
//!
//! # For each connection
//!
//! [`Stream`] is the ordinary way, with the history of the connection and Discord's parameters.

use bytes::Bytes;
use zstd_safe::zstd_sys::ZSTD_EndDirective;
use zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer, SafeResult};

use crate::payload::{Dispatch, Format, Json, Payload, Shared};
use crate::prefix::Prefix;

mod blocks;

/// How hard [`Sharer`] tries.
///
/// Messages of 887 bytes become 577 in 7 µs (level 6: 566 in 14 µs), an answer of 387 KB becomes 56 in 0.4 ms (level 6: 58 in 2.5 ms).
pub const SHARED_LEVEL: i32 = 1;

/// How hard [`Stream`] tries, with tables of [`STREAM_TABLE_LOG`]: Discord's own parameters.
///
/// The same messages become 176 bytes in 13 µs, each time for each connection.
pub const STREAM_LEVEL: i32 = 6;

/// Entries of the compressor's two tables for one connection, as a power of two.
pub const STREAM_TABLE_LOG: u32 = 16;

/// The window of every connection, as a power of two: a client sets 256 KiB aside, and no match reaches further back.
pub const WINDOW_LOG: u32 = 18;

/// The header of a connection's frame: magic number; no content size, no checksum, no dictionary; window.
const HEADER: [u8; 6] = [0x28, 0xb5, 0x2f, 0xfd, 0, ((WINDOW_LOG - 10) << 3) as u8];

/// Two compressed blocks that set the repeated offsets to 1, 4 and 8, as at the beginning of a frame.
///
/// An offset that is not itself a repeated one moves to the front of the three. So matches at the distances 8, 4 and 1, in this order,
/// leave 1, 4, 8. Offsets are coded as a power of two and bits: 8 is 11 = 2^3 + `011`, 4 is 7 = 2^2 + `11`, 1 is 4 = 2^2 + `00`. All
/// codes of a block are given by RLE tables, which allow one code each; hence two blocks. A match has at least three bytes.
///
/// ```text
/// 44 00 00              block: compressed, 8 bytes, not the last
///   41 20               literals: RLE, 8 times a space
///   01 54 08 03 00      1 sequence; RLE tables: 8 literals, offset code 3, match of 3
///   0b                  bits from the top: 0000, the 1 that begins the stream, 011
/// 44 00 00              block: compressed, 8 bytes, not the last
///   81 20               literals: RLE, 16 times a space
///   02 54 08 02 00      2 sequences: 8 literals each, offset code 2, match of 3
///   1c                  000, the 1 that begins the stream, 11, 00
/// ```
const RESET: [u8; 22] = [
    0x44, 0, 0, 0x41, 0x20, 0x01, 0x54, 0x08, 0x03, 0x00, 0x0b, //
    0x44, 0, 0, 0x81, 0x20, 0x02, 0x54, 0x08, 0x02, 0x00, 0x1c,
];

/// What [`RESET`] decodes to: 8 literals and 3 bytes of match, then 16 and 6.
#[cfg(test)]
const RESET_SPACES: usize = 33;

// === Shared ===

/// Makes events and payloads fit to be spliced into any connection's frame. They are JSON:
///
/// ```compile_fail,E0308
/// let event = encoding::Dispatch::etf("TYPING_START", b"{}").unwrap();
/// encoding::zstd::Sharer::new().share(&event);
/// ```
pub struct Sharer {
    context: CCtx<'static>,
    /// Where the compressor writes, as long as the largest output was.
    scratch: Vec<u8>,
}

impl Sharer {
    #[expect(clippy::new_without_default, reason = "its memory should not be taken by the way")]
    pub fn new() -> Self {
        Self::with_level(SHARED_LEVEL)
    }

    /// With another level, to compare.
    pub fn with_level(level: i32) -> Self {
        let parameters = [
            CParameter::CompressionLevel(level),
            CParameter::WindowLog(WINDOW_LOG),
            CParameter::ContentSizeFlag(false),
        ];
        Self { context: context(&parameters), scratch: Vec::new() }
    }

    /// The event in the form in which every connection can send it.
    pub fn share(&mut self, dispatch: &Dispatch<Json>) -> Shared {
        const PREFIX: Prefix = raw_prefix(Json::PREFIX);
        Shared::compressed(PREFIX, self.compress(dispatch.rest()).into())
    }

    /// A whole message for a connection that has been sent its first.
    pub fn whole(&mut self, payload: &Payload<Json>) -> Bytes {
        self.compress(payload.as_slice()).into()
    }

    /// The first message of a connection.
    pub fn opening(&mut self, payload: &Payload<Json>) -> Bytes {
        [&HEADER, &*self.compress(payload.as_slice())].concat().into()
    }

    /// Blocks that decode to `json`, with spaces before it or without, wherever they stand.
    fn compress(&mut self, json: &[u8]) -> Vec<u8> {
        self.scratch.resize(zstd_safe::compress_bound(json.len()), 0);
        let len = done(self.context.compress2(&mut self.scratch[..], json));
        let frame = &self.scratch[..len];
        if RESET.len() + frame.len() < blocks::raw_len(json.len()) {
            let mut blocks = Vec::with_capacity(RESET.len() + frame.len());
            blocks.extend(RESET);
            blocks::splice(frame, &mut blocks);
            blocks
        } else {
            blocks::raw(json)
        }
    }
}

/// What is a session's own of an event that is shared, between the prefix and the rest: in raw blocks, none the last.
pub fn raw(bytes: &[u8]) -> Bytes {
    blocks::raw(bytes).into()
}

/// A raw block, not the last, that holds the prefix.
const fn raw_prefix(prefix: Prefix) -> Prefix {
    prefix.behind(&blocks::header(blocks::Kind::Raw, prefix.len()))
}

// === For each connection ===

/// The compressor of one connection.
pub struct Stream(CCtx<'static>);

impl Stream {
    #[expect(clippy::new_without_default, reason = "its memory should not be taken by the way")]
    pub fn new() -> Self {
        Self(context(&[
            CParameter::CompressionLevel(STREAM_LEVEL),
            CParameter::WindowLog(WINDOW_LOG),
            CParameter::ChainLog(STREAM_TABLE_LOG),
            CParameter::HashLog(STREAM_TABLE_LOG),
        ]))
    }

    /// The next message of the connection.
    pub fn message(&mut self, payload: &[u8]) -> Vec<u8> {
        let mut message = vec![0; zstd_safe::compress_bound(payload.len()) + HEADER.len()];
        let mut len = 0;
        let mut input = InBuffer::around(payload);
        loop {
            let mut output = OutBuffer::around_pos(&mut message[..], len);
            let waiting =
                done(self.0.compress_stream2(&mut output, &mut input, ZSTD_EndDirective::ZSTD_e_flush));
            len = output.pos();
            if waiting == 0 {
                message.truncate(len);
                return message;
            }
            message.resize(len + waiting + BLOCK_BYTES_MAX, 0);
        }
    }

    /// Bytes that the compressor holds.
    pub fn held_bytes(&self) -> usize {
        self.0.sizeof()
    }
}

/// The largest content of a block.
const BLOCK_BYTES_MAX: usize = 128 * 1024;

// === libzstd ===

fn context(parameters: &[CParameter]) -> CCtx<'static> {
    let mut context = CCtx::create();
    for parameter in parameters {
        done(context.set_parameter(*parameter));
    }
    context
}

/// What remains for libzstd to fail for is memory: its parameters are constants, and it is given room.
fn done(result: SafeResult) -> usize {
    result.unwrap_or_else(|code| panic!("zstd failed: {}", zstd_safe::get_error_name(code)))
}

#[cfg(test)]
mod tests;
