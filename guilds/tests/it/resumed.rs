//! Work in several pieces, limits under concurrency, and what a process leaves that dies in between.

use std::time::Duration;

use futures_util::FutureExt;

use crate::ask;
use crate::rig::{LEASE, Rig, rename};
use doubles::until;
use guilds::store::{Commit, DirectoryStore, Write};
use model::limits::USER_GUILDS_MAX;
use model::{
    ChannelId, EventKind, GuildId, Member, Overwrite, OverwriteKind, Permissions, RoleId, Timestamp,
};
use model::{User, UserId};
use proto::FailureKind;
use proto::failure::code;
use proto::v1;
use proto::v1::guilds_server::Guilds;
use tokio::time::{pause, resume, sleep, timeout};

const CHANNELS: u64 = 100;
/// Far more than a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(60);

fn writes(writes: Vec<Write>) -> Commit {
    Commit { writes, ..Commit::default() }
}

#[tokio::test]
async fn of_concurrent_creations_only_as_many_succeed_as_there_is_room_for() {
    let rig = Rig::new().await;
    let alice = rig.user("alice").await;
    let rig = rig
        .restart_after(async |store| {
            let user = User::new(alice, "alice", false);
            for number in 1..USER_GUILDS_MAX as u64 {
                let guild = GuildId::new(number).unwrap();
                let member = Member::new(guild, user.clone(), Timestamp::from_ms(0));
                store.commit(&LEASE, writes(vec![Write::PutMember(Box::new(member), None)])).await.unwrap();
            }
        })
        .await;
    let create = || async {
        let request = v1::CreateGuildRequest { owner_id: alice.get(), name: "Demo".into(), icon: None };
        ask!(rig, create_guild, request)
    };
    let outcomes = futures_util::future::join_all((0..5).map(|_| create())).await;
    let refused: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    assert_eq!(refused.len(), 4);
    assert!(refused.iter().all(|failure| failure.code == code::MAX_GUILDS), "{refused:?}");
}

/// A guild with a role that so many channels refer to that its deletion takes several pieces.
async fn with_heavy_role(rig: Rig, owner: UserId) -> (Rig, u64, u64) {
    let guild = rig.guild(owner).await.guild.unwrap().id;
    let role = rig.role(guild, owner, "heavy", 0).await.id;
    let overwrite = |target| Overwrite { target, allow: Permissions::NONE, deny: Permissions::NONE };
    let rig = rig
        .restart_after(async |store| {
            let rows = store.guild(GuildId::new(guild).unwrap()).await.unwrap().unwrap();
            let members = (1..400).map(|id| overwrite(OverwriteKind::Member(UserId::new(id).unwrap())));
            let heavy = overwrite(OverwriteKind::Role(RoleId::new(role).unwrap()));
            let overwrites: Vec<_> = members.chain([heavy]).collect();
            for number in 0..CHANNELS {
                let mut channel = rows.channels[0].clone();
                channel.id = ChannelId::new(1_000 + number).unwrap();
                channel.overwrites.clone_from(&overwrites);
                store.commit(&LEASE, writes(vec![Write::PutChannel(channel)])).await.unwrap();
            }
        })
        .await;
    (rig, guild, role)
}

/// Channels that refer to the role.
async fn referring(rig: &Rig, guild: u64, role: u64) -> usize {
    let channels = rig.details(guild).await.channels;
    channels.iter().filter(|channel| channel.overwrites.iter().any(|one| one.id == role)).count()
}

