//! A client's end of the gateway's encodings: what it asks for in its URL, and how it reads and writes.
//!
//! The decoders share no code with the encoders of the gateway, ETF excepted.

use std::fmt;

use encoding::etf;
use miniz_oxide::inflate::decompress_to_vec_zlib;
use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZFlush};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// `compress` of the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Plain,
    Zlib,
    Zstd,
}

/// How a client wants to be spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Speech {
    pub is_etf: bool,
    pub transport: Transport,
}

/// Reads what one connection brings, message by message. It panics on what breaks the rules of its form.
pub struct Reader {
    speech: Speech,
    /// Single payloads that came compressed.
    pub compressed_payloads: usize,
    zlib: Option<Box<InflateState>>,
    /// All that has come, since the decoder for zstd gives out the end of a frame only.
    zstd: Vec<u8>,
    zstd_read: usize,
}

// === impl Speech ===

impl Speech {
    pub const JSON: Self = Self { is_etf: false, transport: Transport::Plain };

    /// All there are.
    pub const ALL: [Self; 6] = [
        Self::JSON,
        Self { is_etf: false, transport: Transport::Zlib },
        Self { is_etf: false, transport: Transport::Zstd },
        Self { is_etf: true, transport: Transport::Plain },
        Self { is_etf: true, transport: Transport::Zlib },
        Self { is_etf: true, transport: Transport::Zstd },
    ];

    /// Path and query of the URL.
    pub fn path(self) -> String {
        let encoding = if self.is_etf { "etf" } else { "json" };
        let compress = match self.transport {
            Transport::Plain => "",
            Transport::Zlib => "&compress=zlib-stream",
            Transport::Zstd => "&compress=zstd-stream",
        };
        format!("/?v=10&encoding={encoding}{compress}")
    }

    /// What a client sends: whether it is a text frame, and its payload.
    pub fn write(self, json: &str) -> (bool, Vec<u8>) {
        match self.is_etf {
            true => (false, etf::from_json(json.as_bytes()).expect("clients send JSON")),
            false => (true, json.into()),
        }
    }
}

// === impl Reader ===

impl Reader {
    pub fn new(speech: Speech) -> Self {
        Self { speech, compressed_payloads: 0, zlib: None, zstd: Vec::new(), zstd_read: 0 }
    }

    /// The JSON of the next message.
    pub fn read(&mut self, is_text: bool, message: &[u8]) -> Vec<u8> {
        let Speech { is_etf, transport } = self.speech;
        let payload = match transport {
            Transport::Plain if !is_text && message.first() == Some(&ZLIB_HEADER) => {
                self.compressed_payloads += 1;
                decompress_to_vec_zlib(message).expect("the payload is a zlib stream of its own")
            }
            Transport::Plain => {
                assert_eq!(is_text, !is_etf, "JSON comes as text, ETF as binary");
                message.to_vec()
            }
            Transport::Zlib | Transport::Zstd if is_text => panic!("a compressed message is binary"),
            Transport::Zlib => self.inflate(message),
            Transport::Zstd => self.decompress(message),
        };
        if is_etf { etf::to_json(&payload).expect("the payload is a term") } else { payload }
    }

    fn inflate(&mut self, mut message: &[u8]) -> Vec<u8> {
        assert!(message.ends_with(&[0, 0, 0xff, 0xff]), "clients wait for this end");
        let zlib = self.zlib.get_or_insert_with(|| InflateState::new_boxed(DataFormat::Zlib));
        let (mut room, mut payload) = (vec![0; 32 * 1024], Vec::new());
        loop {
            let result = inflate(zlib, message, &mut room, MZFlush::Sync);
            message = &message[result.bytes_consumed..];
            payload.extend(&room[..result.bytes_written]);
            if message.is_empty() && result.bytes_written < room.len() {
                return payload;
            }
            result.status.expect("the messages are one zlib stream");
        }
    }

    fn decompress(&mut self, message: &[u8]) -> Vec<u8> {
        self.zstd.extend(message);
        let empty_last_block = [1, 0, 0];
        let frame = [&self.zstd[..], &empty_last_block].concat();
        let (mut input, mut decoder, mut text) = (&frame[..], FrameDecoder::new(), Vec::new());
        decoder.init(&mut input).expect("the messages are one zstd frame");
        while !decoder.is_finished() {
            let decoded = decoder.decode_blocks(&mut input, BlockDecodingStrategy::UptoBlocks(64));
            decoded.expect("each message is whole blocks");
            decoder.collect_to_writer(&mut text).expect("memory takes every byte");
        }
        decoder.collect_to_writer(&mut text).expect("memory takes every byte");
        let payload = text.split_off(self.zstd_read);
        self.zstd_read += payload.len();
        payload
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("speech", &self.speech).finish_non_exhaustive()
    }
}

/// No JSON and no term begins with this.
const ZLIB_HEADER: u8 = 0x78;
