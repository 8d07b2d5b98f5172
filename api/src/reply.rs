//! Answers that went well, and the one place that makes a response.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use proto::v1;
use serde::Serialize;

use crate::error::{ApiError, ApiResult};

/// What a handler answers.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) json: Option<Bytes>,
    /// The state of a limit that the service counts itself.
    pub(crate) rate_limit: Option<v1::RateLimit>,
}

impl Reply {
    pub(crate) fn json(value: &impl Serialize) -> ApiResult<Self> {
        let bytes = serde_json::to_vec(value).map_err(|error| {
            tracing::error!(%error, "an answer could not be written as JSON");
            ApiError::plain(StatusCode::INTERNAL_SERVER_ERROR)
        })?;
        Ok(Self::raw(bytes))
    }

    /// JSON that a service made already.
    pub(crate) fn raw(json: impl Into<Bytes>) -> Self {
        Self { status: StatusCode::OK, json: Some(json.into()), rate_limit: None }
    }

    /// Done, and nothing to say.
    pub(crate) fn empty() -> Self {
        Self { status: StatusCode::NO_CONTENT, json: None, rate_limit: None }
    }

    /// Something was made.
    pub(crate) fn created(self) -> Self {
        Self { status: StatusCode::CREATED, ..self }
    }

    pub(crate) fn into_response(self) -> Response {
        match self.json {
            Some(json) => json_response(self.status, json),
            None => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = self.status;
                response
            }
        }
    }
}

/// A response with JSON. The content type is exactly this: several libraries fail on a parameter.
pub(crate) fn json_response(status: StatusCode, json: Bytes) -> Response {
    response(status, "application/json", json)
}

pub(crate) fn html_response(html: Bytes) -> Response {
    response(StatusCode::OK, "text/html; charset=utf-8", html)
}

fn response(status: StatusCode, content_type: &'static str, bytes: Bytes) -> Response {
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
