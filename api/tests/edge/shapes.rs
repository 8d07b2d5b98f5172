//! What answers look like: content types, errors, the fields that libraries cannot do without.

use proto::failure::{Failure, FailureKind, code};
use serde_json::{Value, json};

use crate::client::Server;
use crate::fakes::{ALICE, BOB, BOT, CHANNEL, GUILD, PRIVATE, unknown_channel};

/// Fails unless every key of `expected` is in `actual` with the same value.
fn assert_has(actual: &Value, expected: &Value) {
    match expected {
        Value::Object(fields) => {
            for (name, value) in fields {
                let field = actual.get(name);
                assert_has(field.unwrap_or_else(|| panic!("no `{name}` in {actual}")), value);
            }
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                assert_has(&actual[index], value);
            }
        }
        plain => assert_eq!(actual, plain),
    }
}

#[tokio::test]
async fn answers_have_the_fields_that_libraries_read() {
    let server = Server::start().await;
    let user = json!({"id": ALICE.to_string(), "username": "alice", "discriminator": "0", "avatar": null});
    let guild =
        json!({"id": GUILD.to_string(), "name": "Demo", "owner_id": ALICE.to_string(), "afk_timeout": 300});
    let application = json!({
        "id": BOT.to_string(), "name": "helper", "description": "", "icon": null, "bot_public": true,
        "bot_require_code_grant": false, "verify_key": format!("{:064x}", 7), "owner": user, "flags": 1 << 14,
    });
    let invite =
        json!({"code": "abc", "guild": {"id": GUILD.to_string()}, "channel": {"type": 0}, "inviter": user});
    let private = json!({
        "id": PRIVATE.to_string(), "type": 1, "flags": 0, "last_message_id": "99",
        "recipients": [{"id": BOB.to_string(), "username": "bob"}],
    });
    let recipient = json!({"recipient_id": BOB.to_string()}).to_string();
    let session_limit =
        json!({"total": 1000, "remaining": 1000, "reset_after": 86_400_000, "max_concurrency": 1});
    let rows: Vec<(&str, String, &str, u16, Value)> = vec![
        ("GET", "/gateway".into(), "", 200, json!({"url": "ws://127.0.0.1:8081"})),
        ("GET", "/gateway/bot".into(), "", 200, json!({"shards": 1, "session_start_limit": session_limit})),
        (
            "GET",
            "/users/@me".into(),
            "",
            200,
            json!({"id": ALICE.to_string(), "mfa_enabled": false, "username": "alice", "discriminator": "0", "avatar": null}),
        ),
        ("GET", format!("/users/{ALICE}"), "", 200, user.clone()),
        ("GET", "/users/5".into(), "", 404, json!({"code": 10013, "message": "Unknown User"})),
        (
            "GET",
            "/users/abc".into(),
            "",
            400,
            json!({"code": 50035, "errors": {"user_id": {"_errors": [{"code": "NUMBER_TYPE_COERCE"}]}}}),
        ),
        (
            "GET",
            "/users/@me/guilds?with_counts=true".into(),
            "",
            200,
            json!([{"id": GUILD.to_string(), "permissions": "8", "approximate_member_count": 3}]),
        ),
        ("POST", "/users/@me/channels".into(), &recipient, 200, private.clone()),
        ("GET", "/users/@me/channels".into(), "", 200, json!([private.clone()])),
        ("GET", format!("/channels/{PRIVATE}"), "", 200, private.clone()),
        ("DELETE", format!("/channels/{PRIVATE}"), "", 200, private.clone()),
        ("POST", "/users/@me/channels".into(), "{}", 400, json!({"code": 50035})),
        (
            "POST",
            "/users/@me/channels".into(),
            "{\"access_tokens\":[\"a\",\"b\"],\"nicks\":{}}",
            400,
            json!({"code": 50035, "errors": {"access_tokens": {"_errors": [{"code": "NOT_SUPPORTED"}]}}}),
        ),
        (
            "POST",
            "/auth/register".into(),
            "{\"username\":\"alice\",\"password\":\"correct horse\"}",
            201,
            json!({"token": "alice-token", "user_id": ALICE.to_string()}),
        ),
        (
            "POST",
            "/auth/login".into(),
            "{\"login\":\"alice\",\"password\":\"x\"}",
            200,
            json!({"token": "alice-token"}),
        ),
        (
            "POST",
            "/applications".into(),
            "{\"name\":\"helper\",\"flags\":16384}",
            201,
            json!({"id": BOT.to_string(), "bot": {"id": BOT.to_string(), "bot": true, "token": "bot-token"}}),
        ),
        ("GET", "/applications/@me".into(), "", 403, json!({"code": 50002})),
        ("GET", format!("/applications/{BOT}"), "", 200, application.clone()),
        (
            "POST",
            format!("/oauth2/authorize?client_id={BOT}"),
            "{\"guild_id\":\"1\",\"permissions\":\"8\",\"authorize\":true}",
            200,
            json!({}),
        ),
        ("POST", "/guilds".into(), "{\"name\":\"Demo\"}", 201, guild.clone()),
        (
            "GET",
            format!("/guilds/{GUILD}?with_counts=true"),
            "",
            200,
            json!({"roles": [{"id": GUILD.to_string(), "permissions": "1024"}], "approximate_member_count": 3}),
        ),
        (
            "GET",
            format!("/guilds/{GUILD}/channels"),
            "",
            200,
            json!([{"id": CHANNEL.to_string(), "type": 0, "permission_overwrites": [], "last_message_id": "99"}]),
        ),
        (
            "POST",
            format!("/guilds/{GUILD}/channels"),
            "{\"name\":\"general\",\"topic\":null}",
            201,
            json!({"name": "general"}),
        ),
        ("GET", format!("/guilds/{GUILD}/roles/{GUILD}"), "", 200, json!({"name": "@everyone"})),
        ("GET", format!("/guilds/{GUILD}/roles/7"), "", 404, json!({"code": 10011})),
        (
            "GET",
            format!("/guilds/{GUILD}/members/{BOB}"),
            "",
            200,
            json!({"user": {"username": "bob"}, "roles": [], "flags": 0}),
        ),
        ("GET", format!("/guilds/{GUILD}/members/77"), "", 404, json!({"code": 10007})),
        (
            "GET",
            format!("/guilds/{GUILD}/members/search?query=a"),
            "",
            200,
            json!([{"user": {"username": "alice"}}]),
        ),
        ("GET", "/invites/abc?with_counts=true".into(), "", 200, invite.clone()),
        (
            "POST",
            format!("/channels/{CHANNEL}/invites"),
            "{}",
            200,
            json!({"code": "abc", "uses": 0, "max_age": 60}),
        ),
        ("POST", "/invites/abc".into(), "{}", 200, invite),
        (
            "POST",
            format!("/channels/{CHANNEL}/messages"),
            "{\"content\":\"a\"}",
            200,
            json!({"content": "as the service wrote it"}),
        ),
        (
            "GET",
            format!("/channels/{CHANNEL}/webhooks"),
            "",
            404,
            json!({"code": 0, "message": "404: Not Found"}),
        ),
        ("PUT", "/gateway".into(), "", 405, json!({"code": 0, "message": "405: Method Not Allowed"})),
    ];
    for (method, path, body, status, expected) in rows {
        let answer = server.ask(method, &format!("/api/v10{path}"), body).await;
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        assert_has(&answer.json(), &expected);
    }
    let mut bot = server.connect().await;
    let answer = bot.ask("GET", "/api/v10/oauth2/applications/@me", "Bot bot-token", "", b"").await;
    assert_has(&answer.json(), &application);
    let answer = bot.ask("POST", "/api/v10/invites/abc", "Bot bot-token", "", b"").await;
    assert_eq!((answer.status, &answer.json()["code"]), (403, &json!(20001)));
}

