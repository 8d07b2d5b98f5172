//! What every library with a driver is put through.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time;

use super::directory;
use super::home::Place;
use super::house::{Bot, House};
use testkit::driver::Driver;

/// Far more than a library needs that waits as long as it is told.
const PATIENCE: Duration = Duration::from_secs(90);

/// The demo bot, and a second one as the other end.
pub struct Two {
    pub bot: Driver,
    pub other: Driver,
    pub me: String,
    pub them: Bot,
}

pub async fn login(library: &str, house: &House, token: &str) -> Driver {
    login_at(library, house.server.here(&house.proxy), token).await
}

/// At the other gateway, where there is one: there is no proxy before it.
pub async fn login_elsewhere(library: &str, house: &House, token: &str) -> Driver {
    login_at(library, house.server.there(&house.proxy), token).await
}

async fn login_at(library: &str, Place { api, gateway }: Place, token: &str) -> Driver {
    let mut driver = Driver::start(library);
    driver.call("login", json!({ "api": api, "gateway": gateway, "token": token })).await;
    driver.expect("ready", json!({})).await;
    driver
}

pub async fn a_day(library: &str) {
    let Some(house) = House::open().await else { return };
    house.make_bot_administrator().await;
    let them = house.second_bot().await;
    let bot = login(library, &house, &house.server.demo.bot.token).await;
    let other = login_elsewhere(library, &house, &them.token).await;
    let mut two = Two { bot, other, me: house.server.demo.bot.id.clone(), them };
    start(&mut two, &house).await;
    messages(&mut two, house.general()).await;
    private(&mut two, &house).await;
    presence_and_typing(&mut two, house.general()).await;
    members(&mut two, &house).await;
    voice(&mut two, &house).await;
    directory::channels(&mut two, &house).await;
    directory::roles(&mut two, &house).await;
    directory::invites(&mut two, &house).await;
    directory::refusals(&mut two, &house).await;
    directory::comings_and_goings(&mut two, &house).await;
    for driver in [&two.bot, &two.other] {
        let errors: Vec<_> = ["error", "shardError", "warn"].map(|name| driver.seen(name)).concat();
        assert!(errors.is_empty(), "{errors:?}");
    }
}

async fn start(two: &mut Two, house: &House) {
    let names = |seen: &Value| {
        let names = seen["channels"].as_array().unwrap().iter().map(|channel| channel["name"].clone());
        sorted(&names.collect())
    };
    let seen = two.bot.call("guild", json!({ "guild": house.guild() })).await;
    assert_eq!((&seen["name"], &seen["members"]), (&json!("Demo"), &json!(4)));
    assert_eq!(seen["owner"], house.server.user("alice").id);
    assert_eq!(seen["me"], two.me);
    assert_eq!(names(&seen), ["general", "lounge", "random", "staff"]);
    assert!(sorted(&seen["roles"]).contains(&"@everyone".to_owned()), "{seen}");
    let seen = two.other.call("guild", json!({ "guild": house.guild() })).await;
    assert_eq!(names(&seen), ["general", "lounge", "random"]);
}

async fn messages(Two { bot, other, them, .. }: &mut Two, general: &str) {
    let sent = bot.call("send", json!({ "channel": general, "content": "hello" })).await;
    let message = &sent["id"];
    other.expect("messageCreate", json!({ "id": message, "content": "hello" })).await;
    other.call("send", json!({ "channel": general, "content": "hi" })).await;
    bot.expect("messageCreate", json!({ "content": "hi" })).await;

    let at = json!({ "channel": general, "message": message });
    let with = |name: &str, value: &str| {
        let mut fields = at.clone();
        fields[name] = json!(value);
        fields
    };
    bot.call("edit", with("content", "hello, all")).await;
    let edited = json!({ "id": message, "content": "hello, all", "edited": true });
    other.expect("messageUpdate", edited).await;
    other.call("react", with("emoji", "🔥")).await;
    let reaction = json!({ "message": message, "emoji": "🔥", "user": them.id });
    bot.expect("messageReactionAdd", reaction.clone()).await;
    let reactions = other.call("reactions", at.clone()).await;
    assert_eq!(reactions, json!([{ "emoji": "🔥", "count": 1, "me": true }]));
    other.call("unreact", with("emoji", "🔥")).await;
    bot.expect("messageReactionRemove", reaction).await;

    let mut ids = Vec::new();
    for content in ["one", "two", "three", "four"] {
        ids.push(bot.call("send", json!({ "channel": general, "content": content })).await["id"].clone());
    }
    for (place, expected) in [
        (json!({ "limit": 3 }), ["four", "three", "two"]),
        (json!({ "limit": 3, "before": ids[1] }), ["one", "hi", "hello, all"]),
        (json!({ "limit": 3, "after": ids[0] }), ["four", "three", "two"]),
        (json!({ "limit": 3, "around": ids[1] }), ["three", "two", "one"]),
    ] {
        let mut place = place;
        place["channel"] = json!(general);
        assert_eq!(bot.call("history", place.clone()).await, json!(expected), "{place}, newest first");
    }
    bot.call("remove", at).await;
    other.expect("messageDelete", json!({ "id": message })).await;
}

/// Somebody writes to the bot, which answers there.
async fn private(Two { bot, me, .. }: &mut Two, house: &House) {
    let alice = house.server.alice();
    let opened = alice.post("/users/@me/channels", &json!({ "recipient_id": me })).await;
    let channel = opened["id"].as_str().unwrap();
    alice.send(channel, "psst").await;
    bot.expect("messageCreate", json!({ "channel": channel, "content": "psst" })).await;
    bot.call("send", json!({ "channel": channel, "content": "yes?" })).await;
    let history = alice.get(&format!("/channels/{channel}/messages")).await;
    assert_eq!((&history[0]["content"], &history[0]["author"]["id"]), (&json!("yes?"), &json!(me)));
    bot.expect("messageCreate", json!({ "channel": channel, "content": "yes?" })).await;
}

