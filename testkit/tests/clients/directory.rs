//! The part of the scenario that changes a guild: each change is seen by who makes it and by the other end.

use http::Method;
use serde_json::{Value, json};

use super::house::House;
use super::scenario::Two;
use testkit::driver::Driver;

async fn both(two: &mut Two, name: &str, fields: &Value) {
    for client in [&mut two.bot, &mut two.other] {
        client.expect(name, fields.clone()).await;
    }
}

pub async fn channels(two: &mut Two, house: &House) {
    let guild = house.guild();
    let plans = two.bot.call("createChannel", json!({ "guild": guild, "name": "plans" })).await;
    both(two, "channelCreate", &json!({ "channel": plans, "name": "plans" })).await;
    two.bot.call("editChannel", json!({ "guild": guild, "channel": plans, "name": "plots" })).await;
    both(two, "channelUpdate", &json!({ "channel": plans, "name": "plots" })).await;
    for (view, event) in [(false, "channelDelete"), (true, "channelCreate")] {
        let overwrite = json!({ "channel": plans, "target": two.them.id, "type": 1, "view": view });
        two.bot.call("overwrite", overwrite).await;
        two.other.expect(event, json!({ "channel": plans })).await;
    }
    two.bot.call("deleteChannel", json!({ "guild": guild, "channel": plans })).await;
    both(two, "channelDelete", &json!({ "channel": plans })).await;
}

pub async fn roles(two: &mut Two, house: &House) {
    let guild = house.guild();
    let user = two.them.id.clone();
    let role = two.bot.call("createRole", json!({ "guild": guild, "name": "crew" })).await;
    both(two, "roleCreate", &json!({ "role": role })).await;
    two.bot.call("editRole", json!({ "guild": guild, "role": role, "name": "team" })).await;
    both(two, "roleUpdate", &json!({ "role": role, "name": "team" })).await;
    two.bot.call("addRole", json!({ "guild": guild, "user": user, "role": role })).await;
    let changed = two.bot.expect("guildMemberUpdate", json!({ "user": user })).await;
    assert!(changed["roles"].as_array().unwrap().contains(&role), "{changed}");
    two.bot.call("nick", json!({ "guild": guild, "user": user, "nick": "rob" })).await;
    both(two, "guildMemberUpdate", &json!({ "user": user, "nick": "rob" })).await;
    two.bot.call("deleteRole", json!({ "guild": guild, "role": role })).await;
    both(two, "roleDelete", &json!({ "role": role })).await;
}

pub async fn invites(two: &mut Two, house: &House) {
    let (guild, general) = (house.guild(), house.general());
    let bot = &mut two.bot;
    let code = bot.call("createInvite", json!({ "guild": guild, "channel": general })).await;
    bot.expect("inviteCreate", json!({ "code": code })).await;
    let found = bot.call("invite", json!({ "code": code })).await;
    assert_eq!((&found["channel"], &found["guild"]), (&json!(general), &json!(guild)));
    let listed = bot.call("invites", json!({ "guild": guild })).await;
    assert!(listed.as_array().unwrap().contains(&code), "{listed}");
    bot.call("deleteInvite", json!({ "guild": guild, "code": code })).await;
    bot.expect("inviteDelete", json!({ "code": code })).await;
    bot.call("editGuild", json!({ "guild": guild, "name": "Renamed" })).await;
    both(two, "guildUpdate", &json!({ "guild": guild, "name": "Renamed" })).await;
}

/// Each library reads the status and the code of the same errors.
pub async fn refusals(two: &mut Two, house: &House) {
    let (general, staff) = (house.general(), &house.server.demo.channels.staff);
    let long = json!({ "channel": general, "content": "x".repeat(2001) });
    refused(&mut two.bot, "send", long, (400, 50035)).await;
    let rename = json!({ "guild": house.guild(), "channel": general, "name": "mine" });
    refused(&mut two.other, "editChannel", rename, (403, 50013)).await;
    refused(&mut two.bot, "invite", json!({ "code": "nothing" }), (404, 10006)).await;
    let gone = json!({ "channel": general, "message": "1" });
    refused(&mut two.bot, "reactions", gone, (404, 10008)).await;
    let guess = house.server.rest(&format!("Bot {}", two.them.token));
    let path = format!("/channels/{staff}/messages");
    assert_eq!(guess.refusal(Method::GET, &path, None).await, (403, 50001));
}

async fn refused(driver: &mut Driver, step: &str, fields: Value, expected: (u64, u64)) {
    assert_eq!(driver.refusal(step, fields).await, expected, "{step}");
}

/// Guilds that come and go while the library is connected.
pub async fn comings_and_goings(two: &mut Two, house: &House) {
    let alice = house.server.alice();
    let club = alice.post("/guilds", &json!({ "name": "Club" })).await["id"].clone();
    house.add_bot(&house.server.demo.bot.application_id, club.as_str().unwrap()).await;
    two.bot.expect("guildCreate", json!({ "guild": club, "name": "Club" })).await;
    assert_eq!(two.bot.call("guild", json!({ "guild": club })).await["members"], 2);
    two.bot.call("leaveGuild", json!({ "guild": club })).await;
    two.bot.expect("guildDelete", json!({ "guild": club })).await;

    let (guild, user) = (house.guild(), two.them.id.clone());
    two.bot.call("kick", json!({ "guild": guild, "user": user })).await;
    two.bot.expect("guildMemberRemove", json!({ "user": user })).await;
    two.other.expect("guildDelete", json!({ "guild": guild })).await;
    house.add_bot(&two.them.application_id, guild).await;
    two.bot.expect("guildMemberAdd", json!({ "user": user })).await;
    two.other.expect("guildCreate", json!({ "guild": guild })).await;
}