#[tokio::test]
async fn what_has_no_content_is_204_without_a_body() {
    let server = Server::start().await;
    for (method, path) in [
        ("POST", format!("/channels/{CHANNEL}/typing")),
        ("DELETE", format!("/channels/{CHANNEL}/messages/9")),
        ("PUT", format!("/channels/{CHANNEL}/messages/9/reactions/%F0%9F%91%8D/@me")),
        ("DELETE", format!("/channels/{CHANNEL}/messages/9/reactions/%F0%9F%91%8D/@me")),
        ("DELETE", format!("/channels/{CHANNEL}/messages/9/reactions/blob%3A123/{BOB}")),
        ("DELETE", format!("/channels/{CHANNEL}/messages/9/reactions/%F0%9F%91%8D")),
        ("DELETE", format!("/channels/{CHANNEL}/messages/9/reactions")),
        ("PUT", format!("/guilds/{GUILD}/members/{BOB}/roles/8")),
        ("DELETE", format!("/users/@me/guilds/{GUILD}")),
        ("POST", "/auth/logout".into()),
    ] {
        let mut connection = server.connect().await;
        let path = format!("/api/v10{path}");
        let answer = connection.ask(method, &path, "alice-token", "application/octet-stream", b"").await;
        assert_eq!((answer.status, answer.body.len()), (204, 0), "{method} {path}: {answer:?}");
        assert_eq!(answer.header("content-type"), None);
    }
    let path = format!("/api/v10/channels/{CHANNEL}/messages/9/reactions/x/@me");
    let answer = server.ask("PUT", &path, "").await;
    assert_eq!((answer.status, &answer.json()["code"]), (400, &json!(10014)));
}

