//! The ordinary life of a connection: HELLO, heartbeats, READY and what follows, intents, member chunks, the end.

use serde_json::{Value, json};
use testkit::gateway_client::{ALL_INTENTS, GatewayClient, Incoming, PATIENCE};
use testkit::server::{Options, Server};
use tokio::time;

#[tokio::test]
async fn ready_has_what_libraries_read() {
    let server = Server::start().await;
    let bot = &server.demo.bot;
    let client = GatewayClient::login(&server.demo.gateway, &bot.token, ALL_INTENTS).await;
    let ready = &client.ready;
    assert_eq!((&ready["v"], &ready["user"]["id"]), (&json!(10), &json!(bot.id)));
    assert_eq!(ready["application"]["id"], bot.application_id);
    assert_eq!(ready["private_channels"], json!([]));
    assert_eq!(ready["guilds"], json!([{ "id": server.demo.guild_id, "unavailable": true }]));
    assert!(!client.resume_url.ends_with('/') && !client.resume_url.contains('?'), "{}", client.resume_url);
    let guild = &client.guilds[0];
    assert_eq!((&guild["unavailable"], &guild["member_count"]), (&json!(false), &json!(3)));
    let me = guild["members"].as_array().unwrap().iter().find(|member| member["user"]["id"] == bot.id);
    assert!(me.is_some(), "{}", guild["members"]);
}

#[tokio::test]
async fn heartbeats_are_answered_at_any_time() {
    let server = Server::start().await;
    let mut client = GatewayClient::connect(&server.demo.gateway).await.unwrap();
    client.send(1, Value::Null).await;
    assert_eq!(client.next().await, Incoming::Op(11, Value::Null));
    client.identify(&server.demo.bot.token, ALL_INTENTS).await;
    client.started().await;
    for _ in 0..3 {
        client.heartbeat().await;
    }
}

