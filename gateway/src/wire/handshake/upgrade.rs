//! What a good upgrade request says.

use std::str::FromStr;

use httparse::Request;

use super::Reject;
use crate::wire::CloseCode;

/// The `Sec-WebSocket-Key`: sixteen bytes in base64.
pub type WebSocketKey = [u8; 24];

/// A request for a WebSocket, found to be in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// The path as it came, without the query; any path is good.
    pub path: String,
    /// The query parameters that matter.
    pub params: Params,
    /// The `Host` header.
    pub host: String,
    /// What the accept value is computed from.
    pub key: WebSocketKey,
    /// Bytes of the request in the buffer; whatever follows them is already WebSocket.
    pub consumed: usize,
}

/// Query parameters, as they came. Of one that is repeated the first counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params {
    /// The API version.
    pub v: Option<String>,
    /// The payload encoding.
    pub encoding: Option<String>,
    /// The transport compression.
    pub compress: Option<String>,
}

/// How payloads are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// JSON; in text frames, if it is not compressed.
    Json,
    /// Binary frames with Erlang's external term format.
    Etf,
}

/// How the stream of payloads is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    /// `zlib-stream`
    Zlib,
    /// `zstd-stream`
    Zstd,
}

impl Params {
    /// The API version: 10, also when none is given, or 9.
    pub fn version(&self) -> Result<u8, CloseCode> {
        match self.v.as_deref() {
            None | Some("10") => Ok(10),
            Some("9") => Ok(9),
            Some(_) => Err(CloseCode::InvalidApiVersion),
        }
    }

    /// The encoding: JSON when none is given.
    pub fn encoding(&self) -> Result<Encoding, CloseCode> {
        match self.encoding.as_deref() {
            None | Some("json") => Ok(Encoding::Json),
            Some("etf") => Ok(Encoding::Etf),
            Some(_) => Err(CloseCode::DecodeError),
        }
    }

    /// The compression that the client would like. One that we do not know is no compression: every client must be
    /// able to read that.
    pub fn compression(&self) -> Option<Compression> {
        match self.compress.as_deref() {
            Some("zlib-stream") => Some(Compression::Zlib),
            Some("zstd-stream") => Some(Compression::Zstd),
            _ => None,
        }
    }

    fn parse(query: &str) -> Self {
        let mut params = Self::default();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let slot = match name {
                "v" => &mut params.v,
                "encoding" => &mut params.encoding,
                "compress" => &mut params.compress,
                _ => continue,
            };
            slot.get_or_insert_with(|| value.to_owned());
        }
        params
    }
}

/// Decides on a request whose head is complete.
pub(super) fn judge(request: &Request<'_, '_>, consumed: usize) -> Result<Upgrade, Reject> {
    if request.method != Some("GET") {
        return Err(Reject::MethodNotAllowed);
    }
    if !has_token(request, "upgrade", "websocket") {
        return Err(Reject::UpgradeRequired);
    }
    if request.version != Some(1) {
        return Err(Reject::BadRequest("a WebSocket handshake needs HTTP/1.1"));
    }
    if !has_token(request, "connection", "upgrade") {
        return Err(Reject::BadRequest("the header Connection: Upgrade is missing"));
    }
    if has_body(request) {
        return Err(Reject::BadRequest("a WebSocket handshake has no body"));
    }
    match single(request, "sec-websocket-version") {
        Some(b"13") => {}
        _ => return Err(Reject::UnsupportedVersion),
    }
    let key = single(request, "sec-websocket-key")
        .and_then(key)
        .ok_or(Reject::BadRequest("Sec-WebSocket-Key must be given once, with 16 bytes in base64"))?;
    let host = single(request, "host")
        .and_then(|value| std::str::from_utf8(value).ok())
        .ok_or(Reject::BadRequest("the Host header must be given once, as text"))?;
    let (path, query) = split_target(request.path.unwrap_or("/"));
    Ok(Upgrade { path: path.to_owned(), params: Params::parse(query), host: host.to_owned(), key, consumed })
}

/// Path and query of a request target, which a proxy may send in absolute form.
fn split_target(target: &str) -> (&str, &str) {
    let target = target.split('#').next().unwrap_or_default();
    let local = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains(['/', '?']) => {
            rest.find(['/', '?']).map_or("/", |at| &rest[at..])
        }
        _ => target,
    };
    match local.split_once('?') {
        Some(("", query)) => ("/", query),
        Some((path, query)) => (path, query),
        None => (local, ""),
    }
}

fn key(value: &[u8]) -> Option<WebSocketKey> {
    let key = WebSocketKey::try_from(value).ok()?;
    let (digits, padding) = key.split_at(22);
    let in_alphabet = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    (padding == b"==" && digits.iter().all(in_alphabet)).then_some(key)
}

fn values<'a>(request: &'a Request<'_, '_>, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    request.headers.iter().filter(move |h| h.name.eq_ignore_ascii_case(name)).map(|h| h.value.trim_ascii())
}

/// The value of a header that is given exactly once.
fn single<'a>(request: &'a Request<'_, '_>, name: &'a str) -> Option<&'a [u8]> {
    let mut values = values(request, name);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// Whether a header that holds a list of tokens names this one.
fn has_token(request: &Request<'_, '_>, name: &str, token: &str) -> bool {
    values(request, name)
        .flat_map(|value| value.split(|b| *b == b','))
        .any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

fn has_body(request: &Request<'_, '_>) -> bool {
    let length = |value| std::str::from_utf8(value).ok().and_then(|v| u64::from_str(v).ok());
    values(request, "transfer-encoding").next().is_some()
        || values(request, "content-length").any(|value| length(value) != Some(0))
}
