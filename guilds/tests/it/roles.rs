//! Roles: their order, what may be granted, what is left when one goes.

use crate::rig::{Rig, json};
use crate::{ask, refused};
use model::{EventKind, Permissions, UserId};
use proto::failure::code;
use proto::v1;
use proto::v1::guilds_server::Guilds;

const INVALID_ROLE: u32 = 50_028;

struct Order {
    rig: Rig,
    guild: u64,
    alice: UserId,
    bob: UserId,
    /// From low to high: `low`, `mid` (bob's, may manage roles), `high`.
    low: u64,
    mid: u64,
    high: u64,
}

async fn order() -> Order {
    let rig = Rig::new().await;
    let (alice, bob) = (rig.user("alice").await, rig.user("bob").await);
    let guild = rig.guild(alice).await.guild.unwrap().id;
    rig.add(guild, bob, alice).await;
    let high = rig.role(guild, alice, "high", 0).await.id;
    let mid = rig.role(guild, alice, "mid", Permissions::MANAGE_ROLES.bits()).await.id;
    let low = rig.role(guild, alice, "low", 0).await.id;
    rig.give(guild, bob, alice, &[mid]).await;
    Order { rig, guild, alice, bob, low, mid, high }
}

async fn positions(rig: &Rig, guild: u64) -> Vec<(String, u32)> {
    let mut roles = rig.details(guild).await.roles;
    roles.sort_by_key(|role| role.position);
    roles.into_iter().map(|role| (role.name, role.position)).collect()
}

fn named(expected: &[(&str, u32)]) -> Vec<(String, u32)> {
    expected.iter().map(|(name, position)| ((*name).to_owned(), *position)).collect()
}

fn edit(order: &Order, role: u64, actor: UserId, fields: v1::RoleFields) -> v1::EditRoleRequest {
    v1::EditRoleRequest { guild_id: order.guild, role_id: role, actor_id: actor.get(), fields: Some(fields) }
}

fn moved(order: &Order, actor: UserId, moves: &[(u64, u32)]) -> v1::MoveRolesRequest {
    let moves =
        moves.iter().map(|(role_id, position)| v1::RoleMove { role_id: *role_id, position: *position });
    v1::MoveRolesRequest { guild_id: order.guild, actor_id: actor.get(), moves: moves.collect() }
}

fn delete(order: &Order, role: u64, actor: UserId) -> v1::DeleteRoleRequest {
    v1::DeleteRoleRequest { guild_id: order.guild, role_id: role, actor_id: actor.get() }
}

#[tokio::test]
async fn a_new_role_stands_lowest_and_pushes_the_others_up() {
    let order = order().await;
    let found = positions(&order.rig, order.guild).await;
    assert_eq!(found, named(&[("@everyone", 0), ("low", 1), ("mid", 2), ("high", 3)]));
    let kinds: Vec<_> = order.rig.kinds(order.guild).await.into_iter().skip(1).take(6).collect();
    let (create, update) = (EventKind::GuildRoleCreate, EventKind::GuildRoleUpdate);
    assert_eq!(kinds, [(create, 3), (create, 4), (update, 4), (create, 5), (update, 5), (update, 5)]);
}

#[tokio::test]
async fn nobody_touches_a_role_as_high_as_their_own_or_grants_what_they_lack() {
    let order = order().await;
    let rig = &order.rig;
    let name = || v1::RoleFields { name: Some("renamed".into()), ..Default::default() };
    let grant = |permissions: Permissions| v1::RoleFields {
        permissions: Some(permissions.bits()),
        ..Default::default()
    };
    let denied = code::MISSING_PERMISSIONS;
    for role in [order.mid, order.high] {
        refused!(ask!(rig, edit_role, edit(&order, role, order.bob, name())), denied);
        refused!(ask!(rig, delete_role, delete(&order, role, order.bob)), denied);
        refused!(ask!(rig, move_roles, moved(&order, order.bob, &[(role, 1)])), denied);
        let give = v1::EditMemberRequest {
            guild_id: order.guild,
            user_id: order.bob.get(),
            actor_id: order.bob.get(),
            add_roles: vec![order.high],
            ..Default::default()
        };
        refused!(ask!(rig, edit_member, give), denied);
    }
    refused!(ask!(rig, move_roles, moved(&order, order.bob, &[(order.low, 2)])), denied);
    refused!(
        ask!(rig, edit_role, edit(&order, order.low, order.bob, grant(Permissions::KICK_MEMBERS))),
        denied
    );
    let fields = Some(grant(Permissions::ADMINISTRATOR));
    let create = v1::CreateRoleRequest { guild_id: order.guild, actor_id: order.bob.get(), fields };
    refused!(ask!(rig, create_role, create), denied);
    refused!(ask!(rig, edit_role, edit(&order, 5, order.bob, name())), code::UNKNOWN_ROLE);
    ask!(rig, edit_role, edit(&order, order.low, order.bob, grant(Permissions::SEND_MESSAGES))).unwrap();
    ask!(rig, edit_role, edit(&order, order.low, order.bob, name())).unwrap();
    // The owner stands above everybody.
    ask!(rig, edit_role, edit(&order, order.high, order.alice, grant(Permissions::ALL))).unwrap();
}

