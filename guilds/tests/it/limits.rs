//! Each limit of a guild and of an account, met from below: what fills it is taken, one more is refused with its code.

use crate::ask;
use crate::refused;
use crate::rig::{LEASE, NOW_MS, Rig};
use guilds::store::{Commit, DirectoryStore, GuildRows, Write};
use model::limits::{
    GUILD_CHANNELS_MAX, GUILD_INVITES_MAX, GUILD_MEMBERS_MAX, GUILD_ROLES_MAX, NICK_CHARS_MAX,
    OVERWRITES_MAX, OWNER_APPLICATIONS_MAX, ROLE_NAME_CHARS_MAX, USER_GUILDS_MAX,
};
use model::{
    ChannelId, GuildId, Invite, Member, Overwrite, OverwriteKind, Permissions, Role, RoleId, Timestamp, User,
    UserId,
};
use proto::failure::code;
use proto::v1;
use proto::v1::accounts_server::Accounts;
use proto::v1::guilds_server::Guilds;

/// A guild of alice's, and rows in it that the test makes of what is there.
async fn filled(rows: impl Fn(&GuildRows) -> Vec<Write>) -> (Rig, u64, UserId) {
    let rig = Rig::new().await;
    let alice = rig.user("alice").await;
    let guild = rig.guild(alice).await.guild.unwrap().id;
    let rig = rig
        .restart_after(async |store| {
            let there = store.guild(GuildId::new(guild).unwrap()).await.unwrap().unwrap();
            store.commit(&LEASE, Commit { writes: rows(&there), ..Commit::default() }).await.unwrap();
        })
        .await;
    (rig, guild, alice)
}

fn overwrites(count: u64) -> Vec<Overwrite> {
    let overwrite = |id| Overwrite {
        target: OverwriteKind::Member(UserId::new(id).unwrap()),
        allow: Permissions::NONE,
        deny: Permissions::NONE,
    };
    (1..=count).map(overwrite).collect()
}

#[tokio::test]
async fn channels() {
    let (rig, guild, alice) = filled(|there| {
        let channel = |id| {
            let mut channel = there.channels[0].clone();
            channel.id = ChannelId::new(id).unwrap();
            Write::PutChannel(channel)
        };
        (1_000..).take(GUILD_CHANNELS_MAX - there.channels.len() - 1).map(channel).collect()
    })
    .await;
    let create = || v1::CreateChannelRequest {
        guild_id: guild,
        actor_id: alice.get(),
        fields: Some(v1::ChannelFields { name: Some("new".into()), ..Default::default() }),
    };
    ask!(rig, create_channel, create()).unwrap();
    let failure = refused!(ask!(rig, create_channel, create()), code::MAX_CHANNELS);
    assert!(failure.message.contains("(500)"), "{failure}");
}

#[tokio::test]
async fn roles() {
    let (rig, guild, alice) = filled(|there| {
        let role = |id| Role::new(RoleId::new(id).unwrap(), "role", Permissions::NONE);
        let put = |id| Write::PutRole(there.guild.id, role(id));
        (1_000..).take(GUILD_ROLES_MAX - there.roles.len() - 1).map(put).collect()
    })
    .await;
    rig.role(guild, alice, &"x".repeat(ROLE_NAME_CHARS_MAX), 0).await;
    let create = |name: String| v1::CreateRoleRequest {
        guild_id: guild,
        actor_id: alice.get(),
        fields: Some(v1::RoleFields { name: Some(name), ..Default::default() }),
    };
    refused!(ask!(rig, create_role, create("one more".into())), code::MAX_ROLES);
    let long = ask!(rig, create_role, create("x".repeat(ROLE_NAME_CHARS_MAX + 1))).unwrap_err();
    assert_eq!(
        (long.fields[0].path.as_str(), long.fields[0].code.as_str()),
        ("name", "BASE_TYPE_BAD_LENGTH")
    );
    let bot = rig.bot(alice, "Helper").await;
    let add = v1::AddMemberRequest {
        guild_id: guild,
        user_id: bot.get(),
        actor_id: alice.get(),
        bot_permissions: Permissions::VIEW_CHANNEL.bits(),
    };
    refused!(ask!(rig, add_member, add), code::MAX_ROLES);
    assert_eq!(rig.details(guild).await.guild.unwrap().member_count, 1, "the bot came without its role");
}

#[tokio::test]
async fn invites() {
    let (rig, guild, alice) = filled(|there| {
        let invite = |number| Invite {
            code: format!("code{number}"),
            guild_id: there.guild.id,
            channel_id: there.channels[0].id,
            inviter_id: there.guild.owner_id,
            created_at: Timestamp::from_ms(NOW_MS),
            max_age: if number == 0 { 60 } else { 0 },
            max_uses: 0,
            uses: 1,
            temporary: false,
        };
        (0..GUILD_INVITES_MAX).map(invite).map(Write::PutInvite).collect()
    })
    .await;
    let channel_id = rig.details(guild).await.channels[0].id;
    let create = || v1::CreateInviteRequest { channel_id, actor_id: alice.get(), ..Default::default() };
    refused!(ask!(rig, create_invite, create()), code::MAX_INVITES);
    rig.clock.advance(60_000);
    ask!(rig, create_invite, create()).expect("the one that has run out takes no place");
}

