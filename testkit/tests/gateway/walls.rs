//! bob and `staff`: nothing of a hidden channel leaves by any door, and what opens it opens all of them.
//!
//! That nothing came is shown by what came after it: all events of a guild are in one order.

use http::Method;
use serde_json::{Value, json};
use testkit::gateway_client::{ALL_INTENTS, GatewayClient};
use testkit::server::Server;

const VIEW_CHANNEL: &str = "1024";

struct House {
    server: Server,
    bob: GatewayClient,
    fences: u32,
}

impl House {
    async fn open() -> Self {
        let server = Server::start().await;
        let bob = GatewayClient::login(&server.demo.gateway, &server.user("bob").token, ALL_INTENTS).await;
        Self { server, bob, fences: 0 }
    }

    fn staff(&self) -> &str {
        &self.server.demo.channels.staff
    }

    fn bob_id(&self) -> &str {
        &self.server.user("bob").id
    }

    /// What bob has got until now: a message in `general` comes after everything before it.
    async fn seen(&mut self) -> Vec<(String, Value)> {
        self.fences += 1;
        let fence = format!("fence {}", self.fences);
        self.server.alice().send(&self.server.demo.channels.general, &fence).await;
        self.bob.expect_message(&fence).await;
        self.bob.passed.drain(..).collect()
    }

    /// Every kind of event that a channel has, in `staff`.
    async fn talk(&self, content: &str) -> String {
        let (alice, staff) = (self.server.alice(), self.staff());
        let id = alice.send(staff, content).await["id"].as_str().unwrap().to_owned();
        let path = format!("/channels/{staff}/messages/{id}");
        alice.patch(&path, &json!({ "content": format!("{content}, edited") })).await;
        alice.put(&format!("{path}/reactions/%F0%9F%94%A5/@me"), &Value::Null).await;
        alice.post(&format!("/channels/{staff}/typing"), &Value::Null).await;
        id
    }

    async fn overwrite(&self, id: &str, kind: u8, allow: &str, deny: &str) {
        let path = format!("/channels/{}/permissions/{id}", self.staff());
        self.server.alice().put(&path, &json!({ "type": kind, "allow": allow, "deny": deny })).await;
    }

    async fn remove_overwrite(&self, id: &str) {
        self.server.alice().delete(&format!("/channels/{}/permissions/{id}", self.staff())).await;
    }

    #[track_caller]
    fn assert_clean(&self, events: &[(String, Value)]) {
        for (name, data) in events {
            let text = data.to_string();
            assert!(!text.contains(self.staff()) && !text.contains("secret"), "{name}: {text}");
        }
    }

    /// Whether bob can read `staff`, by every door of REST.
    async fn reads(&self, message: &str) -> Vec<(u16, u64)> {
        let (bob, staff) = (self.server.bob(), self.staff());
        let mut answers = Vec::new();
        for path in [
            format!("/channels/{staff}"),
            format!("/channels/{staff}/messages"),
            format!("/channels/{staff}/messages?around={message}"),
            format!("/channels/{staff}/messages/{message}"),
            format!("/channels/{staff}/messages/{message}/reactions/%F0%9F%94%A5"),
        ] {
            answers.push(bob.refusal(Method::GET, &path, None).await);
        }
        answers
    }
}

