//! What a request that cannot be answered gets: Discord's error object, its status and its headers.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderName, HeaderValue, StatusCode, header};
use proto::failure::{Failure, FailureKind, code};
use proto::v1;
use serde_json::{Map, Value, json};

use crate::reply;

/// The body is larger than is read.
pub(crate) const ENTITY_TOO_LARGE: u32 = 40_005;
/// The path names a version that is not spoken here.
pub(crate) const INVALID_API_VERSION: u32 = 50_041;
/// The body is no JSON.
pub(crate) const INVALID_JSON: u32 = 50_109;
/// Only people's accounts may do this.
pub(crate) const BOTS_CANNOT: u32 = 20_001;

const SCOPE: HeaderName = HeaderName::from_static("x-ratelimit-scope");
const SHARED: &str = "shared";
/// For a limit of which nothing else is known.
const RETRY_MS: u64 = 1_000;

/// Whether it counts against the address that asked: 401, 403, and 429 unless the limit is one that all share.
pub(crate) fn is_invalid_request(response: &Response) -> bool {
    match response.status() {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => true,
        StatusCode::TOO_MANY_REQUESTS => response.headers().get(SCOPE).is_none_or(|scope| scope != SHARED),
        _ => false,
    }
}

/// A refused or failed request.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    failure: Failure,
    /// The limit that was hit is the caller's limit over all routes.
    global: bool,
    /// The rest of the request is not read, so the connection cannot serve another.
    close: bool,
}

pub(crate) type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    /// An error that has a status but no code of its own, such as "404: Not Found".
    pub(crate) fn plain(status: StatusCode) -> Self {
        let reason = status.canonical_reason().unwrap_or("Error");
        Self::new(status, code::GENERAL, format!("{}: {reason}", status.as_u16()))
    }

    pub(crate) fn new(status: StatusCode, code: u32, message: impl Into<String>) -> Self {
        let failure = Failure::new(FailureKind::Unspecified, code, message);
        Self { status, failure, global: false, close: false }
    }

    pub(crate) fn bad_request(code: u32, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// Too much to do: come back soon.
    pub(crate) fn busy(message: &str) -> Self {
        Failure::unavailable(message, RETRY_MS).into()
    }

    /// The same, and the connection ends with it.
    pub(crate) fn closing(self) -> Self {
        Self { close: true, ..self }
    }

    pub(crate) fn limited(limit: v1::RateLimit, global: bool) -> Self {
        let failure = Failure::rate_limited(limit.reset_after_ms, Some(limit));
        Self { global, ..failure.into() }
    }

    /// The rate limit whose state the answer's headers tell: never the global one, which clients would take for the
    /// route's. A service that counts otherwise than in buckets only says how long to wait; clients want a bucket.
    pub(crate) fn rate_limit(&self, bucket: &str) -> Option<v1::RateLimit> {
        if self.global {
            return None;
        }
        let waits_ms = self.failure.retry_after_ms.unwrap_or(RETRY_MS);
        let is_limited = self.status == StatusCode::TOO_MANY_REQUESTS;
        let exhausted =
            || v1::RateLimit { limit: 1, remaining: 0, reset_after_ms: waits_ms, bucket: bucket.to_owned() };
        self.failure.rate_limit.as_deref().cloned().or_else(|| is_limited.then(exhausted))
    }

    /// Whose limit was hit. That of a channel is its own and not the caller's.
    fn scope(&self) -> &'static str {
        match self.failure.code {
            _ if self.global => "global",
            code::SLOWMODE | code::CHANNEL_WRITE_LIMIT => SHARED,
            _ => "user",
        }
    }

    pub(crate) fn into_response(self) -> Response {
        let body = match self.status {
            StatusCode::TOO_MANY_REQUESTS => self.limited_body(),
            _ => self.error_body(),
        };
        let mut response = reply::json_response(self.status, body.to_string().into());
        let headers = response.headers_mut();
        if let Some(ms) = self.failure.retry_after_ms {
            headers.insert(header::RETRY_AFTER, ms.div_ceil(1000).max(1).into());
        }
        if self.close {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            self.limited_headers(&mut response);
        }
        response
    }

    fn error_body(&self) -> Value {
        let mut body = json!({"message": self.failure.message, "code": self.failure.code});
        if !self.failure.fields.is_empty() {
            body["errors"] = nested(&self.failure.fields);
        }
        body
    }

    fn limited_body(&self) -> Value {
        let retry_after = self.failure.retry_after_ms.unwrap_or(RETRY_MS) as f64 / 1000.0;
        let mut body =
            json!({"message": self.failure.message, "retry_after": retry_after, "global": self.global});
        if self.failure.code != code::GENERAL {
            body["code"] = self.failure.code.into();
        }
        body
    }

    /// discord.py takes an answer without `Via` for a ban by a proxy, and does not try again.
    fn limited_headers(&self, response: &mut Response<Body>) {
        const GLOBAL: HeaderName = HeaderName::from_static("x-ratelimit-global");
        let headers = response.headers_mut();
        headers.insert(header::VIA, HeaderValue::from_static("1.1 starling"));
        headers.entry(header::RETRY_AFTER).or_insert(HeaderValue::from_static("1"));
        headers.insert(SCOPE, HeaderValue::from_static(self.scope()));
        if self.global {
            headers.insert(GLOBAL, HeaderValue::from_static("true"));
        }
    }
}

