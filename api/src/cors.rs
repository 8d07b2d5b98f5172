//! Pages of other origins may use the API.
//!
//! Whoever calls proves who they are by a token in a header, never by a cookie, so a foreign page can do nothing that a
//! program could not: every origin is allowed, and credentials of the browser are not.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};

const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
/// The asterisk does not cover `Authorization`.
const REQUEST_HEADERS: &str = "Authorization, Content-Type, X-Audit-Log-Reason, *";
const RESPONSE_HEADERS: &str = "Retry-After, Via, X-RateLimit-Bucket, X-RateLimit-Global, X-RateLimit-Limit, \
                                X-RateLimit-Remaining, X-RateLimit-Reset, X-RateLimit-Reset-After, X-RateLimit-Scope";
/// Browsers keep it for two hours at most.
const MAX_AGE_SECS: &str = "7200";

/// The answer to OPTIONS, on every path.
pub(crate) fn preflight() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    allow(&mut response);
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, HeaderValue::from_static(METHODS));
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(REQUEST_HEADERS));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE_SECS));
    response
}

/// Lets the page that asked read the answer.
pub(crate) fn allow(response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(RESPONSE_HEADERS));
}
