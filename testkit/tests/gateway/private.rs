//! Private channels through the whole program: opened, talked in, closed, replayed, and of nobody else.

use http::Method;
use serde_json::{Value, json};
use testkit::gateway_client::{ALL_INTENTS, GatewayClient};
use testkit::rest::Rest;
use testkit::server::Server;

const FIRE: &str = "%F0%9F%94%A5";

async fn login(server: &Server, name: &str) -> GatewayClient {
    GatewayClient::login(&server.demo.gateway, &server.user(name).token, ALL_INTENTS).await
}

/// The id of the private channel of `rest` with somebody.
async fn open(rest: &Rest, with: &str) -> String {
    let channel = rest.post("/users/@me/channels", &json!({ "recipient_id": with })).await;
    channel["id"].as_str().unwrap().to_owned()
}

/// Somebody who is in no guild.
async fn newcomer(server: &Server, name: &str) -> (Rest, String, String) {
    let body = json!({ "username": name, "password": "correct horse" });
    let made = Rest::new(&server.demo.api, None).post("/auth/register", &body).await;
    let (token, id) =
        (made["token"].as_str().unwrap().to_owned(), made["user_id"].as_str().unwrap().to_owned());
    (Rest::new(&server.demo.api, Some(&token)), token, id)
}

fn ids(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|channel| channel["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn two_people_talk() {
    let server = Server::start().await;
    let (alice, bob) = (server.alice(), server.bob());
    let [alice_id, bob_id] = ["alice", "bob"].map(|name| server.user(name).id.clone());
    let (mut hers, mut his) = (login(&server, "alice").await, login(&server, "bob").await);
    assert_eq!(hers.ready["private_channels"], json!([]));

    let (one, other) = tokio::join!(open(&alice, &bob_id), open(&bob, &alice_id));
    assert_eq!((&one, &open(&alice, &bob_id).await), (&other, &one));
    let told = hers.expect_where("CHANNEL_CREATE", |data| data["type"] == 1).await;
    assert_eq!(told["recipients"][0]["username"], "bob");
    let path = format!("/channels/{one}");
    let shown = alice.get(&path).await;
    assert_eq!((&shown["recipients"][0]["id"], shown.get("guild_id")), (&json!(bob_id), None));
    assert_eq!(bob.get(&path).await["recipients"][0]["id"], alice_id);

    let hello = alice.send(&one, "hello").await;
    for client in [&mut hers, &mut his] {
        let message = client.expect_message("hello").await;
        assert_eq!(
            (&message["id"], message.get("guild_id"), message.get("member")),
            (&hello["id"], None, None)
        );
    }
    let reply = json!({ "content": "hi", "message_reference": { "message_id": hello["id"] } });
    bob.post(&format!("{path}/messages"), &reply).await;
    let answer = hers.expect_message("hi").await;
    assert_eq!(answer["referenced_message"]["content"], "hello");

    let message = format!("{path}/messages/{}", hello["id"].as_str().unwrap());
    alice.patch(&message, &json!({ "content": "hello, bob" })).await;
    bob.put(&format!("{message}/reactions/{FIRE}/@me"), &Value::Null).await;
    bob.delete(&format!("{message}/reactions/{FIRE}/@me")).await;
    bob.post(&format!("{path}/typing"), &Value::Null).await;
    alice.delete(&message).await;
    let names = [
        "MESSAGE_UPDATE",
        "MESSAGE_REACTION_ADD",
        "MESSAGE_REACTION_REMOVE",
        "MESSAGE_DELETE",
        "TYPING_START",
    ];
    for name in names {
        for client in [&mut hers, &mut his] {
            let data = client.expect_where(name, |data| data["channel_id"] == *one).await;
            assert!(data.get("guild_id").is_none() && data.get("member").is_none(), "{name}: {data}");
        }
    }
    let (there, here) =
        (alice.get(&format!("{path}/messages")).await, bob.get(&format!("{path}/messages")).await);
    assert_eq!((&there, &there[0]["content"], there.as_array().unwrap().len()), (&here, &json!("hi"), 1));
    assert_eq!(
        bob.refusal(Method::DELETE, &format!("{path}/messages/{}", answer["id"].as_str().unwrap()), None)
            .await
            .0,
        204
    );
}

#[tokio::test]
async fn lists_show_what_is_open_and_a_message_opens_it() {
    let server = Server::start().await;
    let (alice, bob) = (server.alice(), server.bob());
    let (carol, _, carol_id) = newcomer(&server, "carol").await;
    let bob_id = server.user("bob").id.clone();
    let (with_bob, with_carol) = (open(&alice, &bob_id).await, open(&alice, &carol_id).await);
    let list = "/users/@me/channels";
    assert_eq!(ids(&alice.get(list).await), [&*with_carol, &*with_bob], "the newest first");
    assert_eq!(bob.get(list).await, json!([]), "bob has not heard of it");
    let sent = alice.send(&with_bob, "hello").await;
    let mut his = login(&server, "bob").await;
    assert_eq!(ids(&his.ready["private_channels"]), [&*with_bob]);
    assert_eq!(his.ready["private_channels"][0]["last_message_id"], sent["id"]);
    assert_eq!(ids(&bob.get(list).await), [&*with_bob]);
    assert_eq!(ids(&alice.get(list).await), [&*with_bob, &*with_carol]);

    assert_eq!(bob.delete(&format!("/channels/{with_bob}")).await["id"], with_bob);
    his.expect_where("CHANNEL_DELETE", |data| data["id"] == with_bob).await;
    assert_eq!(bob.get(list).await, json!([]));
    assert_eq!(ids(&alice.get(list).await).len(), 2, "it is closed for bob alone");
    alice.send(&with_bob, "still there?").await;
    his.expect_where("CHANNEL_CREATE", |data| data["id"] == with_bob).await;
    his.expect_message("still there?").await;
    assert_eq!(ids(&bob.get(list).await), [&*with_bob]);
    assert_eq!(carol.get(list).await, json!([]));
}

#[tokio::test]
async fn what_was_missed_is_replayed_once_and_in_order() {
    let server = Server::start().await;
    let (alice, bob_id) = (server.alice(), server.user("bob").id.clone());
    let channel = open(&alice, &bob_id).await;
    let mut his = login(&server, "bob").await;
    alice.send(&channel, "live").await;
    his.expect_message("live").await;
    for round in 0..3 {
        his.reset();
        let missed: Vec<String> = (0..10).map(|number| format!("missed {round}.{number}")).collect();
        for content in &missed {
            alice.send(&channel, content).await;
        }
        let came = his.resume_to_message(&server.demo.gateway, missed.last().unwrap()).await;
        let messages = came.iter().filter(|(name, _)| name == "MESSAGE_CREATE");
        let contents: Vec<Value> = messages.map(|(_, data)| data["content"].clone()).collect();
        assert_eq!(contents, missed);
    }
}

/// Bots are not told of channels, and read what is written to them without the intent for content.
#[tokio::test]
async fn a_bot_is_written_to() {
    const GUILDS_AND_DIRECT_MESSAGES: u64 = 1 | 1 << 12;
    let server = Server::start().await;
    let (alice, bot) = (server.alice(), server.bot());
    let mut client =
        GatewayClient::login(&server.demo.gateway, &server.demo.bot.token, GUILDS_AND_DIRECT_MESSAGES).await;
    let channel = open(&alice, &server.demo.bot.id).await;
    alice.send(&channel, "what time is it?").await;
    let asked = client.expect_message("what time is it?").await;
    assert_eq!(asked["channel_id"], channel);
    assert!(!client.passed_names().contains(&"CHANNEL_CREATE"), "{:?}", client.passed_names());
    assert_eq!(open(&bot, &server.user("alice").id).await, channel);
    bot.send(&channel, "noon").await;
    client.expect_message("noon").await;
    assert_eq!(bot.get("/users/@me/channels").await, json!([]));
    assert_eq!(ids(&alice.get("/users/@me/channels").await), [&*channel]);
}

#[tokio::test]
async fn what_cannot_be_opened_is_said_precisely() {
    let server = Server::start().await;
    let make = ["bot", "create", "robin", "--owner", "alice", "--json"];
    let robin: Value = serde_json::from_str(&server.admin(&make)).unwrap();
    let (alice, bot) = (server.alice(), server.bot());
    let alice_id = &server.user("alice").id;
    let rows = [
        (&alice, json!({ "recipient_id": alice_id }), (403, 50007)),
        (&bot, json!({ "recipient_id": robin["id"] }), (403, 50007)),
        (&alice, json!({ "recipient_id": "1100000000000000001" }), (400, 50033)),
        (&alice, json!({ "recipient_id": "nobody" }), (400, 50035)),
        (&alice, json!({}), (400, 50035)),
        (&alice, json!({ "recipients": [robin["id"], server.demo.bot.id] }), (400, 50035)),
        (&alice, json!({ "access_tokens": ["a"], "nicks": {} }), (400, 50035)),
    ];
    for (rest, body, expected) in rows {
        assert_eq!(rest.refusal(Method::POST, "/users/@me/channels", Some(&body)).await, expected, "{body}");
    }
    let channel = open(&alice, &server.user("bob").id).await;
    let theirs = server.bob().send(&channel, "mine").await;
    let message = format!("/channels/{channel}/messages/{}", theirs["id"].as_str().unwrap());
    let topic = json!({ "topic": "ours" });
    for (method, path, body) in [
        (Method::DELETE, message.clone(), None),
        (Method::DELETE, format!("{message}/reactions"), None),
        (Method::PATCH, format!("/channels/{channel}"), Some(&topic)),
        (Method::POST, format!("/channels/{channel}/invites"), Some(&json!({}))),
    ] {
        assert_eq!(alice.refusal(method.clone(), &path, body).await, (403, 50003), "{method} {path}");
    }
}

/// eve knows the ids, has a session, and is a member of a guild with both.
#[tokio::test]
async fn nothing_reaches_a_third() {
    let server = Server::start().await;
    let (alice, bob_id) = (server.alice(), server.user("bob").id.clone());
    let (eve, token, _) = newcomer(&server, "eve").await;
    let invite = alice.post(&format!("/channels/{}/invites", server.demo.channels.general), &json!({})).await;
    eve.post(&format!("/invites/{}", invite["code"].as_str().unwrap()), &json!({})).await;
    let mut hers = GatewayClient::login(&server.demo.gateway, &token, ALL_INTENTS).await;

    let channel = open(&alice, &bob_id).await;
    let path = format!("/channels/{channel}");
    let secret = alice.send(&channel, "secret").await["id"].as_str().unwrap().to_owned();
    let message = format!("{path}/messages/{secret}");
    alice.patch(&message, &json!({ "content": "secret, edited" })).await;
    server.bob().put(&format!("{message}/reactions/{FIRE}/@me"), &Value::Null).await;
    alice.post(&format!("{path}/typing"), &Value::Null).await;
    eve.patch("/users/@me", &json!({ "global_name": "Eve" })).await;
    hers.expect("USER_UPDATE").await;
    let mut came: Vec<(String, Value)> = hers.passed.drain(..).collect();

    hers.reset();
    alice.send(&channel, "secret while eve was away").await;
    eve.patch("/users/@me", &json!({ "global_name": "Eva" })).await;
    came.extend(hers.resume(&server.demo.gateway).await);
    came.extend(GatewayClient::login(&server.demo.gateway, &token, ALL_INTENTS).await.passed.drain(..));
    for (name, data) in came {
        let text = data.to_string();
        assert!(!text.contains(&channel) && !text.contains("secret"), "{name}: {text}");
    }
    assert_eq!(eve.get("/users/@me/channels").await, json!([]));

    let body = json!({ "content": "let me in" });
    for (method, path, body) in [
        (Method::GET, path.clone(), None),
        (Method::PATCH, path.clone(), Some(&json!({ "topic": "mine" }))),
        (Method::DELETE, path.clone(), None),
        (Method::POST, format!("{path}/invites"), Some(&json!({}))),
        (Method::GET, format!("{path}/messages"), None),
        (Method::GET, format!("{path}/messages?around={secret}"), None),
        (Method::GET, message.clone(), None),
        (Method::GET, format!("{path}/messages/1"), None),
        (Method::POST, format!("{path}/messages"), Some(&body)),
        (Method::POST, format!("{path}/typing"), None),
        (Method::PATCH, message.clone(), Some(&body)),
        (Method::DELETE, message.clone(), None),
        (Method::GET, format!("{message}/reactions/{FIRE}"), None),
        (Method::PUT, format!("{message}/reactions/{FIRE}/@me"), None),
        (Method::DELETE, format!("{message}/reactions/{FIRE}/@me"), None),
        (Method::POST, format!("{path}/messages/bulk-delete"), Some(&json!({ "messages": [secret, "1"] }))),
    ] {
        let refusal = eve.refusal(method.clone(), &path, body).await;
        assert_eq!(refusal, (403, 50001), "{method} {path}");
    }
    // A message of another channel is none of hers.
    let hers = open(&eve, &bob_id).await;
    let guess = eve.refusal(Method::GET, &format!("/channels/{hers}/messages/{secret}"), None).await;
    assert_eq!(guess, (404, 10008));
    let reply = json!({ "content": "what?", "message_reference": { "message_id": secret } });
    let (status, _) = eve.refusal(Method::POST, &format!("/channels/{hers}/messages"), Some(&reply)).await;
    assert_eq!(status, 400, "what she can't read can't be answered");
}