async fn presence_and_typing(Two { bot, other, me, them }: &mut Two, general: &str) {
    bot.call("typing", json!({ "channel": general })).await;
    other.expect("typingStart", json!({ "channel": general, "user": me })).await;
    other.call("typing", json!({ "channel": general })).await;
    bot.expect("typingStart", json!({ "channel": general, "user": them.id })).await;
    for status in ["idle", "dnd", "online"] {
        other.call("presence", json!({ "status": status, "activity": status })).await;
        let shown = json!({ "user": them.id, "status": status, "activities": [status] });
        bot.expect("presenceUpdate", shown).await;
    }
    other.call("presence", json!({ "status": "invisible" })).await;
    bot.expect("presenceUpdate", json!({ "user": them.id, "status": "offline" })).await;
    // With an activity, for those whose members and guilds show it later.
    other.call("presence", json!({ "status": "online", "activity": "chess" })).await;
    bot.expect("presenceUpdate", json!({ "user": them.id, "activities": ["chess"] })).await;
}

async fn members(Two { bot, me, them, .. }: &mut Two, house: &House) {
    let guild = house.guild();
    let [alice, bob] = ["alice", "bob"].map(|name| house.server.user(name).id.clone());
    let mut all = vec![alice.clone(), bob.clone(), me.clone(), them.id.clone()];
    all.sort();
    let found = bot.call("members", json!({ "guild": guild, "query": "ali", "limit": 10 })).await;
    assert_eq!(sorted(&found), std::slice::from_ref(&alice));
    let by_id = json!({ "guild": guild, "user": [alice, them.id], "presences": true });
    assert_eq!(sorted(&bot.call("members", by_id).await).len(), 2);
    let found = bot.call("members", json!({ "guild": guild })).await;
    assert_eq!(sorted(&found), all);
}

async fn voice(Two { bot, other, me, .. }: &mut Two, house: &House) {
    let (guild, lounge) = (house.guild(), &house.server.demo.channels.lounge);
    let den = bot.call("createChannel", json!({ "guild": guild, "name": "den", "voice": true })).await;
    bot.expect("channelCreate", json!({ "channel": den })).await;
    other.expect("channelCreate", json!({ "channel": den })).await;
    for (channel, mute) in [(json!(lounge), true), (den.clone(), false), (Value::Null, false)] {
        bot.call("voice", json!({ "guild": guild, "channel": channel, "mute": mute })).await;
        for client in [&mut *bot, &mut *other] {
            client.expect("voiceStateUpdate", json!({ "user": me, "channel": channel })).await;
        }
        if mute {
            let server = bot.expect("voiceServerUpdate", json!({ "guild_id": guild })).await;
            assert!(server["token"].as_str().is_some_and(|token| !token.is_empty()), "{server}");
        }
    }
    bot.call("deleteChannel", json!({ "guild": guild, "channel": den })).await;
    other.expect("channelDelete", json!({ "channel": den })).await;
}

pub async fn a_reset_is_resumed(library: &str) {
    let Some(house) = House::open().await else { return };
    let mut bot = login(library, &house, &house.server.demo.bot.token).await;
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

/// Where there is one process a restart loses the sessions: the library has to see that, and begin anew. A gateway of a cluster leaves
/// them, and libraries that come back with theirs go on. A revoked token ends it.
pub async fn restarts_and_the_end(library: &str) {
    let Some(mut house) = House::open().await else { return };
    let them = house.second_bot().await;
    let mut bot = login(library, &house, &them.token).await;
    house.server.restart().await;
    let is_cluster = module_path!().starts_with("clients_on_cluster");
    let again: &[&str] = if is_cluster { &["ready", "shardResume"] } else { &["ready"] };
    bot.expect_one_of(again, json!({})).await;
    let alice = house.server.alice();
    alice.send(house.general(), "after the restart").await;
    bot.expect("messageCreate", json!({ "content": "after the restart" })).await;
    let connections = house.proxy.accepted();

    let tokens: Value =
        serde_json::from_str(&house.server.admin(&["user", "tokens", &them.id, "--json"])).unwrap();
    let token = tokens["tokens"][0]["token_id"].as_str().unwrap().to_owned();
    house.server.admin(&["token", "revoke", &token]);
    bot.expect("shardDisconnect", json!({ "code": 4004 })).await;
    time::sleep(Duration::from_secs(2)).await;
    assert_eq!(house.proxy.accepted(), connections, "it does not come back");
}

/// At the ordinary limits: what is too fast is answered with 429, waited out and sent again.
pub async fn a_limit_is_waited_out(library: &str) {
    let Some(house) = House::open_limited().await else { return };
    let mut bot = login(library, &house, &house.server.demo.bot.token).await;
    let contents: Vec<String> = (1..=7).map(|number| format!("message {number}")).collect();
    let all = async {
        for content in &contents {
            bot.call("send", json!({ "channel": house.general(), "content": content })).await;
        }
        for content in &contents {
            bot.expect("messageCreate", json!({ "content": content })).await;
        }
    };
    time::timeout(PATIENCE, all).await.unwrap();
    assert!(bot.seen("messageCreate").is_empty(), "each once");
}

pub fn sorted(value: &Value) -> Vec<String> {
    let mut texts: Vec<String> =
        value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect();
    texts.sort();
    texts
}
