//! What a session's user may no longer see, it is no longer given: neither live nor by a resume.

use model::Permissions;

use super::rig::*;
use super::world::{Change, allow, channel_id, deny, guild_id, hidden, role_id};

/// Ways to take `staff` away from bob, who sees it by a role.
fn revocations() -> Vec<(Change, &'static str)> {
    let staff = model::OverwriteKind::Role(role_id(STAFF_ROLE));
    let denied = deny(model::OverwriteKind::Member(bob()));
    vec![
        (roles_of_bob(&[]), "CHANNEL_DELETE staff"),
        (Change::Overwrites(channel_id(STAFF), vec![hidden(guild_id(GUILD))]), "CHANNEL_DELETE staff"),
        (
            Change::Overwrites(channel_id(STAFF), vec![hidden(guild_id(GUILD)), allow(staff), denied]),
            "CHANNEL_DELETE staff",
        ),
        (Change::DropChannel(channel_id(STAFF)), "CHANNEL_DELETE staff"),
        (Change::Leave(bob()), "GUILD_DELETE 100"),
    ]
}

#[test]
fn nothing_of_a_channel_comes_after_it_was_taken_away() {
    for (change, expected) in revocations() {
        simulate(async |sim| {
            let mut alice = sim.session(0, ALICE).await;
            sim.change(roles_of_bob(&[STAFF_ROLE])).await;
            let mut client = sim.session(0, BOB).await;
            sim.say(STAFF, "for staff").await;
            assert_eq!(client.news(), ["MESSAGE_CREATE for staff"]);
            sim.change(change).await;
            sim.say(STAFF, "secret").await;
            let news = client.news();
            assert!(news.contains(&expected.to_owned()), "{news:?}");
            assert!(!news.iter().any(|line| line.contains("secret")), "{news:?}");
            assert!(!alice.news().is_empty(), "the others see it all");
        });
    }
}

#[test]
fn nothing_of_a_channel_is_replayed_after_it_was_taken_away() {
    for (change, expected) in revocations() {
        simulate(async |sim| {
            sim.change(roles_of_bob(&[STAFF_ROLE])).await;
            let client = sim.session(0, BOB).await;
            let seq = client.seq;
            client.end.reset();
            sim.say(STAFF, "for staff").await;
            sim.change(change).await;
            sim.say(STAFF, "secret").await;
            let mut again = sim.resume(0, &client, seq);
            sim.wait(1000).await;
            let news = again.news();
            assert_eq!(news.last().map(String::as_str), Some("RESUMED"));
            assert!(news.contains(&expected.to_owned()), "{news:?}");
            assert!(!news.iter().any(|line| line.starts_with("MESSAGE_CREATE")), "{news:?}");
        });
    }
}

#[test]
fn a_channel_appears_with_the_right_to_see_it() {
    simulate(async |sim| {
        let mut client = sim.session(0, BOB).await;
        sim.say(STAFF, "before").await;
        sim.change(roles_of_bob(&[STAFF_ROLE])).await;
        sim.say(STAFF, "after").await;
        assert_eq!(client.news(), ["GUILD_MEMBER_UPDATE 12", "CHANNEL_CREATE staff", "MESSAGE_CREATE after"]);
        sim.change(Change::RolePermissions(role_id(GUILD), Permissions::NONE)).await;
        sim.say(GENERAL, "nobody but alice").await;
        let news = client.news();
        assert_eq!(news[0], "GUILD_ROLE_UPDATE");
        assert_eq!(news[1..].iter().collect::<std::collections::BTreeSet<_>>().len(), 2, "{news:?}");
        assert!(
            news[1..]
                .iter()
                .all(|line| ["CHANNEL_DELETE general", "CHANNEL_DELETE lounge"].contains(&line.as_str())),
            "{news:?}"
        );
    });
}

#[test]
fn what_a_channel_has_become_is_not_told_to_who_may_not_see_it() {
    simulate(async |sim| {
        let mut client = sim.session(0, BOB).await;
        sim.change(Change::Overwrites(channel_id(GENERAL), vec![hidden(guild_id(GUILD))])).await;
        sim.change(Change::Rename(channel_id(GENERAL), "moved".into())).await;
        assert_eq!(client.news(), ["CHANNEL_DELETE general"]);
    });
}

/// Who has an invite can let others in.
#[test]
fn invites_are_for_who_manages_the_channel() {
    simulate(async |sim| {
        let mut alice = sim.session(0, ALICE).await;
        let mut client = sim.session(0, BOB).await;
        sim.change(Change::Invite(channel_id(GENERAL))).await;
        assert_eq!(alice.news(), ["INVITE_CREATE 101"]);
        assert!(client.news().is_empty());
        sim.change(Change::RolePermissions(role_id(STAFF_ROLE), Permissions::MANAGE_CHANNELS)).await;
        sim.change(roles_of_bob(&[STAFF_ROLE])).await;
        client.news();
        let seq = client.seq;
        sim.change(Change::Invite(channel_id(GENERAL))).await;
        assert_eq!(client.news(), ["INVITE_CREATE 101"]);

        sim.change(roles_of_bob(&[])).await;
        let mut again = sim.resume(0, &client, seq);
        sim.settle().await;
        let news = again.news();
        assert_eq!(news.last().map(String::as_str), Some("RESUMED"));
        assert!(!news.contains(&"INVITE_CREATE 101".to_owned()), "{news:?}");
    });
}
