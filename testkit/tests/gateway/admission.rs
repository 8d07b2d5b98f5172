//! The door of the gateway as clients find it: what is said to those for whom there is no room, with and without TLS.

use std::fs;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use testkit::gateway_client::{ALL_INTENTS, GatewayClient, PATIENCE};
use testkit::server::{Options, Server, UNLIMITED};
use testkit::tunnel::Tunnel;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time;
use tokio_rustls::rustls::HandshakeKind;

/// A server with a certificate of its own, and a way into it.
struct Encrypted {
    server: Server,
    tunnel: Tunnel,
    _folder: TempDir,
}

impl Encrypted {
    async fn start(config: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (certificate, key) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
        fs::write(&certificate, made.cert.pem()).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let tls = format!(
            "gateway_tls_cert = '{}'\ngateway_tls_key = '{}'\n",
            certificate.display(),
            key.display()
        );
        let server = Server::with(Options { config: format!("{config}{tls}"), ..Options::default() }).await;
        let tunnel = Tunnel::start(&server.listens.gateway, made.cert.pem().as_bytes()).await.unwrap();
        Self { server, tunnel, _folder: folder }
    }
}

#[tokio::test]
async fn a_session_over_tls_and_a_client_that_comes_back() {
    let Encrypted { server, tunnel, _folder } = Encrypted::start(UNLIMITED).await;
    assert!(server.demo.gateway.starts_with("wss://"), "{}", server.demo.gateway);
    let url = tunnel.ws_url();
    let seed = server.seed(2_500);
    let mut client = GatewayClient::login(&url, &seed.members[0].token, ALL_INTENTS).await;
    assert!(client.resume_url.starts_with("wss://"), "{}", client.resume_url);
    client.send(8, json!({ "guild_id": seed.guild_id, "query": "", "limit": 0, "presences": true })).await;
    for size in [1000, 1000, 500] {
        let chunk = client.expect("GUILD_MEMBERS_CHUNK").await;
        assert_eq!(chunk["members"].as_array().unwrap().len(), size);
    }
    client.reset();
    let member = server.rest(&seed.members[1].token);
    for content in ["one", "two"] {
        member.send(&seed.channel_id, content).await;
    }
    client.resume_to_message(&url, "two").await;
    client.heartbeat().await;
    assert_eq!(client.close(4000).await, Some(4000));
    assert_eq!(tunnel.handshakes(), [HandshakeKind::Full, HandshakeKind::Resumed]);
    let metrics = server.metrics().await;
    for line in
        ["starling_gateway_tls_handshakes_full_total 1", "starling_gateway_tls_handshakes_resumed_total 1"]
    {
        assert!(metrics.contains(line), "{metrics}");
    }
}

#[tokio::test]
async fn garbage_gets_an_alert_and_silence_an_end() {
    let Encrypted { server, tunnel, _folder } = Encrypted::start(UNLIMITED).await;
    let mut answer = Vec::new();
    let mut plain = TcpStream::connect(&server.listens.gateway).await.unwrap();
    plain.write_all(b"GET /?v=10&encoding=json HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    time::timeout(PATIENCE, plain.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer.first(), Some(&21), "an alert of TLS: {answer:?}");

    let mut silent = TcpStream::connect(&server.listens.gateway).await.unwrap();
    silent.write_all(&[0x16, 3, 1, 1, 0, 1, 0]).await.unwrap();
    let mut bystander = GatewayClient::login(&tunnel.ws_url(), &server.demo.bot.token, ALL_INTENTS).await;
    let ended = silent.read_to_end(&mut answer);
    let patience = Duration::from_millis(model::limits::HANDSHAKE_TIMEOUT_MS) + PATIENCE;
    let _: std::io::Result<usize> = time::timeout(patience, ended).await.expect("a handshake has its time");
    bystander.heartbeat().await;
    assert!(server.metrics().await.contains("starling_gateway_tls_handshakes_failed_total 2"));
}

/// What a plain request is answered, up to the end of the connection.
async fn answer(addr: &str) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(b"GET /?v=10&encoding=json HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

fn retry_after(answer: &str) -> Option<u64> {
    let line = answer.lines().find_map(|line| line.strip_prefix("Retry-After: "))?;
    answer.starts_with("HTTP/1.1 503 ").then(|| line.parse().expect("whole seconds"))
}

/// One connection in a second, and one at once.
const NARROW: &str = "gateway_connections_per_sec = 1\ngateway_burst_ms = 1000\n";

#[tokio::test]
async fn who_comes_too_fast_is_told_when_to_come_back() {
    let server = Server::with(Options { config: NARROW.into(), ..Options::default() }).await;
    let mut told = Vec::new();
    for _ in 0..20 {
        told.extend(retry_after(&answer(&server.listens.gateway).await));
    }
    assert!(told.len() >= 10, "{told:?}");
    assert!(told.iter().all(|seconds| (1..=31).contains(seconds)), "{told:?}");
    assert!(told.iter().any(|seconds| *seconds != told[0]), "all at the same time: {told:?}");
    assert!(server.metrics().await.contains("starling_gateway_connections_refused_by_rate_total"));
    let login = async {
        while GatewayClient::connect(&server.demo.gateway).await.is_err() {
            time::sleep(Duration::from_millis(200)).await;
        }
    };
    time::timeout(PATIENCE, login).await.expect("there is room again");
}

#[tokio::test]
async fn the_same_is_said_over_tls() {
    let Encrypted { tunnel, _folder, server } = Encrypted::start(NARROW).await;
    let addr = tunnel.ws_url();
    let addr = addr.strip_prefix("ws://").unwrap();
    let mut told = Vec::new();
    for _ in 0..5 {
        told.extend(retry_after(&answer(addr).await));
    }
    assert!(!told.is_empty(), "{}", server.log());
}
