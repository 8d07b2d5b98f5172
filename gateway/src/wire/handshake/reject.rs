//! HTTP answers to what is not an upgrade that we take.
//!
//! Each is complete in itself and ends the connection: plain text that a person with `curl` can act on.

/// Why a request is not upgraded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reject {
    /// 400: not HTTP, or a handshake with a part missing or wrong.
    #[error("bad upgrade request: {0}")]
    BadRequest(&'static str),
    /// 405: a handshake is a GET.
    #[error("upgrade request with a method other than GET")]
    MethodNotAllowed,
    /// 426: a plain HTTP request came to the gateway.
    #[error("plain HTTP request to the gateway")]
    UpgradeRequired,
    /// 426: a WebSocket version other than 13.
    #[error("upgrade request for an unsupported WebSocket version")]
    UnsupportedVersion,
    /// 431: too many headers, or too many bytes of them.
    #[error("upgrade request with too large a header block")]
    TooLarge,
}

impl Reject {
    /// The complete HTTP response, after which the connection is to be closed.
    pub fn response(self) -> Vec<u8> {
        match self {
            Reject::BadRequest(why) => answer("400 Bad Request", "", why),
            Reject::MethodNotAllowed => {
                answer("405 Method Not Allowed", "Allow: GET\r\n", "a WebSocket handshake is a GET request")
            }
            Reject::UpgradeRequired => answer(
                "426 Upgrade Required",
                WANTED,
                "this is the gateway, which speaks WebSocket: connect to ws://<this address>/?v=10&encoding=json",
            ),
            Reject::UnsupportedVersion => answer(
                "426 Upgrade Required",
                WANTED,
                "only version 13 of the WebSocket protocol is supported",
            ),
            Reject::TooLarge => answer(
                "431 Request Header Fields Too Large",
                "",
                "a handshake may have 64 headers and 8192 bytes of them",
            ),
        }
    }
}

/// The 503 with which a pod that admits nobody right now sends a client away for a while.
pub fn service_unavailable(retry_after_s: u64) -> Vec<u8> {
    answer(
        "503 Service Unavailable",
        &format!("Retry-After: {retry_after_s}\r\n"),
        "the gateway takes no new connections right now, try again after the time in Retry-After",
    )
}

fn answer(status: &str, headers: &str, text: &str) -> Vec<u8> {
    let length = text.len() + 1;
    format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Type: text/plain\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{text}\n"
    )
    .into_bytes()
}

/// What a client that gets a 426 should speak. `Upgrade` is hop-by-hop, but the answer closes the connection anyway.
const WANTED: &str = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
