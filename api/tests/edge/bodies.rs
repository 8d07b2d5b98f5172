//! What clients send: leniently read, precisely refused.

use serde_json::{Value, json};

use crate::client::{Answer, Server};
use crate::fakes::{CHANNEL, GUILD};

async fn send(server: &Server, body: &Value) -> Answer {
    server.ask("POST", &format!("/api/v10/channels/{CHANNEL}/messages"), &body.to_string()).await
}

#[tokio::test]
async fn what_libraries_send_is_taken() {
    let server = Server::start().await;
    let embed = json!({"title": "t", "description": null, "timestamp": "", "fields": [], "color": 255, "type": "article"});
    for (body, asked) in [
        (json!({"content": "a", "embeds": null, "components": null, "sticker_ids": null}), "content: \"a\""),
        (
            json!({"content": "a", "poll": null, "components": [], "embeds": [], "enforce_nonce": true, "nonce": "1"}),
            "enforce_nonce: true",
        ),
        (json!({"content": "a", "nonce": 5, "tts": false}), "Number(5)"),
        (json!({"content": "a", "nonce": "-5"}), "Text(\"-5\")"),
        (json!({"embeds": [embed]}), r#"[{\"color\":255,\"title\":\"t\",\"type\":\"rich\"}]"#),
        (
            json!({"content": "a", "allowed_mentions": {"parse": ["users"], "replied_user": true}}),
            "everyone: false, users: true",
        ),
        (json!({"content": "a", "message_reference": {"message_id": 77}}), "message_id: 77"),
        (
            json!({"content": "a", "message_reference": {"message_id": "77", "fail_if_not_exists": false}}),
            "fail_if_not_exists: false",
        ),
        (json!({"content": "a", "attachments": [], "flags": 4096, "unknown": {"x": 1}}), "flags: 4096"),
        (json!({"components": [{"type": 1, "components": []}]}), "components_json: \"[{"),
    ] {
        let answer = send(&server, &body).await;
        assert_eq!(answer.status, 200, "{body}: {answer:?}");
        assert!(server.fakes.asked().contains(asked), "{body}: {}", server.fakes.asked());
    }
}

#[tokio::test]
async fn wrong_fields_are_named_all_at_once() {
    let server = Server::start().await;
    let long = |chars: usize| "x".repeat(chars);
    for (body, path, code) in [
        (json!({"content": long(2001)}), "/content", "BASE_TYPE_MAX_LENGTH"),
        (json!({"content": 5}), "/content", "STRING_TYPE_CONVERT"),
        (json!({"content": "a", "nonce": long(26)}), "/nonce", "BASE_TYPE_MAX_LENGTH"),
        (json!({"content": "a", "nonce": 1.5}), "/nonce", "NUMBER_TYPE_COERCE"),
        (json!({"content": "a", "tts": "maybe"}), "/tts", "BOOLEAN_TYPE_CONVERT"),
        (json!({"content": "a", "flags": -1}), "/flags", "NUMBER_TYPE_MIN"),
        (json!({"embeds": {}}), "/embeds", "LIST_TYPE_CONVERT"),
        (json!({"embeds": ["x"]}), "/embeds/0", "DICT_TYPE_CONVERT"),
        (json!({"embeds": [{"title": long(257)}]}), "/embeds/0/title", "BASE_TYPE_MAX_LENGTH"),
        (json!({"embeds": [{"fields": [{"name": "n"}]}]}), "/embeds/0/fields/0/value", "BASE_TYPE_REQUIRED"),
        (
            json!({"embeds": [{"description": long(4096), "footer": {"text": long(2000)}}]}),
            "/embeds",
            "MAX_EMBED_SIZE_EXCEEDED",
        ),
        (json!({"embeds": [{"url": "ftp://x"}]}), "/embeds/0/url", "URL_TYPE_INVALID_SCHEME"),
        (
            json!({"content": "a", "embeds": [{"color": 1, "title": "", "fields": [], "image": {}}]}),
            "/embeds/0/description",
            "BASE_TYPE_REQUIRED",
        ),
        (json!({"embeds": vec![json!({}); 11]}), "/embeds", "BASE_TYPE_MAX_LENGTH"),
        (
            json!({"content": "a", "allowed_mentions": {"parse": ["users"], "users": ["1"]}}),
            "/allowed_mentions/users",
            "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE",
        ),
        (
            json!({"content": "a", "allowed_mentions": {"parse": ["all"]}}),
            "/allowed_mentions/parse/0",
            "BASE_TYPE_CHOICES",
        ),
        (
            json!({"content": "a", "message_reference": {}}),
            "/message_reference/message_id",
            "BASE_TYPE_REQUIRED",
        ),
        (json!({"content": "a", "sticker_ids": ["1"]}), "/sticker_ids", "NOT_SUPPORTED"),
        (json!({"content": "a", "poll": {"question": {}}}), "/poll", "NOT_SUPPORTED"),
        (json!([]), "", "DICT_TYPE_CONVERT"),
    ] {
        let answer = send(&server, &body).await;
        assert_eq!((answer.status, &answer.json()["code"]), (400, &json!(50035)), "{body}");
        let error = answer.json().pointer(&format!("/errors{path}/_errors/0/code")).cloned();
        assert_eq!(error, Some(json!(code)), "{body}: {}", answer.json());
    }
    let delete = format!("/api/v10/channels/{CHANNEL}/messages/bulk-delete");
    let answer = server.ask("POST", &delete, r#"{"messages":["7","8",7]}"#).await;
    let error = &answer.json()["errors"]["messages"]["2"]["_errors"][0]["code"];
    assert_eq!((answer.status, error), (400, &json!("SET_TYPE_ALREADY_CONTAINS_VALUE")));
    let register = r#"{"username":"x","password":"short"}"#;
    let answer = server.ask("POST", "/api/v10/auth/register", register).await;
    assert_eq!(answer.json()["errors"].as_object().unwrap().len(), 2, "{}", answer.json());
    let answer = send(&server, &json!({"content": 5, "tts": 5})).await;
    assert_eq!(answer.json()["errors"].as_object().unwrap().len(), 2);
    let answer = send(&server, &json!({"content": " "})).await;
    assert_eq!(answer.json(), json!({"code": 50006, "message": "Cannot send an empty message"}));
}

#[tokio::test]
async fn lists_begin_after_nothing_and_there_are_no_bursts() {
    let server = Server::start().await;
    let thumb = format!("/channels/{CHANNEL}/messages/9/reactions/%F0%9F%91%8D");
    for (path, asked) in [
        (format!("/channels/{CHANNEL}/messages?after=0&limit=5"), "after: Some(0)"),
        (format!("/channels/{CHANNEL}/messages?before=0"), "before: Some(0)"),
        (format!("/channels/{CHANNEL}/messages?around=0"), "around: Some(0)"),
        (format!("/guilds/{GUILD}/members?after=0&limit=5"), "after: Some(0)"),
        ("/users/@me/guilds?after=0".into(), "after: Some(0)"),
        (format!("{thumb}?after=0"), "after: Some(0)"),
    ] {
        let answer = server.ask("GET", &format!("/api/v10{path}"), "").await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        assert!(server.fakes.asked().contains(asked), "{path}: {}", server.fakes.asked());
    }
    for (kind, count) in [("", 1), ("?type=0", 1), ("?type=1", 0)] {
        let answer = server.ask("GET", &format!("/api/v10{thumb}{kind}"), "").await;
        assert_eq!(answer.json().as_array().map(Vec::len), Some(count), "{kind}");
    }
    let answer = server.ask("GET", &format!("/api/v10{thumb}?type=2"), "").await;
    assert_eq!((answer.status, &answer.json()["code"]), (400, &json!(50035)));
}

#[tokio::test]
async fn what_is_no_json_is_said_to_be_none() {
    let server = Server::start().await;
    let deep = "[".repeat(100_000);
    for body in ["{", "nope", "\u{0}", "{\"a\":1}}", deep.as_str()] {
        let answer = server.ask("POST", &format!("/api/v10/channels/{CHANNEL}/messages"), body).await;
        let expected = json!({"code": 50109, "message": "The request body contains invalid JSON."});
        assert_eq!((answer.status, answer.json()), (400, expected));
    }
}

#[tokio::test]
async fn multipart_bodies_carry_a_payload_and_no_files() {
    let server = Server::start().await;
    let path = format!("/api/v10/channels/{CHANNEL}/messages");
    let kind = "multipart/form-data; boundary=----b";
    let payload = "------b\r\nContent-Disposition: form-data; name=\"payload_json\"\r\n\
                   Content-Type: application/json\r\n\r\n{\"content\":\"hi\"}\r\n------b--\r\n";
    let file = "------b\r\nContent-Disposition: form-data; name=\"files[0]\"; filename=\"a\"\r\n\r\nx\r\n------b--\r\n";
    let mut connection = server.connect().await;
    let answer = connection.ask("POST", &path, "alice-token", kind, payload.as_bytes()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(server.fakes.asked().contains("content: \"hi\""));
    let answer = connection.ask("POST", &path, "alice-token", kind, file.as_bytes()).await;
    assert_eq!(answer.json()["errors"]["files"]["_errors"][0]["code"], "NOT_SUPPORTED");
    let answer = connection
        .ask("POST", &path, "alice-token", "application/json; charset=utf-8", b"{\"content\":\"a\"}")
        .await;
    assert_eq!(answer.status, 200, "parameters of the content type are accepted");
}

#[tokio::test]
async fn null_removes_and_absence_leaves() {
    let server = Server::start().await;
    for (method, path, body, asked) in [
        (
            "PATCH",
            format!("/channels/{CHANNEL}"),
            "{\"topic\":null,\"parent_id\":null}",
            vec!["topic: Some(\"\")", "parent_id: Some(0)", "name: None"],
        ),
        (
            "PATCH",
            format!("/channels/{CHANNEL}/messages/9"),
            "{\"content\":null}",
            vec!["content: Some(\"\")", "embeds_json: None"],
        ),
        (
            "PATCH",
            format!("/guilds/{GUILD}/members/@me"),
            "{\"nick\":null}",
            vec!["nick: Some(\"\")", "roles: None"],
        ),
        (
            "PATCH",
            format!("/guilds/{GUILD}/members/5"),
            "{\"communication_disabled_until\":\"1970-01-01T00:00:01Z\",\"roles\":[5,\"6\"]}",
            vec!["Some(1000)", "roles: [5, 6]"],
        ),
        (
            "PATCH",
            format!("/guilds/{GUILD}/roles"),
            "[{\"id\":5,\"position\":2},{\"id\":6,\"position\":null}]",
            vec!["[RoleMove { role_id: 5, position: 2 }]"],
        ),
        (
            "PUT",
            format!("/channels/{CHANNEL}/permissions/5"),
            "{\"type\":\"member\",\"allow\":\"1024\",\"deny\":null}",
            vec!["kind: 1, allow: 1024, deny: 0"],
        ),
        (
            "POST",
            format!("/guilds/{GUILD}/channels"),
            "{\"name\":\"a\",\"permission_overwrites\":[{\"id\":5,\"type\":0,\"deny\":1024}]}",
            vec!["deny: 1024"],
        ),
    ] {
        let answer = server.ask(method, &format!("/api/v10{path}"), body).await;
        assert!(answer.status < 300, "{body}: {answer:?}");
        let text = server.fakes.asked();
        for part in asked {
            assert!(text.contains(part), "{method} {path} {body}: {text}");
        }
    }
}
