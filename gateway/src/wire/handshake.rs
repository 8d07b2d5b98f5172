//! The opening handshake: from an HTTP/1.1 request to a 101, or to a refusal that says what to do instead.
//!
//! The gateway lives at every path: clients append `/` or nothing, and a pod may be told apart by a prefix, so a
//! path is never wrong. Query parameters are kept as they came and judged by methods, because a bad `v` or `encoding`
//! is answered by a close code after the upgrade and not by an HTTP status.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use httparse::Status;
use model::limits::{HANDSHAKE_BYTES_MAX, HANDSHAKE_HEADERS_MAX};
use sha1::{Digest, Sha1};

mod reject;
#[cfg(test)]
mod tests;
mod upgrade;

pub use reject::{Reject, service_unavailable};
pub use upgrade::{Compression, Encoding, Params, Upgrade, WebSocketKey};

/// Reads an upgrade request off the front of `buf`; `None` when it is not complete yet.
///
/// Header blocks above 8 KiB or 64 headers are refused, so the caller need not bound the buffer further.
pub fn parse(buf: &[u8]) -> Result<Option<Upgrade>, Reject> {
    let mut headers = [httparse::EMPTY_HEADER; HANDSHAKE_HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let head = &buf[..buf.len().min(HANDSHAKE_BYTES_MAX)];
    match request.parse(head) {
        Ok(Status::Complete(consumed)) => upgrade::judge(&request, consumed).map(Some),
        Ok(Status::Partial) if head.len() < HANDSHAKE_BYTES_MAX => Ok(None),
        Ok(Status::Partial) | Err(httparse::Error::TooManyHeaders) => Err(Reject::TooLarge),
        Err(_) => Err(Reject::BadRequest("this is not an HTTP/1.1 request")),
    }
}

/// The 101 that accepts the client's key. No extension and no subprotocol is agreed on.
pub fn response(key: &WebSocketKey) -> Vec<u8> {
    let digest = Sha1::new().chain_update(key).chain_update(ACCEPT_GUID).finalize();
    let accept = STANDARD.encode(digest);
    [
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ",
        &accept,
        "\r\n\r\n",
    ]
    .concat()
    .into_bytes()
}

/// The constant of RFC 6455 §1.3.
const ACCEPT_GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
