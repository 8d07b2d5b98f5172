//! A client's term to JSON text, which the gateway then reads as it reads any other.
//!
//! The term is gone through once. Nothing is set aside by a length or a count that it claims: what is written grows with
//! what is read, to at most six times as much (a control character of a string).

use std::io::Write;

use model::limits::{ETF_DEPTH_MAX, GATEWAY_PAYLOAD_BYTES_MAX};

use super::tag;

/// Why a client's payload is not read. Each is close code 4002.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("payload has {len} bytes, more than {GATEWAY_PAYLOAD_BYTES_MAX}")]
    TooLong { len: usize },
    #[error("payload does not begin with 131, the version of the external term format")]
    Version,
    #[error("payload ends at byte {at}, within a term")]
    Truncated { at: usize },
    #[error("{left} bytes follow the term")]
    Trailing { left: usize },
    #[error("terms lie in each other more than {ETF_DEPTH_MAX} deep")]
    TooDeep,
    #[error("tag {tag} at byte {at} stands for nothing that JSON has")]
    Tag { tag: u8, at: usize },
    #[error("the key at byte {at} is an atom, not a string")]
    AtomKey { at: usize },
    #[error("the key at byte {at} is no string")]
    Key { at: usize },
    #[error("the list ending at byte {at} has a tail")]
    Tail { at: usize },
    #[error("the string ending at byte {at} is not UTF-8")]
    Utf8 { at: usize },
    #[error("the integer ending at byte {at} has more than 64 bits")]
    Integer { at: usize },
    #[error("the float ending at byte {at} is no number")]
    Float { at: usize },
}

/// The JSON text of a client's term.
///
/// It parses. A key that a map has twice is there twice.
pub fn to_json(term: &[u8]) -> Result<Vec<u8>, DecodeError> {
    if term.len() > GATEWAY_PAYLOAD_BYTES_MAX {
        return Err(DecodeError::TooLong { len: term.len() });
    }
    let mut reader = Reader { term, at: 0, json: Vec::with_capacity(term.len() + 16) };
    if reader.term.first() != Some(&tag::VERSION) {
        return Err(DecodeError::Version);
    }
    reader.at = 1;
    reader.value(0)?;
    match term.len() - reader.at {
        0 => Ok(reader.json),
        left => Err(DecodeError::Trailing { left }),
    }
}

struct Reader<'a> {
    term: &'a [u8],
    at: usize,
    json: Vec<u8>,
}

// === impl Reader: values ===

impl<'a> Reader<'a> {
    /// Reads one term that lies in `depth` others.
    fn value(&mut self, depth: usize) -> Result<(), DecodeError> {
        if depth > ETF_DEPTH_MAX {
            return Err(DecodeError::TooDeep);
        }
        let at = self.at;
        match self.byte()? {
            tag::SMALL_INTEGER => {
                let value = self.byte()?;
                self.write_number(value);
            }
            tag::INTEGER => {
                let value = i32::from_be_bytes(self.array()?);
                self.write_number(value);
            }
            tag::SMALL_BIG => {
                let len = self.byte()?.into();
                self.big(len)?;
            }
            tag::LARGE_BIG => {
                let len = self.len_u32()?;
                self.big(len)?;
            }
            tag::NEW_FLOAT => {
                let value = f64::from_be_bytes(self.array()?);
                self.float(value)?;
            }
            tag::FLOAT => self.old_float()?,
            tag @ (tag::SMALL_ATOM | tag::SMALL_ATOM_UTF8 | tag::ATOM | tag::ATOM_UTF8) => self.atom(tag)?,
            tag::BINARY => self.binary()?,
            tag::STRING => self.bytes_as_list()?,
            tag::NIL => self.json.extend(b"[]"),
            tag::LIST => {
                let count = self.len_u32()?;
                self.list(count, depth)?;
                if self.byte()? != tag::NIL {
                    return Err(DecodeError::Tail { at: self.at });
                }
            }
            tag::SMALL_TUPLE => {
                let count = self.byte()?.into();
                self.list(count, depth)?;
            }
            tag::LARGE_TUPLE => {
                let count = self.len_u32()?;
                self.list(count, depth)?;
            }
            tag::MAP => self.map(depth)?,
            tag => return Err(DecodeError::Tag { tag, at }),
        }
        Ok(())
    }

    fn list(&mut self, count: usize, depth: usize) -> Result<(), DecodeError> {
        self.json.push(b'[');
        for place in 0..count {
            if place > 0 {
                self.json.push(b',');
            }
            self.value(depth + 1)?;
        }
        self.json.push(b']');
        Ok(())
    }

    fn map(&mut self, depth: usize) -> Result<(), DecodeError> {
        let count = self.len_u32()?;
        self.json.push(b'{');
        for place in 0..count {
            if place > 0 {
                self.json.push(b',');
            }
            self.key()?;
            self.json.push(b':');
            self.value(depth + 1)?;
        }
        self.json.push(b'}');
        Ok(())
    }

