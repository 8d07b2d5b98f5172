//! Guilds: made, read, changed, given away, deleted.

use crate::rig::{Rig, json};
use crate::{ask, refused};
use doubles::until;
use model::view::ViewChange;
use model::{EventKind, Permissions};
use proto::failure::code;
use proto::v1;
use proto::v1::guilds_server::Guilds;

#[tokio::test]
async fn a_new_guild_has_everyone_two_channels_and_its_owner_who_is_told() {
    let rig = Rig::new().await;
    let alice = rig.user("alice").await;
    let details = rig.guild(alice).await;
    let guild = details.guild.clone().unwrap();
    let role = &details.roles[0];
    assert_eq!(
        (role.id, role.name.as_str(), role.permissions),
        (guild.id, "@everyone", Permissions::DEFAULT.bits())
    );
    let channels: Vec<_> =
        details.channels.iter().map(|channel| (channel.kind, channel.name.as_str())).collect();
    assert_eq!(channels, [(0, "general"), (2, "General")]);
    assert_eq!((guild.owner_id, guild.member_count, guild.revision), (alice.get(), 1, 1));
    assert_eq!(rig.details(guild.id).await, details);
    assert!(rig.of_guild(guild.id).await.is_empty(), "GUILD_CREATE is made by gateways");
    let joined = rig.of_user(alice).await;
    assert_eq!((joined[0].kind, joined[0].guild_id.unwrap().get()), (EventKind::GuildJoined, guild.id));

    let open = v1::OpenGuildRequest { guild_id: guild.id, user_id: alice.get(), members_max: 10 };
    let snapshot = ask!(rig, open_guild, open).unwrap();
    assert_eq!((snapshot.member.as_ref(), snapshot.members.len()), (snapshot.members.first(), 1));
}

#[tokio::test]
async fn fields_of_a_guild_are_checked() {
    let rig = Rig::new().await;
    let alice = rig.user("alice").await;
    let guild = rig.guild(alice).await.guild.unwrap().id;
    let edit = || v1::EditGuildRequest { guild_id: guild, actor_id: alice.get(), ..Default::default() };
    let cases = [
        (v1::EditGuildRequest { name: Some("x".into()), ..edit() }, "name", "BASE_TYPE_BAD_LENGTH"),
        (v1::EditGuildRequest { name: Some("x".repeat(101)), ..edit() }, "name", "BASE_TYPE_BAD_LENGTH"),
        (v1::EditGuildRequest { afk_timeout: Some(61), ..edit() }, "afk_timeout", "BASE_TYPE_CHOICES"),
        (
            v1::EditGuildRequest { verification_level: Some(5), ..edit() },
            "verification_level",
            "BASE_TYPE_CHOICES",
        ),
        (
            v1::EditGuildRequest { system_channel_id: Some(7), ..edit() },
            "system_channel_id",
            "CHANNEL_INVALID",
        ),
    ];
    for (request, path, code) in cases {
        let failure = ask!(rig, edit_guild, request).unwrap_err();
        assert_eq!((failure.fields[0].path.as_str(), failure.fields[0].code.as_str()), (path, code));
    }
    assert!(rig.of_guild(guild).await.is_empty(), "a refused change told something");
}

