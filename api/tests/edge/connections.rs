//! Connections: keep-alive, bodies that are huge or slow, too many, shutdown.

use std::time::Duration;

use api::Limits;
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::client::{Server, WAIT};
use crate::fakes::CHANNEL;

const POST: &str = "POST /api/v10/channels/5/messages HTTP/1.1\r\nHost: x\r\nAuthorization: alice-token\r\n";

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let server = Server::start().await;
    let mut connection = server.connect().await;
    for _ in 0..5 {
        let answer = connection.ask("GET", "/api/v10/gateway", "", "", b"").await;
        assert_eq!((answer.status, answer.header("connection")), (200, None));
    }
    let request = b"GET /api/v10/gateway HTTP/1.1\r\nHost: x\r\n\r\n";
    connection.send(&request.repeat(3)).await;
    for _ in 0..3 {
        assert_eq!(connection.answer().await.status, 200, "pipelined");
    }
}

#[tokio::test]
async fn a_huge_body_is_refused_at_its_announcement() {
    let server = Server::start().await;
    let mut connection = server.connect().await;
    connection.send(format!("{POST}Content-Length: 1073741824\r\n\r\n").as_bytes()).await;
    let answer = connection.answer().await;
    assert_eq!((answer.status, &answer.json()["code"]), (413, &json!(40005)));
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(connection.ends().await);
}

#[tokio::test]
async fn a_huge_body_without_a_length_is_refused_at_the_cap_and_the_answer_arrives() {
    let server = Server::start().await;
    let mut connection = server.connect().await;
    connection.send(format!("{POST}Transfer-Encoding: chunked\r\n\r\n").as_bytes()).await;
    let chunk = [b"10000\r\n".to_vec(), vec![b' '; 0x1_0000], b"\r\n".to_vec()].concat();
    let mut sent = 0;
    // A gigabyte: the server stops to read long before.
    for _ in 0..16 * 1024 {
        let write = tokio::time::timeout(WAIT, connection.stream.write_all(&chunk));
        match write.await {
            Ok(Ok(())) => sent += 0x1_0000,
            _ => break,
        }
        if sent > 1024 * 1024 + 0x1_0000 {
            break;
        }
    }
    let answer = connection.answer().await;
    assert_eq!((answer.status, answer.header("connection")), (413, Some("close")));
}

#[tokio::test]
async fn a_slow_body_and_a_slow_head_are_cut_off_and_disturb_nobody() {
    let limits = Limits { request_timeout_ms: 300, idle_timeout_ms: 300, ..Limits::default() };
    let server = Server::with_limits(limits).await;
    let mut slow_body = server.connect().await;
    slow_body.send(format!("{POST}Content-Length: 10\r\n\r\n{{").as_bytes()).await;
    let mut slow_head = server.connect().await;
    slow_head.send(b"GET /api/v10/gateway HTTP/1.1\r\nHo").await;
    let mut silent = server.connect().await;
    assert_eq!(server.ask("GET", "/api/v10/gateway", "").await.status, 200);
    let answer = slow_body.answer().await;
    assert_eq!((answer.status, answer.header("connection")), (408, Some("close")));
    assert!(slow_body.ends().await);
    assert!(silent.ends().await);
    let mut rest = Vec::new();
    tokio::time::timeout(WAIT, tokio::io::AsyncReadExt::read_to_end(&mut slow_head.stream, &mut rest))
        .await
        .expect("a slow head ends in time")
        .ok();
}

#[tokio::test]
async fn surplus_connections_are_told_so() {
    let server = Server::with_limits(Limits { connections_max: 2, ..Limits::default() }).await;
    let mut held = [server.connect().await, server.connect().await];
    for connection in &mut held {
        assert_eq!(connection.ask("GET", "/api/v10/gateway", "", "", b"").await.status, 200);
    }
    let mut surplus = server.connect().await;
    let answer = surplus.answer().await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert_eq!(answer.json()["code"], 130000);
    assert!(surplus.ends().await);
}

#[tokio::test]
async fn requests_beyond_what_is_worked_on_are_503() {
    let server = Server::with_limits(Limits { requests_max: 0, ..Limits::default() }).await;
    let answer = server.ask("GET", &format!("/api/v10/channels/{CHANNEL}"), "").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
}

#[tokio::test]
async fn bodies_beyond_the_common_budget_are_503() {
    let server = Server::with_limits(Limits { body_bytes_total_max: 100, ..Limits::default() }).await;
    let body = json!({"content": "x".repeat(200)}).to_string();
    let answer = server.ask("POST", &format!("/api/v10/channels/{CHANNEL}/messages"), &body).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    let answer =
        server.ask("POST", &format!("/api/v10/channels/{CHANNEL}/messages"), "{\"content\":\"a\"}").await;
    assert_eq!(answer.status, 200, "the budget is given back");
}

#[tokio::test]
async fn shutdown_ends_idle_connections_and_waits_for_no_slow_one() {
    let server = Server::start().await;
    let mut idle = server.connect().await;
    assert_eq!(idle.ask("GET", "/api/v10/gateway", "", "", b"").await.status, 200);
    let mut slow = server.connect().await;
    slow.send(format!("{POST}Content-Length: 10\r\n\r\n{{").as_bytes()).await;
    tokio::time::timeout(WAIT, server.api.shutdown(Duration::from_millis(200)))
        .await
        .expect("an end in time");
    assert!(idle.ends().await);
    assert!(slow.ends().await);
}
