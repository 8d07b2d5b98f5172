//! Ten thousand members within seconds.

use std::collections::HashSet;

use crate::ask;
use crate::rig::Rig;
use model::UserId;
use proto::FailureKind;
use proto::v1;
use proto::v1::accounts_server::Accounts;
use proto::v1::guilds_server::Guilds;

/// What a machine that builds other things meanwhile may take; it is under two seconds on a quiet one.
const SEED_MS_MAX: u128 = 20_000;

fn request(guild_id: Option<u64>, members: u32) -> v1::SeedGuildRequest {
    v1::SeedGuildRequest {
        name: "Crowd".into(),
        prefix: "user-".into(),
        members,
        guild_id,
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_members_are_there_in_seconds_and_can_log_in() {
    let rig = Rig::new().await;
    rig.user("user-7").await;
    let started = tokio::time::Instant::now();
    let first = ask!(rig, seed_guild, request(None, 2_000)).unwrap();
    let mut members = first.members;
    for _ in 0..4 {
        members.extend(ask!(rig, seed_guild, request(Some(first.guild_id), 2_000)).unwrap().members);
    }
    let took = started.elapsed();
    println!("10,000 members in {took:?}");
    assert!(took.as_millis() < SEED_MS_MAX, "{took:?}");

    let ids: HashSet<_> = members.iter().map(|member| member.id).collect();
    assert_eq!(ids.len(), 10_000);
    let details = rig.details(first.guild_id).await;
    let guild = details.guild.unwrap();
    assert_eq!((guild.member_count, guild.owner_id), (10_000, members[0].id));
    assert_eq!(first.channel_id, details.channels.iter().find(|channel| channel.kind == 0).unwrap().id);
    for member in [&members[0], &members[9_999]] {
        let identity = ask!(rig, authenticate, v1::AuthenticateRequest::of(member.token.clone())).unwrap();
        assert_eq!(identity.user.unwrap().id, member.id);
    }
    let open = v1::OpenGuildRequest { guild_id: guild.id, user_id: members[5].id, members_max: 250 };
    let snapshot = ask!(rig, open_guild, open).unwrap();
    assert_eq!((snapshot.members.len(), snapshot.member.unwrap().user.unwrap().id), (1, members[5].id));
    let search = v1::SearchMembersRequest { guild_id: guild.id, query: "user-999".into(), limit: 100 };
    assert_eq!(ask!(rig, search_members, search).unwrap().members.len(), 11);
    assert!(rig.of_guild(guild.id).await.is_empty());
    assert_eq!(rig.of_user(UserId::new(members[0].id).unwrap()).await.len(), 1);
}

#[tokio::test]
async fn a_guild_of_users_who_are_there_has_them_as_members() {
    let rig = Rig::new().await;
    let crowd = ask!(rig, seed_guild, request(None, 5)).unwrap();
    let users: Vec<u64> = crowd.members.iter().map(|member| member.id).collect();
    let of = |user_ids: &[u64]| v1::SeedGuildRequest {
        name: "Further".into(),
        user_ids: user_ids.to_vec(),
        ..Default::default()
    };
    let further = ask!(rig, seed_guild, of(&users[1..4])).unwrap();
    assert!(further.members.is_empty(), "nobody new");
    let guild = rig.details(further.guild_id).await.guild.unwrap();
    assert_eq!((guild.member_count, guild.owner_id), (3, users[1]));
    for (user, guilds) in [(users[0], 1), (users[2], 2)] {
        let list = v1::ListUserGuildsRequest { user_id: user, ..Default::default() };
        assert_eq!(ask!(rig, list_user_guilds, list).unwrap().guilds.len(), guilds);
    }

    let twice = ask!(rig, seed_guild, of(&[users[0], users[0]])).unwrap_err();
    assert_eq!(twice.kind, FailureKind::Invalid);
    let unknown = ask!(rig, seed_guild, of(&[users[0], 1])).unwrap_err();
    assert_eq!(unknown.kind, FailureKind::NotFound);
    let list = v1::ListUserGuildsRequest { user_id: users[0], ..Default::default() };
    assert_eq!(ask!(rig, list_user_guilds, list).unwrap().guilds.len(), 1, "nothing was made");
}
