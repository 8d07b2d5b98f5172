//! What holds for bots: shards, how often they may identify, and what comes whatever their intents.

use backplane::Starts as _;
use model::{Intents, User, limits};
use serde_json::json;

use super::client::{Client, token_of};
use super::rig::*;
use super::world::{guild_id, user_id};
use crate::config::Settings;
use crate::link::command::Shard as ClientShard;

const ROBOT: u64 = 900;

/// A bot that is in so many guilds, one after the other of every number of shards.
fn robot(sim: &Sim, guilds: u64) {
    let mut world = sim.world();
    world.users.insert(user_id(ROBOT), User::new(user_id(ROBOT), "robot", true));
    for number in 1..=guilds {
        world.add_guild(guild_id(number << 22), user_id(ROBOT));
    }
}

async fn identified(sim: &Sim, shard: Option<[u32; 2]>) -> Client {
    let client = sim.connect(0, ROBOT);
    let mut d = json!({"token": token_of(ROBOT), "intents": Intents::GUILDS.bits(), "properties": {}});
    if let Some(shard) = shard {
        d["shard"] = json!(shard);
    }
    client.send(&json!({"op": 2, "d": d}));
    sim.settle().await;
    client
}

#[test]
fn a_shard_has_at_most_2500_guilds() {
    simulate(async |sim| {
        robot(sim, limits::SHARD_GUILDS_MAX as u64 + 1);
        assert_eq!(identified(sim, None).await.news(), ["close 4011"]);
        assert_eq!(identified(sim, Some([0, 1])).await.news(), ["close 4011"]);
        let mut half = identified(sim, Some([1, 2])).await;
        assert_eq!(half.news()[0], "READY");
        let ready = &half.payloads[1]["d"];
        assert_eq!((&ready["shard"], ready["guilds"].as_array().unwrap().len()), (&json!([1, 2]), 1251));
    });
}

#[test]
fn identifies_of_one_key_come_one_at_a_time() {
    let settings = Settings { max_concurrency: 2, ..Settings::default() };
    simulate_with(Setup { settings, ..Setup::default() }, async |sim| {
        robot(sim, 4);
        for index in [0, 1] {
            assert_eq!(identified(sim, Some([index, 4])).await.news()[0], "READY");
        }
        let mut third = identified(sim, Some([2, 4])).await;
        sim.expect_refusal(&mut third).await;
        sim.wait(limits::IDENTIFY_WINDOW_MS).await;
        third.identify(Intents::GUILDS.bits());
        sim.settle().await;
        assert_eq!(third.news()[0], "READY");
    });
}

/// As with Discord, where the token is worth nothing then.
#[test]
fn a_bot_that_has_used_up_its_day_is_not_let_in() {
    let settings = Settings { max_concurrency: 10_000, ..Settings::default() };
    simulate_with(Setup { settings, ..Setup::default() }, async |sim| {
        robot(sim, 1);
        for _ in 1..limits::IDENTIFIES_PER_DAY {
            sim.services.bot_starts.begin(user_id(ROBOT), ClientShard::WHOLE).await;
        }
        let mut last = identified(sim, None).await;
        assert_eq!(last.news()[0], "READY");
        assert_eq!(identified(sim, None).await.news(), ["close 4004"]);
        assert_eq!(sim.count("identifies_beyond_day"), 1);
        assert_eq!(last.news(), Vec::<String>::new(), "the session that is there stays");
        last.end.reset();
        sim.settle().await;
        let mut again = sim.resume(0, &last, last.seq);
        sim.settle().await;
        assert_eq!(again.news(), ["RESUMED"], "it is none of its starts");
        let day = sim.starts.count(user_id(ROBOT)).await.unwrap();
        assert_eq!(day.count, limits::IDENTIFIES_PER_DAY + 1);
    });
}

#[test]
fn some_things_need_no_intent() {
    simulate(async |sim| {
        let mut bob = sim.connect(0, BOB);
        bob.identify(Intents::NONE.bits());
        sim.settle().await;
        assert_eq!(bob.news()[0], "READY");
        sim.say(GENERAL, "nothing of this").await;
        sim.typing(GENERAL).await;
        sim.change(roles_of_bob(&[STAFF_ROLE])).await;
        let told = sim.world().user_update(user_id(BOB));
        sim.tell(&told).await;
        bob.voice(GUILD, Some(LOUNGE));
        sim.settle().await;
        assert_eq!(bob.news(), ["GUILD_MEMBER_UPDATE 12", "USER_UPDATE", "VOICE_SERVER_UPDATE for 103"]);
    });
}
