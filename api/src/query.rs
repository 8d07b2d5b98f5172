//! The query of a URL: `name=value` pairs with percent escapes, read with the same care as JSON.

use std::ops::RangeInclusive;

use crate::error::ApiResult;
use crate::json::{self, Errors};

/// Pairs of a query; the first of a name counts.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

/// More pairs than any route knows.
const PAIRS_MAX: usize = 32;

impl Query {
    pub(crate) fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).take(PAIRS_MAX);
        Self(
            pairs
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (unescape(name), unescape(value))
                })
                .collect(),
        )
    }

    /// The value, unless it is missing or empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        value.filter(|value| !value.is_empty())
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| matches!(value, "true" | "True" | "1"))
    }

    pub(crate) fn id(&self, name: &str) -> ApiResult<Option<u64>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        json::read_id(name, value).map(Some)
    }

    /// The same, where 0 is a bound below every id: what libraries begin a list with.
    pub(crate) fn bound(&self, name: &str) -> ApiResult<Option<u64>> {
        match self.get(name) {
            Some("0") => Ok(Some(0)),
            _ => self.id(name),
        }
    }

    pub(crate) fn number(&self, name: &str, range: RangeInclusive<i64>, default: u32) -> ApiResult<u32> {
        let Some(value) = self.get(name) else { return Ok(default) };
        let errors = Errors::default();
        let value = serde_json::Value::String(value.to_owned());
        let number = json::Item::new(&value, name.to_owned(), &errors).number(range);
        errors.finish()?;
        Ok(number.unwrap_or(default))
    }
}

/// Decodes `%41` and `+`; what is no valid escape stays as it is.
fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = bytes
            .get(at + 1..at + 3)
            .filter(|_| bytes[at] == b'%')
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escaped {
            Some(byte) => plain.push(byte),
            None if bytes[at] == b'+' => plain.push(b' '),
            None => plain.push(bytes[at]),
        }
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stray_separators_and_escapes_are_read() {
        let query = Query::parse("&limit=10&&query=a%20b+c%zz&with_counts=true&empty=&after=0");
        assert_eq!(query.number("limit", 1..=100, 50).unwrap(), 10);
        assert_eq!(query.get("query"), Some("a b c%zz"));
        assert!(query.flag("with_counts"));
        assert_eq!(query.get("empty"), None);
        assert_eq!((query.bound("after").unwrap(), query.bound("before").unwrap()), (Some(0), None));
        assert!(query.id("after").is_err() && query.bound("query").is_err());
        assert!(Query::parse("limit=x").number("limit", 1..=100, 50).is_err());
        assert!(Query::parse("limit=101").number("limit", 1..=100, 50).is_err());
    }
}
