//! The pipeline that every request goes through, without sockets: a request in, a response out.

use std::any::Any;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::RawPathParams;
use axum::extract::Request;
use axum::extract::rejection::RawPathParamsRejection;
use axum::response::Response;
use futures_util::FutureExt;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use proto::{trace, v1};
use tokio::sync::{Semaphore, SemaphorePermit};
use tower::Service;
use tracing::{Instrument as _, Span, field};

use crate::auth::{self, Caller};
use crate::body::Bodies;
use crate::call::Call;
use crate::config::Config;
use crate::cors;
use crate::error::{self, ApiError, ApiResult, INVALID_API_VERSION};
use crate::path::{self, Target};
use crate::query::Query;
use crate::ratelimit::{Gate, Subject, address};
use crate::reply::{self, Reply};
use crate::routes::{self, Access, Route};

/// The API as a function. Cheap to clone.
#[derive(Clone)]
pub struct App {
    shared: Arc<Shared>,
    router: Router,
}

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    gate: Gate,
    bodies: Bodies,
    /// One permit per request that is being worked on.
    workers: Semaphore,
}

/// The address that a request came from.
#[derive(Debug, Clone, Copy)]
struct Peer(IpAddr);

impl App {
    pub fn new(config: Config) -> Self {
        let shared = Arc::new(Shared {
            gate: Gate::new(&config.clock, config.limits, config.global_limit.clone()),
            bodies: Bodies::new(&config.limits),
            workers: Semaphore::new(config.limits.requests_max),
            config,
        });
        Self { router: routes::router(&shared), shared }
    }

    /// Answers one request. Never fails and never panics: what goes wrong is an answer, too.
    pub async fn respond(&self, request: Request, ip: IpAddr) -> Response {
        if request.method() == Method::OPTIONS {
            return cors::preflight();
        }
        let is_cross_origin = request.headers().contains_key(header::ORIGIN);
        let mut response = self.admit(request, ip).await;
        if is_cross_origin {
            cors::allow(&mut response);
        }
        response
    }

    /// Answers an address that has not sent too much of what is refused.
    async fn admit(&self, request: Request, peer: IpAddr) -> Response {
        let ip = address::of_client(self.shared.config.behind_proxy, request.headers(), peer);
        if let Err(error) = self.shared.gate.check_address(ip) {
            return error.into_response();
        }
        let response = AssertUnwindSafe(self.dispatch(request, ip)).catch_unwind().await;
        let response = response.unwrap_or_else(|panic| after_panic(panic.as_ref()));
        if error::is_invalid_request(&response) {
            self.shared.gate.count_invalid(ip);
        }
        response
    }

