//! Channels and overwrites.

use crate::rig::{Rig, json};
use crate::{ask, refused};
use model::view::ViewChange;
use model::{EventKind, Permissions, UserId};
use proto::failure::code;
use proto::v1;
use proto::v1::guilds_server::Guilds;

fn create(guild: u64, actor: UserId, kind: u32, name: &str) -> v1::CreateChannelRequest {
    let fields = v1::ChannelFields { name: Some(name.into()), kind: Some(kind), ..Default::default() };
    v1::CreateChannelRequest { guild_id: guild, actor_id: actor.get(), fields: Some(fields) }
}

fn edit(channel: u64, actor: UserId, fields: v1::ChannelFields) -> v1::EditChannelRequest {
    v1::EditChannelRequest { channel_id: channel, actor_id: actor.get(), fields: Some(fields) }
}

fn set(channel: u64, actor: UserId, id: u64, kind: u32, allow: u64, deny: u64) -> v1::SetOverwriteRequest {
    let overwrite = Some(v1::Overwrite { id, kind, allow, deny });
    v1::SetOverwriteRequest { channel_id: channel, actor_id: actor.get(), overwrite }
}

#[tokio::test]
async fn channels_are_made_changed_moved_and_deleted_with_their_events() {
    let rig = Rig::new().await;
    let alice = rig.user("alice").await;
    let guild = rig.guild(alice).await.guild.unwrap().id;
    let category = ask!(rig, create_channel, create(guild, alice, 4, "Talk")).unwrap();
    let text = ask!(rig, create_channel, create(guild, alice, 0, "  Off Topic ")).unwrap();
    assert_eq!((text.name.as_str(), text.position), ("off-topic", 1));
    let (channel_id, parent_id) = (text.id, Some(category.id));
    let moves = vec![v1::ChannelMove { channel_id, position: Some(7), parent_id, ..Default::default() }];
    ask!(rig, move_channels, v1::MoveChannelsRequest { guild_id: guild, actor_id: alice.get(), moves })
        .unwrap();
    let fields = v1::ChannelFields { topic: Some("t".into()), kind: Some(5), ..Default::default() };
    let edited = ask!(rig, edit_channel, edit(text.id, alice, fields)).unwrap();
    assert_eq!((edited.parent_id, edited.position, edited.kind), (Some(category.id), 7, 5));
    let delete = v1::DeleteChannelRequest { channel_id: category.id, actor_id: alice.get() };
    ask!(rig, delete_channel, delete).unwrap();

    let kinds = rig.kinds(guild).await;
    use EventKind::{ChannelCreate, ChannelDelete, ChannelUpdate};
    let expected = [
        (ChannelCreate, 2),
        (ChannelCreate, 3),
        (ChannelUpdate, 4),
        (ChannelUpdate, 5),
        (ChannelUpdate, 6),
        (ChannelDelete, 6),
    ];
    assert_eq!(kinds, expected, "the category's channel leaves it in the same change");
    let events = rig.of_guild(guild).await;
    assert_eq!(json(&events[1])["type"], 0);
    assert_eq!(events[1].channel_id.unwrap().get(), text.id);
    assert!(matches!(&events[1].view, Some(ViewChange::Channel { before: None, after: Some(_), .. })));
    assert!(matches!(&events[5].view, Some(ViewChange::Channel { before: Some(_), after: None, .. })));
    assert_eq!(json(&events[4])["parent_id"], serde_json::Value::Null);
}

#[tokio::test]
async fn fields_of_a_channel_are_checked() {
    let rig = Rig::new().await;
    let alice = rig.user("alice").await;
    let details = rig.guild(alice).await;
    let guild = details.guild.unwrap().id;
    let text = details.channels[0].id;
    for (kind, name, path, expected) in [
        (0, "", "name", "BASE_TYPE_REQUIRED"),
        (0, &*"x".repeat(101), "name", "BASE_TYPE_BAD_LENGTH"),
        (1, "direct", "type", "BASE_TYPE_CHOICES"),
        (99, "x", "type", "BASE_TYPE_CHOICES"),
    ] {
        let failure = ask!(rig, create_channel, create(guild, alice, kind, name)).unwrap_err();
        assert_eq!((failure.fields[0].path.as_str(), failure.fields[0].code.as_str()), (path, expected));
    }
    let default = v1::ChannelFields::default;
    for (fields, path, expected) in [
        (v1::ChannelFields { topic: Some("x".repeat(1025)), ..default() }, "topic", "BASE_TYPE_MAX_LENGTH"),
        (
            v1::ChannelFields { rate_limit_per_user: Some(21_601), ..default() },
            "rate_limit_per_user",
            "NUMBER_TYPE_MAX",
        ),
        (v1::ChannelFields { bitrate: Some(7_999), ..default() }, "bitrate", "NUMBER_TYPE_MIN"),
        (v1::ChannelFields { parent_id: Some(text), ..default() }, "parent_id", "CHANNEL_PARENT_INVALID"),
        (v1::ChannelFields { kind: Some(2), ..default() }, "type", "BASE_TYPE_CHOICES"),
    ] {
        let failure = ask!(rig, edit_channel, edit(text, alice, fields)).unwrap_err();
        assert_eq!((failure.fields[0].path.as_str(), failure.fields[0].code.as_str()), (path, expected));
    }
    assert!(rig.of_guild(guild).await.is_empty());
}

