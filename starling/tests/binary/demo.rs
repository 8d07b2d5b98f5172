//! `--demo`: what is made, who may see it, and that it stays the same.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::server::{Server, output, text};

fn demo(server: &Server) -> Value {
    let path = server.dir.join("demo.json");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn of<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_else(|| panic!("{path} is missing in {value}"))
}

#[test]
fn the_demo_is_the_same_at_every_start_but_for_the_addresses() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir, &["--demo"]);
    let first = demo(&server);
    assert_eq!(of(&first, "/api"), server.api);
    assert_eq!(of(&first, "/gateway"), server.gateway);
    assert_eq!(of(&first, "/web"), server.api.replace("/api/v10", "/"));
    let page = server.get(of(&first, "/web"));
    assert!(page.head.to_lowercase().contains("content-type: text/html"), "{}", page.head);
    for text in [server.api.as_str(), &server.gateway, "discord.js", "discord.py", "twilight"] {
        assert!(page.body.contains(text), "{text}");
    }
    assert!(!page.body.contains(of(&first, "/bot/token")), "the page shows a token");
    server.stop();

    let server = Server::start(&dir, &["--demo"]);
    let mut second = demo(&server);
    assert_ne!(second["api"], first["api"], "the ports have changed");
    for name in ["api", "gateway", "web"] {
        second[name] = first[name].clone();
    }
    assert_eq!(second, first);
    let me = server.rest("GET", "/users/@me", of(&first, "/users/1/token"), "");
    assert_eq!(of(&me.json(), "/username"), "bob");
}

#[test]
fn the_demo_has_its_exact_form_and_its_permissions() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir, &["--demo"]);
    let demo = demo(&server);
    let shape = json!({
        "api": "", "gateway": "", "web": "", "guild_id": "",
        "channels": {"general": "", "random": "", "staff": "", "lounge": ""},
        "users": [{"name": "", "id": "", "token": ""}, {"name": "", "id": "", "token": ""}],
        "bot": {"id": "", "token": "", "application_id": ""},
    });
    assert_eq!(blank(&demo), shape);
    assert_eq!([of(&demo, "/users/0/name"), of(&demo, "/users/1/name")], ["alice", "bob"]);

    let (alice, bob) = (of(&demo, "/users/0/token"), of(&demo, "/users/1/token"));
    let bot = format!("Bot {}", of(&demo, "/bot/token"));
    let staff = format!("/channels/{}/messages", of(&demo, "/channels/staff"));
    let post = |token: &str| server.rest("POST", &staff, token, r#"{"content":"hello"}"#).status;
    assert_eq!([post(alice), post(&bot), post(bob)], [200, 200, 403]);

    let guild = of(&demo, "/guild_id");
    let channels = server.rest("GET", &format!("/guilds/{guild}/channels"), alice, "").json();
    let mut names: Vec<_> = channels
        .as_array()
        .unwrap()
        .iter()
        .map(|channel| (of(channel, "/name"), channel["type"].clone()))
        .collect();
    names.sort_by_key(|(name, _)| name.to_owned());
    let expected = [("general", json!(0)), ("lounge", json!(2)), ("random", json!(0)), ("staff", json!(0))];
    assert_eq!(names, expected);

    let new = server.rest("POST", &format!("/guilds/{guild}/roles"), &bot, r#"{"name":"new"}"#);
    assert_eq!(new.status, 200, "the bot may not make roles: {new:?}");
    let roles = server.rest("GET", &format!("/guilds/{guild}/roles"), alice, "").json();
    let position = |name: &str| {
        let role = roles.as_array().unwrap().iter().find(|role| of(role, "/name") == name).unwrap();
        role["position"].as_u64().unwrap()
    };
    assert!(position("Demo Bot") > position("new"), "{roles}");
}

#[test]
fn the_printed_password_logs_in() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir, &["--demo"]);
    let passwords: Value =
        serde_json::from_slice(&std::fs::read(dir.path().join("demo-passwords.json")).unwrap()).unwrap();
    let body = json!({"username": "alice", "password": passwords["alice"]}).to_string();
    let answer = server.rest("POST", "/auth/login", "", &body);
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[test]
fn a_start_that_was_cut_off_is_continued() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir, &["--demo"]);
    let first = demo(&server);
    server.stop();
    std::fs::remove_file(dir.path().join("demo.json")).unwrap();
    let server = Server::start(&dir, &["--demo"]);
    let again = demo(&server);
    assert_eq!(again["guild_id"], first["guild_id"]);
    assert_eq!(again["channels"], first["channels"]);
    assert_eq!(again["bot"]["id"], first["bot"]["id"]);
    let token = format!("Bot {}", of(&again, "/bot/token"));
    assert_eq!(server.rest("GET", "/users/@me", &token, "").status, 200);
}

#[test]
fn somebody_elses_alice_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir, &[]);
    server.admin_json(&["user", "create", "alice"]);
    server.stop();
    let data = dir.path().to_str().unwrap();
    let listen =
        ["--api-listen", "127.0.0.1:0", "--gateway-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    let refused = output(&[&["--demo", "--data-dir", data, "--log", "error"][..], &listen].concat());
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        text(&refused.stderr).contains("there is a user `alice` who is not from a demo"),
        "{}",
        text(&refused.stderr)
    );
    assert!(!dir.path().join("demo.json").exists());
}

/// The same with every text empty.
fn blank(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), blank(value))).collect(),
        Value::Array(items) => items.iter().map(blank).collect(),
        Value::String(_) => json!(""),
        other => other.clone(),
    }
}
