//! What only discord.js is asked: the nonce that it can have enforced, and the wall around `staff` as its cache shows it.
//! Only its `rest.api` is set.

use serde_json::{Value, json};

use super::house::House;
use super::scenario;
use testkit::driver::Driver;

/// A bot, and bob as the other end.
async fn two(house: &House) -> (Driver, Driver) {
    let bot = scenario::login("discordjs", house, &house.server.demo.bot.token).await;
    let bob = scenario::login_elsewhere("discordjs", house, &house.server.user("bob").token).await;
    (bot, bob)
}

#[tokio::test]
async fn an_enforced_nonce_gives_the_same_message() {
    let Some(house) = House::open().await else { return };
    let (mut bot, mut bob) = two(&house).await;
    let general = house.general();
    let sent = bot.call("send", json!({ "channel": general, "content": "hello", "nonce": "n1" })).await;
    let again = bot.call("send", json!({ "channel": general, "content": "hello", "nonce": "n1" })).await;
    assert_eq!(sent["id"], again["id"]);
    bob.call("send", json!({ "channel": general, "content": "hi" })).await;
    bob.expect("messageCreate", json!({ "content": "hi" })).await;
    bob.expect("messageCreate", json!({ "id": sent["id"] })).await;
    assert!(bob.seen("messageCreate").is_empty(), "it came once");
}

#[tokio::test]
async fn staff_opens_and_closes_for_bob() {
    let Some(house) = House::open().await else { return };
    let (mut bot, mut bob) = two(&house).await;
    let (guild, staff) = (house.guild(), house.server.demo.channels.staff.clone());
    let user = house.server.user("bob").id.clone();

    bot.call("send", json!({ "channel": staff, "content": "secret" })).await;
    let open = json!({ "channel": staff, "target": user, "type": 1, "view": true });
    bot.call("overwrite", open).await;
    bob.expect("channelCreate", json!({ "channel": staff, "name": "staff" })).await;
    bot.call("send", json!({ "channel": staff, "content": "open" })).await;
    bob.expect("messageCreate", json!({ "content": "open" })).await;
    let close = json!({ "channel": staff, "target": user, "type": 1, "view": false });
    bot.call("overwrite", close).await;
    bob.expect("channelDelete", json!({ "channel": staff })).await;
    bot.call("send", json!({ "channel": staff, "content": "secret again" })).await;

    let role = bot.call("createRole", json!({ "guild": guild, "name": "staff" })).await;
    let open = json!({ "channel": staff, "target": role, "type": 0, "view": true });
    bot.call("overwrite", open).await;
    let clear = json!({ "channel": staff, "target": user, "type": 1, "view": null });
    bot.call("overwrite", clear).await;
    bot.call("addRole", json!({ "guild": guild, "user": user, "role": role })).await;
    bob.expect("channelCreate", json!({ "channel": staff })).await;
    bot.call("send", json!({ "channel": staff, "content": "open by role" })).await;
    bob.expect("messageCreate", json!({ "content": "open by role" })).await;
    let got: Vec<&Value> = bob.seen("messageCreate");
    assert!(got.is_empty(), "what was said behind the wall: {got:?}");
}
