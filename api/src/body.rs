//! Reading a body: under a cap, in bounded time, within the memory that all bodies together may take.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Limits;
use crate::error::{ApiError, ApiResult, ENTITY_TOO_LARGE};

/// The memory of bodies, shared by all requests.
pub(crate) struct Bodies {
    budget: Arc<Semaphore>,
    bytes_max: usize,
    timeout: Duration,
}

/// A body that was read; its memory is accounted for as long as this lives.
#[derive(Default)]
pub(crate) struct ReadBody {
    pub(crate) bytes: Bytes,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Bodies {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            budget: Arc::new(Semaphore::new(limits.body_bytes_total_max.min(Semaphore::MAX_PERMITS))),
            bytes_max: limits.body_bytes_max,
            timeout: Duration::from_millis(limits.request_timeout_ms),
        }
    }

    /// Reads a body whole, or stops at the first byte that is too much.
    pub(crate) async fn read(&self, headers: &HeaderMap, body: Body) -> ApiResult<ReadBody> {
        let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        let length = length.and_then(|length| length.parse::<u64>().ok());
        if length.is_some_and(|length| length > self.bytes_max as u64) {
            return Err(too_large());
        }
        match tokio::time::timeout(self.timeout, self.collect(body)).await {
            Ok(result) => result,
            Err(_) => Err(ApiError::plain(StatusCode::REQUEST_TIMEOUT).closing()),
        }
    }

    async fn collect(&self, mut body: Body) -> ApiResult<ReadBody> {
        let mut first = Bytes::new();
        let mut whole = BytesMut::new();
        let mut permit: Option<OwnedSemaphorePermit> = None;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| ApiError::plain(StatusCode::BAD_REQUEST).closing())?;
            let Ok(data) = frame.into_data() else { continue };
            if first.len() + whole.len() + data.len() > self.bytes_max {
                return Err(too_large());
            }
            let more = self.reserve(data.len())?;
            match &mut permit {
                Some(permit) => permit.merge(more),
                None => permit = Some(more),
            }
            // Nearly every body comes in one piece, and is not copied.
            if first.is_empty() && whole.is_empty() {
                first = data;
                continue;
            }
            whole.extend_from_slice(&std::mem::take(&mut first));
            whole.extend_from_slice(&data);
        }
        let bytes = if whole.is_empty() { first } else { whole.freeze() };
        Ok(ReadBody { bytes, _permit: permit })
    }

    fn reserve(&self, bytes: usize) -> ApiResult<OwnedSemaphorePermit> {
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
        let permit = self.budget.clone().try_acquire_many_owned(permits);
        permit.map_err(|_| ApiError::busy("The server holds as much as it can; try again.").closing())
    }
}

fn too_large() -> ApiError {
    let message = "Request entity too large. Try sending something smaller in size";
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, ENTITY_TOO_LARGE, message).closing()
}
