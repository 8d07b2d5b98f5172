//! One trace shows a message from the request to the last socket, at a collector that speaks OTLP.

use std::collections::BTreeMap;
use std::sync::Arc;

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use testkit::gateway_client::{ALL_INTENTS, GatewayClient};
use testkit::server::{Options, Server};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tonic::{Request, Response, Status};

/// Keeps every span that comes.
#[derive(Clone, Default)]
struct Collector {
    spans: Arc<Mutex<Vec<Span>>>,
    services: Arc<Mutex<Vec<String>>>,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for of_resource in request.into_inner().resource_spans {
            let attributes = of_resource.resource.into_iter().flat_map(|resource| resource.attributes);
            let name = attributes.filter(|attribute| attribute.key == "service.name").find_map(|attribute| {
                match attribute.value?.value? {
                    Value::StringValue(name) => Some(name),
                    _ => None,
                }
            });
            self.services.lock().extend(name);
            self.spans.lock().extend(of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// Listens as long as the answered tasks live; answers its address too.
    async fn start(&self) -> (String, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("it is bound"));
        let service = TowerToHyperService::new(TraceServiceServer::new(self.clone()));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let http = http2::Builder::new(TokioExecutor::new());
                connections.spawn(http.serve_connection(TokioIo::new(stream), service.clone()));
            }
        });
        (address, tasks)
    }

    /// The spans of the trace with a span of this name, by their names.
    fn trace_of(&self, name: &str) -> BTreeMap<String, Span> {
        let spans = self.spans.lock();
        let root = spans.iter().find(|span| span.name == name).unwrap_or_else(|| {
            panic!("no {name} in {:?}", spans.iter().map(|span| &span.name).collect::<Vec<_>>())
        });
        let of_trace = spans.iter().filter(|span| span.trace_id == root.trace_id);
        of_trace.map(|span| (format!("{:?} {}", span.kind(), span.name), span.clone())).collect()
    }
}

/// A server that tells the collector, and bob, who is connected.
async fn traced(collector: &Collector) -> (Server, GatewayClient, JoinSet<()>) {
    let (endpoint, listening) = collector.start().await;
    let flags = vec!["--otlp-endpoint".into(), endpoint];
    let server = Server::with(Options { flags, ..Options::unlimited() }).await;
    let bob = GatewayClient::login(&server.demo.gateway, &server.user("bob").token, ALL_INTENTS).await;
    (server, bob, listening)
}

const SEND: &str = "POST /channels/{channel_id}/messages";

#[tokio::test]
async fn a_message_is_one_trace_from_the_request_to_the_sockets() {
    let collector = Collector::default();
    let (mut server, mut bob, _listening) = traced(&collector).await;
    server.alice().send(&server.demo.channels.general, "traced").await;
    bob.expect_message("traced").await;
    server.terminate();
    assert!(server.wait().await.success());

    let trace = collector.trace_of(SEND);
    expect_one_trace(&trace, SEND, "starling.v1.Messages/CreateMessage");
    let store = &trace["Client store message"];
    let publish = &trace["Producer publish"];
    assert_eq!(store.parent_span_id, publish.parent_span_id);
    assert!(store.end_time_unix_nano <= publish.start_time_unix_nano, "stored, then published");
    assert_eq!(collector.services.lock().first().map(String::as_str), Some("starling-all"));
}

#[tokio::test]
async fn changes_of_messages_and_of_a_guild_are_traces_too() {
    let collector = Collector::default();
    let (mut server, mut bob, _listening) = traced(&collector).await;
    let (alice, general) = (server.alice(), &server.demo.channels.general);
    let sent = alice.send(general, "traced").await;
    let message = format!("/channels/{general}/messages/{}", sent["id"].as_str().unwrap());
    alice.patch(&message, &json!({ "content": "edited" })).await;
    bob.expect("MESSAGE_UPDATE").await;
    alice.put(&format!("{message}/reactions/%F0%9F%91%8D/@me"), &Json::Null).await;
    bob.expect("MESSAGE_REACTION_ADD").await;
    alice.delete(&message).await;
    bob.expect("MESSAGE_DELETE").await;
    let roles = format!("/guilds/{}/roles", server.demo.guild_id);
    let role = alice.post(&roles, &json!({ "name": "traced" })).await;
    bob.expect("GUILD_ROLE_CREATE").await;
    alice.patch(&format!("{roles}/{}", role["id"].as_str().unwrap()), &json!({ "name": "renamed" })).await;
    bob.expect("GUILD_ROLE_UPDATE").await;
    alice.patch("/users/@me", &json!({ "global_name": "Traced" })).await;
    bob.expect("GUILD_MEMBER_UPDATE").await;
    server.terminate();
    assert!(server.wait().await.success());

    for (request, call) in [
        ("PATCH /channels/{channel_id}/messages/{message_id}", "starling.v1.Messages/EditMessage"),
        (
            "PUT /channels/{channel_id}/messages/{message_id}/reactions/{emoji}/{user_id}",
            "starling.v1.Messages/AddReaction",
        ),
        ("DELETE /channels/{channel_id}/messages/{message_id}", "starling.v1.Messages/DeleteMessages"),
        ("PATCH /guilds/{guild_id}/roles/{role_id}", "starling.v1.Guilds/EditRole"),
        ("PATCH /users/@me", "starling.v1.Accounts/EditUser"),
    ] {
        expect_one_trace(&collector.trace_of(request), request, call);
    }
}

/// From the request over its call to the event's publish and to what a gateway makes of the event.
fn expect_one_trace(trace: &BTreeMap<String, Span>, request: &str, call: &str) {
    let span = |kind: SpanKind, name: &str| {
        let key = format!("{kind:?} {name}");
        trace.get(&key).unwrap_or_else(|| panic!("no {key} in {:?}", trace.keys().collect::<Vec<_>>()))
    };
    let root = span(SpanKind::Server, request);
    assert!(root.parent_span_id.is_empty());
    let (call, answer) = (span(SpanKind::Client, call), span(SpanKind::Server, call));
    let (publish, fan_out) = (span(SpanKind::Producer, "publish"), span(SpanKind::Consumer, "fan-out"));
    for (child, parent) in [(call, root), (answer, call), (publish, answer), (fan_out, answer)] {
        assert_eq!(child.parent_span_id, parent.span_id, "{} is not under {}", child.name, parent.name);
    }
    assert!(fan_out.start_time_unix_nano >= publish.start_time_unix_nano);
}

#[tokio::test]
async fn a_collector_that_is_away_holds_nobody_up() {
    let flags = vec!["--otlp-endpoint".into(), "http://127.0.0.1:1".into()];
    let mut server = Server::with(Options { flags, ..Options::unlimited() }).await;
    server.alice().send(&server.demo.channels.general, "untraced").await;
    server.terminate();
    assert!(server.wait().await.success());
}
