//! Members: joined, edited, searched, timed out, removed.

use crate::rig::{NOW_MS, Rig, json};
use crate::{ask, refused};
use model::view::{MemberView, ViewChange};
use model::{EventKind, Permissions, UserId};
use proto::failure::code;
use proto::v1;
use proto::v1::guilds_server::Guilds;

struct People {
    rig: Rig,
    guild: u64,
    alice: UserId,
    bob: UserId,
    carol: UserId,
}

/// alice owns the guild, bob and carol are in it.
async fn people() -> People {
    let rig = Rig::new().await;
    let (alice, bob, carol) = (rig.user("alice").await, rig.user("bob").await, rig.user("carol").await);
    let guild = rig.guild(alice).await.guild.unwrap().id;
    rig.add(guild, bob, alice).await;
    rig.add(guild, carol, alice).await;
    People { rig, guild, alice, bob, carol }
}

impl People {
    fn edit(&self, actor: UserId, user: UserId) -> v1::EditMemberRequest {
        v1::EditMemberRequest {
            guild_id: self.guild,
            user_id: user.get(),
            actor_id: actor.get(),
            ..Default::default()
        }
    }

    fn remove(&self, actor: UserId, user: UserId) -> v1::RemoveMemberRequest {
        v1::RemoveMemberRequest { guild_id: self.guild, user_id: user.get(), actor_id: actor.get() }
    }

    async fn found(&self, query: &str) -> Vec<u64> {
        let request = v1::SearchMembersRequest { guild_id: self.guild, query: query.into(), limit: 100 };
        let members = ask!(self.rig, search_members, request).unwrap().members;
        members.into_iter().map(|member| member.user.unwrap().id).collect()
    }
}

#[tokio::test]
async fn joining_is_told_to_guild_and_user_and_twice_is_once() {
    let people = people().await;
    let (rig, guild) = (&people.rig, people.guild);
    rig.add(guild, people.bob, people.alice).await;
    assert_eq!(rig.details(guild).await.guild.unwrap().member_count, 3);
    let events = rig.of_guild(guild).await;
    let kinds: Vec<_> = events.iter().map(|event| (event.kind, event.user_id)).collect();
    let add = EventKind::GuildMemberAdd;
    assert_eq!(kinds, [(add, Some(people.bob)), (add, Some(people.carol))]);
    let added = json(&events[0]);
    assert_eq!(
        (added["guild_id"].as_str(), added["user"]["username"].as_str()),
        (Some(&*guild.to_string()), Some("bob"))
    );
    let joined = rig.of_user(people.bob).await;
    assert_eq!(joined.len(), 1);
    assert_eq!((joined[0].kind, joined[0].revision), (EventKind::GuildJoined, Some(2)));
    assert!(events[0].event_id < joined[0].event_id, "the guild is told first");
}

#[tokio::test]
async fn what_each_edit_needs() {
    let people = people().await;
    let (rig, bob, carol) = (&people.rig, people.bob, people.carol);
    let later = Some(NOW_MS + 60_000);
    let edit = || people.edit(bob, carol);
    let powers = rig.role(people.guild, people.alice, "powers", 0).await.id;
    let plain = rig.role(people.guild, people.alice, "plain", 0).await.id;
    rig.give(people.guild, bob, people.alice, &[powers]).await;
    let cases = [
        (Permissions::MANAGE_NICKNAMES, v1::EditMemberRequest { nick: Some("c".into()), ..edit() }),
        (Permissions::MUTE_MEMBERS, v1::EditMemberRequest { mute: Some(true), ..edit() }),
        (Permissions::DEAFEN_MEMBERS, v1::EditMemberRequest { deaf: Some(true), ..edit() }),
        (Permissions::MANAGE_ROLES, v1::EditMemberRequest { add_roles: vec![plain], ..edit() }),
        (
            Permissions::MODERATE_MEMBERS,
            v1::EditMemberRequest { communication_disabled_until_ms: later, ..edit() },
        ),
    ];
    for (permission, request) in cases {
        let set = |bits: Permissions| v1::EditRoleRequest {
            guild_id: people.guild,
            role_id: powers,
            actor_id: people.alice.get(),
            fields: Some(v1::RoleFields { permissions: Some(bits.bits()), ..Default::default() }),
        };
        let others = Permissions::ALL.without(permission | Permissions::ADMINISTRATOR);
        ask!(rig, edit_role, set(others)).unwrap();
        refused!(ask!(rig, edit_member, request.clone()), code::MISSING_PERMISSIONS);
        ask!(rig, edit_role, set(permission)).unwrap();
        ask!(rig, edit_member, request).unwrap_or_else(|failure| panic!("{permission:?}: {failure}"));
    }
    let get = v1::GetMembersRequest { guild_id: people.guild, user_ids: vec![carol.get(), 5] };
    let members = ask!(rig, get_members, get).unwrap().members;
    assert_eq!(members.len(), 1);
    let carol = &members[0];
    assert_eq!((carol.nick.as_deref(), carol.mute, carol.deaf), (Some("c"), true, true));
    assert_eq!((carol.roles.as_slice(), carol.communication_disabled_until_ms), (&[plain][..], later));
}

