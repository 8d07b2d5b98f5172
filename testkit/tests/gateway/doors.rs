//! Doors beside the front one: guilds that one is not in, presences that are nobody's business, messages of a hidden
//! channel named in another one, voice that one cannot see.

use http::Method;
use serde_json::{Value, json};
use testkit::gateway_client::{ALL_INTENTS, GatewayClient};
use testkit::rest::Rest;
use testkit::server::Server;

const FIRE: &str = "%F0%9F%94%A5";
const GUILD_MEMBERS: u64 = 1 << 1;
const GUILD_PRESENCES: u64 = 1 << 8;
const VIEW_CHANNEL: &str = "1024";
/// No guild, channel, message or user of a test has it.
const NOTHING: &str = "1100000000000000001";

/// Somebody who is in no guild: id and token.
async fn stranger(server: &Server) -> (String, String) {
    let anybody = Rest::new(&server.demo.api, None);
    let answer =
        anybody.post("/auth/register", &json!({ "username": "mallory", "password": "correct horse" })).await;
    let text = |name: &str| answer[name].as_str().unwrap().to_owned();
    (text("user_id"), text("token"))
}

/// Every route of a guild, with a body that would do.
fn routes_of_guild(guild: &str, user: &str) -> Vec<(Method, String, Value)> {
    let (get, post, patch) = (Method::GET, Method::POST, Method::PATCH);
    let (put, delete) = (Method::PUT, Method::DELETE);
    let of = |path: &str| format!("/guilds/{guild}{path}");
    let member = format!("/members/{user}");
    vec![
        (get.clone(), of(""), Value::Null),
        (patch.clone(), of(""), json!({ "name": "Mine" })),
        (delete.clone(), of(""), Value::Null),
        (get.clone(), of("/channels"), Value::Null),
        (post.clone(), of("/channels"), json!({ "name": "mine" })),
        (patch.clone(), of("/channels"), json!([])),
        (get.clone(), of("/roles"), Value::Null),
        (get.clone(), of(&format!("/roles/{guild}")), Value::Null),
        (post, of("/roles"), json!({})),
        (patch.clone(), of("/roles"), json!([])),
        (patch.clone(), of(&format!("/roles/{guild}")), json!({ "permissions": "8" })),
        (delete.clone(), of(&format!("/roles/{guild}")), Value::Null),
        (get.clone(), of("/members"), Value::Null),
        (get.clone(), of("/members/search?query=a"), Value::Null),
        (get.clone(), of(&member), Value::Null),
        (patch.clone(), of(&member), json!({ "nick": "x" })),
        (patch, of("/members/@me/nick"), json!({ "nick": "x" })),
        (delete.clone(), of(&member), Value::Null),
        (put, of(&format!("{member}/roles/{guild}")), Value::Null),
        (delete.clone(), of(&format!("{member}/roles/{guild}")), Value::Null),
        (get.clone(), of("/invites"), Value::Null),
        (get, format!("/users/@me/guilds/{guild}/member"), Value::Null),
        (delete, format!("/users/@me/guilds/{guild}"), Value::Null),
    ]
}

async fn refusals(rest: &Rest, routes: &[(Method, String, Value)]) -> Vec<(u16, u64)> {
    let mut refusals = Vec::new();
    for (method, path, body) in routes {
        let body = (!body.is_null()).then_some(body);
        refusals.push(rest.refusal(method.clone(), path, body).await);
    }
    refusals
}