#[tokio::test]
async fn ownership_is_given_by_the_owner_to_a_member_and_told_as_a_change_of_view() {
    let rig = Rig::new().await;
    let (alice, bob, carol) = (rig.user("alice").await, rig.user("bob").await, rig.user("carol").await);
    let guild = rig.guild(alice).await.guild.unwrap().id;
    rig.add(guild, bob, alice).await;
    let give = |actor: model::UserId, to: model::UserId| v1::EditGuildRequest {
        guild_id: guild,
        actor_id: actor.get(),
        owner_id: Some(to.get()),
        ..Default::default()
    };
    let admin = rig.role(guild, alice, "admin", Permissions::ADMINISTRATOR.bits()).await;
    refused!(ask!(rig, edit_guild, give(bob, bob)), code::MISSING_PERMISSIONS);
    rig.give(guild, bob, alice, &[admin.id]).await;
    refused!(ask!(rig, edit_guild, give(bob, bob)), code::MISSING_PERMISSIONS);
    refused!(ask!(rig, edit_guild, give(alice, carol)), code::UNKNOWN_MEMBER);
    let bot = rig.bot(alice, "Helper").await;
    rig.add(guild, bot, alice).await;
    refused!(ask!(rig, edit_guild, give(alice, bot)), code::OWNER_IS_BOT);
    refused!(ask!(rig, edit_guild, give(carol, carol)), code::UNKNOWN_GUILD);
    ask!(rig, edit_guild, give(alice, bob)).unwrap();
    let events = rig.of_guild(guild).await;
    let update = events.last().unwrap();
    assert_eq!(update.kind, EventKind::GuildUpdate);
    assert_eq!(update.view, Some(ViewChange::Owner { before: alice, after: bob }));
    assert_eq!(json(update)["roles"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn revisions_rise_by_one_for_each_change_also_for_one_that_changes_nothing() {
    let rig = Rig::new().await;
    let alice = rig.user("alice").await;
    let guild = rig.guild(alice).await.guild.unwrap().id;
    let edit = || v1::EditGuildRequest {
        guild_id: guild,
        actor_id: alice.get(),
        description: Some("d".into()),
        ..Default::default()
    };
    for _ in 0..3 {
        ask!(rig, edit_guild, edit()).unwrap();
    }
    rig.role(guild, alice, "r", 0).await;
    let kinds = rig.kinds(guild).await;
    let update = EventKind::GuildUpdate;
    assert_eq!(kinds, [(update, 2), (update, 3), (update, 4), (EventKind::GuildRoleCreate, 5)]);
    let ids: Vec<_> = rig.of_guild(guild).await.iter().map(|event| event.event_id).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "event ids do not rise: {ids:?}");
    // An idle guild's task ends; the next touch goes on where it stopped.
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert_eq!(ask!(rig, edit_guild, edit()).unwrap().guild.unwrap().revision, 6);
}

#[tokio::test]
async fn readers_see_their_channels_and_strangers_nothing() {
    let rig = Rig::new().await;
    let (alice, bob, carol) = (rig.user("alice").await, rig.user("bob").await, rig.user("carol").await);
    let details = rig.guild(alice).await;
    let guild = details.guild.unwrap().id;
    rig.add(guild, bob, alice).await;
    let hidden = details.channels[0].id;
    let overwrite = v1::Overwrite { id: guild, kind: 0, allow: 0, deny: Permissions::VIEW_CHANNEL.bits() };
    let request =
        v1::SetOverwriteRequest { channel_id: hidden, actor_id: alice.get(), overwrite: Some(overwrite) };
    ask!(rig, set_overwrite, request).unwrap();
    let get = |reader: model::UserId| v1::GetGuildRequest { guild_id: guild, reader_id: Some(reader.get()) };
    let count = |details: v1::GuildDetails| details.channels.len();
    assert_eq!(count(ask!(rig, get_guild, get(alice)).unwrap()), 2);
    assert_eq!(count(ask!(rig, get_guild, get(bob)).unwrap()), 1);
    refused!(ask!(rig, get_guild, get(carol)), code::UNKNOWN_GUILD);
    let channel =
        |reader: model::UserId| v1::GetChannelRequest { channel_id: hidden, reader_id: Some(reader.get()) };
    ask!(rig, get_channel, channel(alice)).unwrap();
    refused!(ask!(rig, get_channel, channel(bob)), code::MISSING_ACCESS);
    refused!(ask!(rig, get_channel, channel(carol)), code::MISSING_ACCESS);
    let unknown = v1::GetChannelRequest { channel_id: 5, reader_id: None };
    refused!(ask!(rig, get_channel, unknown), code::UNKNOWN_CHANNEL);
    let unknown = v1::GetGuildRequest { guild_id: 5, reader_id: None };
    refused!(ask!(rig, get_guild, unknown), code::UNKNOWN_GUILD);
    let open = v1::OpenGuildRequest { guild_id: guild, user_id: carol.get(), members_max: 10 };
    let snapshot = ask!(rig, open_guild, open).unwrap();
    assert_eq!((snapshot.member, snapshot.members), (None, vec![]));
}

#[tokio::test]
async fn a_deleted_guild_is_gone_at_once_and_its_rows_soon_after() {
    let rig = Rig::new().await;
    let (alice, bob) = (rig.user("alice").await, rig.user("bob").await);
    let kept = rig.guild(alice).await.guild.unwrap().id;
    let details = rig.guild(alice).await;
    let guild = details.guild.unwrap().id;
    rig.add(guild, bob, alice).await;
    let list = |user: model::UserId| v1::ListUserGuildsRequest {
        user_id: user.get(),
        details: true,
        ..Default::default()
    };
    assert_eq!(ask!(rig, list_user_guilds, list(alice)).unwrap().guilds.len(), 2);
    let delete = |actor: model::UserId| v1::DeleteGuildRequest { guild_id: guild, actor_id: actor.get() };
    refused!(ask!(rig, delete_guild, delete(bob)), code::MISSING_PERMISSIONS);
    ask!(rig, delete_guild, delete(alice)).unwrap();
    refused!(ask!(rig, delete_guild, delete(alice)), code::UNKNOWN_GUILD);
    let left: Vec<_> =
        ask!(rig, list_user_guilds, list(alice)).unwrap().guilds.iter().map(|guild| guild.id).collect();
    assert_eq!(left, [kept]);
    let channel = v1::GetChannelRequest { channel_id: details.channels[0].id, reader_id: None };
    refused!(ask!(rig, get_channel, channel), code::UNKNOWN_CHANNEL);
    let events = rig.of_guild(guild).await;
    let gone = events.last().unwrap();
    assert_eq!((gone.kind, gone.view.clone()), (EventKind::GuildDelete, Some(ViewChange::Deleted)));
    assert_eq!(json(gone), serde_json::json!({ "id": guild.to_string() }));
    assert!(ask!(rig, list_user_guilds, list(bob)).unwrap().guilds.is_empty());
    let rig = rig.restart().await;
    let holds = |key: &[u8]| key.windows(8).any(|window| window == guild.to_be_bytes());
    let left = |rig: &Rig| {
        let rows = rig.rows("members").into_iter().chain(rig.rows("guilds"));
        rows.filter(|(key, _)| holds(key)).count()
    };
    until("the rows of the guild are gone", async || (left(&rig) == 0).then_some(())).await;
}

#[tokio::test]
async fn guilds_of_a_user_come_in_pages() {
    let rig = Rig::new().await;
    let alice = rig.user("alice").await;
    let mut all = Vec::new();
    for _ in 0..5 {
        all.push(rig.guild(alice).await.guild.unwrap().id);
    }
    let cases = [
        (None, None, 0, &all[..]),
        (None, None, 2, &all[..2]),
        (None, Some(all[1]), 2, &all[2..4]),
        (Some(all[3]), None, 2, &all[1..3]),
        (Some(all[0]), None, 2, &all[..0]),
    ];
    for (before, after, limit, expected) in cases {
        let request =
            v1::ListUserGuildsRequest { user_id: alice.get(), before, after, limit, details: false };
        let guilds = ask!(rig, list_user_guilds, request).unwrap().guilds;
        let found: Vec<_> = guilds.iter().map(|guild| guild.id).collect();
        assert_eq!(found, expected, "before {before:?} after {after:?} limit {limit}");
    }
}