#[tokio::test]
async fn equals_and_the_owner_are_out_of_reach() {
    let people = people().await;
    let (rig, alice, bob, carol) = (&people.rig, people.alice, people.bob, people.carol);
    let admin = rig.role(people.guild, alice, "admin", Permissions::ADMINISTRATOR.bits()).await.id;
    rig.give(people.guild, bob, alice, &[admin]).await;
    rig.give(people.guild, carol, alice, &[admin]).await;
    for target in [alice, carol] {
        let nick = v1::EditMemberRequest { nick: Some("x".into()), ..people.edit(bob, target) };
        refused!(ask!(rig, edit_member, nick), code::MISSING_PERMISSIONS);
        let until = Some(NOW_MS + 1000);
        let timeout =
            v1::EditMemberRequest { communication_disabled_until_ms: until, ..people.edit(bob, target) };
        refused!(ask!(rig, edit_member, timeout), code::MISSING_PERMISSIONS);
        refused!(ask!(rig, remove_member, people.remove(bob, target)), code::MISSING_PERMISSIONS);
    }
    let own = v1::EditMemberRequest { nick: Some("me".into()), ..people.edit(bob, bob) };
    ask!(rig, edit_member, own).unwrap();
    let until = Some(NOW_MS + 1000);
    let admin_timeout =
        v1::EditMemberRequest { communication_disabled_until_ms: until, ..people.edit(alice, bob) };
    refused!(ask!(rig, edit_member, admin_timeout), code::MISSING_PERMISSIONS);
}

#[tokio::test]
async fn a_time_out_takes_everything_but_reading_until_it_ends() {
    let people = people().await;
    let (rig, alice, bob) = (&people.rig, people.alice, people.bob);
    let until = NOW_MS + 60_000;
    let limit = NOW_MS + 28 * 86_400_000;
    let timeout = |until| v1::EditMemberRequest {
        communication_disabled_until_ms: Some(until),
        ..people.edit(alice, bob)
    };
    let failure = ask!(rig, edit_member, timeout(limit + 1)).unwrap_err();
    assert_eq!(failure.fields[0].path, "communication_disabled_until");
    ask!(rig, edit_member, timeout(until)).unwrap();
    let nick = || v1::EditMemberRequest { nick: Some("b".into()), ..people.edit(bob, bob) };
    refused!(ask!(rig, edit_member, nick()), code::MISSING_PERMISSIONS);
    rig.clock.set(until);
    ask!(rig, edit_member, nick()).unwrap();
    let events = rig.of_guild(people.guild).await;
    let update = events.iter().find(|event| event.kind == EventKind::GuildMemberUpdate).unwrap();
    let view = |until: Option<u64>| MemberView {
        roles: vec![],
        timed_out_until: until.map(model::Timestamp::from_ms),
    };
    let expected = ViewChange::Member { id: bob, before: Some(view(None)), after: Some(view(Some(until))) };
    assert_eq!(update.view, Some(expected));
}

