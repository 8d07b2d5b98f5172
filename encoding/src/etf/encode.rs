//! JSON text to a term, without a tree between: serde_json reads, and each value is written as it comes.
//!
//! Lists and maps of ETF say first how many elements they have, which JSON tells last. So the four bytes of the count are
//! left open and filled in behind the last element.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::tag;

/// What was to be encoded is no JSON text, or is nested deeper than serde_json reads.
#[derive(Debug, thiserror::Error)]
#[error("payload is no JSON")]
pub struct NotJson(#[from] serde_json::Error);

/// A term with the value of a JSON text.
///
/// A key that an object repeats is repeated in the map.
pub fn from_json(json: &[u8]) -> Result<Vec<u8>, NotJson> {
    let mut term = Vec::with_capacity(json.len() + json.len() / 4 + 16);
    term.push(tag::VERSION);
    push_json(&mut term, json)?;
    Ok(term)
}

/// A dispatch up to the four bytes of its number: version, a map of four pairs, `op` and 0, `s` and the tag of INTEGER_EXT.
pub(crate) const DISPATCH_HEAD: &[u8] = b"\x83t\0\0\0\x04m\0\0\0\x02opa\0m\0\0\0\x01sb";

/// A dispatch behind its number: `t` and `d`.
pub(crate) fn dispatch_rest(t: &str, d: &[u8]) -> Result<Vec<u8>, NotJson> {
    let mut rest = dispatch_name(t);
    rest.reserve(d.len() + d.len() / 4 + 16);
    push_json(&mut rest, d)?;
    Ok(rest)
}

/// The same up to the value of `d`.
pub(crate) fn dispatch_name(t: &str) -> Vec<u8> {
    let mut name = Vec::with_capacity(t.len() + 32);
    push_binary(&mut name, b"t");
    push_binary(&mut name, t.as_bytes());
    push_binary(&mut name, b"d");
    name
}

/// The pairs of an object, or the elements of an array, without what stands before and behind them.
pub(crate) struct Elements {
    pub(crate) count: u32,
    pub(crate) bytes: Vec<u8>,
}

/// The elements of a JSON object or array. Another value has none.
pub(crate) fn elements(json: &[u8]) -> Result<Elements, NotJson> {
    let mut bytes = Vec::with_capacity(json.len() + json.len() / 4 + 16);
    push_json(&mut bytes, json)?;
    let Some((&[tag, a, b, c, d], _)) =
        bytes.split_first_chunk::<HEAD_BYTES>().filter(|(head, _)| is_head(head[0]))
    else {
        return Ok(Elements { count: 0, bytes: Vec::new() });
    };
    if tag == tag::LIST {
        bytes.pop();
    }
    bytes.drain(..HEAD_BYTES);
    Ok(Elements { count: u32::from_be_bytes([a, b, c, d]), bytes })
}

/// What stands before the pairs of a map.
pub(crate) fn push_map_head(term: &mut Vec<u8>, count: u32) {
    term.push(tag::MAP);
    term.extend(count.to_be_bytes());
}

/// What stands before the elements of a list that is not empty; [`tag::NIL`] stands behind them.
pub(crate) fn push_list_head(term: &mut Vec<u8>, count: u32) {
    term.push(tag::LIST);
    term.extend(count.to_be_bytes());
}

fn is_head(tag: u8) -> bool {
    matches!(tag, tag::LIST | tag::MAP)
}

/// A tag and a count.
const HEAD_BYTES: usize = 5;

fn push_json(term: &mut Vec<u8>, json: &[u8]) -> Result<(), NotJson> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    reader.deserialize_any(Writer(term))?;
    reader.end()?;
    Ok(())
}

/// Appends what is read.
struct Writer<'a>(&'a mut Vec<u8>);

impl Writer<'_> {
    fn again(&mut self) -> Writer<'_> {
        Writer(self.0)
    }

    fn atom(self, name: &str) {
        self.0.extend([tag::SMALL_ATOM, name.len() as u8]);
        self.0.extend(name.as_bytes());
    }

    fn big(self, is_negative: bool, magnitude: u64) {
        let bytes = magnitude.to_le_bytes();
        let len = bytes.len() - magnitude.leading_zeros() as usize / 8;
        self.0.extend([tag::SMALL_BIG, len as u8, is_negative.into()]);
        self.0.extend(&bytes[..len]);
    }

    fn integer(self, value: i32) {
        self.0.push(tag::INTEGER);
        self.0.extend(value.to_be_bytes());
    }

    /// Begins a list or a map; answers where its count goes.
    fn open(&mut self, tag: u8) -> usize {
        self.0.push(tag);
        let count_at = self.0.len();
        self.0.extend([0; 4]);
        count_at
    }

    fn close(&mut self, count_at: usize, count: u32) {
        self.0[count_at..count_at + 4].copy_from_slice(&count.to_be_bytes());
    }
}

