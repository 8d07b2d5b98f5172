//! A request to the API as a function, and what has to hold for every answer. The fuzzer uses this file as well.

use std::net::{IpAddr, Ipv4Addr};

use api::{App, Limits, WindowLimit};
use axum::body::Body;
use http::{Method, Request, Uri, header};
use http_body_util::BodyExt;
use serde_json::Value;

use crate::fakes::Fakes;

/// What alice asks.
#[derive(Debug)]
pub struct Asked {
    pub method: Method,
    pub uri: Uri,
    pub content_type: String,
    pub body: Vec<u8>,
}

/// An API without rate limits.
pub fn app() -> App {
    let off = WindowLimit::new(0, 0);
    let limits =
        Limits { global: off, reads: off, writes: off, logins: off, invalid: off, ..Limits::default() };
    crate::client::app(&Fakes::default(), limits).0
}

/// Reads `METHOD PATH`, a line with the content type, and the body. `None` where HTTP could not carry it.
pub fn parse(data: &[u8]) -> Option<Asked> {
    let mut lines = data.splitn(3, |byte| *byte == b'\n');
    let mut words = lines.next()?.splitn(2, |byte| *byte == b' ');
    let method = Method::from_bytes(words.next()?).ok()?;
    let path = std::str::from_utf8(words.next()?).ok()?;
    let uri = format!("/api/v10{path}").parse().ok()?;
    let content_type = std::str::from_utf8(lines.next()?).ok()?.to_owned();
    Some(Asked { method, uri, content_type, body: lines.next()?.to_vec() })
}

/// Asks, and gives the status of the answer, which is proper whatever was asked. `None` where HTTP could not carry it.
pub async fn ask(app: &App, asked: Asked) -> Option<u16> {
    let Asked { method, uri, content_type, body } = asked;
    let text = String::from_utf8_lossy(&body).into_owned();
    let case = format!("{method} {uri} [{content_type}] {text}");
    let is_options = method == Method::OPTIONS;
    let request = Request::builder()
        .method(method)
        .uri(uri)
        .header(header::AUTHORIZATION, "alice-token")
        .header(header::CONTENT_TYPE, content_type)
        .body(Body::from(body))
        .ok()?;
    let response = app.respond(request, IpAddr::V4(Ipv4Addr::LOCALHOST)).await;
    let status = response.status().as_u16();
    let content_type = response.headers().get(header::CONTENT_TYPE).cloned();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let case = format!("{case} -> {status} {bytes:?}");
    assert!(status < 500, "{case}");
    if status == 204 || is_options {
        assert!(bytes.is_empty(), "{case}");
    } else {
        let is_json = content_type.is_some_and(|kind| kind.as_bytes() == b"application/json");
        assert!(is_json && serde_json::from_slice::<Value>(&bytes).is_ok(), "{case}");
    }
    Some(status)
}
