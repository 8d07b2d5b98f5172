//! Payloads and dispatches in one of the two formats, before they are compressed.
//!
//! The format is part of the type. What may only be done to JSON (splicing shared blocks into a zstd stream needs white
//! space, see [`crate::zstd`]) takes [`Json`] alone, and the compiler refuses ETF there.

use std::marker::PhantomData;

use bytes::Bytes;

use crate::etf::{self, NotJson};
use crate::prefix::{Number, Prefix};

/// A payload format that a client can ask for.
pub trait Format: sealed::Sealed {
    /// What every dispatch begins with: `op` 0 and the place for `s`.
    const PREFIX: Prefix;
    /// Whether an uncompressed payload is a text frame; everything else is binary.
    const IS_TEXT: bool;
}

/// `encoding=json`.
#[derive(Clone, Copy, Debug)]
pub enum Json {}

/// `encoding=etf`.
#[derive(Clone, Copy, Debug)]
pub enum Etf {}

/// What all sessions share of one dispatch: everything behind the [`Prefix`].
#[derive(Clone, Debug)]
pub struct Dispatch<F> {
    rest: Bytes,
    format: PhantomData<F>,
}

/// A whole payload, which is the same for everybody who gets it, or made for one.
#[derive(Clone, Debug)]
pub struct Payload<F> {
    bytes: Bytes,
    format: PhantomData<F>,
}

/// A dispatch in the form in which it is sent: the prefix with the session's number, then the shared rest.
#[derive(Clone, Debug)]
pub struct Shared {
    prefix: Prefix,
    rest: Bytes,
    is_text: bool,
}

impl Format for Json {
    const PREFIX: Prefix = Prefix::new(b"{\"op\":0,\"s\":", Number::Decimal, b",");
    const IS_TEXT: bool = true;
}

impl Format for Etf {
    const PREFIX: Prefix = Prefix::new(etf::DISPATCH_HEAD, Number::BigEndian, b"");
    const IS_TEXT: bool = false;
}

// === impl Dispatch ===

impl Dispatch<Json> {
    /// An event named `t` with the JSON value `d`.
    pub fn json(t: &str, d: &[u8]) -> Self {
        debug_assert!(is_name(t));
        let rest = [b"\"t\":\"", t.as_bytes(), b"\",\"d\":", d, b"}"].concat();
        Self { rest: rest.into(), format: PhantomData }
    }
}

impl Dispatch<Etf> {
    /// An event named `t` with `d`, which is given as JSON text.
    pub fn etf(t: &str, d: &[u8]) -> Result<Self, NotJson> {
        debug_assert!(is_name(t));
        Ok(Self { rest: etf::dispatch_rest(t, d)?.into(), format: PhantomData })
    }
}

impl<F> Dispatch<F> {
    pub(crate) fn of_rest(rest: Vec<u8>) -> Self {
        Self { rest: rest.into(), format: PhantomData }
    }
}

impl<F: Format> Dispatch<F> {
    /// To be sent without compression.
    pub fn plain(&self) -> Shared {
        Shared { prefix: F::PREFIX, rest: self.rest.clone(), is_text: F::IS_TEXT }
    }

    /// What follows the prefix.
    pub fn rest(&self) -> &[u8] {
        &self.rest
    }
}

// === impl Payload ===

impl Payload<Json> {
    /// JSON text.
    pub fn json(text: impl Into<Bytes>) -> Self {
        let bytes = text.into();
        debug_assert_ne!(bytes.first(), Some(&etf::VERSION), "this is ETF");
        Self { bytes, format: PhantomData }
    }
}

impl Payload<Etf> {
    /// A payload that is given as JSON text.
    pub fn etf(json: &[u8]) -> Result<Self, NotJson> {
        Ok(Self { bytes: etf::from_json(json)?.into(), format: PhantomData })
    }
}

impl<F: Format> Payload<F> {
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    /// To be sent without compression.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }
}

// === impl Shared ===

impl Shared {
    pub(crate) fn compressed(prefix: Prefix, rest: Bytes) -> Self {
        Self { prefix, rest, is_text: false }
    }

    /// What comes first, once the session's number is in it.
    pub fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    /// What follows, the same for every session.
    pub fn rest(&self) -> &Bytes {
        &self.rest
    }

    /// Bytes of the whole message.
    pub fn message_len(&self) -> usize {
        self.prefix.len() + self.rest.len()
    }

    /// Whether the message is a text frame of the WebSocket, as opposed to a binary one.
    pub fn is_text(&self) -> bool {
        self.is_text
    }

    /// The whole message of the session whose number for this event is `seq`.
    pub fn message(&self, seq: u32) -> Vec<u8> {
        [self.prefix.with_seq(seq).as_slice(), &self.rest].concat()
    }
}

/// Names of events need no escape.
pub(crate) fn is_name(t: &str) -> bool {
    t.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

mod sealed {
    /// There are two formats.
    pub trait Sealed {}
    impl Sealed for super::Json {}
    impl Sealed for super::Etf {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_dispatch_is_json_whatever_its_number() {
        let shared = Dispatch::json("MESSAGE_CREATE", br#"{"id":"1"}"#).plain();
        assert!(shared.is_text());
        for seq in [0, 7, u32::MAX] {
            let message = shared.message(seq);
            let expected = format!(r#"{{"op":0,"s":{seq:<10},"t":"MESSAGE_CREATE","d":{{"id":"1"}}}}"#);
            assert_eq!(message, expected.as_bytes());
            assert_eq!(message.len(), shared.message_len());
        }
    }

    #[test]
    fn a_plain_dispatch_is_a_term_whatever_its_number() {
        let shared = Dispatch::etf("READY", br#"{"v":10}"#).expect("it is JSON").plain();
        assert!(!shared.is_text());
        for seq in [0, 255, 256, 2_000_000_000] {
            let message = shared.message(seq);
            assert_eq!(message.len(), shared.message_len());
            let json = etf::to_json(&message).expect("it is a term");
            assert_eq!(json, format!(r#"{{"op":0,"s":{seq},"t":"READY","d":{{"v":10}}}}"#).as_bytes());
        }
    }

    #[test]
    fn no_prefix_is_longer_than_it_may_be() {
        let header = [0; 5];
        assert_eq!(Json::PREFIX.behind(&header).len(), 28);
        assert_eq!(Etf::PREFIX.behind(&header).len(), Prefix::BYTES_MAX);
    }
}
