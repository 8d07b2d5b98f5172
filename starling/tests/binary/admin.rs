//! `starling admin` on a running server.

use std::os::unix::fs::PermissionsExt as _;

use rustix::process::Signal;

use crate::server::{Server, output, request, text};

#[test]
fn users_bots_guilds_and_tokens() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir, &[]);
    let carol = server.admin_json(&["user", "create", "carol"]);
    let token = carol["token"].as_str().unwrap();
    let login = format!(r#"{{"username":"carol","password":{}}}"#, carol["password"]);
    assert_eq!(server.rest("POST", "/auth/login", "", &login).status, 200);

    let bot = server.admin_json(&["bot", "create", "helper", "--owner", "carol", "--privileged", "all"]);
    let bits = u32::from(bot["privileged_intents"].as_u64().unwrap() as u16);
    assert_eq!(bits, model::Intents::PRIVILEGED.bits());
    let guild = server.admin_json(&["guild", "create", "Books", "--owner", carol["id"].as_str().unwrap()]);
    let guild_id = guild["guild_id"].as_str().unwrap();
    let bot_id = bot["id"].as_str().unwrap();
    server.admin_json(&["guild", "add", guild_id, bot_id, "--permissions", "16"]);
    let member = server.rest("GET", &format!("/guilds/{guild_id}/members/{bot_id}"), token, "");
    assert_eq!(member.json()["roles"].as_array().unwrap().len(), 1, "{member:?}");

    let second = server.admin_json(&["token", "issue", "carol"]);
    let listed = server.admin_json(&["user", "tokens", "carol"]);
    let ids: Vec<_> = listed["tokens"].as_array().unwrap().iter().map(|token| &token["token_id"]).collect();
    assert!(ids.contains(&&second["token_id"]), "{listed}");
    let status =
        |token: &serde_json::Value| server.rest("GET", "/users/@me", token.as_str().unwrap(), "").status;
    assert_eq!(status(&second["token"]), 200);
    server.admin_json(&["token", "revoke", second["token_id"].as_str().unwrap()]);
    assert_eq!([status(&second["token"]), status(&carol["token"])], [401, 200]);

    let shown = server.admin(&["user", "show", "carol"]);
    assert_eq!(
        text(&shown.stdout),
        format!("bot: false\nid: {}\nname: carol\n", carol["id"].as_str().unwrap())
    );
}

#[test]
fn errors_say_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(&dir, &[]);
    let refused = |server: &Server, arguments: &[&str]| {
        let output = server.admin(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(output.stdout.is_empty());
        text(&output.stderr)
    };
    let error = refused(&server, &["user", "show", "nobody"]);
    assert_eq!(error, "error: there is no user `nobody`; give a name or an id\n");
    let error = refused(&server, &["user", "create", "carol", "--password", "x"]);
    assert!(error.contains("password: "), "{error}");
    let error = refused(&server, &["--token", "wrong", "user", "show", "x"]);
    assert!(error.contains("the token is not this server's"), "{error}");

    server.signal(Signal::KILL);
    server.wait();
    let error = refused(&server, &["user", "show", "x"]);
    let expected = format!(
        "error: no server answers at {}: start one with `starling --data-dir {}`",
        server.admin,
        dir.path().display()
    );
    assert!(error.starts_with(&expected), "\n  {error}\nis not\n  {expected}");

    let empty = tempfile::tempdir().unwrap();
    let output = output(&["admin", "--data-dir", empty.path().to_str().unwrap(), "user", "show", "x"]);
    assert!(text(&output.stderr).starts_with("error: no server runs on "), "{}", text(&output.stderr));
}

#[test]
fn a_seeded_guild_has_its_members() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir, &[]);
    let output = server.admin(&["seed", "--members", "1001", "--json"]);
    assert!(output.stderr.is_empty(), "progress without a terminal: {}", text(&output.stderr));
    let seed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let names: Vec<_> = seed.as_object().unwrap().keys().collect();
    assert_eq!(names, ["channel_id", "guild_id", "members"]);
    let members = seed["members"].as_array().unwrap();
    let distinct: std::collections::HashSet<_> =
        members.iter().map(|member| member["id"].as_str().unwrap()).collect();
    assert_eq!((members.len(), distinct.len()), (1001, 1001));

    let last = members[1000]["token"].as_str().unwrap();
    let path = format!("/channels/{}/messages", seed["channel_id"].as_str().unwrap());
    assert_eq!(server.rest("POST", &path, last, r#"{"content":"hello"}"#).status, 200);
    let guild = server.rest(
        "GET",
        &format!("/guilds/{}?with_counts=true", seed["guild_id"].as_str().unwrap()),
        last,
        "",
    );
    assert_eq!(guild.json()["owner_id"], members[0]["id"]);
}

#[test]
fn calls_need_the_token() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir, &[]);
    let url = format!("{}/admin/v1", server.admin);
    let body = r#"{"call":"create_user","name":"eve"}"#;
    assert_eq!(request("POST", &url, None, body).status, 401);
    assert_eq!(request("POST", &url, Some("Bearer "), body).status, 401);
    let file = std::fs::read(dir.path().join("admin.json")).unwrap();
    let credentials: serde_json::Value = serde_json::from_slice(&file).unwrap();
    let token = format!("Bearer {}", credentials["token"].as_str().unwrap());
    assert_eq!(request("POST", &url, Some(&token), r#"{"call":"no"}"#).status, 400);
    assert_eq!(request("POST", &url, Some(&token), &" ".repeat(100_000)).status, 400);
    assert_eq!(request("POST", &url, Some(&token), body).status, 200);
    let mode = std::fs::metadata(dir.path().join("admin.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
