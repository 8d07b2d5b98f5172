//! RESUME: what it replays, what it refuses, and who wins.

use serde_json::{Value, json};
use testkit::gateway_client::{ALL_INTENTS, GatewayClient, Incoming};
use testkit::server::Server;

async fn login(server: &Server) -> GatewayClient {
    GatewayClient::login(&server.demo.gateway, &server.demo.bot.token, ALL_INTENTS).await
}

fn contents(events: &[(String, Value)]) -> Vec<&str> {
    let created = events.iter().filter(|(name, _)| name == "MESSAGE_CREATE");
    created.filter_map(|(_, data)| data["content"].as_str()).collect()
}

#[tokio::test]
async fn what_was_missed_is_replayed_once_and_in_order() {
    let server = Server::start().await;
    let (general, alice) = (&server.demo.channels.general, server.alice());
    let mut client = login(&server).await;
    let mut number = 0;
    for _ in 0..5 {
        alice.send(general, &format!("live {number}")).await;
        client.expect_message(&format!("live {number}")).await;
        let seq = client.seq;
        client.reset();
        let mut missed = Vec::new();
        for _ in 0..10 {
            number += 1;
            missed.push(format!("missed {number}"));
            alice.send(general, missed.last().unwrap()).await;
        }
        let came = client.resume_to_message(&server.demo.gateway, missed.last().unwrap()).await;
        assert_eq!(contents(&came), missed);
        assert!(client.seq > seq);
    }
}

/// What the client says it has is believed: replay begins after `seq`, even when more had been sent.
#[tokio::test]
async fn replay_begins_where_the_client_says() {
    let server = Server::start().await;
    let (general, alice) = (&server.demo.channels.general, server.alice());
    let mut client = login(&server).await;
    let start = client.seq;
    for number in 0..10 {
        alice.send(general, &number.to_string()).await;
        client.expect_message(&number.to_string()).await;
    }
    client.reset();
    client.seq = start + 3;
    assert_eq!(contents(&client.resume(&server.demo.gateway).await), ["3", "4", "5", "6", "7", "8", "9"]);
}

/// A session that was lost before its first GUILD_CREATE gets the rest of its start.
#[tokio::test]
async fn the_middle_of_the_start() {
    let server = Server::start().await;
    for _ in 0..3 {
        server.bot();
        let mut client = GatewayClient::connect(&server.demo.gateway).await.unwrap();
        client.identify(&server.demo.bot.token, ALL_INTENTS).await;
        client.expect("READY").await;
        client.seq = 1;
        client.reset();
        let replayed = client.resume(&server.demo.gateway).await;
        let created: Vec<_> = replayed.iter().filter(|(name, _)| name == "GUILD_CREATE").collect();
        let late = created.is_empty().then(|| client.expect("GUILD_CREATE"));
        let guild = match late {
            Some(late) => late.await,
            None => created[0].1.clone(),
        };
        assert_eq!(
            (&guild["id"], guild["channels"].as_array().unwrap().len()),
            (&json!(server.demo.guild_id), 4)
        );
    }
}

/// RESUME often beats the death of the old socket.
#[tokio::test]
async fn an_attached_session_is_taken_over() {
    let server = Server::start().await;
    let (general, alice) = (&server.demo.channels.general, server.alice());
    let mut old = login(&server).await;
    let mut new = GatewayClient::connect(&server.demo.gateway).await.unwrap();
    let resume = json!({ "token": server.demo.bot.token, "session_id": old.session_id, "seq": old.seq });
    new.send(6, resume).await;
    new.expect("RESUMED").await;
    assert_eq!(old.expect_close().await, Some(4000));
    alice.send(general, "to the new one").await;
    new.expect_message("to the new one").await;
    assert_eq!(old.passed_but_presences(), Vec::<&str>::new());
}

/// Each refusal is op 1, then, once the client has beaten, op 9 `false`, and the same socket takes an IDENTIFY.
#[tokio::test]
async fn refusals_leave_the_socket_open() {
    let server = Server::start().await;
    let session = login(&server).await;
    let (token, id, seq) = (&server.demo.bot.token, session.session_id.as_str(), session.seq);
    let bob = &server.user("bob").token;
    let rows = [
        ("no such session", json!({ "token": token, "session_id": "nonsense", "seq": 1 })),
        ("a changed id", json!({ "token": token, "session_id": format!("{id}x"), "seq": seq })),
        ("far ahead", json!({ "token": token, "session_id": id, "seq": seq + 1_000_001 })),
        ("ahead", json!({ "token": token, "session_id": id, "seq": seq + 1 })),
        ("beyond every sequence", json!({ "token": token, "session_id": id, "seq": 2_000_000_001_u64 })),
        ("another's token", json!({ "token": bob, "session_id": id, "seq": seq })),
        ("no token that exists", json!({ "token": "nonsense", "session_id": id, "seq": seq })),
    ];
    for (what, resume) in rows {
        let mut client = GatewayClient::connect(&server.demo.gateway).await.unwrap();
        client.send(6, resume).await;
        assert_eq!(client.next().await, Incoming::Op(1, Value::Null), "{what}");
        client.send(1, Value::Null).await;
        assert_eq!(client.next().await, Incoming::Op(11, Value::Null), "{what}");
        assert_eq!(client.next().await, Incoming::Op(9, Value::Bool(false)), "{what}");
        client.identify(token, ALL_INTENTS).await;
        client.started().await;
        client.heartbeat().await;
    }
    let mut session = session;
    session.heartbeat().await;
}

/// After 1000 the session is gone; after another code of the client's it is not.
#[tokio::test]
async fn the_client_s_close_code_decides() {
    let server = Server::start().await;
    for (code, survives) in [(1000, false), (1001, false), (4000, true), (4200, true)] {
        let mut client = login(&server).await;
        assert!(client.close(code).await.is_some(), "the close is answered");
        client.reconnect(&server.demo.gateway).await;
        let seq = client.seq;
        client.send_resume(seq).await;
        if survives {
            client.expect("RESUMED").await;
        } else {
            assert_eq!(client.expect_op(9).await, Value::Bool(false), "{code}");
        }
    }
}