#[tokio::test]
async fn a_guild_that_one_is_not_in_is_none() {
    let server = Server::start().await;
    let (_, token) = stranger(&server).await;
    let mallory = server.rest(&token);
    let bob = &server.user("bob").id;
    let real = routes_of_guild(&server.demo.guild_id, bob);
    let answers = refusals(&mallory, &real).await;
    for ((method, path, _), answer) in real.iter().zip(&answers) {
        assert_eq!(*answer, (404, 10_004), "{method} {path}");
    }
    let none = refusals(&mallory, &routes_of_guild(NOTHING, bob)).await;
    assert_eq!(answers, none, "a guild can be told from none");

    let general = &server.demo.channels.general;
    let message = server.alice().send(general, "secret").await["id"].as_str().unwrap().to_owned();
    for id in [message.as_str(), NOTHING] {
        let path = format!("/channels/{general}/messages/{id}");
        assert_eq!(mallory.refusal(Method::GET, &path, None).await, (403, 50_001));
        let path = format!("{path}/reactions/{FIRE}");
        assert_eq!(mallory.refusal(Method::GET, &path, None).await, (403, 50_001));
    }
    let mut socket = GatewayClient::login(&server.demo.gateway, &token, ALL_INTENTS).await;
    socket.send(8, json!({ "guild_id": server.demo.guild_id, "query": "", "limit": 0 })).await;
    socket.send(8, json!({ "guild_id": server.demo.guild_id, "user_ids": [bob] })).await;
    socket
        .send(4, json!({ "guild_id": server.demo.guild_id, "channel_id": server.demo.channels.lounge }))
        .await;
    server.alice().send(general, "fence").await;
    socket.heartbeat().await;
    assert_eq!(socket.passed_names(), Vec::<&str>::new());
}

/// What a member chunk says of bob's presence.
async fn presence_of_bob(server: &Server, intents: u64) -> Value {
    let mut alice = GatewayClient::login(&server.demo.gateway, &server.user("alice").token, intents).await;
    let bob = &server.user("bob").id;
    let ask = json!({ "guild_id": server.demo.guild_id, "user_ids": [bob], "presences": true, "nonce": "n" });
    alice.send(8, ask).await;
    let chunk = alice.expect("GUILD_MEMBERS_CHUNK").await;
    assert_eq!(chunk["members"][0]["user"]["id"], **bob);
    let presences = chunk["presences"].as_array().cloned().unwrap_or_default();
    presences.into_iter().find(|presence| presence["user"]["id"] == **bob).unwrap_or_default()
}

#[tokio::test]
async fn presences_are_for_who_may_have_them_and_not_of_the_invisible() {
    let server = Server::start().await;
    let mut bob = GatewayClient::login(&server.demo.gateway, &server.user("bob").token, ALL_INTENTS).await;
    let mut alice =
        GatewayClient::login(&server.demo.gateway, &server.user("alice").token, ALL_INTENTS).await;
    let is_bob = |status: &'static str| {
        let bob = server.user("bob").id.clone();
        move |data: &Value| data["user"]["id"] == *bob && data["status"] == status
    };
    let status = |status: &str| json!({ "since": null, "activities": [], "status": status, "afk": false });
    bob.send(3, status("dnd")).await;
    alice.expect_where("PRESENCE_UPDATE", is_bob("dnd")).await;
    assert_eq!(presence_of_bob(&server, ALL_INTENTS).await["status"], "dnd");
    assert_eq!(presence_of_bob(&server, ALL_INTENTS & !GUILD_PRESENCES).await, Value::Null);
    bob.send(3, status("invisible")).await;
    let told = alice.expect_where("PRESENCE_UPDATE", is_bob("offline")).await;
    assert!(!told.to_string().contains("invisible"), "{told}");
    let shown = presence_of_bob(&server, ALL_INTENTS).await;
    assert!(shown.is_null() || shown["status"] == "offline", "{shown}");
    let list = server.alice().get(&format!("/guilds/{}/members?limit=10", server.demo.guild_id)).await;
    assert!(list.as_array().is_some_and(|list| list.len() == 3), "{list}");
    assert!(!list.to_string().contains("presence") && !list.to_string().contains("status"), "{list}");
}

