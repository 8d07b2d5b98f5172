use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::wire::CloseCode;
use crate::wire::fuzz::fuzz_handshake;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// A good request for `target`, with one header replaced, or removed when its new value is empty.
fn request(target: &str, change: Option<(&str, &str)>) -> Vec<u8> {
    let mut text = format!("GET {target} HTTP/1.1\r\n");
    for (name, value) in [
        ("Host", "localhost:8081"),
        ("Connection", "keep-alive, Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", KEY),
        ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
    ] {
        match change {
            Some((changed, "")) if changed == name => {}
            Some((changed, value)) if changed == name => text += &format!("{name}: {value}\r\n"),
            _ => text += &format!("{name}: {value}\r\n"),
        }
    }
    if let Some((name, value)) = change
        && !text.contains(name)
        && !value.is_empty()
    {
        text += &format!("{name}: {value}\r\n");
    }
    (text + "\r\n").into_bytes()
}

fn upgrade(target: &str) -> Upgrade {
    parse(&request(target, None)).expect("a good request").expect("a complete request")
}

#[test]
fn the_answer_is_that_of_the_rfc_and_offers_no_extension() {
    let upgrade = upgrade("/");
    assert_eq!(upgrade.host, "localhost:8081");
    let text = String::from_utf8(response(&upgrade.key)).unwrap();
    assert_eq!(
        text,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    );
}

#[test]
fn every_path_and_order_of_parameters_is_taken() {
    let rows = [
        ("/?v=10&encoding=json", "/", Ok(10), Ok(Encoding::Json), None),
        ("/?v=10", "/", Ok(10), Ok(Encoding::Json), None),
        ("/?v=9&encoding=json", "/", Ok(9), Ok(Encoding::Json), None),
        (
            "//?v=10&encoding=json&compress=zstd-stream",
            "//",
            Ok(10),
            Ok(Encoding::Json),
            Some(Compression::Zstd),
        ),
        (
            "/gw/x/?encoding=json&v=10&compress=zlib-stream",
            "/gw/x/",
            Ok(10),
            Ok(Encoding::Json),
            Some(Compression::Zlib),
        ),
        ("/gw/pod-3", "/gw/pod-3", Ok(10), Ok(Encoding::Json), None),
        ("/?&encoding=etf&&x", "/", Ok(10), Ok(Encoding::Etf), None),
        ("/?v=9&v=8", "/", Ok(9), Ok(Encoding::Json), None),
        ("?v=10", "/", Ok(10), Ok(Encoding::Json), None),
        ("http://h:1/p?v=10", "/p", Ok(10), Ok(Encoding::Json), None),
        ("http://h:1?v=9", "/", Ok(9), Ok(Encoding::Json), None),
        ("/?v=8", "/", Err(CloseCode::InvalidApiVersion), Ok(Encoding::Json), None),
        ("/?v=", "/", Err(CloseCode::InvalidApiVersion), Ok(Encoding::Json), None),
        ("/?v=10&encoding=xml&compress=br", "/", Ok(10), Err(CloseCode::DecodeError), None),
    ];
    for (target, path, version, encoding, compression) in rows {
        let upgrade = upgrade(target);
        assert_eq!(upgrade.path, path, "{target}");
        assert_eq!(upgrade.params.version(), version, "{target}");
        assert_eq!(upgrade.params.encoding(), encoding, "{target}");
        assert_eq!(upgrade.params.compression(), compression, "{target}");
    }
}

