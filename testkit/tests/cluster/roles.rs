//! What a program on one gateway and one API does, as a program on the others sees it.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::cluster::Options;
use testkit::gateway_client::{ALL_INTENTS, GatewayClient};
use testkit::rest::Rest;

use crate::House;

#[tokio::test]
async fn what_one_edge_takes_the_other_gives_out() {
    let Some(house) = House::open().await else { return };
    on_two_edges(house).await;
}

#[tokio::test]
async fn so_it_does_where_services_keep_their_data_themselves() {
    let Some(house) = House::open_with(Options::embedded).await else { return };
    on_two_edges(house).await;
}

async fn on_two_edges(house: House) {
    let demo = &house.cluster.demo.demo;
    let mut alice = house.login(0, "alice").await;
    let mut bob = house.login(1, "bob").await;
    let bot_url = &house.cluster.demo.gateways[1];
    let mut bot = GatewayClient::login(bot_url, &demo.bot.token, ALL_INTENTS).await;
    messages(&house, &mut alice, &mut bob, &mut bot).await;
    typing_and_presence(&house, &mut alice, &mut bob).await;
    views(&house, &mut bob).await;
    voice(&house, &mut alice, &mut bob).await;
    users(&house, &mut alice).await;
    owners(&house, &mut alice).await;
    tokens(&house).await;
    house.cluster.stop().await;
}

/// Sent through one API, received on both gateways, read through the other API.
async fn messages(
    house: &House,
    alice: &mut GatewayClient,
    bob: &mut GatewayClient,
    bot: &mut GatewayClient,
) {
    let general = house.general();
    for (api, from) in [(0, "alice"), (1, "bob")] {
        let content = format!("from {from}");
        let sent = house.rest(api, from).send(general, &content).await;
        for client in [&mut *alice, &mut *bob, &mut *bot] {
            assert_eq!(client.expect_message(&content).await["id"], sent["id"]);
        }
    }
    let path = format!("/channels/{general}/messages?limit=2");
    let (here, there) = (house.rest(0, "alice").get(&path).await, house.rest(1, "bob").get(&path).await);
    assert_eq!(here, there);
    assert_eq!(here[0]["content"], "from bob");
}

/// What is never stored crosses as well.
async fn typing_and_presence(house: &House, alice: &mut GatewayClient, bob: &mut GatewayClient) {
    house.rest(0, "alice").post(&format!("/channels/{}/typing", house.general()), &Value::Null).await;
    bob.expect("TYPING_START").await;
    let bob_id = bob.ready["user"]["id"].clone();
    let update = json!({ "status": "dnd", "activities": [], "since": null, "afk": false });
    bob.send(3, update).await;
    let is_his = |data: &Value| data["user"]["id"] == bob_id && data["status"] == "dnd";
    alice.expect_where("PRESENCE_UPDATE", is_his).await;
}

/// A channel that opens for somebody, and closes again.
async fn views(house: &House, bob: &mut GatewayClient) {
    let (staff, alice) = (&house.cluster.demo.demo.channels.staff, house.rest(1, "alice"));
    let bob_id = bob.ready["user"]["id"].as_str().unwrap().to_owned();
    let path = format!("/channels/{staff}/permissions/{bob_id}");
    alice.put(&path, &json!({ "type": 1, "allow": "1024", "deny": "0" })).await;
    bob.expect_where("CHANNEL_CREATE", |data| data["id"] == **staff).await;
    house.rest(0, "alice").send(staff, "open").await;
    bob.expect_message("open").await;
    alice.delete(&path).await;
    bob.expect_where("CHANNEL_DELETE", |data| data["id"] == **staff).await;
    house.rest(0, "alice").send(staff, "closed").await;
    house.rest(0, "alice").send(house.general(), "after it").await;
    bob.expect_message("after it").await;
    assert!(!bob.passed.iter().any(|(_, data)| data["content"] == "closed"), "{:?}", bob.passed);
}

/// Voice states are stored with the directory's events and come from another process.
async fn voice(house: &House, alice: &mut GatewayClient, bob: &mut GatewayClient) {
    let demo = &house.cluster.demo.demo;
    for channel in [json!(demo.channels.lounge), Value::Null] {
        let join = json!({
            "guild_id": demo.guild_id, "channel_id": channel, "self_mute": false, "self_deaf": false,
        });
        alice.send(4, join).await;
        bob.expect_where("VOICE_STATE_UPDATE", |data| data["channel_id"] == channel).await;
        // An event of the directory after it is not taken for one of an owner that was replaced.
        let topic = format!("voice in {channel}");
        let path = format!("/channels/{}", house.general());
        house.rest(0, "alice").patch(&path, &json!({ "topic": topic })).await;
        bob.expect_where("CHANNEL_UPDATE", |data| data["topic"] == *topic).await;
    }
}

/// A user's own events come through fan-out.
async fn users(house: &House, alice: &mut GatewayClient) {
    let made = house.rest(1, "alice").post("/guilds", &json!({ "name": "Second" })).await;
    alice.expect_where("GUILD_CREATE", |data| data["id"] == made["id"]).await;
}

/// A user and their guilds belong to several replicas, where there are several.
async fn owners(house: &House, alice: &mut GatewayClient) {
    let mut made = Vec::new();
    for number in 0..6 {
        let name = json!({ "name": format!("Guild {number}") });
        let guild = house.rest(number % 2, "alice").post("/guilds", &name).await;
        alice.expect_where("GUILD_CREATE", |data| data["id"] == guild["id"]).await;
        made.push(guild["id"].clone());
    }
    let listed = house.rest(1, "alice").get("/users/@me/guilds").await;
    let is_listed = |id: &Value| listed.as_array().unwrap().iter().any(|guild| guild["id"] == *id);
    assert!(made.iter().all(is_listed), "{listed}");
    house.rest(0, "alice").patch("/users/@me", &json!({ "global_name": "Alice of all" })).await;
    for id in &made {
        let is_hers = |data: &Value| data["guild_id"] == *id && data["user"]["global_name"] == "Alice of all";
        alice.expect_where("GUILD_MEMBER_UPDATE", is_hers).await;
    }
}

/// A token that is revoked where its user belongs is not good for anything elsewhere.
async fn tokens(house: &House) {
    for number in 0..4 {
        let open = Rest::new(&house.cluster.demo.apis[0], None);
        let person = json!({ "username": format!("leaver{number}"), "password": "correct horse" });
        let token = open.post("/auth/register", &person).await["token"].as_str().unwrap().to_owned();
        for api in [0, 1, 0, 1] {
            house.cluster.rest(api, &token).get("/users/@me").await;
        }
        house.cluster.rest(0, &token).post("/auth/logout", &Value::Null).await;
        for api in [0, 1, 0, 1, 0, 1] {
            let answer = house.cluster.rest(api, &token).call(Method::GET, "/users/@me", None).await.unwrap();
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        }
    }
}
