//! ETF and compression: every client is told the same, and understood.

use doubles::{Speech, Transport};
use serde_json::{Value, json};
use testkit::gateway_client::{ALL_INTENTS, GatewayClient, Incoming, identify_payload};
use testkit::server::{Options, Server};

async fn login(server: &Server, speech: Speech) -> GatewayClient {
    GatewayClient::login_as(&server.demo.gateway, &server.demo.bot.token, ALL_INTENTS, speech).await
}

/// Login, a message, typing over the socket, a heartbeat, a broken connection, what was missed, and on.
async fn live(server: &Server, speech: Speech) {
    let (url, general, alice) = (&server.demo.gateway, &server.demo.channels.general, server.alice());
    let mut client = login(server, speech).await;
    assert_eq!(client.guilds[0]["id"], server.demo.guild_id, "{speech:?}");
    alice.send(general, "live \u{1f600}").await;
    client.expect_message("live \u{1f600}").await;
    // One of its own each time: that somebody types in a channel is told every few seconds only.
    let room = alice
        .post(&format!("/guilds/{}/channels", server.demo.guild_id), &json!({ "name": "room", "type": 0 }))
        .await;
    client.expect("CHANNEL_CREATE").await;
    client.send(100, json!({ "channel_id": room["id"] })).await;
    client.expect("TYPING_START").await;
    client.heartbeat().await;
    client.reset();
    for content in ["missed 1", "missed 2"] {
        alice.send(general, content).await;
    }
    let came = client.resume_to_message(url, "missed 2").await;
    let contents: Vec<&Value> =
        came.iter().filter(|(name, _)| name == "MESSAGE_CREATE").map(|(_, data)| &data["content"]).collect();
    assert_eq!(contents, ["missed 1", "missed 2"], "{speech:?}");
    alice.send(general, "live again").await;
    client.expect_message("live again").await;
    assert_eq!(client.close(1000).await, Some(1000), "{speech:?}");
}

#[tokio::test]
async fn a_session_lives_in_every_form() {
    let server = Server::with(Options::unlimited()).await;
    for speech in Speech::ALL {
        live(&server, speech).await;
    }
}

#[tokio::test]
async fn a_session_lives_in_every_form_with_compressors_of_its_own() {
    let mut options = Options::unlimited();
    options.config.push_str("compression = \"stream\"\n");
    let server = Server::with(options).await;
    for speech in Speech::ALL {
        live(&server, speech).await;
    }
}

#[tokio::test]
async fn all_forms_in_one_guild_show_the_same() {
    let server = Server::with(Options::unlimited()).await;
    let (general, alice) = (&server.demo.channels.general, server.alice());
    let mut clients = Vec::new();
    for speech in Speech::ALL {
        clients.push(login(&server, speech).await);
    }
    for number in 0..10 {
        alice.send(general, &"long ".repeat(number * 20 + 1)).await;
    }
    alice.send(general, "last").await;
    let mut first: Option<Vec<Value>> = None;
    for client in &mut clients {
        let last = client.expect_message("last").await;
        let messages = client.passed.iter().filter(|(name, _)| name == "MESSAGE_CREATE");
        let messages: Vec<Value> = messages.map(|(_, data)| data.clone()).chain([last]).collect();
        assert_eq!(messages.len(), 11);
        assert_eq!(first.get_or_insert_with(|| messages.clone()), &messages);
    }
}

#[tokio::test]
async fn a_session_is_resumed_in_another_form() {
    let server = Server::with(Options::unlimited()).await;
    let (url, general, alice) = (&server.demo.gateway, &server.demo.channels.general, server.alice());
    let mut client = login(&server, Speech::JSON).await;
    for (number, speech) in Speech::ALL.into_iter().rev().enumerate() {
        client.reset();
        let content = number.to_string();
        alice.send(general, &content).await;
        let came = client.resume_as(url, speech).await;
        if !came.iter().any(|(_, data)| data["content"] == content.as_str()) {
            client.expect_message(&content).await;
        }
    }
}

#[tokio::test]
async fn large_payloads_come_compressed_to_who_said_so() {
    let server = Server::with(Options::unlimited()).await;
    let alice = server.alice();
    for number in 0..20 {
        let channel = json!({ "name": format!("room-{number}"), "type": 0 });
        alice.post(&format!("/guilds/{}/channels", server.demo.guild_id), &channel).await;
    }
    for is_etf in [false, true] {
        let speech = Speech { is_etf, transport: Transport::Plain };
        let mut client = GatewayClient::connect_as(&server.demo.gateway, speech).await.unwrap();
        let mut identify = identify_payload(&server.demo.bot.token, ALL_INTENTS);
        identify["compress"] = json!(true);
        client.send(2, identify).await;
        client.started().await;
        assert_eq!(client.guilds[0]["channels"].as_array().map(Vec::len), Some(24));
        assert!(client.compressed_payloads() > 0, "{speech:?}");
    }
    let client = login(&server, Speech::JSON).await;
    assert_eq!(client.compressed_payloads(), 0);
}

#[tokio::test]
async fn what_is_no_term_is_4002() {
    let server = Server::start().await;
    let etf = Speech { is_etf: true, transport: Transport::Plain };
    let atom_key: &[u8] = b"\x83t\0\0\0\x02s\x02opa\x01m\0\0\0\x01ds\x03nil";
    for (opcode, payload) in
        [(testkit::ws::TEXT, &br#"{"op":1,"d":null}"#[..]), (testkit::ws::BINARY, atom_key)]
    {
        let mut client = GatewayClient::connect_as(&server.demo.gateway, etf).await.unwrap();
        client.socket().send_frame(opcode, payload).await.unwrap();
        assert_eq!(client.next().await, Incoming::Closed(Some(4002)));
    }
    let unknown = GatewayClient::connect_with(&server.demo.gateway, "/?v=10&encoding=xml").await;
    assert!(unknown.is_err_and(|error| error.to_string().contains("4002")));
}
