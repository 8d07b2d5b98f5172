//! Every close code in its place, and whether the session survives it.

use http::Method;
use serde_json::{Value, json};
use testkit::gateway_client::{ALL_INTENTS, GatewayClient, Incoming, identify_payload};
use testkit::server::Server;
use testkit::ws::{Message, PING, Socket, TEXT};

async fn fresh(server: &Server) -> GatewayClient {
    GatewayClient::connect(&server.demo.gateway).await.unwrap()
}

/// The code that answers one payload on a fresh connection.
async fn code_of(server: &Server, payload: &str) -> Option<u16> {
    let mut client = fresh(server).await;
    client.send_text(payload).await;
    client.expect_close().await
}

fn identify(token: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut data = identify_payload(token, ALL_INTENTS);
    change(&mut data);
    json!({ "op": 2, "d": data }).to_string()
}

#[tokio::test]
async fn bad_payloads_before_identify() {
    let server = Server::start().await;
    let token = &server.demo.bot.token;
    let rows: &[(&str, String, u16)] = &[
        ("an opcode that does not exist", json!({ "op": 99, "d": null }).to_string(), 4001),
        ("IDENTIFY without an object", json!({ "op": 2, "d": null }).to_string(), 4001),
        ("RESUME without a session", json!({ "op": 6, "d": { "token": token } }).to_string(), 4001),
        ("no JSON", "hello".into(), 4002),
        ("JSON without op", "{}".into(), 4002),
        ("too long", json!({ "op": 1, "d": "x".repeat(15 * 1024) }).to_string(), 4002),
        ("presence before IDENTIFY", json!({ "op": 3, "d": { "status": "idle" } }).to_string(), 4003),
        ("voice before IDENTIFY", json!({ "op": 4, "d": { "guild_id": "1" } }).to_string(), 4003),
        ("a wrong token", identify("nonsense", |_| ()), 4004),
        ("a shard that is none", identify(token, |d| d["shard"] = json!([1, 1])), 4010),
        ("half a shard", identify(token, |d| d["shard"] = json!([0])), 4010),
        ("unknown intents", identify(token, |d| d["intents"] = json!(1_u64 << 40)), 4013),
    ];
    for (what, payload, code) in rows {
        assert_eq!(code_of(&server, payload).await, Some(*code), "{what}");
    }
}

#[tokio::test]
async fn an_unknown_version_is_4012() {
    let server = Server::start().await;
    for (query, is_known) in
        [("/?v=10", true), ("//?v=9&encoding=json", true), ("/?v=5", false), ("/?v=x", false)]
    {
        let mut socket = Socket::connect(&format!("{}{query}", server.demo.gateway)).await.unwrap();
        let mut code = None;
        while code.is_none() {
            match socket.next().await.unwrap() {
                Some(Message::Close(closed, _)) => code = closed,
                Some(_) if is_known => break,
                Some(_) => {}
                None => panic!("{query}: ended without a code"),
            }
        }
        assert_eq!(code, (!is_known).then_some(4012), "{query}");
    }
}

#[tokio::test]
async fn privileged_intents_that_were_not_granted_are_4014() {
    let server = Server::start().await;
    let alice = server.alice();
    let application = alice.post("/applications", &json!({ "name": "plain" })).await;
    let path = format!("/applications/{}/bot/reset", application["id"].as_str().unwrap());
    let token = alice.ok(Method::POST, &path, None).await["token"].as_str().unwrap().to_owned();
    for bit in [1, 8, 15] {
        let payload = identify(&token, |d| d["intents"] = json!(1_u64 << bit));
        assert_eq!(code_of(&server, &payload).await, Some(4014), "intent {bit}");
    }
    let mut client = fresh(&server).await;
    client.identify(&token, 1 | 1 << 9).await;
    client.expect("READY").await;
}

#[tokio::test]
async fn codes_that_keep_the_session() {
    let server = Server::start().await;
    let rows: &[(&str, &[u8], u16)] = &[
        ("an opcode that does not exist", br#"{"op":99,"d":null}"#, 4001),
        ("no JSON", b"{", 4002),
        ("no UTF-8", b"\xff\xfe", 1007),
    ];
    for (what, payload, code) in rows {
        let mut client =
            GatewayClient::login(&server.demo.gateway, &server.demo.bot.token, ALL_INTENTS).await;
        client.socket().send_frame(TEXT, payload).await.unwrap();
        assert_eq!(client.expect_close().await, Some(*code), "{what}");
        server.alice().send(&server.demo.channels.general, what).await;
        client.resume_to_message(&server.demo.gateway, what).await;
    }
}

#[tokio::test]
async fn a_second_identify_is_4005() {
    let server = Server::start().await;
    let mut client = GatewayClient::login(&server.demo.gateway, &server.demo.bot.token, ALL_INTENTS).await;
    client.send(2, identify_payload(&server.demo.bot.token, 0)).await;
    assert_eq!(client.expect_close().await, Some(4005));
}

#[tokio::test]
async fn more_than_120_payloads_a_minute_are_4008() {
    let server = Server::start().await;
    let mut client = GatewayClient::login(&server.demo.gateway, &server.demo.bot.token, ALL_INTENTS).await;
    for _ in 0..119 {
        client.heartbeat().await;
    }
    client.send(1, Value::Null).await;
    assert_eq!(client.expect_close().await, Some(4008));

    let mut client = fresh(&server).await;
    for _ in 0..121 {
        let _ = client.socket().send_frame(PING, b"").await;
    }
    assert_eq!(client.expect_close().await, Some(4008), "pings count as well");
}

#[tokio::test]
async fn a_session_ends_with_its_token() {
    let server = Server::start().await;
    let alice = server.alice();
    let application = alice.post("/applications", &json!({ "name": "short" })).await;
    let path = format!("/applications/{}/bot/reset", application["id"].as_str().unwrap());
    let token = alice.ok(Method::POST, &path, None).await["token"].as_str().unwrap().to_owned();
    let mut client = fresh(&server).await;
    client.identify(&token, 1).await;
    client.expect("READY").await;
    alice.ok(Method::POST, &path, None).await;
    assert_eq!(code_of(&server, &identify(&token, |d| d["intents"] = json!(1))).await, Some(4004));
    client.reset();
    client.reconnect(&server.demo.gateway).await;
    let seq = client.seq;
    client.send_resume(seq).await;
    loop {
        match client.next().await {
            Incoming::Op(9, Value::Bool(false)) | Incoming::Closed(Some(4004)) => break,
            Incoming::Op(1, _) => {}
            other => panic!("a revoked token resumed: {other:?}"),
        }
    }
}