    async fn dispatch(&self, mut request: Request, ip: IpAddr) -> Response {
        let route = match path::resolve(request.uri().path()) {
            Target::Index => return reply::html_response(self.shared.config.index_html.clone()),
            Target::Route(route) => route,
            Target::Nowhere => return ApiError::plain(StatusCode::NOT_FOUND).into_response(),
            Target::UnknownVersion => {
                return ApiError::bad_request(INVALID_API_VERSION, "Invalid API version").into_response();
            }
        };
        let target = match request.uri().query() {
            Some(query) => format!("{route}?{query}").parse::<Uri>(),
            None => route.parse::<Uri>(),
        };
        let Ok(uri) = target else { return ApiError::plain(StatusCode::NOT_FOUND).into_response() };
        *request.uri_mut() = uri;
        request.extensions_mut().insert(Peer(ip));
        match self.router.clone().call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

impl Shared {
    /// Answers a request to a route that was found.
    pub(crate) async fn serve(
        self: Arc<Self>,
        route: &'static Route,
        params: Result<RawPathParams, RawPathParamsRejection>,
        request: Request,
    ) -> Response {
        let mut limit = None;
        let span = self.span(route, request.headers());
        let result = self.clone().answer(route, params, request, &mut limit).instrument(span.clone()).await;
        let (response, told) = match result {
            Ok(mut reply) => {
                let told = reply.rate_limit.take().or(limit);
                (reply.into_response(), told)
            }
            Err(error) => {
                let told = error.rate_limit(&route.bucket).or(limit);
                (error.into_response(), told)
            }
        };
        note_status(&span, response.status());
        self.with_limit_headers(response, told)
    }

    /// The request in a trace: a new one, or that of a proxy which we trust.
    fn span(&self, route: &Route, headers: &HeaderMap) -> Span {
        let (method, path) = (route.method.as_str(), route.path);
        let span = tracing::info_span!(
            target: trace::TARGET,
            parent: None,
            "request",
            otel.name = format_args!("{method} {path}"),
            otel.kind = "server",
            otel.status_code = field::Empty,
            http.request.method = method,
            http.route = path,
            http.response.status_code = field::Empty,
        );
        if self.config.behind_proxy {
            trace::follow_headers(&span, headers);
        }
        span
    }

    async fn answer(
        self: Arc<Self>,
        route: &'static Route,
        params: Result<RawPathParams, RawPathParamsRejection>,
        request: Request,
        limit: &mut Option<v1::RateLimit>,
    ) -> ApiResult<Reply> {
        let params = params.map_err(|_| ApiError::plain(StatusCode::NOT_FOUND))?;
        let params: Vec<(String, String)> =
            params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let (parts, body) = request.into_parts();
        let caller = self.check_caller(route, &parts, &params, limit).await?;
        let body = self.bodies.read(&parts.headers, body).await?;
        let _working = self.work()?;
        let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let call = Call {
            params,
            query: Query::parse(parts.uri.query().unwrap_or_default()),
            content_type: content_type.unwrap_or_default().to_owned(),
            body,
            caller,
            shared: self.clone(),
        };
        let time = Duration::from_millis(self.config.limits.request_timeout_ms);
        let answer = tokio::time::timeout(time, (route.handler)(call)).await;
        answer.unwrap_or_else(|_| Err(ApiError::busy("The request took too long; its outcome is unknown.")))
    }

    /// Authenticates, and counts the request where it belongs.
    async fn check_caller(
        &self,
        route: &Route,
        parts: &Parts,
        params: &[(String, String)],
        limit: &mut Option<v1::RateLimit>,
    ) -> ApiResult<Option<Caller>> {
        let major_id = params.first().filter(|(name, _)| matches!(name.as_str(), "channel_id" | "guild_id"));
        let major_id = major_id.and_then(|(_, id)| id.parse().ok()).unwrap_or(0);
        if route.access == Access::Open {
            let ip = parts.extensions.get::<Peer>().expect("`dispatch` sets the peer").0;
            *limit = self.gate.pass_route(address::subject(ip), route, major_id)?;
            return Ok(None);
        }
        let working = self.work()?;
        let caller = auth::authenticate(&self.config.accounts, &parts.headers).await?;
        drop(working);
        self.gate.pass_global(caller.user.id)?;
        *limit = self.gate.pass_route(Subject::User(caller.user.id.get()), route, major_id)?;
        Ok(Some(caller))
    }

    fn work(&self) -> ApiResult<SemaphorePermit<'_>> {
        self.workers.try_acquire().map_err(|_| ApiError::busy("The server is overloaded; try again."))
    }

    fn with_limit_headers(&self, mut response: Response, limit: Option<v1::RateLimit>) -> Response {
        let Some(limit) = limit else { return response };
        let reset_at_ms = self.config.clock.now_ms() + limit.reset_after_ms;
        let mut set = |name: &'static str, value: String| {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
        };
        set("x-ratelimit-limit", limit.limit.to_string());
        set("x-ratelimit-remaining", limit.remaining.to_string());
        set("x-ratelimit-reset", seconds(reset_at_ms));
        set("x-ratelimit-reset-after", seconds(limit.reset_after_ms));
        set("x-ratelimit-bucket", limit.bucket);
        response
    }
}

/// What the client is told; only what goes wrong here is an error of the trace.
fn note_status(span: &Span, status: StatusCode) {
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
}

/// Milliseconds as seconds with three decimals.
fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

fn after_panic(panic: &(dyn Any + Send)) -> Response<Body> {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text.unwrap_or("unknown"), "a handler panicked");
    ApiError::plain(StatusCode::INTERNAL_SERVER_ERROR).into_response()
}
