//! Traces: which request a call, a store or an event belongs to, in W3C's form, wherever it goes.
//!
//! Spans are those of `tracing`, under one target, [`TARGET`]; names and attributes follow OpenTelemetry's semantic
//! conventions. Whoever runs the process decides whether anybody listens to that target (`starling` does with an address
//! to export to). Where nobody does, a span is an atomic load, and nothing is put into headers or envelopes.
//!
//! Between services the context travels as `traceparent` and `tracestate` in the metadata of calls, beside events as
//! `traceparent` in their envelope and in the headers of NATS.

use std::collections::HashMap;

use http::{HeaderMap, Response};
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tonic::{Code, Status};
use tracing::{Span, field};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The target of every span that belongs to a trace. No other span and no log line has it.
pub const TARGET: &str = "starling_trace";

/// The name of the header.
pub const TRACEPARENT: &str = "traceparent";

/// A call that this process makes. `path` is `/package.Service/Method`.
pub(crate) fn client_span(path: &str) -> Span {
    let (service, method) = parts(path);
    tracing::info_span!(
        target: TARGET,
        "rpc",
        otel.name = path.trim_start_matches('/'),
        otel.kind = "client",
        otel.status_code = field::Empty,
        rpc.system = "grpc",
        rpc.service = service,
        rpc.method = method,
        rpc.grpc.status_code = field::Empty,
    )
}

/// A call that this process answers.
pub(crate) fn server_span(path: &str, headers: &HeaderMap) -> Span {
    let (service, method) = parts(path);
    let span = tracing::info_span!(
        target: TARGET,
        parent: None,
        "rpc",
        otel.name = path.trim_start_matches('/'),
        otel.kind = "server",
        otel.status_code = field::Empty,
        rpc.system = "grpc",
        rpc.service = service,
        rpc.method = method,
        rpc.grpc.status_code = field::Empty,
    );
    follow_headers(&span, headers);
    span
}

fn parts(path: &str) -> (&str, &str) {
    path.trim_start_matches('/').split_once('/').unwrap_or((path, ""))
}

/// Notes how a call ended: an answer without a message has its status in its head.
pub(crate) fn note_answer<B>(span: &Span, answer: &Result<Response<B>, Status>) {
    if span.is_disabled() {
        return;
    }
    let code = match answer {
        Ok(response) => Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code()),
        Err(status) => status.code(),
    };
    span.record("rpc.grpc.status_code", code as i32);
    if code != Code::Ok {
        span.record("otel.status_code", "ERROR");
    }
}

/// Makes the span a part of the trace that the headers name, if they name one.
pub fn follow_headers(span: &Span, headers: &HeaderMap) {
    if !span.is_disabled() {
        join(span, TraceContextPropagator::new().extract(&HeaderExtractor(headers)));
    }
}

/// The same for a `traceparent` by itself, such as an envelope's.
pub fn follow(span: &Span, traceparent: &str) {
    if !span.is_disabled() && !traceparent.is_empty() {
        let carrier = HashMap::from([(TRACEPARENT.to_owned(), traceparent.to_owned())]);
        join(span, TraceContextPropagator::new().extract(&carrier));
    }
}

fn join(span: &Span, context: opentelemetry::Context) {
    if let Err(error) = span.set_parent(context) {
        tracing::debug!(%error, "a span has begun before its trace was known");
    }
}

/// Names the span's trace in the headers; those of a span that nobody listens to stay as they are.
pub fn put(span: &Span, headers: &mut HeaderMap) {
    if !span.is_disabled() {
        TraceContextPropagator::new().inject_context(&span.context(), &mut HeaderInjector(headers));
    }
}

/// The `traceparent` of the span in which this is called; empty outside of all traces.
pub fn current() -> String {
    let span = Span::current();
    if span.is_disabled() || span.metadata().is_none_or(|metadata| metadata.target() != TARGET) {
        return String::new();
    }
    let mut carrier = HashMap::new();
    TraceContextPropagator::new().inject_context(&span.context(), &mut carrier);
    carrier.remove(TRACEPARENT).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn where_nobody_listens_nothing_travels() {
        let span = client_span("/a.B/C");
        let mut headers = HeaderMap::new();
        span.in_scope(|| assert_eq!(current(), ""));
        put(&span, &mut headers);
        follow(&span, PARENT);
        assert!(headers.is_empty());
    }

    #[test]
    fn a_trace_goes_on_from_headers_to_headers() {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let incoming = HeaderMap::from_iter([(
                http::HeaderName::from_static(TRACEPARENT),
                http::HeaderValue::from_static(PARENT),
            )]);
            let server = server_span("/starling.v1.Messages/CreateMessage", &incoming);
            server.in_scope(|| {
                let client = client_span("/starling.v1.Guilds/GetGuild");
                let mut outgoing = HeaderMap::new();
                put(&client, &mut outgoing);
                let told = outgoing[TRACEPARENT].to_str().unwrap();
                assert!(told.starts_with(&PARENT[..36]) && !told.contains("00f067aa0ba902b7"), "{told}");
                assert_eq!(client.in_scope(current), told);
                note_answer::<()>(&client, &Err(Status::unavailable("")));
            });
            let elsewhere = tracing::info_span!(target: TARGET, "fan-out");
            follow(&elsewhere, &server.in_scope(current));
        });
        let spans = exporter.get_finished_spans().unwrap();
        let names: Vec<_> = spans.iter().map(|span| &*span.name).collect();
        let expected = ["starling.v1.Guilds/GetGuild", "fan-out", "starling.v1.Messages/CreateMessage"];
        assert_eq!(names, expected);
        let server = &spans[2];
        assert_eq!(server.parent_span_id.to_string(), "00f067aa0ba902b7");
        assert!(spans[..2].iter().all(|span| span.parent_span_id == server.span_context.span_id()));
        assert!(matches!(spans[0].status, opentelemetry::trace::Status::Error { .. }));
    }
}
