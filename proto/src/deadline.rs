//! How long a call may take: `grpc-timeout`, as both ends read it.
//!
//! A caller sends what is left of its time, never a point in time, so clocks need not agree. Whoever passes a call on
//! subtracts what has gone by.

use std::time::Duration;

use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};
use tonic::Status;

/// The header's name.
pub(crate) const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

const DIGITS_MAX: usize = 8;
const MS_MAX: u128 = 99_999_999;

/// A timeout that is not of the form that gRPC gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("grpc-timeout is not 1 to 8 digits with one of the units H, M, S, m, u, n")]
pub(crate) struct Malformed;

/// How long the caller waits, where it says so.
pub(crate) fn read(headers: &HeaderMap) -> Result<Option<Duration>, Malformed> {
    let Some(value) = headers.get(TIMEOUT) else { return Ok(None) };
    let (unit, digits) = value.as_bytes().split_last().ok_or(Malformed)?;
    if digits.is_empty() || digits.len() > DIGITS_MAX || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Malformed);
    }
    let number = digits.iter().fold(0_u64, |number, digit| number * 10 + u64::from(digit - b'0'));
    match unit {
        b'H' => Ok(Some(Duration::from_secs(number * 3_600))),
        b'M' => Ok(Some(Duration::from_secs(number * 60))),
        b'S' => Ok(Some(Duration::from_secs(number))),
        b'm' => Ok(Some(Duration::from_millis(number))),
        b'u' => Ok(Some(Duration::from_micros(number))),
        b'n' => Ok(Some(Duration::from_nanos(number))),
        _ => Err(Malformed),
    }
}

/// The header for what is left, rounded down to milliseconds: the caller never waits for less than it says.
pub(crate) fn write(left: Duration) -> HeaderValue {
    let ms = left.as_millis().min(MS_MAX);
    HeaderValue::try_from(format!("{ms}m")).expect("digits and a letter are a header's value")
}

/// What a caller is told whose time is over. The call may have been made all the same.
pub(crate) fn passed() -> Status {
    Status::deadline_exceeded("no answer in time, outcome unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Option<Duration>, Malformed> {
        let value = HeaderValue::from_str(text).unwrap();
        read(&HeaderMap::from_iter([(TIMEOUT, value)]))
    }

    #[test]
    fn every_unit_is_understood() {
        let rows = [
            ("2H", Duration::from_secs(7_200)),
            ("3M", Duration::from_secs(180)),
            ("42S", Duration::from_secs(42)),
            ("13m", Duration::from_millis(13)),
            ("2u", Duration::from_micros(2)),
            ("99999999n", Duration::from_nanos(99_999_999)),
        ];
        for (text, expected) in rows {
            assert_eq!(read_text(text), Ok(Some(expected)), "{text}");
        }
        assert_eq!(read(&HeaderMap::new()), Ok(None));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "5", "m", "123456789S", "-1S", "1.5S", "5 S", "5x", "+1S"] {
            assert_eq!(read_text(text), Err(Malformed), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_and_never_more() {
        for (left, expected) in [(0, 0), (999, 0), (1_999, 1), (5_000_000, 5_000), (u64::MAX, 99_999_999)] {
            let headers = HeaderMap::from_iter([(TIMEOUT, write(Duration::from_micros(left)))]);
            assert_eq!(read(&headers), Ok(Some(Duration::from_millis(expected))), "{left} us");
        }
    }
}