#[tokio::test]
async fn whole_lists_need_the_intent_and_names_do_not() {
    let server = Server::start().await;
    let intents = ALL_INTENTS & !GUILD_MEMBERS;
    let mut bob = GatewayClient::login(&server.demo.gateway, &server.user("bob").token, intents).await;
    let guild = &server.demo.guild_id;
    bob.send(8, json!({ "guild_id": guild, "query": "", "limit": 0, "nonce": "all" })).await;
    bob.send(8, json!({ "guild_id": guild, "query": "ali", "limit": 10, "nonce": "some" })).await;
    let chunk = bob.expect("GUILD_MEMBERS_CHUNK").await;
    assert_eq!(
        (&chunk["nonce"], &chunk["members"][0]["user"]["username"]),
        (&"some".into(), &"alice".into())
    );
}

/// A message of `staff` is none of any other channel: it cannot be answered, read, reacted to or deleted there.
#[tokio::test]
async fn a_hidden_message_is_not_reached_through_another_channel() {
    let server = Server::start().await;
    let (alice, bob, bot) = (server.alice(), server.bob(), server.bot());
    let (general, staff) = (&server.demo.channels.general, &server.demo.channels.staff);
    let text = |message: Value| message["id"].as_str().unwrap().to_owned();
    let secret = text(alice.send(staff, "secret").await);
    let open = text(alice.send(general, "open").await);
    let messages = format!("/channels/{general}/messages");

    let mut answers = Vec::new();
    for id in [secret.as_str(), NOTHING] {
        let reference = |more: Value| {
            let mut reference = json!({ "message_id": id });
            reference.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({ "content": "what?", "message_reference": reference })
        };
        let strict = bob.refusal(Method::POST, &messages, Some(&reference(json!({})))).await;
        let elsewhere = reference(json!({ "channel_id": staff, "fail_if_not_exists": false }));
        let elsewhere = bob.refusal(Method::POST, &messages, Some(&elsewhere)).await;
        let lenient = bob.post(&messages, &reference(json!({ "fail_if_not_exists": false }))).await;
        assert!(!lenient.to_string().contains("secret"), "{lenient}");
        let reaction = format!("{messages}/{id}/reactions/{FIRE}");
        let reacted = bob.refusal(Method::PUT, &format!("{reaction}/@me"), None).await;
        let reactors = bob.refusal(Method::GET, &reaction, None).await;
        let edited =
            bob.refusal(Method::PATCH, &format!("{messages}/{id}"), Some(&json!({ "content": "x" }))).await;
        let deleted = bot.refusal(Method::DELETE, &format!("{messages}/{id}"), None).await;
        answers.push([strict, elsewhere, reacted, reactors, edited, deleted]);
    }
    assert_eq!(answers[0], answers[1], "a hidden message can be told from none");
    assert_eq!(answers[0][..2], [(400, 50_035); 2]);

    let around = bob.get(&format!("{messages}?around={secret}")).await;
    assert!(!around.to_string().contains("secret"), "{around}");
    bot.post(&format!("{messages}/bulk-delete"), &json!({ "messages": [open, secret] })).await;
    assert_eq!(alice.get(&format!("/channels/{staff}/messages/{secret}")).await["content"], "secret");
}