impl<'de> DeserializeSeed<'de> for Writer<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Writer<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.atom("nil");
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.atom(if value { "true" } else { "false" });
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        if let Ok(value) = u8::try_from(value) {
            self.0.extend([tag::SMALL_INTEGER, value]);
        } else if let Ok(value) = i32::try_from(value) {
            self.integer(value);
        } else {
            self.big(false, value);
        }
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        match i32::try_from(value) {
            Ok(value) => self.integer(value),
            Err(_) => self.big(value < 0, value.unsigned_abs()),
        }
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.0.push(tag::NEW_FLOAT);
        self.0.extend(value.to_be_bytes());
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        push_binary(self.0, value.as_bytes());
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        let begin = self.0.len();
        let count_at = self.open(tag::LIST);
        let mut count = 0;
        while list.next_element_seed(self.again())?.is_some() {
            count += 1;
        }
        if count == 0 {
            self.0.truncate(begin);
        } else {
            self.close(count_at, count);
        }
        self.0.push(tag::NIL);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let count_at = self.open(tag::MAP);
        let mut count = 0;
        while map.next_key_seed(self.again())?.is_some() {
            map.next_value_seed(self.again())?;
            count += 1;
        }
        self.close(count_at, count);
        Ok(())
    }
}

pub(crate) fn push_binary(term: &mut Vec<u8>, bytes: &[u8]) {
    let len = u32::try_from(bytes.len()).expect("a payload is far below 4 GiB");
    term.push(tag::BINARY);
    term.extend(len.to_be_bytes());
    term.extend(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, term: &[u8]) {
        let made = from_json(json.as_bytes()).expect("it is JSON");
        assert_eq!(made.split_first(), Some((&131, term)), "{json}: {}", made.escape_ascii());
    }

    /// The bytes are those of erlpack 0.1.4 for JavaScript, whose decoder reads each of them. JavaScript has no integers beyond 32
    /// bits: these are as `cpp/encoder.h` has them, which Python's erlpack uses.
    #[test]
    fn each_kind_of_value_is_written_as_erlpack_does() {
        check("null", b"s\x03nil");
        check(" true ", b"s\x04true");
        check("false", b"s\x05false");
        check("0", b"a\x00");
        check("255", b"a\xff");
        check("256", b"b\x00\x00\x01\x00");
        check("-1", b"b\xff\xff\xff\xff");
        check("2147483647", b"b\x7f\xff\xff\xff");
        check("-2147483648", b"b\x80\x00\x00\x00");
        check("2147483648", b"n\x04\x00\x00\x00\x00\x80");
        check("-2147483649", b"n\x04\x01\x01\x00\x00\x80");
        check("1099511627776", b"n\x06\x00\x00\x00\x00\x00\x00\x01");
        check("18446744073709551615", b"n\x08\x00\xff\xff\xff\xff\xff\xff\xff\xff");
        check("-9223372036854775808", b"n\x08\x01\x00\x00\x00\x00\x00\x00\x00\x80");
        check("2.5", b"F\x40\x04\x00\x00\x00\x00\x00\x00");
        check("\"\"", b"m\x00\x00\x00\x00");
        check(r#""h\u00e9\n\ud83d\ude00""#, b"m\x00\x00\x00\x08h\xc3\xa9\n\xf0\x9f\x98\x80");
        check("[]", b"j");
        check("[1,[],\"a\"]", b"l\x00\x00\x00\x03a\x01jm\x00\x00\x00\x01aj");
        check("{}", b"t\x00\x00\x00\x00");
        check(
            r#"{"a":1,"b":{"c":null}}"#,
            b"t\x00\x00\x00\x02m\x00\x00\x00\x01aa\x01m\x00\x00\x00\x01bt\x00\x00\x00\x01m\x00\x00\x00\x01cs\x03nil",
        );
    }

    #[test]
    fn what_is_no_json_is_refused() {
        let deep = "[".repeat(200) + &"]".repeat(200);
        for json in ["", "{", "nul", "1 2", "[1,]", "{\"a\"}", "\"\\ud800\"", &deep] {
            assert!(from_json(json.as_bytes()).is_err(), "{json}");
            assert!(dispatch_rest("T", json.as_bytes()).is_err(), "{json}");
        }
        assert!(from_json(b"\"\xff\"").is_err());
    }
}
