//! Cassandra away for a while: precise errors meanwhile, nothing that was acknowledged is lost, and all goes on by itself.

use std::time::Duration;

use http::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::cluster::{Database, Member, Options};
use testkit::gateway_client::GatewayClient;
use testkit::rest::Rest;
use tokio::time::{self, Instant};

use crate::House;

const AWAY: Duration = Duration::from_secs(15);
const PATIENCE: Duration = Duration::from_secs(90);
const HEARTBEAT: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(200);

#[tokio::test]
async fn cassandra_hangs_and_dies_and_nothing_is_lost() {
    let own = |folder| Options { database: Database::Own, ..Options::small(folder) };
    let Some(house) = House::open_with(own).await else { return };
    let mut sender = Sender::new(&house, house.login(1, "bob").await);
    let cassandra = house.cluster.member("cassandra-1");
    let (messages, other) = (house.cluster.member("messages-1"), house.cluster.member("messages-2"));

    cassandra.signal(Signal::STOP);
    let back_at = Instant::now() + AWAY;
    other.kill();
    other.started_again().await.unwrap();
    sender.send_until(async || waits_for_cassandra(messages).await).await;
    sender.send_until(async || waits_for_cassandra(other).await).await;
    sender.send_until(async || Instant::now() > back_at).await;
    directory_says_so(&house).await;
    cassandra.signal(Signal::CONT);
    sender.send_two_more().await;

    cassandra.kill();
    sender.send_two_more().await;
    for member in house.cluster.members().filter(|member| ["guilds", "messages"].contains(&member.role())) {
        member.ready().await.unwrap();
    }
    sender.send_two_more().await;

    let last = sender.acknowledged.last().unwrap().clone();
    let bob = &mut sender.receiver;
    bob.expect_where("MESSAGE_CREATE", |data| data["id"] == last).await;
    let received = bob.passed.iter().filter(|(name, _)| name == "MESSAGE_CREATE");
    let mut received: Vec<Value> = received.map(|(_, data)| data["id"].clone()).collect();
    received.push(last);
    assert_eq!(received, sender.acknowledged);
    let history = house.rest(1, "bob").get(&format!("{}?limit=100", sender.path)).await;
    let ids = history.as_array().unwrap().iter().rev().map(|message| message["id"].clone());
    assert_eq!(ids.collect::<Vec<_>>(), sender.acknowledged);
    house.cluster.stop().await;
}

/// A directory that can't read says so in time, with when to come again.
async fn directory_says_so(house: &House) {
    let name = json!({ "name": "Meanwhile" });
    let calls = [
        (Method::GET, "/users/@me", None),
        (Method::GET, "/users/@me/guilds", None),
        (Method::POST, "/guilds", Some(&name)),
    ];
    for (method, path, body) in calls {
        let answer = house.rest(1, "alice").call(method, path, body).await.unwrap();
        assert!(answer.status.is_success() || is_told_to_wait(&answer), "{path}: {answer:?}");
    }
}

fn is_told_to_wait(answer: &testkit::rest::Answer) -> bool {
    answer.status == 503 && answer.header("retry-after").is_some()
}

async fn waits_for_cassandra(member: &Member) -> bool {
    let rest = Rest::new(&format!("http://{}", member.address()), None);
    let Ok(answer) = rest.call(Method::GET, "/readyz", None).await else { return false };
    answer.status == 503 && String::from_utf8_lossy(&answer.bytes).contains("Cassandra")
}

/// Sends one message after the other, each again with its nonce until it is taken.
struct Sender {
    rest: Rest,
    path: String,
    acknowledged: Vec<Value>,
    /// Who reads it at the end, and shows until then that it is alive.
    receiver: GatewayClient,
    heartbeat_at: Instant,
}

impl Sender {
    fn new(house: &House, receiver: GatewayClient) -> Self {
        let path = format!("/channels/{}/messages", house.general());
        let rest = house.rest(0, "alice");
        Self { rest, path, acknowledged: Vec::new(), receiver, heartbeat_at: Instant::now() }
    }

    /// Tries, until it has come so far; a message that was not taken then is tried next.
    async fn send_until(&mut self, is_so: impl AsyncFn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so().await {
            assert!(Instant::now() < deadline, "it did not come so far in {PATIENCE:?}");
            self.attempt().await;
            time::sleep(PAUSE).await;
        }
    }

    async fn send_two_more(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        let until = self.acknowledged.len() + 2;
        while self.acknowledged.len() < until {
            assert!(Instant::now() < deadline, "not taken in {PATIENCE:?}");
            self.attempt().await;
            time::sleep(PAUSE).await;
        }
    }

    async fn attempt(&mut self) {
        if self.heartbeat_at.elapsed() > HEARTBEAT {
            self.heartbeat_at = Instant::now();
            self.receiver.heartbeat().await;
        }
        let number = self.acknowledged.len();
        let body = json!({ "content": format!("message {number}"), "nonce": number, "enforce_nonce": true });
        let answer = self.rest.call(Method::POST, &self.path, Some(&body)).await.unwrap();
        if answer.status.is_success() {
            self.acknowledged.push(answer.json()["id"].clone());
        } else {
            assert!(is_told_to_wait(&answer), "{answer:?}");
        }
    }
}