#[tokio::test]
async fn identify_may_come_before_hello_is_read() {
    let server = Server::start().await;
    let url = format!("{}/?v=10&encoding=json", server.demo.gateway);
    let mut socket = testkit::ws::Socket::connect(&url).await.unwrap();
    let identify = testkit::gateway_client::identify_payload(&format!("Bot {}", server.demo.bot.token), 1);
    socket.send_text(&json!({ "op": 2, "d": identify }).to_string()).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 2 {
        match time::timeout(PATIENCE, socket.next()).await.unwrap().unwrap() {
            Some(testkit::ws::Message::Text(text)) => {
                seen.push(serde_json::from_slice::<Value>(&text).unwrap())
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((&seen[0]["op"], &seen[1]["t"]), (&json!(10), &json!("READY")));
}

/// Without an intent its events do not come: a later one that does come proves that they were not merely late.
#[tokio::test]
async fn intents_choose() {
    let server = Server::start().await;
    let general = &server.demo.channels.general;
    let mut messages = GatewayClient::login(&server.demo.gateway, &server.demo.bot.token, 1 | 1 << 9).await;
    let mut channels = GatewayClient::login(&server.demo.gateway, &server.demo.bot.token, 1).await;
    let alice = server.alice();
    alice.post(&format!("/channels/{general}/typing"), &Value::Null).await;
    let sent = alice.send(general, "hello").await;
    let path =
        format!("/channels/{general}/messages/{}/reactions/%F0%9F%94%A5/@me", sent["id"].as_str().unwrap());
    alice.put(&path, &Value::Null).await;
    alice.patch(&format!("/channels/{general}"), &json!({ "topic": "new" })).await;
    messages.expect("CHANNEL_UPDATE").await;
    assert_eq!(messages.passed_names(), ["MESSAGE_CREATE"]);
    channels.expect("CHANNEL_UPDATE").await;
    assert!(channels.passed.is_empty(), "{:?}", channels.passed);
}

/// Without MESSAGE_CONTENT there is none, except in one's own messages and in those that mention one.
#[tokio::test]
async fn content_needs_its_intent() {
    let server = Server::start().await;
    let (general, bot) = (&server.demo.channels.general, &server.demo.bot);
    let mut with = GatewayClient::login(&server.demo.gateway, &bot.token, ALL_INTENTS).await;
    let mut without = GatewayClient::login(&server.demo.gateway, &bot.token, 1 | 1 << 9).await;
    let embed = json!({ "content": "secret", "embeds": [{ "title": "secret" }] });
    server.alice().post(&format!("/channels/{general}/messages"), &embed).await;
    server.alice().send(general, &format!("<@{}> you", bot.id)).await;
    server.bot().send(general, "mine").await;

    let full = with.expect("MESSAGE_CREATE").await;
    assert_eq!((&full["content"], &full["embeds"][0]["title"]), (&json!("secret"), &json!("secret")));
    let stripped = without.expect("MESSAGE_CREATE").await;
    assert_eq!(stripped["id"], full["id"]);
    assert_eq!((&stripped["content"], &stripped["embeds"]), (&json!(""), &json!([])));
    assert!(!stripped.to_string().contains("secret"), "{stripped}");
    let mention = without.expect("MESSAGE_CREATE").await;
    assert_eq!(mention["content"], format!("<@{}> you", bot.id));
    assert_eq!(without.expect("MESSAGE_CREATE").await["content"], "mine");
}

#[tokio::test]
async fn members_come_in_whole_chunks() {
    let server = Server::start().await;
    let seed = server.seed(2_500);
    let mut client = GatewayClient::login(&server.demo.gateway, &seed.members[0].token, ALL_INTENTS).await;
    let guild = &client.guilds[0];
    assert_eq!((&guild["large"], &guild["member_count"]), (&json!(true), &json!(2_500)));
    let request =
        json!({ "guild_id": seed.guild_id, "query": "", "limit": 0, "nonce": "all", "presences": true });
    client.send(8, request).await;
    let mut found = Vec::new();
    for index in 0..3 {
        let chunk = client.expect("GUILD_MEMBERS_CHUNK").await;
        assert_eq!((&chunk["chunk_index"], &chunk["chunk_count"]), (&json!(index), &json!(3)));
        assert_eq!(chunk["nonce"], "all");
        let members = chunk["members"].as_array().unwrap();
        assert_eq!(members.len(), if index < 2 { 1000 } else { 500 });
        found.extend(members.iter().map(|member| member["user"]["id"].as_str().unwrap().to_owned()));
    }
    let mut all: Vec<String> = seed.members.iter().map(|member| member.id.clone()).collect();
    all.sort();
    found.sort();
    assert!(found == all, "each member once");

    let ids: Vec<&str> = seed.members[..5].iter().map(|member| member.id.as_str()).collect();
    client.send(8, json!({ "guild_id": [seed.guild_id], "user_ids": ids })).await;
    let chunk = client.expect("GUILD_MEMBERS_CHUNK").await;
    assert_eq!(chunk["members"].as_array().unwrap().len(), 5);
}

/// Once in half a minute for each guild; who asks again sooner is told when to.
#[tokio::test]
async fn a_whole_list_is_given_once_in_a_while() {
    let server = Server::start().await;
    let guild = &server.demo.guild_id;
    let mut bot = GatewayClient::login(&server.demo.gateway, &server.demo.bot.token, ALL_INTENTS).await;
    let all = |nonce: &str| json!({ "guild_id": guild, "query": "", "limit": 0, "nonce": nonce });
    bot.send(8, all("first")).await;
    assert_eq!(bot.expect("GUILD_MEMBERS_CHUNK").await["nonce"], "first");
    let seq = bot.seq;
    bot.send(8, all("second")).await;
    let limited = bot.expect("RATE_LIMITED").await;
    assert_eq!(
        (&limited["opcode"], &limited["meta"]),
        (&json!(8), &json!({ "guild_id": guild, "nonce": "second" }))
    );
    assert!(limited["retry_after"].as_f64().is_some_and(|seconds| seconds > 0.0 && seconds <= 30.0));
    assert_eq!(bot.seq, seq, "it is not numbered");
    bot.send(8, json!({ "guild_id": guild, "query": "ali", "limit": 1, "nonce": "some" })).await;
    assert_eq!(bot.expect("GUILD_MEMBERS_CHUNK").await["nonce"], "some", "names are not limited");
}

#[tokio::test]
async fn a_guild_is_large_above_the_threshold_that_the_client_names() {
    let server = Server::start().await;
    let seed = server.seed(100);
    for (threshold, large, members) in
        [(Some(99), true, 1), (Some(100), false, 100), (Some(1), true, 1), (None, true, 1)]
    {
        let mut client = GatewayClient::connect(&server.demo.gateway).await.unwrap();
        let mut identify = testkit::gateway_client::identify_payload(&seed.members[0].token, ALL_INTENTS);
        identify["large_threshold"] = json!(threshold);
        client.send(2, identify).await;
        client.started().await;
        let guild = &client.guilds[0];
        assert_eq!((&guild["large"], &guild["member_count"]), (&json!(large), &json!(100)), "{threshold:?}");
        assert_eq!(guild["members"].as_array().unwrap().len(), members, "{threshold:?}");
    }
}

#[tokio::test]
async fn a_stranger_s_guild_answers_nothing() {
    let server = Server::start().await;
    let seed = server.seed(3);
    let mut bob = GatewayClient::login(&server.demo.gateway, &server.user("bob").token, ALL_INTENTS).await;
    for request in [
        json!({ "guild_id": seed.guild_id, "query": "", "limit": 0 }),
        json!({ "guild_id": seed.guild_id, "user_ids": [seed.members[0].id] }),
    ] {
        bob.send(8, request).await;
    }
    bob.send(8, json!({ "guild_id": server.demo.guild_id, "query": "ali", "limit": 1, "nonce": "fence" }))
        .await;
    let fence = |chunk: &Value| chunk["nonce"] == "fence";
    bob.expect_where("GUILD_MEMBERS_CHUNK", fence).await;
    for (name, data) in &bob.passed {
        let members = data["members"].as_array().map_or(0, Vec::len);
        assert!(name != "GUILD_MEMBERS_CHUNK" || members == 0, "{data}");
    }
}

#[tokio::test]
async fn typing_over_the_socket() {
    let server = Server::start().await;
    let channels = &server.demo.channels;
    let mut bot = GatewayClient::login(&server.demo.gateway, &server.demo.bot.token, ALL_INTENTS).await;
    let mut bob = GatewayClient::login(&server.demo.gateway, &server.user("bob").token, ALL_INTENTS).await;
    for channel in [&channels.staff, &server.demo.guild_id, &channels.general] {
        bob.send(100, json!({ "channel_id": channel })).await;
    }
    let typing = bot.expect("TYPING_START").await;
    assert_eq!(
        (&typing["channel_id"], &typing["user_id"]),
        (&json!(channels.general), &json!(server.user("bob").id))
    );
    assert!(typing["timestamp"].as_u64().is_some_and(|secs| (1_000_000_000..10_000_000_000).contains(&secs)));
    bob.heartbeat().await;
}

#[tokio::test]
async fn shutdown_tells_clients_to_resume() {
    let mut server = Server::start().await;
    let mut client = GatewayClient::login(&server.demo.gateway, &server.demo.bot.token, ALL_INTENTS).await;
    server.terminate();
    client.expect_op(7).await;
    let code = client.expect_close().await;
    assert!(code != Some(1000) && code != Some(4004), "a code that ends the session: {code:?}");
    assert!(server.wait().await.success());
}

/// A task of a shard that panics leaves tables that nobody vouches for: the process ends, and says why.
#[tokio::test]
async fn a_shard_that_panics_ends_the_process() {
    let program = Some(env!("CARGO_BIN_EXE_starling-faulty").into());
    let wrapper = vec!["env".into(), "FAULTS_PANIC=1".into()];
    let mut server = Server::with(Options { program, wrapper, ..Options::unlimited() }).await;
    let mut client = GatewayClient::connect(&server.demo.gateway).await.unwrap();
    client.identify(&server.demo.bot.token, ALL_INTENTS).await;
    assert_eq!(server.wait().await.code(), Some(1));
    let log = server.log();
    assert!(log.contains("error: the gateway cannot go on: shard"), "{log}");
}