    fn key(&mut self) -> Result<(), DecodeError> {
        let at = self.at;
        match self.byte()? {
            tag::BINARY => self.binary(),
            tag::STRING => {
                let len = u16::from_be_bytes(self.array()?).into();
                let text = latin_1(self.take(len)?);
                self.write_string(&text);
                Ok(())
            }
            tag::SMALL_ATOM | tag::SMALL_ATOM_UTF8 | tag::ATOM | tag::ATOM_UTF8 => {
                Err(DecodeError::AtomKey { at })
            }
            _ => Err(DecodeError::Key { at }),
        }
    }

    fn binary(&mut self) -> Result<(), DecodeError> {
        let len = self.len_u32()?;
        let bytes = self.take(len)?;
        let text = std::str::from_utf8(bytes).map_err(|_| DecodeError::Utf8 { at: self.at })?;
        self.write_string(text);
        Ok(())
    }

    /// Erlang writes a list of integers below 256 as a string.
    fn bytes_as_list(&mut self) -> Result<(), DecodeError> {
        let len = u16::from_be_bytes(self.array()?).into();
        self.json.push(b'[');
        for (place, byte) in self.take(len)?.iter().enumerate() {
            if place > 0 {
                self.json.push(b',');
            }
            self.write_number(*byte);
        }
        self.json.push(b']');
        Ok(())
    }

    fn atom(&mut self, tag: u8) -> Result<(), DecodeError> {
        let len = match tag {
            tag::SMALL_ATOM | tag::SMALL_ATOM_UTF8 => self.byte()?.into(),
            _ => u16::from_be_bytes(self.array()?).into(),
        };
        let name = self.take(len)?;
        match name {
            b"nil" | b"null" => self.json.extend(b"null"),
            b"true" | b"false" => self.json.extend(name),
            _ if matches!(tag, tag::SMALL_ATOM | tag::ATOM) => self.write_string(&latin_1(name)),
            _ => {
                let name = std::str::from_utf8(name).map_err(|_| DecodeError::Utf8 { at: self.at })?;
                self.write_string(name);
            }
        }
        Ok(())
    }

    fn big(&mut self, len: usize) -> Result<(), DecodeError> {
        let is_negative = self.byte()? != 0;
        let digits = self.take(len)?;
        let mut magnitude = [0; 8];
        let (low, high) = digits.split_at(len.min(magnitude.len()));
        if high.iter().any(|digit| *digit != 0) {
            return Err(DecodeError::Integer { at: self.at });
        }
        magnitude[..low.len()].copy_from_slice(low);
        let magnitude = u64::from_le_bytes(magnitude);
        if is_negative && magnitude != 0 {
            self.json.push(b'-');
        }
        self.write_number(magnitude);
        Ok(())
    }

    /// A number as text: 31 bytes, zeros at the end.
    fn old_float(&mut self) -> Result<(), DecodeError> {
        let bytes: [u8; 31] = self.array()?;
        let text = std::str::from_utf8(&bytes).ok().map(|text| text.trim_end_matches('\0').trim());
        let value = text.and_then(|text| text.parse().ok()).ok_or(DecodeError::Float { at: self.at })?;
        self.float(value)
    }

    fn float(&mut self, value: f64) -> Result<(), DecodeError> {
        if !value.is_finite() {
            return Err(DecodeError::Float { at: self.at });
        }
        if value.fract() == 0.0 && value.abs() <= INTEGER_IN_FLOAT_MAX {
            self.write_number(value as i64);
        } else {
            serde_json::to_writer(&mut self.json, &value).expect("a finite float has a JSON form");
        }
        Ok(())
    }

    fn write_number(&mut self, value: impl std::fmt::Display) {
        write!(self.json, "{value}").expect("memory takes every byte");
    }

    fn write_string(&mut self, text: &str) {
        serde_json::to_writer(&mut self.json, text).expect("a string has a JSON form");
    }
}

/// Up to here every integer is a float of its own.
const INTEGER_IN_FLOAT_MAX: f64 = (1_u64 << 53) as f64;

/// Characters of which each is the code point of its byte.
fn latin_1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

// === impl Reader: bytes ===

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (bytes, _) = self.term[self.at..]
            .split_at_checked(len)
            .ok_or(DecodeError::Truncated { at: self.term.len() })?;
        self.at += len;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        self.take(N).map(|bytes| bytes.try_into().expect("so many were taken"))
    }

    fn byte(&mut self) -> Result<u8, DecodeError> {
        self.array().map(|[byte]| byte)
    }

    fn len_u32(&mut self) -> Result<usize, DecodeError> {
        self.array().map(|bytes| u32::from_be_bytes(bytes) as usize)
    }
}

#[cfg(test)]
mod tests;
