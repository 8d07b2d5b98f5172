//! Roles as processes of their own, on the services of another process.

use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::server::{Lines, Server, free_address, output, request, starling, text};

const SECRET: &str = "the-secret-of-this-test";

/// A process of a role.
struct Role {
    child: Child,
    lines: Lines,
    admin: String,
}

impl Role {
    fn api(services: &str) -> Self {
        let admin = free_address();
        let mut command = starling(&["api", "--guilds-grpc", services, "--messages-grpc", services]);
        command.args(["--grpc-secret", SECRET, "--public-gateway-url", "wss://g.example", "--log", "warn"]);
        command.args(["--api-listen", "127.0.0.1:0", "--admin-listen", &admin]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = Lines::read(child.stdout.take().unwrap());
        Self { child, lines, admin: format!("http://{admin}") }
    }

    fn readyz(&self) -> (u16, String) {
        let answer = request("GET", &format!("{}/readyz", self.admin), None, "");
        (answer.status, answer.body)
    }

    /// Waits until it says this.
    fn wait_for(&self, status: u16, reason: &str) {
        for _ in 0..1_000 {
            let (found, body) =
                match std::net::TcpStream::connect(self.admin.strip_prefix("http://").unwrap()) {
                    Ok(_) => self.readyz(),
                    Err(_) => (0, String::new()),
                };
            if found == status && body.contains(reason) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("never {status} {reason}: {:?}", self.readyz());
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn services(dir: &TempDir, address: &str) -> Server {
    Server::start(dir, &["--demo", "--grpc-listen", address, "--grpc-secret", SECRET])
}

#[test]
fn an_edge_of_its_own_serves_what_another_process_has() {
    let dir = tempfile::tempdir().unwrap();
    let address = free_address();
    // In whatever order they start: until the services are there it says what it waits for.
    let mut api = Role::api(&address);
    api.wait_for(503, "no replica of guilds can be reached");
    let server = services(&dir, &address);
    let before = api.lines.until_ready();
    let url = before.iter().find_map(|line| line.strip_prefix("api listening on ")).unwrap().to_owned();
    api.wait_for(200, "ready");

    let demo: Value = serde_json::from_slice(&std::fs::read(dir.path().join("demo.json")).unwrap()).unwrap();
    let token = |name: &str| {
        let users = demo["users"].as_array().unwrap();
        users.iter().find(|user| user["name"] == name).unwrap()["token"].as_str().unwrap().to_owned()
    };
    let channel = |name: &str| demo["channels"][name].as_str().unwrap().to_owned();
    let call = |method: &str, path: &str, name: &str, body: &str| {
        request(method, &format!("{url}{path}"), Some(&token(name)), body)
    };
    assert_eq!(call("GET", "/users/@me", "alice", "").json()["username"], "alice");
    let path = format!("/channels/{}/messages", channel("general"));
    let sent = call("POST", &path, "alice", "{\"content\": \"through another process\"}");
    assert_eq!(sent.status, 200, "{sent:?}");
    let listed = server.rest("GET", &format!("{path}?limit=1"), &token("bob"), "").json();
    assert_eq!(listed[0]["content"], "through another process");
    // Failures arrive as they are made.
    let refused = call("GET", &format!("/channels/{}/messages", channel("staff")), "bob", "");
    assert_eq!((refused.status, &refused.json()["code"]), (403, &Value::from(50_001)));

    server.stop();
    api.wait_for(503, "no replica of guilds can be reached");
    let away = call("GET", &format!("{path}?limit=1"), "alice", "");
    assert_eq!(away.status, 503, "{away:?}");
    let server = services(&dir, &address);
    api.wait_for(200, "ready");
    assert_eq!(call("GET", &path, "alice", "").status, 200);
    let metrics = request("GET", &format!("{}/metrics", api.admin), None, "").body;
    assert!(metrics.contains("starling_rpc_guilds_replicas_up 1"), "{metrics}");

    kill_process(Pid::from_child(&api.child), Signal::TERM).unwrap();
    assert_eq!(api.child.wait().unwrap().code(), Some(0));
    server.stop();
}

#[test]
fn a_role_names_the_setting_that_it_lacks_or_does_nothing_with() {
    let needed = ["--grpc-secret", SECRET, "--guilds-grpc", "a:1", "--messages-grpc", "b:1"];
    let rows: [(&[&str], &str); 6] = [
        (
            &["api"],
            "`starling api` needs public_gateway_url (--public-gateway-url or STARLING_PUBLIC_GATEWAY_URL)",
        ),
        (
            &["api", "--public-gateway-url", "ws://g", "--demo"],
            "--demo: demo: `starling api` does nothing with it; leave it out",
        ),
        (
            &["gateway"],
            "`starling gateway` needs nats_urls (--nats-urls or STARLING_NATS_URLS): Servers of NATS",
        ),
        (
            &["messages", "--nats-urls", "nats://n", "--grpc-listen", "127.0.0.1:0"],
            "--messages-grpc: messages_grpc: `starling messages` does nothing with it",
        ),
        (&["migrate", "--nats-urls", "nats://n"], "`starling migrate` does nothing with it"),
        (&[], "--guilds-grpc: guilds_grpc: a process with everything in it calls no other"),
    ];
    for (arguments, expected) in rows {
        let run = output(&[arguments, &needed[..]].concat());
        assert_eq!(run.status.code(), Some(2));
        assert!(text(&run.stderr).contains(expected), "{}", text(&run.stderr));
    }
}

#[test]
fn one_of_several_replicas_without_a_store_in_common_does_not_start() {
    let run = output(&[
        "guilds",
        "--nats-urls=nats://n",
        "--grpc-listen=127.0.0.1:0",
        "--grpc-secret",
        SECRET,
        "--guilds-grpc=a:1,b:1",
    ]);
    assert_eq!(run.status.code(), Some(2));
    let expected = "error: --guilds-grpc: guilds_grpc: without cassandra_hosts each of these 2 replicas";
    assert!(text(&run.stderr).starts_with(expected), "{}", text(&run.stderr));
}

/// Until NATS is there, a role says that it waits for it; and a server that it can't use ends it.
#[test]
fn a_role_waits_for_the_streams_and_says_so() {
    let admin = free_address();
    let nowhere = format!("nats://{}", free_address());
    let mut command = starling(&["presence", "--nats-urls", &nowhere, "--grpc-secret", SECRET]);
    command.args(["--redis-url", &format!("redis://{}", free_address())]);
    command.args(["--grpc-listen", "127.0.0.1:0", "--admin-listen", &admin, "--log", "error"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = Lines::read(child.stdout.take().unwrap());
    let mut presence = Role { child, lines, admin: format!("http://{admin}") };
    presence.wait_for(503, "NATS can't be reached at nats://");
    kill_process(Pid::from_child(&presence.child), Signal::TERM).unwrap();
    assert_eq!(presence.child.wait().unwrap().code(), Some(0));
}