#[tokio::test]
async fn overwrites_of_a_channel_and_of_all_that_one_change_touches() {
    let (rig, guild, alice) = filled(|there| {
        let mut channels = vec![there.channels[0].clone()];
        channels[0].overwrites = overwrites(OVERWRITES_MAX as u64 - 1);
        let category = ChannelId::new(1_000).unwrap();
        for number in 0..50 {
            let mut channel = channels[0].clone();
            channel.id = ChannelId::new(1_000 + number).unwrap();
            match number {
                0 => channel.kind = model::ChannelKind::Category,
                _ => channel.parent_id = Some(category),
            }
            channels.push(channel);
        }
        channels.into_iter().map(Write::PutChannel).collect()
    })
    .await;
    let channel = rig.details(guild).await.channels.into_iter().find(|channel| channel.id > 2_000).unwrap();
    let set = |channel_id, role| v1::SetOverwriteRequest {
        channel_id,
        actor_id: alice.get(),
        overwrite: Some(v1::Overwrite { id: role, ..Default::default() }),
    };
    let other = rig.role(guild, alice, "other", 0).await.id;
    ask!(rig, set_overwrite, set(channel.id, guild)).unwrap();
    refused!(ask!(rig, set_overwrite, set(channel.id, other)), code::MAX_OVERWRITES);
    ask!(rig, set_overwrite, set(channel.id, guild)).expect("one that is there takes no place");

    let before = rig.details(guild).await;
    refused!(ask!(rig, set_overwrite, set(1_000, guild)), code::CHANNELS_TOO_LARGE);
    let moves =
        (1_001..1_050).map(|id| v1::ChannelMove { channel_id: id, position: Some(7), ..Default::default() });
    let moves = v1::MoveChannelsRequest { guild_id: guild, actor_id: alice.get(), moves: moves.collect() };
    refused!(ask!(rig, move_channels, moves), code::CHANNELS_TOO_LARGE);
    assert_eq!(rig.details(guild).await, before, "a refused change has changed something");
}

#[tokio::test]
async fn members_and_their_nicks() {
    let (rig, guild, alice) = filled(|there| {
        let mut guild = there.guild.clone();
        guild.member_count = GUILD_MEMBERS_MAX - 1;
        vec![Write::PutGuild(guild)]
    })
    .await;
    let (bob, carol) = (rig.user("bob").await, rig.user("carol").await);
    rig.add(guild, bob, alice).await;
    let add = |user: UserId| v1::AddMemberRequest {
        guild_id: guild,
        user_id: user.get(),
        actor_id: alice.get(),
        ..Default::default()
    };
    refused!(ask!(rig, add_member, add(carol)), code::MAX_MEMBERS);
    ask!(rig, add_member, add(bob)).expect("who is in takes no place");
    let nick = |chars| v1::EditMemberRequest {
        guild_id: guild,
        user_id: bob.get(),
        actor_id: bob.get(),
        nick: Some("é".repeat(chars)),
        ..Default::default()
    };
    ask!(rig, edit_member, nick(NICK_CHARS_MAX)).unwrap();
    let failure = ask!(rig, edit_member, nick(NICK_CHARS_MAX + 1)).unwrap_err();
    assert_eq!(
        (failure.fields[0].path.as_str(), failure.fields[0].code.as_str()),
        ("nick", "BASE_TYPE_MAX_LENGTH")
    );
}

#[tokio::test]
async fn guilds_that_somebody_joins() {
    let rig = Rig::new().await;
    let (alice, bob) = (rig.user("alice").await, rig.user("bob").await);
    let details = rig.guild(alice).await;
    let guild = details.guild.unwrap().id;
    let rig = rig
        .restart_after(async |store| {
            let member = |number| {
                let user = User::new(bob, "bob", false);
                let member = Member::new(GuildId::new(number).unwrap(), user, Timestamp::from_ms(0));
                Write::PutMember(Box::new(member), None)
            };
            let writes = (1..=USER_GUILDS_MAX as u64).map(member).collect();
            store.commit(&LEASE, Commit { writes, ..Commit::default() }).await.unwrap();
        })
        .await;
    let channel_id = details.channels[0].id;
    let create = v1::CreateInviteRequest { channel_id, actor_id: alice.get(), ..Default::default() };
    let code = ask!(rig, create_invite, create).unwrap().code;
    let request = v1::UseInviteRequest { code, user_id: bob.get() };
    refused!(ask!(rig, use_invite, request), code::MAX_GUILDS);
    let add = v1::AddMemberRequest {
        guild_id: guild,
        user_id: bob.get(),
        actor_id: alice.get(),
        ..Default::default()
    };
    refused!(ask!(rig, add_member, add), code::MAX_GUILDS);
}

#[tokio::test]
async fn applications_of_one_owner() {
    let rig = Rig::new().await;
    let alice = rig.user("alice").await;
    for number in 0..OWNER_APPLICATIONS_MAX {
        rig.bot(alice, &format!("helper {number}")).await;
    }
    let request =
        v1::CreateApplicationRequest { owner_id: alice.get(), name: "one more".into(), ..Default::default() };
    refused!(ask!(rig, create_application, request), code::MAX_APPLICATIONS);
}