#[tokio::test]
async fn a_role_in_many_overwrites_is_deleted_in_pieces_also_when_the_process_dies_in_between() {
    let rig = Rig::new().await;
    let alice = rig.user("alice").await;
    let (rig, guild, role) = with_heavy_role(rig, alice).await;
    assert_eq!(referring(&rig, guild, role).await as u64, CHANNELS);
    let published = rig.of_guild(guild).await.len();
    let delete = v1::DeleteRoleRequest { guild_id: guild, role_id: role, actor_id: alice.get() };
    rig.backplane.go_away_after(10);
    let failure = ask!(rig, delete_role, delete).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unavailable, "{failure}");
    assert_eq!(rig.of_guild(guild).await.len(), published + 10, "it stopped within the first piece");

    let rig = rig.restart().await;
    let left = referring(&rig, guild, role).await;
    assert!(left > 0 && (left as u64) < CHANNELS - 10, "{left} channels are left");
    assert!(rig.details(guild).await.roles.iter().any(|other| other.id == role), "the role goes last");
    ask!(rig, delete_role, delete).unwrap();
    assert_eq!(referring(&rig, guild, role).await, 0);
    assert!(rig.details(guild).await.roles.iter().all(|other| other.id != role));
    let events = rig.of_guild(guild).await;
    let kinds: Vec<_> = events[published..].iter().map(|event| event.kind).collect();
    let mut expected = vec![EventKind::ChannelUpdate; CHANNELS as usize];
    expected.push(EventKind::GuildRoleDelete);
    assert_eq!(kinds, expected, "each channel is told of once, and then the role");
    let revisions: Vec<_> = events.iter().map(|event| event.revision.unwrap()).collect();
    assert!(revisions.is_sorted(), "{revisions:?}");
}

#[tokio::test]
async fn rows_of_a_guild_whose_deletion_was_stored_are_removed_by_the_next_start() {
    let rig = Rig::new().await;
    let request = v1::SeedGuildRequest {
        name: "Crowd".into(),
        prefix: "user-".into(),
        members: 600,
        ..v1::SeedGuildRequest::default()
    };
    let guild = ask!(rig, seed_guild, request).unwrap().guild_id;
    let holds = |key: &[u8]| key.windows(8).any(|window| window == guild.to_be_bytes());
    let left = |rig: &Rig| {
        let rows = rig.rows("members").into_iter().chain(rig.rows("guilds"));
        rows.filter(|(key, _)| holds(key)).count()
    };
    let rig = rig
        .restart_after(async |store| {
            let rows = store.guild(GuildId::new(guild).unwrap()).await.unwrap().unwrap();
            store.commit(&LEASE, writes(vec![Write::DeleteGuild(Box::new(rows))])).await.unwrap();
        })
        .await;
    until("the rows of the guild are gone", async || (left(&rig) == 0).then_some(())).await;
}

#[tokio::test]
async fn a_change_that_is_not_confirmed_is_of_unknown_outcome_and_made_once() {
    let rig = Rig::new().await;
    let alice = rig.user("alice").await;
    let guild = rig.guild(alice).await.guild.unwrap().id;
    rig.disk().hold();
    pause();
    let failure = ask!(rig, edit_guild, rename(guild, alice, "new")).unwrap_err();
    assert!(failure.message.contains("may yet take effect"), "{failure}");
    // The engine gives up to confirm after ten seconds, so the write is repeated.
    sleep(Duration::from_secs(25)).await;
    assert!(rig.kinds(guild).await.is_empty());
    resume();
    rig.disk().free();
    until("the change is published", async || rig.kinds(guild).await.pop()).await;
    ask!(rig, edit_guild, rename(guild, alice, "newer")).unwrap();
    assert_eq!(rig.kinds(guild).await, [(EventKind::GuildUpdate, 2), (EventKind::GuildUpdate, 3)]);
}

#[tokio::test]
async fn a_guild_that_dies_with_a_stored_change_is_told_of() {
    let rig = Rig::new().await;
    let alice = rig.user("alice").await;
    let guild = rig.guild(alice).await.guild.unwrap().id;
    assert_eq!(rig.directory.ended().now_or_never(), None);
    rig.backplane.panic();
    let failure = ask!(rig, edit_guild, rename(guild, alice, "new")).unwrap_err();
    assert!(failure.message.contains("may yet take effect"), "{failure}");
    let ended = timeout(PATIENCE, rig.directory.ended()).await.expect("it is told");
    assert_eq!(ended.task, "a task with a change that is not published");
}
