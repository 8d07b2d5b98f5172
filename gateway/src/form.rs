//! The form of a connection: in which format its payloads are, and how they are compressed.
//!
//! What goes to many is made once in each form that somebody takes ([`Form`]), and shared. A connection in such a form
//! keeps nothing but its name. Some connections have a compressor of their own ([`Stream`]) behind a form without
//! compression: all that asked for compression when the operator wants it so ([`Compressing::Stream`]), and those with
//! ETF and `zstd-stream`, which cannot be shared (see [`encoding::zstd`]).
//!
//! `compress: true` in IDENTIFY is none of this: it lets single large payloads be compressed on a connection that is not
//! (see `Shard::dispatch`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use encoding::{zlib, zstd};

use crate::config::Compressing;
use crate::wire::{Compression, Encoding};

/// In which form a connection takes what is made for many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    JsonZlib,
    JsonZstd,
    Etf,
    EtfZlib,
}

/// The compressor of one connection, which remembers what it was given: every message has to be sent, in order.
pub(crate) struct Stream {
    engine: Engine,
    _place: Place,
}

enum Engine {
    Zlib(zlib::Stream),
    Zstd(zstd::Stream),
}

/// The compressors of a pod's connections. Each takes up to 480 KB, so they are counted.
#[derive(Debug, Default)]
pub(crate) struct Streams(Arc<AtomicUsize>);

/// What is given back when a compressor goes.
struct Place(Arc<AtomicUsize>);

/// Forms that connections of a pod have had so far.
#[derive(Debug, Default)]
pub(crate) struct FormsSeen(AtomicU8);

// === impl Form ===

impl Form {
    pub(crate) const COUNT: usize = 5;

    /// How a connection is served whose client has asked for this: the form, and which compressor of its own comes behind.
    pub(crate) fn of(
        encoding: Encoding,
        compression: Option<Compression>,
        compressing: Compressing,
    ) -> (Self, Option<Compression>) {
        let plain = match encoding {
            Encoding::Json => Self::Json,
            Encoding::Etf => Self::Etf,
        };
        let shared = match (encoding, compression) {
            _ if compressing == Compressing::Stream => None,
            (Encoding::Json, Some(Compression::Zlib)) => Some(Self::JsonZlib),
            (Encoding::Json, Some(Compression::Zstd)) => Some(Self::JsonZstd),
            (Encoding::Etf, Some(Compression::Zlib)) => Some(Self::EtfZlib),
            (Encoding::Etf, Some(Compression::Zstd)) | (_, None) => None,
        };
        shared.map_or((plain, compression), |shared| (shared, None))
    }

    pub(crate) fn is_etf(self) -> bool {
        matches!(self, Self::Etf | Self::EtfZlib)
    }

    pub(crate) fn is_compressed(self) -> bool {
        matches!(self, Self::JsonZlib | Self::JsonZstd | Self::EtfZlib)
    }
}

// === impl Stream ===

impl Stream {
    /// The next message of the connection.
    pub(crate) fn message(&mut self, payload: &[u8]) -> Vec<u8> {
        match &mut self.engine {
            Engine::Zlib(stream) => stream.message(payload),
            Engine::Zstd(stream) => stream.message(payload),
        }
    }
}

impl Streams {
    /// A compressor; `None` when there are `max` already.
    pub(crate) fn open(&self, compression: Compression, max: usize) -> Option<Box<Stream>> {
        let place = Place(self.0.clone());
        if place.0.fetch_add(1, Ordering::Relaxed) >= max {
            return None;
        }
        let engine = match compression {
            Compression::Zlib => Engine::Zlib(zlib::Stream::new()),
            Compression::Zstd => Engine::Zstd(zstd::Stream::new()),
        };
        Some(Box::new(Stream { engine, _place: place }))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

// === impl FormsSeen ===

impl FormsSeen {
    pub(crate) fn note(&self, form: Form) {
        self.0.fetch_or(1 << form as u8, Ordering::Relaxed);
    }

    /// How many forms of an event there may be: at least one.
    pub(crate) fn count(&self) -> u8 {
        (self.0.load(Ordering::Relaxed).count_ones() as u8).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cannot_be_shared_has_a_compressor() {
        use Compression::{Zlib, Zstd};
        for (encoding, compression, shared, own) in [
            (Encoding::Json, None, (Form::Json, None), (Form::Json, None)),
            (Encoding::Json, Some(Zlib), (Form::JsonZlib, None), (Form::Json, Some(Zlib))),
            (Encoding::Json, Some(Zstd), (Form::JsonZstd, None), (Form::Json, Some(Zstd))),
            (Encoding::Etf, None, (Form::Etf, None), (Form::Etf, None)),
            (Encoding::Etf, Some(Zlib), (Form::EtfZlib, None), (Form::Etf, Some(Zlib))),
            (Encoding::Etf, Some(Zstd), (Form::Etf, Some(Zstd)), (Form::Etf, Some(Zstd))),
        ] {
            assert_eq!(Form::of(encoding, compression, Compressing::Shared), shared);
            assert_eq!(Form::of(encoding, compression, Compressing::Stream), own);
        }
    }

    #[test]
    fn compressors_are_bounded_in_number() {
        let streams = Streams::default();
        let first = streams.open(Compression::Zlib, 2);
        let second = streams.open(Compression::Zstd, 2);
        assert!(first.is_some() && second.is_some() && streams.open(Compression::Zlib, 2).is_none());
        drop(first);
        assert!(streams.open(Compression::Zlib, 2).is_some());
    }

    #[test]
    fn each_form_counts_once() {
        let seen = FormsSeen::default();
        assert_eq!(seen.count(), 1);
        for form in [Form::JsonZlib, Form::Json, Form::JsonZlib, Form::EtfZlib] {
            seen.note(form);
        }
        assert_eq!(seen.count(), 3);
    }
}
