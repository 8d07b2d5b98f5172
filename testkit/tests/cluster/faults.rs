//! Processes that are killed. Their keeper starts them again; what was acknowledged arrives.

use std::time::Duration;

use http::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::cluster::SERVERS;
use testkit::rest::Rest;
use tokio::time::{self, Instant};

use crate::House;

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn what_is_killed_comes_back_and_nothing_is_lost() {
    let Some(house) = House::open().await else { return };
    fan_out(&house).await;
    presence(&house).await;
    services(&house).await;
    edges(&house).await;
    processes(&house).await;
    house.cluster.stop().await;
}

/// A user's event that is made while nobody delivers it waits in its stream.
async fn fan_out(house: &House) {
    let mut alice = house.login(0, "alice").await;
    let fanout = house.cluster.member("fanout-1");
    fanout.kill();
    let made = house.rest(0, "alice").post("/guilds", &json!({ "name": "Meanwhile" })).await;
    fanout.started_again().await.unwrap();
    fanout.ready().await.unwrap();
    alice.expect_where("GUILD_CREATE", |data| data["id"] == made["id"]).await;
}

/// Nobody appears offline because the service has forgotten everybody, and it learns again who is there.
async fn presence(house: &House) {
    let mut alice = house.login(0, "alice").await;
    let mut bob = house.login(1, "bob").await;
    let bob_id = bob.ready["user"]["id"].clone();
    let is = |data: &Value, status: &str| data["user"]["id"] == bob_id && data["status"] == status;
    bob.send(3, json!({ "status": "dnd", "activities": [], "since": null, "afk": false })).await;
    alice.expect_where("PRESENCE_UPDATE", |data| is(data, "dnd")).await;
    house.cluster.member("presence-1").kill_and_wait().await.unwrap();
    bob.send(3, json!({ "status": "idle", "activities": [], "since": 1, "afk": false })).await;
    alice.expect_where("PRESENCE_UPDATE", |data| is(data, "idle")).await;
    let offline = alice.passed.iter().find(|(_, data)| is(data, "offline"));
    assert_eq!(offline, None);

    // While it hangs, clients still come in.
    house.cluster.member("presence-1").signal(Signal::STOP);
    house.login(0, "bob").await;
    house.cluster.member("gateway-1").ready().await.unwrap();
    house.cluster.member("presence-1").signal(Signal::CONT);
}

/// A send that is acknowledged before, between and after kills of both services is received, once and in order.
async fn services(house: &House) {
    let mut bob = house.login(1, "bob").await;
    let alice = house.rest(0, "alice");
    let mut acknowledged = Vec::new();
    for round in 0..2 {
        for name in ["messages-1", "guilds-1"] {
            acknowledged.push(send_until_it_is_taken(&alice, house.general(), round, name).await);
            house.cluster.member(name).kill();
            acknowledged.push(send_until_it_is_taken(&alice, house.general(), round, "meanwhile").await);
            house.cluster.member(name).started_again().await.unwrap();
            house.cluster.member(name).ready().await.unwrap();
        }
    }
    let last = acknowledged.last().unwrap().clone();
    bob.expect_where("MESSAGE_CREATE", |data| data["id"] == last).await;
    let is_one = |(name, data): &&(String, Value)| name == "MESSAGE_CREATE" && !data["nonce"].is_null();
    let mut received: Vec<Value> =
        bob.passed.iter().filter(is_one).map(|(_, data)| data["id"].clone()).collect();
    received.push(last);
    assert_eq!(received, acknowledged);
}

/// Sends as a client does: while it is told to come again, or does not learn the outcome, the same with the same nonce.
pub async fn send_until_it_is_taken(rest: &Rest, channel: &str, round: u32, what: &str) -> Value {
    let nonce = format!("{:x}", model::entropy::number());
    let body = json!({ "content": format!("{what} {round}"), "nonce": nonce, "enforce_nonce": true });
    let path = format!("/channels/{channel}/messages");
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        match rest.call(Method::POST, &path, Some(&body)).await {
            Ok(answer) if answer.status.is_success() => return answer.json()["id"].clone(),
            Ok(answer) => assert_eq!(answer.status.as_u16(), 503, "{answer:?}"),
            Err(error) => panic!("{error}"),
        }
        time::sleep(Duration::from_millis(100)).await;
    }
    panic!("not taken in {PATIENCE:?}");
}

/// An edge that was killed serves again at the same address; what came meanwhile is in the history.
async fn edges(house: &House) {
    for name in ["gateway-1", "api-1"] {
        house.cluster.member(name).kill_and_wait().await.unwrap();
    }
    let mut alice = house.login(0, "alice").await;
    let sent = house.rest(0, "bob").send(house.general(), "again").await;
    assert_eq!(alice.expect_message("again").await["id"], sent["id"]);
}

/// What is told of the processes is so.
async fn processes(house: &House) {
    let text = std::fs::read(house.folder.path().join("processes.json")).unwrap();
    let told: Vec<Value> = serde_json::from_slice(&text).unwrap();
    assert_eq!(told.len(), house.cluster.members().count());
    for (told, member) in told.iter().zip(house.cluster.members()) {
        assert_eq!((&told["name"], &told["role"]), (&json!(member.name()), &json!(member.role())));
        assert_eq!(told["pid"], json!(member.pid().unwrap()), "{}", member.name());
        assert_eq!(told["admin"].is_null(), SERVERS.contains(&member.role()));
        assert!(told["command"].as_array().unwrap().len() > 2);
    }
}