#[tokio::test]
async fn everyone_is_neither_deleted_nor_moved_and_keeps_its_name() {
    let order = order().await;
    let rig = &order.rig;
    refused!(ask!(rig, delete_role, delete(&order, order.guild, order.alice)), INVALID_ROLE);
    refused!(ask!(rig, move_roles, moved(&order, order.alice, &[(order.guild, 2)])), INVALID_ROLE);
    let fields = v1::RoleFields { name: Some("all".into()), permissions: Some(0), ..Default::default() };
    let role = ask!(rig, edit_role, edit(&order, order.guild, order.alice, fields)).unwrap();
    assert_eq!((role.name.as_str(), role.permissions), ("@everyone", 0));
}

#[tokio::test]
async fn roles_are_moved_up_and_down() {
    let order = order().await;
    let rig = &order.rig;
    let cases: [(&[(u64, u32)], _); 3] = [
        (&[(order.high, 1)], named(&[("@everyone", 0), ("high", 1), ("low", 2), ("mid", 3)])),
        (&[(order.high, 3)], named(&[("@everyone", 0), ("low", 1), ("mid", 2), ("high", 3)])),
        (
            &[(order.low, 3), (order.high, 1), (order.guild, 0)],
            named(&[("@everyone", 0), ("high", 1), ("mid", 2), ("low", 3)]),
        ),
    ];
    for (moves, expected) in cases {
        let roles = ask!(rig, move_roles, moved(&order, order.alice, moves)).unwrap().roles;
        assert_eq!(positions(rig, order.guild).await, expected);
        let answered: Vec<_> = roles.into_iter().map(|role| (role.name, role.position)).collect();
        assert_eq!(answered, expected);
    }
    let failure = ask!(rig, move_roles, moved(&order, order.alice, &[(order.low, 0)])).unwrap_err();
    assert_eq!(failure.fields[0].code, "NUMBER_TYPE_MIN");
}

#[tokio::test]
async fn a_deleted_role_is_gone_from_members_and_overwrites() {
    let order = order().await;
    let rig = &order.rig;
    let channel = rig.details(order.guild).await.channels[0].id;
    let overwrite = Some(v1::Overwrite { id: order.mid, kind: 0, allow: 0, deny: 1024 });
    let set = v1::SetOverwriteRequest { channel_id: channel, actor_id: order.alice.get(), overwrite };
    ask!(rig, set_overwrite, set).unwrap();
    ask!(rig, delete_role, delete(&order, order.mid, order.alice)).unwrap();
    let get = v1::GetMembersRequest { guild_id: order.guild, user_ids: vec![order.bob.get()] };
    assert!(ask!(rig, get_members, get).unwrap().members[0].roles.is_empty());
    assert!(rig.details(order.guild).await.channels[0].overwrites.is_empty());
    let events = rig.of_guild(order.guild).await;
    let last: Vec<_> = events[events.len() - 2..].iter().map(|event| event.kind).collect();
    assert_eq!(last, [EventKind::ChannelUpdate, EventKind::GuildRoleDelete]);
    assert_eq!(json(events.last().unwrap())["role_id"], order.mid.to_string());
}

#[tokio::test]
async fn a_bot_comes_with_its_managed_role_and_takes_it_along() {
    let order = order().await;
    let rig = &order.rig;
    let bot = rig.bot(order.alice, "Helper").await;
    let add = |actor: UserId| v1::AddMemberRequest {
        guild_id: order.guild,
        user_id: bot.get(),
        actor_id: actor.get(),
        bot_permissions: (Permissions::MANAGE_MESSAGES | Permissions::VIEW_CHANNEL).bits(),
    };
    refused!(ask!(rig, add_member, add(order.bob)), code::MISSING_PERMISSIONS);
    let member = ask!(rig, add_member, add(order.alice)).unwrap();
    let again = ask!(rig, add_member, add(order.alice)).unwrap();
    assert_eq!(member, again);
    let roles = rig.details(order.guild).await.roles;
    let role = roles.iter().find(|role| role.bot_id == Some(bot.get())).unwrap();
    assert_eq!((role.name.as_str(), role.managed, role.position), ("Helper", true, 1));
    assert_eq!(member.roles, [role.id]);
    let newer = rig.role(order.guild, order.alice, "newer", 0).await;
    assert_eq!(newer.position, 1, "a new role stands below the bot's");
    refused!(ask!(rig, delete_role, delete(&order, role.id, order.alice)), INVALID_ROLE);
    let give = v1::EditMemberRequest {
        guild_id: order.guild,
        user_id: order.bob.get(),
        actor_id: order.alice.get(),
        add_roles: vec![role.id],
        ..Default::default()
    };
    refused!(ask!(rig, edit_member, give), INVALID_ROLE);
    let kick =
        v1::RemoveMemberRequest { guild_id: order.guild, user_id: bot.get(), actor_id: order.alice.get() };
    ask!(rig, remove_member, kick).unwrap();
    assert!(rig.details(order.guild).await.roles.iter().all(|other| other.id != role.id));
}
