//! A stop between commit and publish: what was stored is published by the next start, in order and once.

use std::collections::HashSet;

use crate::ask;
use crate::rig::{Rig, rename};
use doubles::until;
use model::{EventKind, UserId};
use proto::FailureKind;
use proto::v1;
use proto::v1::accounts_server::Accounts;
use proto::v1::guilds_server::Guilds;

fn add(guild: u64, user: UserId, actor: UserId) -> v1::AddMemberRequest {
    v1::AddMemberRequest { guild_id: guild, user_id: user.get(), actor_id: actor.get(), bot_permissions: 0 }
}

#[tokio::test]
async fn a_change_that_was_stored_and_not_published_is_published_once_by_the_next_start() {
    for published in 0..2 {
        let rig = Rig::new().await;
        let (alice, bob) = (rig.user("alice").await, rig.user("bob").await);
        let guild = rig.guild(alice).await.guild.unwrap().id;
        rig.backplane.go_away_after(published as u64);
        let failure = ask!(rig, add_member, add(guild, bob, alice)).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Unavailable, "{failure}");
        assert_eq!((rig.of_guild(guild).await.len(), rig.of_user(bob).await.len()), (published, 0));
        let rig = rig.restart().await;
        assert_eq!(rig.kinds(guild).await, [(EventKind::GuildMemberAdd, 2)]);
        let user: Vec<_> = rig.of_user(bob).await.iter().map(|event| event.kind).collect();
        assert_eq!(user, [EventKind::GuildJoined]);
        assert_eq!(rig.details(guild).await.guild.unwrap().member_count, 2);
        // What is swept is swept.
        let rig = rig.restart().await;
        assert_eq!((rig.of_guild(guild).await.len(), rig.of_user(bob).await.len()), (1, 1));
    }
}

#[tokio::test]
async fn changes_wait_while_the_backplane_is_away_and_go_on_in_order() {
    let rig = Rig::new().await;
    let alice = rig.user("alice").await;
    let guild = rig.guild(alice).await.guild.unwrap().id;
    rig.backplane.go_away_after(1);
    let (first, second, third, ()) = tokio::join!(
        async { ask!(rig, edit_guild, rename(guild, alice, "one")) },
        async { ask!(rig, edit_guild, rename(guild, alice, "two")) },
        async { ask!(rig, edit_guild, rename(guild, alice, "three")) },
        async {
            // The second was tried again and again.
            until("publishes fail", async || (rig.backplane.failures() >= 3).then_some(())).await;
            assert_eq!(rig.of_guild(guild).await.len(), 1);
            rig.backplane.come_back();
        },
    );
    for outcome in [first, second, third] {
        outcome.unwrap();
    }
    let update = EventKind::GuildUpdate;
    assert_eq!(rig.kinds(guild).await, [(update, 2), (update, 3), (update, 4)]);
}

#[tokio::test]
async fn a_changed_user_reaches_their_guilds_although_the_process_ended_in_between() {
    let rig = Rig::new().await;
    let (alice, bob) = (rig.user("alice").await, rig.user("bob").await);
    let guild = rig.guild(alice).await.guild.unwrap().id;
    rig.add(guild, bob, alice).await;
    rig.backplane.go_away_after(0);
    let request =
        v1::EditUserRequest { user_id: bob.get(), global_name: Some("Bobby".into()), ..Default::default() };
    ask!(rig, edit_user, request).unwrap_err();
    let rig = rig.restart().await;
    let own = rig.of_user(bob).await;
    assert_eq!(own.last().unwrap().kind, EventKind::UserUpdate, "swept before anything else");
    let newest = async || rig.kinds(guild).await.pop().map(|(kind, _)| kind);
    until("the guild is told", async || newest().await.filter(|kind| *kind == EventKind::GuildMemberUpdate))
        .await;
    let get = v1::GetMembersRequest { guild_id: guild, user_ids: vec![bob.get()] };
    let member = ask!(rig, get_members, get).unwrap().members.remove(0);
    assert_eq!(member.user.unwrap().global_name.as_deref(), Some("Bobby"));
}

#[tokio::test]
async fn ids_stay_unique_over_restarts() {
    let mut rig = Rig::new().await;
    let alice = rig.user("alice").await;
    let guild = rig.guild(alice).await.guild.unwrap().id;
    for round in 0..3 {
        ask!(rig, edit_guild, rename(guild, alice, &format!("round {round}"))).unwrap();
        rig = rig.restart().await;
    }
    let ids: HashSet<_> = rig.of_guild(guild).await.iter().map(|event| event.event_id).collect();
    assert_eq!(ids.len(), 3);
}