#[tokio::test]
async fn who_may_not_is_refused_and_who_cannot_see_has_no_access() {
    let rig = Rig::new().await;
    let (alice, bob) = (rig.user("alice").await, rig.user("bob").await);
    let details = rig.guild(alice).await;
    let guild = details.guild.unwrap().id;
    let channel = details.channels[0].id;
    rig.add(guild, bob, alice).await;
    let name = || v1::ChannelFields { name: Some("new".into()), ..Default::default() };
    let delete = || v1::DeleteChannelRequest { channel_id: channel, actor_id: bob.get() };
    refused!(ask!(rig, create_channel, create(guild, bob, 0, "x")), code::MISSING_PERMISSIONS);
    refused!(ask!(rig, edit_channel, edit(channel, bob, name())), code::MISSING_PERMISSIONS);
    refused!(ask!(rig, delete_channel, delete()), code::MISSING_PERMISSIONS);
    refused!(ask!(rig, set_overwrite, set(channel, bob, guild, 0, 0, 1)), code::MISSING_PERMISSIONS);
    refused!(ask!(rig, edit_channel, edit(5, bob, name())), code::UNKNOWN_CHANNEL);

    // An overwrite for bob alone lets him manage this one channel; he still cannot see it once it is hidden.
    let manage = Permissions::MANAGE_CHANNELS.bits();
    ask!(rig, set_overwrite, set(channel, alice, bob.get(), 1, manage, 0)).unwrap();
    ask!(rig, edit_channel, edit(channel, bob, name())).unwrap();
    ask!(rig, set_overwrite, set(channel, alice, bob.get(), 1, manage, Permissions::VIEW_CHANNEL.bits()))
        .unwrap();
    refused!(ask!(rig, edit_channel, edit(channel, bob, name())), code::MISSING_ACCESS);
    refused!(ask!(rig, delete_channel, delete()), code::MISSING_ACCESS);
}

#[tokio::test]
async fn overwrites_hand_out_only_what_their_maker_has() {
    let rig = Rig::new().await;
    let (alice, bob, carol) = (rig.user("alice").await, rig.user("bob").await, rig.user("carol").await);
    let details = rig.guild(alice).await;
    let guild = details.guild.unwrap().id;
    let channel = details.channels[0].id;
    rig.add(guild, bob, alice).await;
    let role = rig.role(guild, alice, "mod", Permissions::MANAGE_ROLES.bits()).await;
    rig.give(guild, bob, alice, &[role.id]).await;
    let bits = |permissions: Permissions| permissions.bits();

    let send = bits(Permissions::SEND_MESSAGES);
    ask!(rig, set_overwrite, set(channel, bob, guild, 0, 0, send)).unwrap();
    let overwrites = rig.details(guild).await.channels[0].overwrites.clone();
    assert_eq!(overwrites, [v1::Overwrite { id: guild, kind: 0, allow: 0, deny: send }]);
    for permission in [Permissions::KICK_MEMBERS, Permissions::MANAGE_ROLES] {
        let request = set(channel, bob, role.id, 0, bits(permission), 0);
        refused!(ask!(rig, set_overwrite, request), code::MISSING_PERMISSIONS);
    }
    refused!(ask!(rig, set_overwrite, set(channel, alice, 5, 0, 0, send)), code::UNKNOWN_ROLE);
    refused!(ask!(rig, set_overwrite, set(channel, alice, carol.get(), 1, 0, send)), code::UNKNOWN_MEMBER);
    let delete =
        |id| v1::DeleteOverwriteRequest { channel_id: channel, actor_id: alice.get(), overwrite_id: id };
    refused!(ask!(rig, delete_overwrite, delete(5)), code::UNKNOWN_OVERWRITE);
    ask!(rig, delete_overwrite, delete(guild)).unwrap();
    assert!(rig.details(guild).await.channels[0].overwrites.is_empty());
}
