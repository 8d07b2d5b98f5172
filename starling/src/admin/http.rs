//! HTTP of the admin listener: few connections, small bodies, everything with a time limit.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use model::limits::{
    ADMIN_BODY_BYTES_MAX, ADMIN_CONNECTION_MS, ADMIN_CONNECTIONS_MAX, ADMIN_IDLE_MS, ADMIN_REQUEST_MS,
    LISTENER_PAUSE_MS,
};
use proto::{Failure, FailureKind};
use serde_json::json;
use subtle::ConstantTimeEq as _;
use tasks::Spawner;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::calls::{Call, PATH};
use super::{Calls, Readiness, Shared, metrics};

type Answer = Response<Full<Bytes>>;

/// Accepts until it is stopped.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>, tasks: Spawner) {
    let places = Arc::new(Semaphore::new(ADMIN_CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            biased;
            () = tasks.stop_token().cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "an admin connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(LISTENER_PAUSE_MS)).await;
                continue;
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else { continue };
        let (shared, stop) = (shared.clone(), tasks.stop_token().clone());
        tasks.spawn(async move {
            let _place = place;
            serve(stream, shared, stop).await;
        });
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>, stop: CancellationToken) {
    let service = service_fn(move |request| {
        let shared = shared.clone();
        async move { Ok::<_, Infallible>(respond(request, &shared).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(ADMIN_IDLE_MS))
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let life = Duration::from_millis(ADMIN_CONNECTION_MS);
    let ended = match tokio::time::timeout(life, stop.run_until_cancelled(connection.as_mut())).await {
        Ok(Some(ended)) => ended,
        Ok(None) | Err(_) => {
            connection.as_mut().graceful_shutdown();
            let last = Duration::from_millis(ADMIN_REQUEST_MS);
            tokio::time::timeout(last, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an admin connection failed");
    }
}

async fn respond(request: Request<Incoming>, shared: &Shared) -> Answer {
    let method = request.method().clone();
    match (&method, request.uri().path()) {
        (&Method::GET, "/livez") => json_answer(StatusCode::OK, &json!({"status": "live"})),
        (&Method::GET, "/readyz") => readyz(shared.readiness.get()),
        (&Method::GET, "/metrics") => {
            let readings = shared.readings.lock().clone();
            let text = metrics::render(&readings);
            answer(StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", text)
        }
        (&Method::POST, PATH) => {
            let limit = Duration::from_millis(ADMIN_REQUEST_MS);
            let late = |_| error(StatusCode::GATEWAY_TIMEOUT, "no answer in time; the outcome is unknown");
            tokio::time::timeout(limit, call(request, shared)).await.unwrap_or_else(late)
        }
        _ => error(
            StatusCode::NOT_FOUND,
            &format!(
                "nothing at {method} {}; there are GET /livez, /readyz and /metrics",
                request.uri().path()
            ),
        ),
    }
}

fn readyz(readiness: Readiness) -> Answer {
    let (status, reason) = match readiness {
        Readiness::Ready => return json_answer(StatusCode::OK, &json!({"status": "ready"})),
        Readiness::Starting(what) => ("starting", what.into()),
        Readiness::Waiting(what) => ("waiting", what),
        Readiness::Draining => ("draining", "the process is ending".into()),
    };
    json_answer(StatusCode::SERVICE_UNAVAILABLE, &json!({"status": status, "reason": reason}))
}

async fn call(request: Request<Incoming>, shared: &Shared) -> Answer {
    let Some(calls) = shared.calls.get() else {
        return error(StatusCode::SERVICE_UNAVAILABLE, "the server is still starting; try again");
    };
    let Some(calls) = calls else {
        return error(
            StatusCode::NOT_FOUND,
            "this role answers no calls; ask a process that has the directory, such as `starling guilds`",
        );
    };
    if !is_authorized(&request, calls) {
        let text = "the token is not this server's: it changes at each start, and lies in admin.json in its data directory";
        return error(StatusCode::UNAUTHORIZED, text);
    }
    let body = match Limited::new(request.into_body(), ADMIN_BODY_BYTES_MAX).collect().await {
        Ok(body) => body.to_bytes(),
        Err(problem) => return error(StatusCode::BAD_REQUEST, &format!("read the body: {problem}")),
    };
    let call: Call = match serde_json::from_slice(&body) {
        Ok(call) => call,
        Err(problem) => return error(StatusCode::BAD_REQUEST, &format!("no such call: {problem}")),
    };
    match calls.handlers.answer(call).await {
        Ok(reply) => json_answer(StatusCode::OK, &reply),
        Err(failure) => error(status_of(&failure), &text_of(&failure)),
    }
}

fn is_authorized<B>(request: &Request<B>, calls: &Calls) -> bool {
    let header = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = header.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    token.as_bytes().ct_eq(calls.token.as_bytes()).into()
}

fn status_of(failure: &Failure) -> StatusCode {
    match failure.kind {
        FailureKind::Invalid => StatusCode::BAD_REQUEST,
        FailureKind::Unauthenticated | FailureKind::Forbidden => StatusCode::FORBIDDEN,
        FailureKind::NotFound => StatusCode::NOT_FOUND,
        FailureKind::Conflict => StatusCode::CONFLICT,
        FailureKind::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        FailureKind::Unavailable | FailureKind::NotOwner => StatusCode::SERVICE_UNAVAILABLE,
        FailureKind::Unspecified | FailureKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn text_of(failure: &Failure) -> String {
    let fields = failure.fields.iter().map(|field| format!("; {}: {}", field.path, field.message));
    std::iter::once(failure.message.clone()).chain(fields).collect()
}

fn error(status: StatusCode, text: &str) -> Answer {
    json_answer(status, &json!({"error": text}))
}

fn json_answer(status: StatusCode, value: &serde_json::Value) -> Answer {
    answer(status, "application/json", format!("{value}\n"))
}

fn answer(status: StatusCode, content_type: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    answer
}