#[tokio::test]
async fn nothing_of_staff_reaches_bob() {
    let mut house = House::open().await;
    assert!(!house.bob.guilds[0].to_string().contains(house.staff()), "GUILD_CREATE");
    let message = house.talk("secret").await;
    let alice = house.server.alice();
    alice.patch(&format!("/channels/{}", house.staff()), &json!({ "topic": "secret" })).await;
    alice.delete(&format!("/channels/{}/messages/{message}", house.staff())).await;
    let message = house.talk("secret too").await;
    let seen = house.seen().await;
    house.assert_clean(&seen);

    house.bob.reset();
    house.talk("secret while bob was away").await;
    let url = house.server.demo.gateway.clone();
    let replayed = house.bob.resume(&url).await;
    house.assert_clean(&replayed);

    for (status, code) in house.reads(&message).await {
        assert!(matches!((status, code), (403, 50001) | (404, 10003 | 10008)), "{status} {code}");
    }
    let bob = house.server.bob();
    let guild = &house.server.demo.guild_id;
    let list = bob.get(&format!("/guilds/{guild}/channels")).await;
    assert!(!list.to_string().contains(house.staff()), "{list}");
    let staff = house.staff();
    let body = json!({ "content": "let me in" });
    for (method, path, body) in [
        (Method::POST, format!("/channels/{staff}/messages"), Some(&body)),
        (Method::POST, format!("/channels/{staff}/typing"), None),
        (Method::PATCH, format!("/channels/{staff}/messages/{message}"), Some(&body)),
        (Method::DELETE, format!("/channels/{staff}/messages/{message}"), None),
        (Method::PUT, format!("/channels/{staff}/messages/{message}/reactions/%F0%9F%94%A5/@me"), None),
        (Method::POST, format!("/channels/{staff}/invites"), Some(&json!({}))),
        (Method::PATCH, format!("/channels/{staff}"), Some(&json!({ "topic": "mine" }))),
        (Method::DELETE, format!("/channels/{staff}"), None),
    ] {
        let (status, code) = bob.refusal(method.clone(), &path, body).await;
        let is_refused = status == 403 || (status == 404 && matches!(code, 10003 | 10008));
        assert!(is_refused, "{method} {path}: {status} {code}");
    }
    let search = format!("/guilds/{guild}/messages/search?content=secret");
    let found = bob.call(Method::GET, &search, None).await.unwrap();
    assert!(!String::from_utf8_lossy(&found.bytes).contains("secret"), "{}", found.status);
}

/// A message says whether it exists in a channel that bob can see only: the same guess gives the same answer.
#[tokio::test]
async fn guesses_tell_nothing() {
    let house = House::open().await;
    let message = house.talk("secret").await;
    let (bob, general) = (house.server.bob(), &house.server.demo.channels.general);
    let guess = |id: &str| format!("/channels/{general}/messages/{id}");
    let hidden = bob.refusal(Method::GET, &guess(&message), None).await;
    let absent = bob.refusal(Method::GET, &guess("1100000000000000001"), None).await;
    assert_eq!((hidden, hidden), ((404, 10008), absent), "a message of another channel is none of this one");
    let staff = bob.refusal(Method::GET, &format!("/channels/{}/messages/1", house.staff()), None).await;
    let real =
        bob.refusal(Method::GET, &format!("/channels/{}/messages/{message}", house.staff()), None).await;
    assert_eq!(staff, real, "hidden messages do not differ from none");
}

#[tokio::test]
async fn an_overwrite_opens_and_closes() {
    let mut house = House::open().await;
    let message = house.talk("secret").await;
    let bob_id = house.bob_id().to_owned();
    house.overwrite(&bob_id, 1, VIEW_CHANNEL, "0").await;
    let opened = house.bob.expect("CHANNEL_CREATE").await;
    assert_eq!(opened["id"], house.staff());
    assert!(house.reads(&message).await.iter().all(|(status, _)| *status == 200));
    house.talk("open").await;
    house.bob.expect_message("open").await;
    // alice's typing was told a moment ago; the bot's was not.
    house.server.bot().post(&format!("/channels/{}/typing", house.staff()), &Value::Null).await;
    for name in ["MESSAGE_UPDATE", "MESSAGE_REACTION_ADD", "TYPING_START"] {
        house.bob.expect(name).await;
    }
    house.remove_overwrite(&bob_id).await;
    let closed = house.bob.expect("CHANNEL_DELETE").await;
    assert_eq!(closed["id"], house.staff());
    house.bob.passed.clear();
    house.talk("secret again").await;
    let seen = house.seen().await;
    house.assert_clean(&seen);
}