#[tokio::test]
async fn who_manages_channels_gets_at_none_that_they_do_not_see() {
    let server = Server::start().await;
    let (alice, bob) = (server.alice(), server.bob());
    let (guild, staff) = (&server.demo.guild_id, &server.demo.channels.staff);
    // Everything but ADMINISTRATOR.
    let role = alice
        .post(
            &format!("/guilds/{guild}/roles"),
            &json!({ "permissions": (!8_u64 & 0x1f_7fff_ffff_ffff).to_string() }),
        )
        .await;
    let role = role["id"].as_str().unwrap().to_owned();
    let holder = format!("/guilds/{guild}/members/{}/roles/{role}", server.user("bob").id);
    alice.ok(Method::PUT, &holder, None).await;
    let overwrite = json!({ "type": 1, "allow": VIEW_CHANNEL });
    let me = format!("/channels/{staff}/permissions/{}", server.user("bob").id);
    for (method, path, body) in [
        (Method::GET, format!("/channels/{staff}"), Value::Null),
        (Method::PATCH, format!("/channels/{staff}"), json!({ "permission_overwrites": [] })),
        (Method::DELETE, format!("/channels/{staff}"), Value::Null),
        (Method::PUT, me.clone(), overwrite),
        (Method::DELETE, me, Value::Null),
        (Method::GET, format!("/channels/{staff}/invites"), Value::Null),
        (Method::POST, format!("/channels/{staff}/invites"), json!({})),
        (Method::PATCH, format!("/guilds/{guild}/channels"), json!([{ "id": staff, "parent_id": NOTHING }])),
        (Method::POST, format!("/channels/{staff}/messages/bulk-delete"), json!({ "messages": ["1", "2"] })),
        (Method::POST, format!("/channels/{staff}/typing"), Value::Null),
    ] {
        let body = (!body.is_null()).then_some(&body);
        assert_eq!(bob.refusal(method.clone(), &path, body).await, (403, 50_001), "{method} {path}");
    }
    let list = bob.get(&format!("/guilds/{guild}/channels")).await;
    assert!(!list.to_string().contains(staff.as_str()), "{list}");
    // Webhooks are not there, for nobody.
    for path in
        [format!("/channels/{staff}/webhooks"), format!("/guilds/{guild}/webhooks"), "/webhooks/1".into()]
    {
        assert_eq!(bob.refusal(Method::GET, &path, None).await, (404, 0), "{path}");
    }
}

#[tokio::test]
async fn a_category_that_is_closed_closes_what_follows_it() {
    let server = Server::start().await;
    let (alice, guild) = (server.alice(), server.demo.guild_id.clone());
    let mut bob = GatewayClient::login(&server.demo.gateway, &server.user("bob").token, ALL_INTENTS).await;
    let channels = format!("/guilds/{guild}/channels");
    let id = |channel: &Value| channel["id"].as_str().unwrap().to_owned();
    let category = id(&alice.post(&channels, &json!({ "name": "Rooms", "type": 4 })).await);
    let room = id(&alice.post(&channels, &json!({ "name": "room", "parent_id": category })).await);
    bob.expect_where("CHANNEL_CREATE", |channel| channel["id"] == *room).await;

    let closed = json!({ "type": 0, "deny": VIEW_CHANNEL });
    alice.put(&format!("/channels/{category}/permissions/{guild}"), &closed).await;
    bob.expect_where("CHANNEL_DELETE", |channel| channel["id"] == *room).await;
    let hidden = id(&alice.post(&channels, &json!({ "name": "hidden", "parent_id": category })).await);
    let voice = json!({ "name": "Back room", "type": 2, "parent_id": category, "permission_overwrites": [] });
    let voice = id(&alice.post(&channels, &voice).await);
    alice.send(&room, "secret").await;
    alice.send(&hidden, "secret").await;
    alice.send(&server.demo.channels.general, "fence").await;
    bob.expect_message("fence").await;
    for (name, data) in bob.passed.drain(..) {
        let text = data.to_string();
        let is_clean = ["secret", hidden.as_str(), voice.as_str()].iter().all(|word| !text.contains(word));
        assert!(is_clean || name == "CHANNEL_DELETE", "{name}: {text}");
    }
    for channel in [&room, &hidden, &voice] {
        let path = format!("/channels/{channel}");
        assert_eq!(server.bob().refusal(Method::GET, &path, None).await, (403, 50_001));
    }
    // Nobody joins what they do not see.
    bob.send(4, json!({ "guild_id": guild, "channel_id": voice, "self_mute": false, "self_deaf": false }))
        .await;
    bob.heartbeat().await;
    alice.send(&server.demo.channels.general, "fence 2").await;
    bob.expect_message("fence 2").await;
    assert!(!bob.passed_names().iter().any(|name| name.starts_with("VOICE")), "{:?}", bob.passed_names());
}
