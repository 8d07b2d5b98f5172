//! discord.js 14, unpatched: only `rest.api` is set.

use serde_json::{Value, json};

use super::driver::Driver;
use super::house::House;

async fn login(house: &House, token: &str) -> Driver {
    let mut driver = Driver::start("discordjs");
    let api = house.server.demo.api.trim_end_matches("/v10").to_owned();
    driver.call("login", json!({ "api": api, "token": token })).await;
    driver.expect("ready", json!({})).await;
    driver
}

/// A bot, and bob as the other end.
async fn two(house: &House) -> (Driver, Driver) {
    let bot = login(house, &house.server.demo.bot.token).await;
    let bob = login(house, &house.server.user("bob").token).await;
    (bot, bob)
}

fn sorted(value: &Value) -> Vec<String> {
    let mut texts: Vec<String> =
        value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect();
    texts.sort();
    texts
}

#[tokio::test]
async fn a_day_of_a_bot() {
    let house = House::open().await;
    let (mut bot, mut bob) = two(&house).await;
    let (guild, general) = (house.guild(), house.general());
    let demo = &house.server.demo;

    let seen = bot.call("guild", json!({ "guild": guild })).await;
    assert_eq!((&seen["name"], &seen["members"]), (&json!("Demo"), &json!(3)));
    assert_eq!(seen["owner"], house.server.user("alice").id);
    assert_eq!(seen["me"], demo.bot.id);
    let names = |seen: &Value| {
        let channels = seen["channels"].as_array().unwrap().clone();
        sorted(&channels.into_iter().map(|channel| channel["name"].clone()).collect())
    };
    assert_eq!(names(&seen), ["general", "lounge", "random", "staff"]);
    let seen = bob.call("guild", json!({ "guild": guild })).await;
    assert_eq!(names(&seen), ["general", "lounge", "random"]);

    messages(&mut bot, &mut bob, general).await;
    presence_and_typing(&mut bot, &mut bob, &house).await;
    members(&mut bot, &house).await;
    voice(&mut bot, &mut bob, &house).await;
    assert!(bot.seen("error").is_empty() && bob.seen("shardError").is_empty());
}

async fn messages(bot: &mut Driver, bob: &mut Driver, general: &str) {
    let sent = bot.call("send", json!({ "channel": general, "content": "hello", "nonce": "n1" })).await;
    let again = bot.call("send", json!({ "channel": general, "content": "hello", "nonce": "n1" })).await;
    assert_eq!(sent["id"], again["id"], "enforce_nonce gives the same message");
    let message = &sent["id"];
    bob.expect("messageCreate", json!({ "id": message, "content": "hello" })).await;
    bob.call("send", json!({ "channel": general, "content": "hi" })).await;
    bot.expect("messageCreate", json!({ "content": "hi" })).await;

    let at = json!({ "channel": general, "message": message });
    let with = |name: &str, value: &str| {
        let mut fields = at.clone();
        fields[name] = json!(value);
        fields
    };
    bot.call("edit", with("content", "hello, all")).await;
    bob.expect("messageUpdate", json!({ "id": message, "content": "hello, all", "edited": true })).await;
    bob.call("react", with("emoji", "🔥")).await;
    bot.expect("messageReactionAdd", json!({ "message": message, "emoji": "🔥" })).await;
    let reactions = bob.call("reactions", at.clone()).await;
    assert_eq!(reactions, json!([{ "emoji": "🔥", "count": 1, "me": true }]));
    bob.call("unreact", with("emoji", "🔥")).await;
    bot.expect("messageReactionRemove", json!({ "message": message, "emoji": "🔥" })).await;

    let history = bot.call("history", json!({ "channel": general, "limit": 10 })).await;
    assert_eq!(history, json!(["hi", "hello, all"]), "newest first");
    let history = bot.call("history", json!({ "channel": general, "limit": 10, "after": message })).await;
    assert_eq!(history, json!(["hi"]));
    bot.call("remove", at).await;
    bob.expect("messageDelete", json!({ "id": message })).await;
}

async fn presence_and_typing(bot: &mut Driver, bob: &mut Driver, house: &House) {
    bot.call("typing", json!({ "channel": house.general() })).await;
    bob.expect("typingStart", json!({ "channel": house.general(), "user": house.server.demo.bot.id })).await;
    bob.call("presence", json!({ "status": "dnd", "activity": "chess" })).await;
    let user = house.server.user("bob").id.clone();
    bot.expect("presenceUpdate", json!({ "user": user, "status": "dnd", "activities": ["chess"] })).await;
}

async fn members(bot: &mut Driver, house: &House) {
    let (guild, server) = (house.guild(), &house.server);
    let [alice, bob] = ["alice", "bob"].map(|name| server.user(name).id.clone());
    let mut all = vec![alice.clone(), bob.clone(), server.demo.bot.id.clone()];
    all.sort();
    let found = bot.call("members", json!({ "guild": guild, "query": "ali", "limit": 10 })).await;
    assert_eq!(sorted(&found), std::slice::from_ref(&alice));
    let found = bot.call("members", json!({ "guild": guild, "user": [alice, bob], "presences": true })).await;
    assert_eq!(sorted(&found).len(), 2);
    let found = bot.call("members", json!({ "guild": guild })).await;
    assert_eq!(sorted(&found), all);
}

async fn voice(bot: &mut Driver, bob: &mut Driver, house: &House) {
    let (guild, lounge) = (house.guild(), &house.server.demo.channels.lounge);
    let user = &house.server.demo.bot.id;
    bot.call("voice", json!({ "guild": guild, "channel": lounge, "mute": true })).await;
    for client in [&mut *bot, &mut *bob] {
        client.expect("voiceStateUpdate", json!({ "user": user, "channel": lounge, "mute": true })).await;
    }
    let server = bot.expect("voiceServerUpdate", json!({ "guild_id": guild })).await;
    assert!(server["token"].as_str().is_some_and(|token| !token.is_empty()), "{server}");
    bot.call("voice", json!({ "guild": guild, "channel": null })).await;
    for client in [bot, bob] {
        client.expect("voiceStateUpdate", json!({ "user": user, "channel": null })).await;
    }
}

#[tokio::test]
async fn a_reset_is_resumed() {
    let house = House::open().await;
    let mut bot = login(&house, &house.server.demo.bot.token).await;
    let alice = house.server.alice();
    let general = house.general();
    for round in 1..=3 {
        alice.send(general, &format!("before {round}")).await;
        bot.expect("messageCreate", json!({ "content": format!("before {round}") })).await;
        house.proxy.hold_new(true);
        house.proxy.reset();
        for number in 1..=5 {
            alice.send(general, &format!("missed {round}.{number}")).await;
        }
        house.proxy.hold_new(false);
        bot.expect("shardResume", json!({})).await;
        for number in 1..=5 {
            bot.expect("messageCreate", json!({ "content": format!("missed {round}.{number}") })).await;
        }
        alice.send(general, &format!("after {round}")).await;
        bot.expect("messageCreate", json!({ "content": format!("after {round}") })).await;
    }
    assert!(bot.seen("messageCreate").is_empty(), "nothing twice: {:?}", bot.seen("messageCreate"));
    assert!(bot.seen("ready").is_empty(), "it never identified again");
}

#[tokio::test]
async fn staff_opens_and_closes_for_bob() {
    let house = House::open().await;
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
