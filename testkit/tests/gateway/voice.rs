//! Voice states through the whole program: the voice server of a resumed session, and leaving where one can't be any more.

use serde_json::{Value, json};
use testkit::gateway_client::{ALL_INTENTS, GatewayClient};
use testkit::server::Server;

async fn login(server: &Server, token: &str) -> GatewayClient {
    GatewayClient::login(&server.demo.gateway, token, ALL_INTENTS).await
}

/// bob, who has joined the lounge, the bot, which saw that, and the voice server that bob was told.
async fn lounge(server: &Server) -> (GatewayClient, GatewayClient, Value) {
    let mut bot = login(server, &server.demo.bot.token).await;
    let mut bob = login(server, &server.user("bob").token).await;
    let lounge = &server.demo.channels.lounge;
    bob.send(4, json!({ "guild_id": server.demo.guild_id, "channel_id": lounge })).await;
    let told = bob.expect("VOICE_SERVER_UPDATE").await;
    bob.expect("VOICE_STATE_UPDATE").await;
    assert_eq!(&bot.expect("VOICE_STATE_UPDATE").await["channel_id"], lounge.as_str());
    (bob, bot, told)
}

/// VOICE_SERVER_UPDATE is in no ring. It comes again until the client has beaten twice since it was sent.
#[tokio::test]
async fn a_voice_server_comes_again_with_a_resume() {
    let server = Server::start().await;
    let (mut bob, _, told) = lounge(&server).await;
    bob.heartbeat().await;
    for _ in 0..2 {
        bob.reset();
        bob.resume(&server.demo.gateway).await;
        assert_eq!(bob.expect("VOICE_SERVER_UPDATE").await, told);
    }
    bob.heartbeat().await;
    bob.heartbeat().await;
    bob.reset();
    bob.resume(&server.demo.gateway).await;
    bob.heartbeat().await;
    assert!(!bob.passed_names().contains(&"VOICE_SERVER_UPDATE"), "{:?}", bob.passed_names());
}

#[tokio::test]
async fn who_is_kicked_leaves_voice() {
    let server = Server::start().await;
    let (mut bob, mut bot, _) = lounge(&server).await;
    let id = &server.user("bob").id;
    server.alice().delete(&format!("/guilds/{}/members/{id}", server.demo.guild_id)).await;
    let left = bot.expect("VOICE_STATE_UPDATE").await;
    assert_eq!((&left["user_id"], &left["channel_id"]), (&json!(id), &Value::Null));
    assert_eq!(left["member"]["user"]["id"], *id, "JDA needs the member");
    bob.expect("GUILD_DELETE").await;
    // Who comes now finds nobody there.
    let alice = login(&server, &server.user("alice").token).await;
    assert_eq!(alice.guilds[0]["voice_states"], json!([]));
}

#[tokio::test]
async fn a_deleted_channel_is_left() {
    let server = Server::start().await;
    let (mut bob, mut bot, _) = lounge(&server).await;
    server.alice().delete(&format!("/channels/{}", server.demo.channels.lounge)).await;
    for client in [&mut bob, &mut bot] {
        client.expect("CHANNEL_DELETE").await;
        let left = client.expect("VOICE_STATE_UPDATE").await;
        assert_eq!((&left["user_id"], &left["channel_id"]), (&json!(server.user("bob").id), &Value::Null));
    }
    let alice = login(&server, &server.user("alice").token).await;
    assert_eq!(alice.guilds[0]["voice_states"], json!([]));
}

/// Who begins to see a voice channel is told who is in it, and who no longer does that they have gone.
#[tokio::test]
async fn who_is_in_a_channel_comes_and_goes_with_the_sight_of_it() {
    let server = Server::start().await;
    let lounge = &server.demo.channels.lounge;
    let (alice, guild) = (server.alice(), &server.demo.guild_id);
    let (mut client, mut bob) =
        (login(&server, &server.user("alice").token).await, login(&server, &server.user("bob").token).await);
    let everyone = format!("/channels/{lounge}/permissions/{guild}");
    alice.put(&everyone, &json!({ "type": 0, "allow": "0", "deny": "1024" })).await;
    bob.expect("CHANNEL_DELETE").await;
    client.send(4, json!({ "guild_id": guild, "channel_id": lounge })).await;
    client.expect("VOICE_SERVER_UPDATE").await;

    alice.delete(&everyone).await;
    bob.expect("CHANNEL_CREATE").await;
    let there = bob.expect("VOICE_STATE_UPDATE").await;
    assert_eq!((&there["user_id"], &there["channel_id"]), (&json!(server.user("alice").id), &json!(lounge)));

    alice.put(&everyone, &json!({ "type": 0, "allow": "0", "deny": "1024" })).await;
    bob.expect("CHANNEL_DELETE").await;
    let names = bob.passed_but_presences();
    assert_eq!(names, ["VOICE_STATE_UPDATE"], "it has gone before the channel has");
    let gone = bob.expect("VOICE_STATE_UPDATE").await;
    assert_eq!((&gone["user_id"], &gone["channel_id"]), (&json!(server.user("alice").id), &Value::Null));
}