#[test]
fn what_is_wrong_gets_its_status() {
    let rows = [
        (("Upgrade", ""), "426"),
        (("Upgrade", "h2c"), "426"),
        (("Sec-WebSocket-Version", "8"), "426"),
        (("Sec-WebSocket-Version", ""), "426"),
        (("Connection", "keep-alive"), "400"),
        (("Sec-WebSocket-Key", ""), "400"),
        (("Sec-WebSocket-Key", "c2hvcnQ="), "400"),
        (("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=!"), "400"),
        (
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: AAAAIHNhbXBsZSBub25jZQ=="),
            "400",
        ),
        (("Host", ""), "400"),
        (("Content-Length", "5"), "400"),
        (("Transfer-Encoding", "chunked"), "400"),
    ];
    for (change, status) in rows {
        let reject = parse(&request("/", Some(change))).expect_err("a bad request");
        let text = String::from_utf8(reject.response()).unwrap();
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{change:?}: {text}");
    }
    let whole = [
        (&b"POST / HTTP/1.1\r\nHost: x\r\n\r\n"[..], "405"),
        (b"GET / HTTP/1.0\r\nUpgrade: websocket\r\n\r\n", "400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "426"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "400"),
        (b"GET /\r\n\r\n", "400"),
    ];
    for (bytes, status) in whole {
        let reject = parse(bytes).expect_err("a bad request");
        assert!(reject.response().starts_with(format!("HTTP/1.1 {status} ").as_bytes()), "{reject}");
    }
}

#[test]
fn refusals_are_complete_and_say_what_to_do() {
    let rejects = [
        Reject::BadRequest("why"),
        Reject::MethodNotAllowed,
        Reject::UpgradeRequired,
        Reject::UnsupportedVersion,
        Reject::TooLarge,
    ];
    let mut answers: Vec<Vec<u8>> = rejects.into_iter().map(Reject::response).collect();
    answers.push(service_unavailable(7));
    for bytes in &answers {
        let mut headers = [httparse::EMPTY_HEADER; 16];
        let mut parsed = httparse::Response::new(&mut headers);
        let head = parsed.parse(bytes).unwrap().unwrap();
        let value = |name| parsed.headers.iter().find(|h| h.name == name).map(|h| h.value);
        assert_eq!(value("Connection"), Some(&b"close"[..]));
        assert_eq!(value("Content-Length"), Some((bytes.len() - head).to_string().as_bytes()));
        if parsed.code == Some(426) {
            assert_eq!(value("Sec-WebSocket-Version"), Some(&b"13"[..]));
        }
    }
    let text = String::from_utf8(answers.pop().unwrap()).unwrap();
    assert!(text.starts_with("HTTP/1.1 503 ") && text.contains("\r\nRetry-After: 7\r\n"));
}

#[test]
fn a_request_is_complete_at_its_last_byte_and_not_before() {
    let request = request("/?v=10", None);
    for len in 0..request.len() {
        assert_eq!(parse(&request[..len]), Ok(None), "{len} bytes");
    }
    let followed = [&request[..], b"\x81\x80frame"].concat();
    assert_eq!(parse(&followed).unwrap().unwrap().consumed, request.len());
}

#[test]
fn header_blocks_are_bounded() {
    let fill = |len: usize| {
        let rest = len - request("/", None).len() - "X-Fill: \r\n".len();
        request("/", Some(("X-Fill", &"x".repeat(rest))))
    };
    assert!(fill(8192).len() == 8192 && parse(&fill(8192)).unwrap().is_some());
    assert_eq!(parse(&fill(8193)), Err(Reject::TooLarge));
    assert_eq!(parse(&[b'a'; 8192]), Err(Reject::TooLarge));

    let many = |count: usize| {
        let extra: String = (0..count - 6).map(|i| format!("X-{i}: y\r\n")).collect();
        request("/", Some(("X-Extra", format!("1\r\n{extra}").trim_end())))
    };
    assert!(parse(&many(63)).unwrap().is_some());
    assert_eq!(parse(&many(64)), Err(Reject::TooLarge));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn garbage_breaks_no_promise(data in vec(any::<u8>(), 0..300)) {
        fuzz_handshake(&data);
    }

    #[test]
    fn damaged_requests_break_no_promise(
        target in "/[ -~]{0,30}",
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut data = request(&target, None);
        for (at, byte) in damage {
            let at = at.index(data.len());
            data[at] = byte;
        }
        fuzz_handshake(&data);
    }
}