#[tokio::test]
async fn a_role_opens_and_closes() {
    let mut house = House::open().await;
    let (alice, guild) = (house.server.alice(), house.server.demo.guild_id.clone());
    let role = alice.post(&format!("/guilds/{guild}/roles"), &json!({ "name": "staff" })).await;
    let role = role["id"].as_str().unwrap().to_owned();
    let holder = format!("/guilds/{guild}/members/{}/roles/{role}", house.bob_id());
    house.overwrite(&role, 0, VIEW_CHANNEL, "0").await;
    house.talk("secret").await;
    let seen = house.seen().await;
    house.assert_clean(&seen);

    for round in 0..2 {
        alice.ok(Method::PUT, &holder, None).await;
        assert_eq!(house.bob.expect("CHANNEL_CREATE").await["id"], house.staff());
        let open = format!("open {round}");
        house.talk(&open).await;
        house.bob.expect_message(&open).await;
        alice.ok(Method::DELETE, &holder, None).await;
        assert_eq!(house.bob.expect("CHANNEL_DELETE").await["id"], house.staff());
        house.bob.passed.clear();
        house.talk("secret").await;
        let seen = house.seen().await;
        house.assert_clean(&seen);
    }
    // The role stays with bob, and it is the role that loses the channel, and then is deleted.
    alice.ok(Method::PUT, &holder, None).await;
    house.bob.expect("CHANNEL_CREATE").await;
    house.remove_overwrite(&role).await;
    house.bob.expect("CHANNEL_DELETE").await;
    house.overwrite(&role, 0, VIEW_CHANNEL, "0").await;
    house.bob.expect("CHANNEL_CREATE").await;
    alice.delete(&format!("/guilds/{guild}/roles/{role}")).await;
    house.bob.expect("CHANNEL_DELETE").await;
    house.bob.passed.clear();
    house.talk("secret").await;
    let seen = house.seen().await;
    house.assert_clean(&seen);
}

/// While bob was away the channel was closed, opened, and closed: he gets what was said while it was open at most,
/// and nothing when it is closed now.
#[tokio::test]
async fn a_resume_judges_by_what_is_visible_now() {
    let mut house = House::open().await;
    let (bob_id, url) = (house.bob_id().to_owned(), house.server.demo.gateway.clone());
    house.overwrite(&bob_id, 1, VIEW_CHANNEL, "0").await;
    house.bob.expect("CHANNEL_CREATE").await;

    house.bob.reset();
    house.server.alice().send(house.staff(), "secret: said while open").await;
    house.remove_overwrite(&bob_id).await;
    house.server.alice().send(house.staff(), "secret: said while closed").await;
    let staff = house.staff().to_owned();
    let replayed = house.bob.resume_to(&url, "CHANNEL_DELETE", |channel| channel["id"] == *staff).await;
    let texts: Vec<String> = replayed.iter().map(|(_, data)| data.to_string()).collect();
    assert!(!texts.iter().any(|text| text.contains("secret")), "{texts:?}");

    house.bob.reset();
    house.server.alice().send(house.staff(), "secret: before it was opened").await;
    house.overwrite(&bob_id, 1, VIEW_CHANNEL, "0").await;
    house.server.alice().send(house.staff(), "said while open").await;
    let replayed = house.bob.resume_to_message(&url, "said while open").await;
    let texts: Vec<String> = replayed.iter().map(|(_, data)| data.to_string()).collect();
    assert!(!texts.iter().any(|text| text.contains("secret")), "{texts:?}");
    let names: Vec<_> = replayed.iter().map(|(name, _)| name.as_str()).collect();
    let opened = names.iter().position(|name| *name == "CHANNEL_CREATE");
    let spoken = replayed.iter().position(|(_, data)| data["content"] == "said while open");
    assert!(opened.is_some() && opened < spoken, "{names:?}");
}
