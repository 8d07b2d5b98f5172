//! Events of one portion: given to each session in one go, in the order in which they came.

use model::limits;

use super::rig::*;
use super::world::{Change, allow, channel_id, guild_id, hidden, role_id};
use crate::config::Settings;

/// Publishes messages without letting anything happen between them.
async fn say_all(sim: &Sim, messages: &[(u64, &str)]) {
    for (channel, content) in messages {
        let told = sim.world().message(guild_id(GUILD), channel_id(*channel), content);
        sim.tell_guild(&told).await;
    }
}

#[test]
fn a_session_gets_the_events_of_all_its_channels_in_their_order() {
    simulate(async |sim| {
        let mut alice = sim.session(0, ALICE).await;
        let mut bob = sim.session(0, BOB).await;
        say_all(sim, &[(GENERAL, "1"), (STAFF, "2"), (STAFF, "3"), (GENERAL, "4"), (STAFF, "5")]).await;
        sim.settle().await;
        let lines = |numbers: &[u32]| -> Vec<String> {
            numbers.iter().map(|number| format!("MESSAGE_CREATE {number}")).collect()
        };
        assert_eq!(alice.news(), lines(&[1, 2, 3, 4, 5]));
        assert_eq!(bob.news(), lines(&[1, 4]));
    });
}

#[test]
fn a_change_of_what_can_be_seen_parts_what_came_before_it_from_what_came_after() {
    simulate(async |sim| {
        let mut bob = sim.session(0, BOB).await;
        let guild = guild_id(GUILD);
        say_all(sim, &[(GENERAL, "before"), (STAFF, "unseen")]).await;
        sim.tell_guild(&sim.apply(roles_of_bob(&[STAFF_ROLE]))).await;
        say_all(sim, &[(GENERAL, "between"), (STAFF, "seen")]).await;
        let overwrites = vec![hidden(guild), allow(model::OverwriteKind::Role(role_id(STAFF_ROLE)))];
        sim.tell_guild(&sim.apply(Change::Overwrites(channel_id(GENERAL), overwrites))).await;
        sim.tell_guild(&sim.apply(roles_of_bob(&[]))).await;
        say_all(sim, &[(STAFF, "unseen again"), (GENERAL, "unseen, too")]).await;
        sim.settle().await;
        let expected = [
            "MESSAGE_CREATE before",
            "CHANNEL_CREATE staff",
            "GUILD_MEMBER_UPDATE 12",
            "MESSAGE_CREATE between",
            "MESSAGE_CREATE seen",
            "CHANNEL_UPDATE general",
            "CHANNEL_DELETE staff",
            "CHANNEL_DELETE general",
            "GUILD_MEMBER_UPDATE 12",
        ];
        let mut news = bob.news();
        // The two events of one change have no order between them.
        news[1..3].sort();
        assert_eq!(news.len(), expected.len(), "{news:?}");
        assert_eq!(news[..6], expected[..6]);
        assert!(news[6..].iter().all(|line| expected[6..].contains(&line.as_str())), "{news:?}");
    });
}

#[test]
fn what_comes_together_is_written_together() {
    simulate(async |sim| {
        let mut bob = sim.session(0, BOB).await;
        sim.wait(2_000).await;
        let before = sim.count("writes");
        let numbers: Vec<String> = (0..100).map(|number| number.to_string()).collect();
        let messages: Vec<(u64, &str)> = numbers.iter().map(|number| (GENERAL, number.as_str())).collect();
        say_all(sim, &messages).await;
        sim.wait(2_000).await;
        let expected: Vec<String> = numbers.iter().map(|number| format!("MESSAGE_CREATE {number}")).collect();
        assert_eq!(bob.news(), expected);
        let writes = sim.count("writes") - before;
        assert!(writes <= 4, "{writes} writes for 100 messages");
    });
}

#[test]
fn a_socket_that_takes_only_a_part_gets_the_rest_later() {
    let settings = Settings { outbox_bytes_max: 1 << 20, ..Settings::default() };
    simulate_with(Setup { settings, ..Setup::default() }, async |sim| {
        let mut bob = sim.session(0, BOB).await;
        bob.end.set_capacity(333);
        let numbers: Vec<String> = (0..200).map(|number| number.to_string()).collect();
        let messages: Vec<(u64, &str)> = numbers.iter().map(|number| (GENERAL, number.as_str())).collect();
        say_all(sim, &messages).await;
        let mut news = Vec::new();
        for _ in 0..1_000 {
            sim.settle().await;
            news.extend(bob.news());
        }
        let expected: Vec<String> = numbers.iter().map(|number| format!("MESSAGE_CREATE {number}")).collect();
        assert_eq!(news, expected);
        assert_eq!(sim.count("slow_consumers"), 0);
    });
}

/// What it misses can no longer be given to it: it need not wait for its time to be up.
#[test]
fn a_session_that_misses_too_much_ends_at_once() {
    simulate(async |sim| {
        let bob = sim.session(0, BOB).await;
        bob.end.reset();
        sim.settle().await;
        for _ in 0..limits::RING_EVENTS_MAX / 32 {
            say_all(sim, &[(GENERAL, "missed"); 32]).await;
            sim.settle().await;
        }
        assert_eq!(sim.count("sessions_overrun"), 0, "so many can be given");
        say_all(sim, &[(GENERAL, "missed"); 2]).await;
        sim.settle().await;
        assert_eq!(sim.count("sessions_overrun"), 1);
    });
}