impl From<Failure> for ApiError {
    fn from(mut failure: Failure) -> Self {
        let status = match failure.kind {
            FailureKind::Invalid => StatusCode::BAD_REQUEST,
            FailureKind::Unauthenticated => StatusCode::UNAUTHORIZED,
            FailureKind::Forbidden => StatusCode::FORBIDDEN,
            FailureKind::NotFound => StatusCode::NOT_FOUND,
            // The public API answers its own conflicts (too many guilds, a name that is taken) with 400 and a code.
            FailureKind::Conflict if failure.code == code::GENERAL => StatusCode::CONFLICT,
            FailureKind::Conflict => StatusCode::BAD_REQUEST,
            FailureKind::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            FailureKind::Unavailable | FailureKind::NotOwner => StatusCode::SERVICE_UNAVAILABLE,
            FailureKind::Unspecified | FailureKind::Internal => {
                tracing::error!(%failure, "a service failed");
                return Self::plain(StatusCode::INTERNAL_SERVER_ERROR);
            }
        };
        if status == StatusCode::SERVICE_UNAVAILABLE {
            failure.retry_after_ms.get_or_insert(RETRY_MS);
        }
        Self { status, failure, global: false, close: false }
    }
}

impl From<tonic::Status> for ApiError {
    fn from(status: tonic::Status) -> Self {
        Failure::from(status).into()
    }
}

impl From<proto::Malformed> for ApiError {
    /// What a service answered is malformed: nothing that the client could change.
    fn from(malformed: proto::Malformed) -> Self {
        Failure::internal(malformed.to_string()).into()
    }
}

/// Field errors as the public API nests them: a level for every name and array index.
fn nested(fields: &[v1::FieldError]) -> Value {
    let mut root = Map::new();
    for field in fields {
        let mut level = &mut root;
        // A name that is `_errors` itself would be taken for the list.
        for name in field.path.split('.').filter(|name| !name.is_empty() && *name != "_errors").take(32) {
            let next = level.entry(name).or_insert_with(|| Value::Object(Map::new()));
            level = next.as_object_mut().expect("every level but `_errors` is an object");
        }
        let errors = level.entry("_errors").or_insert_with(|| Value::Array(Vec::new()));
        let error = json!({"code": field.code, "message": field.message});
        errors.as_array_mut().expect("`_errors` is an array").push(error);
    }
    Value::Object(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(path: &str) -> v1::FieldError {
        v1::FieldError { path: path.into(), code: "C".into(), message: "m".into() }
    }

    #[test]
    fn fields_nest_by_name_and_index() {
        let errors =
            nested(&[field("embeds.0.title"), field("embeds.1"), field("embeds.0.title"), field("")]);
        let one = json!({"code": "C", "message": "m"});
        let expected = json!({
            "embeds": {"0": {"title": {"_errors": [one, one]}}, "1": {"_errors": [one]}},
            "_errors": [one],
        });
        assert_eq!(errors, expected);
    }
}
