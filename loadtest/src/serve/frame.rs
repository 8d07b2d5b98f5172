//! The little of RFC 6455 that the floor needs: the answer to an upgrade, frames to clients, frames from clients.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha1::{Digest, Sha1};

pub(super) const TEXT: u8 = 1;
pub(super) const CLOSE: u8 = 8;
const FIN: u8 = 0x80;
const ACCEPT_GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The request's path and the answer to it; `None` when it is no upgrade.
pub(super) fn answer(request: &str) -> Option<(&str, String)> {
    let path = request.split(' ').nth(1)?;
    let mut headers = request.lines().filter_map(|line| line.split_once(':'));
    let (_, key) = headers.find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"))?;
    let accept = BASE64_STANDARD.encode(Sha1::digest(format!("{}{ACCEPT_GUID}", key.trim())));
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    Some((path, answer))
}

/// A text frame for clients.
pub(super) fn text(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![FIN | TEXT];
    match payload.len() {
        length @ 0..=125 => frame.push(length as u8),
        length @ 126..=0xffff => {
            frame.push(126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(payload);
    frame
}

/// A client's frame.
pub(super) struct Received {
    pub opcode: u8,
    pub payload: Vec<u8>,
    /// Of the whole frame.
    pub length: usize,
}

/// The client's frame that `bytes` begins with, once it is there as a whole.
pub(super) fn take(bytes: &[u8]) -> Option<Received> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let (payload_length, mask_at) = match second & 0x7f {
        126 => (usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
        127 => (usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?, 10),
        short => (usize::from(short), 2),
    };
    let mask: [u8; 4] = bytes.get(mask_at..mask_at + 4)?.try_into().ok()?;
    let length = mask_at + 4 + payload_length;
    let masked = bytes.get(mask_at + 4..length)?;
    let payload = masked.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    Some(Received { opcode: first & 0x0f, payload, length })
}

#[cfg(test)]
mod tests {
    use testkit::ws;

    use super::*;

    #[test]
    fn both_ends_understand_each_other() {
        for length in [0, 1, 125, 126, 600, 65_535, 65_536] {
            let payload = vec![b'x'; length];
            let masked = ws::frame(ws::TEXT, &payload);
            for cut in 0..masked.len().min(20) {
                assert!(take(&masked[..cut]).is_none(), "{length} cut at {cut}");
            }
            let received = take(&masked).unwrap();
            assert_eq!((received.opcode, &received.payload, received.length), (TEXT, &payload, masked.len()));
            let sent = text(&payload);
            let found = ws::parse(&sent).unwrap().unwrap();
            assert_eq!((found.opcode, found.payload_length), (ws::TEXT, length));
            assert_eq!(&sent[found.header_length..], payload);
        }
    }

    #[test]
    fn an_upgrade_is_answered() {
        // The example of RFC 6455, section 1.3.
        let request =
            "GET /publish HTTP/1.1\r\nHost: a\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let (path, text) = answer(request).unwrap();
        assert_eq!(path, "/publish");
        assert!(text.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{text}");
        assert!(answer("GET / HTTP/1.1\r\n\r\n").is_none());
    }
}
