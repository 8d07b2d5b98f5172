//! Terms as clients write them, and terms that nobody should.

use super::*;

fn decode(term: &[u8]) -> Result<String, DecodeError> {
    to_json(&[b"\x83", term].concat()).map(|json| String::from_utf8(json).expect("JSON is UTF-8"))
}

fn check(term: &[u8], json: &str) {
    assert_eq!(decode(term).as_deref(), Ok(json), "{}", term.escape_ascii());
}

fn refuse(term: &[u8], error: DecodeError) {
    assert_eq!(decode(term), Err(error), "{}", term.escape_ascii());
}

#[test]
fn each_kind_of_term_is_read() {
    for nothing in [&b"s\x03nil"[..], b"s\x04null", b"d\x00\x03nil", b"w\x03nil", b"v\x00\x04null"] {
        check(nothing, "null");
    }
    check(b"w\x04true", "true");
    check(b"d\x00\x05false", "false");
    check(b"w\x06online", "\"online\"");
    check(b"s\x02h\xe9", "\"h\u{e9}\"");
    check(b"w\x03h\xc3\xa9", "\"h\u{e9}\"");
    check(b"a\xff", "255");
    check(b"b\xff\xff\xff\xfe", "-2");
    check(b"n\x08\x00\x01\x02\x03\x04\x05\x06\x07\x80", "9225348980303659521");
    check(b"n\x08\x00\xff\xff\xff\xff\xff\xff\xff\xff", "18446744073709551615");
    check(b"n\x09\x01\x02\x00\x00\x00\x00\x00\x00\x00\x00", "-2");
    check(b"o\x00\x00\x00\x01\x01\x05", "-5");
    check(b"n\x00\x01", "0");
    check(b"F\x40\x04\x00\x00\x00\x00\x00\x00", "2.5");
    check(b"c2.50000000000000000000e+00\0\0\0\0\0", "2.5");
    check(b"m\x00\x00\x00\x03a\"\n", r#""a\"\n""#);
    check(b"j", "[]");
    check(b"k\x00\x02\x00\x0a", "[0,10]");
    check(b"l\x00\x00\x00\x02a\x01jj", "[1,[]]");
    check(b"h\x02a\x00a\x01", "[0,1]");
    check(b"i\x00\x00\x00\x01a\x07", "[7]");
    check(b"t\x00\x00\x00\x02m\x00\x00\x00\x02opa\x01k\x00\x01dj", r#"{"op":1,"d":[]}"#);
}

/// 1,700,000,000,000 is beyond 32 bits, so erlpack writes what JavaScript holds: a float.
#[test]
fn a_float_that_is_an_integer_becomes_one() {
    check(&[b"F", &1.7e12_f64.to_be_bytes()[..]].concat(), "1700000000000");
    check(&[b"F", &(-0.0_f64).to_be_bytes()[..]].concat(), "0");
    check(&[b"F", &1e300_f64.to_be_bytes()[..]].concat(), "1e+300");
}

/// What erlpack 0.1.4 for JavaScript makes of an IDENTIFY (`since` was 1,700,000,000,000, `device` undefined).
#[test]
fn what_erlpack_packs_is_read() {
    let term = b"\x83t\0\0\0\x02m\0\0\0\x02opa\x02m\0\0\0\x01dt\0\0\0\x07m\0\0\0\x05tokenm\0\0\0\x01t\
        m\0\0\0\x07intentsb\x031\xff\xffm\0\0\0\x05shardl\0\0\0\x02a\0a\x01j\
        m\0\0\0\x08compresss\x05falsem\0\0\0\x0flarge_thresholda\xfa\
        m\0\0\0\x0apropertiest\0\0\0\x03m\0\0\0\x02osm\0\0\0\x05linuxm\0\0\0\x07browser\
        m\0\0\0\x02\xc3\xa9m\0\0\0\x06devices\x03nilm\0\0\0\x08presencet\0\0\0\x04\
        m\0\0\0\x05sinceFBx\xbc\xfeV\x80\0\0m\0\0\0\x0aactivitiesjm\0\0\0\x06status\
        m\0\0\0\x06onlinem\0\0\0\x03afks\x05false";
    let json = r#"{"op":2,"d":{"token":"t","intents":53608447,"shard":[0,1],"compress":false,"large_threshold":250,"properties":{"os":"linux","browser":"é","device":null},"presence":{"since":1700000000000,"activities":[],"status":"online","afk":false}}}"#;
    assert_eq!(to_json(term).map(String::from_utf8), Ok(Ok(json.to_owned())));
}

#[test]
fn what_has_no_place_in_json_is_refused() {
    refuse(b"t\x00\x00\x00\x01s\x02opa\x01", DecodeError::AtomKey { at: 6 });
    refuse(b"t\x00\x00\x00\x01w\x02opa\x01", DecodeError::AtomKey { at: 6 });
    refuse(b"t\x00\x00\x00\x01a\x01a\x01", DecodeError::Key { at: 6 });
    refuse(b"l\x00\x00\x00\x01a\x01a\x02", DecodeError::Tail { at: 9 });
    refuse(b"m\x00\x00\x00\x01\xff", DecodeError::Utf8 { at: 7 });
    refuse(b"w\x01\xff", DecodeError::Utf8 { at: 4 });
    refuse(b"n\x09\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01", DecodeError::Integer { at: 13 });
    refuse(&[b"F", &f64::NAN.to_be_bytes()[..]].concat(), DecodeError::Float { at: 10 });
    refuse(&[b"c", &b"inf".repeat(11)[..31]].concat(), DecodeError::Float { at: 33 });
    refuse(b"P\x00\x00\x00\x02x\x9c", DecodeError::Tag { tag: b'P', at: 1 });
    refuse(b"M\x00\x00\x00\x01\x01\x80", DecodeError::Tag { tag: b'M', at: 1 });
    refuse(b"jj", DecodeError::Trailing { left: 1 });
    assert_eq!(to_json(b"j"), Err(DecodeError::Version));
    assert_eq!(to_json(b""), Err(DecodeError::Version));
}

#[test]
fn claims_are_not_believed() {
    for claim in [
        &b"l\xff\xff\xff\xff"[..],
        b"i\xff\xff\xff\xff",
        b"t\xff\xff\xff\xff",
        b"m\xff\xff\xff\xff",
        b"o\xff\xff\xff\xff\x00",
        b"k\xff\xff",
        b"n\xff\x00",
        b"",
        b"F\x00",
    ] {
        refuse(claim, DecodeError::Truncated { at: claim.len() + 1 });
    }
}

#[test]
fn depth_and_length_have_limits() {
    let nested = |depth: usize| b"h\x01".repeat(depth).into_iter().chain(*b"j").collect::<Vec<_>>();
    let json = decode(&nested(ETF_DEPTH_MAX)).expect("so deep it may be");
    assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "and then it parses");
    refuse(&nested(ETF_DEPTH_MAX + 1), DecodeError::TooDeep);

    let binary = |len: usize| [b"\x83m", &(len as u32).to_be_bytes()[..], &vec![b'a'; len]].concat();
    assert!(to_json(&binary(GATEWAY_PAYLOAD_BYTES_MAX - 6)).is_ok());
    let too_long = DecodeError::TooLong { len: GATEWAY_PAYLOAD_BYTES_MAX + 1 };
    assert_eq!(to_json(&binary(GATEWAY_PAYLOAD_BYTES_MAX - 5)), Err(too_long));
}