#[tokio::test]
async fn paths_are_taken_as_libraries_write_them() {
    let server = Server::start().await;
    for path in [
        "/api/v10/gateway",
        "/api/v9/gateway",
        "/api/gateway",
        "//api//v10//gateway/",
        "/api/v10/gateway?",
        "/api/v10/gateway?&limit=10",
    ] {
        assert_eq!(server.ask("GET", path, "").await.status, 200, "{path}");
    }
    let answer = server.ask("GET", &format!("/api/v10/channels/{CHANNEL}/messages?&limit=10"), "").await;
    assert_eq!(answer.status, 200);
    assert!(server.fakes.asked().contains("limit: 10"), "{}", server.fakes.asked());
    let answer = server.ask("GET", "/api/v7/gateway", "").await;
    assert_eq!(
        (answer.status, answer.json()),
        (400, json!({"code": 50041, "message": "Invalid API version"}))
    );
    let answer = server.ask("GET", "/", "").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/html; charset=utf-8")));
}

#[tokio::test]
async fn private_channels_are_asked_for_by_pair_and_bots_have_no_list() {
    let server = Server::start().await;
    let mut connection = server.connect().await;
    for (token, user, other) in
        [("alice-token", ALICE, BOB), ("bob-token", BOB, ALICE), ("bot-token", BOT, ALICE)]
    {
        let body = json!({"recipient_id": other}).to_string();
        let path = "/api/v10/users/@me/channels";
        let answer = connection.ask("POST", path, token, "application/json", body.as_bytes()).await;
        assert_eq!(answer.json()["recipients"][0]["id"], other.to_string());
        let (lower, higher) = (user.min(other), user.max(other));
        let opened = format!("lower_id: {lower}, higher_id: {higher}, user_id: {user} }}");
        assert!(server.fakes.all_asked().iter().any(|asked| asked.ends_with(&opened)), "{opened}");
        let listed = connection.ask("GET", path, token, "", b"").await.json();
        assert_eq!(listed.as_array().map(Vec::len), Some(usize::from(user != BOT)), "{listed}");
    }
    let path = format!("/api/v10/channels/{PRIVATE}");
    connection.ask("DELETE", &path, "alice-token", "", b"").await;
    let closed =
        format!("lower_id: {ALICE}, higher_id: {BOB}, user_id: {ALICE}, last_message_id: Some(99) }}");
    assert!(server.fakes.asked().ends_with(&closed), "{}", server.fakes.asked());
}

#[tokio::test]
async fn tokens_come_with_any_prefix_and_wrong_ones_are_401() {
    let server = Server::start().await;
    let mut connection = server.connect().await;
    for (token, status) in [
        ("alice-token", 200),
        ("Bearer alice-token", 200),
        ("Bot bot-token", 200),
        ("bot-token", 200),
        ("nonsense", 401),
        ("", 401),
        ("Bot ", 401),
    ] {
        let answer = connection.ask("GET", "/api/v10/users/@me", token, "", b"").await;
        assert_eq!(answer.status, status, "{token}");
        if status == 401 {
            assert_eq!(answer.json(), json!({"code": 0, "message": "401: Unauthorized"}));
        }
    }
}

#[tokio::test]
async fn failures_of_services_become_errors_of_the_public_api() {
    let server = Server::start().await;
    let path = format!("/api/v10/channels/{CHANNEL}/messages/9");
    let fields = Failure::invalid_field("embeds.0.title", "BASE_TYPE_MAX_LENGTH", "Must be shorter.");
    let nested = json!({"embeds": {"0": {"title": {"_errors": [
        {"code": "BASE_TYPE_MAX_LENGTH", "message": "Must be shorter."}]}}}});
    for (failure, status, expected) in [
        (unknown_channel(), 404, json!({"code": 10003, "message": "Unknown Channel"})),
        (Failure::missing_access(), 403, json!({"code": 50001, "message": "Missing Access"})),
        (fields, 400, json!({"code": 50035, "message": "Invalid Form Body", "errors": nested})),
        (
            Failure::new(FailureKind::Conflict, code::MAX_GUILDS, "Too many"),
            400,
            json!({"code": 30001, "message": "Too many"}),
        ),
        (
            Failure::unavailable("gone for lunch", 1500),
            503,
            json!({"code": 130000, "message": "gone for lunch"}),
        ),
        (Failure::internal("secret"), 500, json!({"code": 0, "message": "500: Internal Server Error"})),
    ] {
        server.fakes.fail(failure);
        let answer = server.ask("GET", &path, "").await;
        assert_eq!((answer.status, answer.json()), (status, expected));
        assert_eq!(answer.header("retry-after"), (status == 503).then_some("2"));
    }
}

#[tokio::test]
async fn strangers_to_a_guild_cannot_tell_it_from_none() {
    let server = Server::start().await;
    server.fakes.fail(Failure::unknown(code::UNKNOWN_GUILD, "Guild"));
    for path in ["members", "members/search?query=a", "members/5", "channels", "roles"] {
        let answer = server.ask("GET", &format!("/api/v10/guilds/{GUILD}/{path}"), "").await;
        assert_eq!((answer.status, &answer.json()["code"]), (404, &json!(10004)), "{path}");
    }
}