#[tokio::test]
async fn kicked_or_left_a_member_is_gone_and_both_sides_are_told() {
    let people = people().await;
    let (rig, alice, bob, carol) = (&people.rig, people.alice, people.bob, people.carol);
    refused!(ask!(rig, remove_member, people.remove(bob, carol)), code::MISSING_PERMISSIONS);
    refused!(ask!(rig, remove_member, people.remove(alice, alice)), 50_055);
    ask!(rig, remove_member, people.remove(alice, bob)).unwrap();
    refused!(ask!(rig, remove_member, people.remove(alice, bob)), code::UNKNOWN_MEMBER);
    ask!(rig, remove_member, people.remove(carol, carol)).unwrap();
    refused!(ask!(rig, remove_member, people.remove(carol, carol)), code::UNKNOWN_GUILD);
    assert_eq!(rig.details(people.guild).await.guild.unwrap().member_count, 1);
    let events = rig.of_guild(people.guild).await;
    let removed = &events[events.len() - 2];
    assert_eq!((removed.kind, removed.user_id), (EventKind::GuildMemberRemove, Some(bob)));
    assert_eq!(json(removed)["user"]["id"], bob.to_string());
    assert_eq!(rig.of_user(bob).await.last().unwrap().kind, EventKind::GuildLeft);
    let list = v1::ListUserGuildsRequest { user_id: bob.get(), ..Default::default() };
    assert!(ask!(rig, list_user_guilds, list).unwrap().guilds.is_empty());
    assert!(people.found("bob").await.is_empty());
}

#[tokio::test]
async fn search_finds_the_beginnings_of_all_names_without_regard_to_case() {
    let people = people().await;
    let (rig, bob) = (&people.rig, people.bob);
    let nick = |nick: &str| v1::EditMemberRequest { nick: Some(nick.into()), ..people.edit(bob, bob) };
    ask!(rig, edit_member, nick("Carpenter")).unwrap();
    let mut found = people.found("CAR").await;
    found.sort_unstable();
    assert_eq!(found, [bob.get(), people.carol.get()]);
    assert_eq!(people.found("carp").await, [bob.get()]);
    assert_eq!(people.found("bo").await, [bob.get()]);
    assert!(people.found("arpenter").await.is_empty());
    ask!(rig, edit_member, nick("")).unwrap();
    assert!(people.found("carp").await.is_empty(), "a nick that is gone is still found");
    assert_eq!(people.found("").await.len(), 3);
}

#[tokio::test]
async fn members_are_listed_by_id_in_pages() {
    let people = people().await;
    let mut all = [people.alice, people.bob, people.carol].map(UserId::get);
    all.sort_unstable();
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let request = v1::ListMembersRequest { guild_id: people.guild, after, limit: 2 };
        let page = ask!(people.rig, list_members, request).unwrap().members;
        found.extend(page.iter().map(|member| member.user.as_ref().unwrap().id));
        after = found.last().copied();
        if page.is_empty() {
            break;
        }
    }
    assert_eq!(found, all);
}

#[tokio::test]
async fn an_edit_that_changes_nothing_is_answered_and_told_to_nobody() {
    let people = people().await;
    let rig = &people.rig;
    let before = rig.of_guild(people.guild).await.len();
    let member = ask!(rig, edit_member, people.edit(people.bob, people.carol)).unwrap();
    assert_eq!(member.user.unwrap().id, people.carol.get());
    assert_eq!(rig.of_guild(people.guild).await.len(), before);
}

#[tokio::test]
async fn more_members_than_an_answer_holds_are_refused() {
    let people = people().await;
    let get = |count| v1::GetMembersRequest { guild_id: people.guild, user_ids: (1..=count).collect() };
    assert!(ask!(people.rig, get_members, get(1000)).is_ok());
    let failure = ask!(people.rig, get_members, get(1001)).unwrap_err();
    assert_eq!(failure.fields[0].path, "user_ids");
}
