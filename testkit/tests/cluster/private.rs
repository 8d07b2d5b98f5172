//! Direct messages over the cluster: between gateways, with Redis emptied, and past a gateway that was killed.

use serde_json::{Value, json};
use testkit::gateway_client::GatewayClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::House;

#[tokio::test]
async fn direct_messages_arrive_once_whatever_is_lost() {
    let Some(house) = House::open().await else { return };
    let mut alice = house.login(0, "alice").await;
    let mut bob = house.login(1, "bob").await;
    let channel = open_at_both(&house, &alice, &bob).await;
    between_gateways(&house, &channel, &mut alice, &mut bob).await;
    redis_emptied(&house, &channel, &mut bob).await;
    gateway_killed(&house, &channel, &mut alice).await;
    house.cluster.stop().await;
}

fn user_id(client: &GatewayClient) -> Value {
    client.ready["user"]["id"].clone()
}

/// Both open it at once, each at another API: it is one channel.
async fn open_at_both(house: &House, alice: &GatewayClient, bob: &GatewayClient) -> String {
    let (hers, his) = (house.rest(0, "alice"), house.rest(1, "bob"));
    let (to_bob, to_alice) =
        (json!({ "recipient_id": user_id(bob) }), json!({ "recipient_id": user_id(alice) }));
    let (one, other) =
        tokio::join!(hers.post("/users/@me/channels", &to_bob), his.post("/users/@me/channels", &to_alice));
    assert_eq!(one["id"], other["id"]);
    one["id"].as_str().unwrap().to_owned()
}

async fn between_gateways(house: &House, channel: &str, alice: &mut GatewayClient, bob: &mut GatewayClient) {
    for (api, from) in [(0, "alice"), (1, "bob")] {
        let content = format!("from {from}");
        let sent = house.rest(api, from).send(channel, &content).await;
        for client in [&mut *alice, &mut *bob] {
            let message = client.expect_message(&content).await;
            assert_eq!((&message["id"], message.get("guild_id")), (&sent["id"], None));
        }
    }
    house.rest(0, "alice").post(&format!("/channels/{channel}/typing"), &Value::Null).await;
    bob.expect_where("TYPING_START", |data| data["channel_id"] == *channel).await;
}

/// Nobody knows where bob is: his gateway finds that out at its next renewal.
async fn redis_emptied(house: &House, channel: &str, bob: &mut GatewayClient) {
    let mut redis = TcpStream::connect(house.cluster.member("redis-1").address()).await.unwrap();
    redis.write_all(b"FLUSHALL\r\n").await.unwrap();
    let mut answer = [0; 5];
    redis.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"+OK\r\n");
    let contents: Vec<String> = (0..5).map(|number| format!("into the void {number}")).collect();
    for content in &contents {
        house.rest(0, "alice").send(channel, content).await;
    }
    assert_eq!(received(bob, channel, contents.last().unwrap()).await, contents, "once, and in order");
    house.rest(1, "alice").send(channel, "found again").await;
    assert_eq!(received(bob, channel, "found again").await, ["found again"]);
}

/// What came in the channel since the last call, up to this message.
async fn received(client: &mut GatewayClient, channel: &str, last: &str) -> Vec<String> {
    let of = |data: &Value| data["content"].as_str().unwrap().to_owned();
    let message = client.expect_message(last).await;
    let passed = client.passed.drain(..);
    let earlier = passed.filter(|(name, data)| name == "MESSAGE_CREATE" && data["channel_id"] == *channel);
    earlier.map(|(_, data)| of(&data)).chain([of(&message)]).collect()
}

/// What was acknowledged meanwhile is in the history; what comes after arrives where bob is now.
async fn gateway_killed(house: &House, channel: &str, alice: &mut GatewayClient) {
    house.cluster.member("gateway-2").kill();
    let mut sent = Vec::new();
    for number in 0..5 {
        sent.push(house.rest(0, "alice").send(channel, &format!("while away {number}")).await["id"].clone());
    }
    let mut bob = house.login(0, "bob").await;
    let open = bob.ready["private_channels"].as_array().unwrap();
    let here = open.iter().find(|open| open["id"] == *channel).unwrap();
    assert_eq!(here["recipients"][0]["id"], user_id(alice));
    let history = house.rest(1, "bob").get(&format!("/channels/{channel}/messages?limit=5")).await;
    let ids = history.as_array().unwrap().iter().rev().map(|message| message["id"].clone());
    assert_eq!(ids.collect::<Vec<_>>(), sent, "the history has all of them, in order");
    house.rest(0, "alice").send(channel, "welcome back").await;
    bob.expect_message("welcome back").await;
    house.rest(1, "bob").send(channel, "thanks").await;
    alice.expect_message("thanks").await;
}
