//! Clients that are slow, silent, half dead or greedy: the server's memory stays bounded, and others notice nothing.

use std::time::Duration;

use serde_json::json;
use testkit::gateway_client::{ALL_INTENTS, GatewayClient, PATIENCE};
use testkit::proc;
use testkit::proxy::Proxy;
use testkit::server::Server;
use testkit::ws::{Message, Socket};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{self, Instant};

const MIB: u64 = 1024 * 1024;

/// Somebody who behaves, and must not be disturbed.
struct Bystander {
    client: GatewayClient,
    count: u32,
}

impl Bystander {
    async fn new(server: &Server) -> Self {
        let client = GatewayClient::login(&server.demo.gateway, &server.user("bob").token, ALL_INTENTS).await;
        Self { client, count: 0 }
    }

    async fn check(&mut self, server: &Server) {
        self.count += 1;
        let content = format!("bystander {}", self.count);
        server.alice().send(&server.demo.channels.random, &content).await;
        self.client.expect_message(&content).await;
        self.client.passed.clear();
    }
}

fn memory(server: &Server) -> u64 {
    proc::anonymous_bytes(server.pid()).unwrap()
}

/// Waits until no more files are open than before.
async fn closes_down_to(server: &Server, files: usize, patience: Duration) {
    let deadline = Instant::now() + patience;
    while proc::open_files(server.pid()).unwrap() > files {
        assert!(Instant::now() < deadline, "{:?} files are open", proc::open_files(server.pid()));
        time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn a_reader_that_does_not_read() {
    let server = Server::start().await;
    let mut bystander = Bystander::new(&server).await;
    let addr = server.listens.gateway.parse().unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(addr).await.unwrap();
    let mut slow = Socket::upgrade(stream, &server.listens.gateway, "/?v=10&encoding=json").await.unwrap();
    let identify = testkit::gateway_client::identify_payload(&server.demo.bot.token, ALL_INTENTS);
    slow.send_text(&json!({ "op": 2, "d": identify }).to_string()).await.unwrap();
    time::sleep(Duration::from_millis(500)).await;

    let before = memory(&server);
    let content = "x".repeat(2000);
    let mut senders = JoinSet::new();
    for _ in 0..8 {
        let (alice, general) = (server.alice(), server.demo.channels.general.clone());
        let content = content.clone();
        senders.spawn(async move {
            for _ in 0..500 {
                alice.send(&general, &content).await;
            }
        });
    }
    loop {
        let reading = bystander.client.drain(Duration::from_millis(100));
        tokio::select! {
            sent = senders.join_next() => match sent {
                Some(sent) => sent.unwrap(),
                None => break,
            },
            _ = reading => bystander.check(&server).await,
        }
    }
    let grown = memory(&server).saturating_sub(before);
    assert!(grown < 96 * MIB, "{} MiB more", grown / MIB);
    let ended = async {
        while let Ok(Some(message)) = slow.next().await
            && !matches!(message, Message::Close(..))
        {}
    };
    time::timeout(PATIENCE, ended).await.expect("the slow reader is disconnected");
}

/// A peer whose network died sends no FIN. It is closed when its heartbeats have been missing for long enough.
#[tokio::test]
async fn a_half_open_connection() {
    let server = Server::start().await;
    let mut bystander = Bystander::new(&server).await;
    let files = proc::open_files(server.pid()).unwrap();
    let proxy = Proxy::start().await.unwrap();
    proxy.lead_to(&server.listens.gateway);
    let mut client = GatewayClient::login(&proxy.ws_url(), &server.demo.bot.token, ALL_INTENTS).await;
    proxy.pause(true);
    let zombie = Instant::now() + Duration::from_millis(model::limits::ZOMBIE_MS);
    let (margin, between) = (Duration::from_secs(5), Duration::from_secs(9));
    while Instant::now() + margin < zombie {
        let open = proc::open_files(server.pid()).unwrap();
        // On a machine that stood still meanwhile the count says nothing.
        assert!(open > files || Instant::now() > zombie, "it was closed too early: {open} files");
        bystander.check(&server).await;
        bystander.client.heartbeat().await;
        time::sleep_until((Instant::now() + between).min(zombie - margin)).await;
    }
    closes_down_to(&server, files, PATIENCE).await;
    proxy.pause(false);
    client.expect_close().await;
    client.resume(&server.demo.gateway).await;
}

#[tokio::test]
async fn handshakes_that_do_not_go_on() {
    let server = Server::start().await;
    let mut bystander = Bystander::new(&server).await;
    bystander.check(&server).await;
    time::sleep(Duration::from_millis(500)).await;
    let (files, before) = (proc::open_files(server.pid()).unwrap(), memory(&server));
    let mut held = Vec::new();
    for number in 0..500 {
        let listener = if number % 2 == 0 { &server.listens.gateway } else { &server.listens.api };
        let mut stream = TcpStream::connect(listener).await.unwrap();
        let head: &[u8] = match number % 3 {
            0 => b"",
            1 => b"GET /?v=10 HTTP/1.1\r\nHost: x\r\n",
            _ => b"\x16\x03\x01\x02\x00\x01\x00",
        };
        stream.write_all(head).await.unwrap();
        held.push(stream);
    }
    bystander.check(&server).await;
    let grown = memory(&server).saturating_sub(before);
    assert!(grown < 32 * MIB, "{} MiB for 500 handshakes", grown / MIB);
    closes_down_to(&server, files + 4, 2 * PATIENCE).await;
    bystander.check(&server).await;
}

/// `SILENT_SOCKETS=10000` is the whole of it.
fn silent_sockets() -> usize {
    std::env::var("SILENT_SOCKETS").ok().and_then(|count| count.parse().ok()).unwrap_or(2_000)
}

#[tokio::test]
async fn sockets_that_never_identify() {
    let sockets = silent_sockets();
    let server = Server::start().await;
    let mut bystander = Bystander::new(&server).await;
    bystander.check(&server).await;
    let (files, before) = (proc::open_files(server.pid()).unwrap(), memory(&server));
    let mut held = Vec::with_capacity(sockets);
    for _ in 0..sockets {
        held.push(GatewayClient::connect(&server.demo.gateway).await.unwrap());
    }
    bystander.check(&server).await;
    let each = memory(&server).saturating_sub(before) / sockets as u64;
    assert!(each < 16 * 1024, "{each} bytes a socket");
    closes_down_to(&server, files + 4, 2 * PATIENCE).await;
    assert_eq!(held[0].expect_close().await, Some(4009));
    bystander.check(&server).await;
}

#[tokio::test]
async fn a_body_without_end() {
    let server = Server::start().await;
    let mut bystander = Bystander::new(&server).await;
    let before = memory(&server);
    let path = format!("/api/v10/channels/{}/messages", server.demo.channels.general);
    for framing in ["Content-Length: 1073741824", "Transfer-Encoding: chunked"] {
        let is_chunked = framing.starts_with("Transfer");
        let mut stream = TcpStream::connect(&server.listens.api).await.unwrap();
        let token = &server.user("alice").token;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\nContent-Type: application/json\r\n{framing}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let (mut read, mut write) = stream.split();
        let chunk = if is_chunked {
            [b"10000\r\n".as_slice(), &[b'x'; 65_536], b"\r\n"].concat()
        } else {
            vec![b'x'; 65_536]
        };
        let send = async {
            let mut sent = 0_u64;
            while sent < 1024 * MIB && write.write_all(&chunk).await.is_ok() {
                sent += 65_536;
            }
            sent
        };
        let receive = async {
            let mut answer = Vec::new();
            let _ = read.read_to_end(&mut answer).await;
            String::from_utf8_lossy(&answer).into_owned()
        };
        let (sent, answer) = time::timeout(2 * PATIENCE, async { tokio::join!(send, receive) })
            .await
            .expect("the connection is ended");
        assert!(sent < 64 * MIB, "{framing}: {} MiB were taken", sent / MIB);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413"), "{framing}: {answer}");
        bystander.check(&server).await;
    }
    let grown = memory(&server).saturating_sub(before);
    assert!(grown < 64 * MIB, "{} MiB more", grown / MIB);
}
