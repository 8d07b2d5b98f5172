//! Invites: their bounds, and what each use tells.

use crate::rig::{Rig, json};
use crate::{ask, refused};
use futures_util::future::join_all;
use model::{EventKind, Permissions, UserId};
use proto::failure::code;
use proto::v1;
use proto::v1::guilds_server::Guilds;

fn create(channel: u64, actor: UserId, max_age_secs: Option<u32>, max_uses: u32) -> v1::CreateInviteRequest {
    v1::CreateInviteRequest {
        channel_id: channel,
        actor_id: actor.get(),
        max_age_secs,
        max_uses,
        temporary: false,
        unique: false,
    }
}

fn take(code: &str, user: UserId) -> v1::UseInviteRequest {
    v1::UseInviteRequest { code: code.into(), user_id: user.get() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invite_for_two_lets_two_in_however_many_come_at_once() {
    let rig = Rig::new().await;
    let alice = rig.user("alice").await;
    let details = rig.guild(alice).await;
    let guild = details.guild.unwrap().id;
    let invite = ask!(rig, create_invite, create(details.channels[0].id, alice, Some(0), 2)).unwrap();
    let mut guests = Vec::new();
    for index in 0..10 {
        guests.push(rig.user(&format!("guest{index}")).await);
    }
    let outcomes = join_all(guests.iter().map(|guest| {
        let request = take(&invite.code, *guest);
        async { ask!(rig, use_invite, request) }
    }))
    .await;
    let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 2);
    assert!(lost.into_iter().all(|outcome| outcome.unwrap_err().code == code::UNKNOWN_INVITE));
    assert_eq!(rig.details(guild).await.guild.unwrap().member_count, 3);
    let kinds: Vec<_> = rig.kinds(guild).await.into_iter().map(|(kind, _)| kind).collect();
    use EventKind::{GuildMemberAdd, InviteCreate, InviteDelete};
    assert_eq!(kinds, [InviteCreate, GuildMemberAdd, GuildMemberAdd, InviteDelete]);
    let events = rig.of_guild(guild).await;
    assert_eq!(json(&events[0])["inviter"]["username"], "alice");
    assert_eq!(json(&events[3])["code"], invite.code);
    let get = v1::GetInviteRequest { code: invite.code };
    refused!(ask!(rig, get_invite, get), code::UNKNOWN_INVITE);
}

#[tokio::test]
async fn an_invite_ends_in_time_and_one_who_is_in_uses_none_up() {
    let rig = Rig::new().await;
    let (alice, bob, carol) = (rig.user("alice").await, rig.user("bob").await, rig.user("carol").await);
    let details = rig.guild(alice).await;
    let channel = details.channels[0].id;
    let invite = ask!(rig, create_invite, create(channel, alice, Some(60), 0)).unwrap();
    let again = ask!(rig, create_invite, create(channel, alice, Some(60), 0)).unwrap();
    assert_eq!(again.code, invite.code, "an invite like it is there");
    for _ in 0..2 {
        let used = ask!(rig, use_invite, take(&invite.code, bob)).unwrap();
        assert_eq!((used.invite.unwrap().uses, used.guild.unwrap().member_count), (1, 2));
    }
    let bot = rig.bot(alice, "Helper").await;
    refused!(ask!(rig, use_invite, take(&invite.code, bot)), 20_001);
    rig.clock.advance(60_000);
    refused!(ask!(rig, use_invite, take(&invite.code, carol)), code::UNKNOWN_INVITE);
    let list = v1::ListInvitesRequest {
        actor_id: alice.get(),
        of: Some(v1::list_invites_request::Of::ChannelId(channel)),
    };
    assert!(ask!(rig, list_invites, list).unwrap().invites.is_empty());
}

#[tokio::test]
async fn who_may_make_list_and_delete_invites() {
    let rig = Rig::new().await;
    let (alice, bob) = (rig.user("alice").await, rig.user("bob").await);
    let details = rig.guild(alice).await;
    let guild = details.guild.unwrap().id;
    let channel = details.channels[0].id;
    rig.add(guild, bob, alice).await;
    let invite = ask!(rig, create_invite, create(channel, bob, None, 0)).unwrap();
    assert_eq!((invite.max_age_secs, invite.code.len()), (86_400, 8));
    for (age, uses, path) in [(Some(604_801), 0, "max_age"), (None, 101, "max_uses")] {
        let failure = ask!(rig, create_invite, create(channel, bob, age, uses)).unwrap_err();
        assert_eq!(
            (failure.fields[0].path.as_str(), failure.fields[0].code.as_str()),
            (path, "NUMBER_TYPE_MAX")
        );
    }
    let list = |actor: UserId| v1::ListInvitesRequest {
        actor_id: actor.get(),
        of: Some(v1::list_invites_request::Of::GuildId(guild)),
    };
    refused!(ask!(rig, list_invites, list(bob)), code::MISSING_PERMISSIONS);
    assert_eq!(ask!(rig, list_invites, list(alice)).unwrap().invites.len(), 1);
    let delete = |actor: UserId| v1::DeleteInviteRequest { code: invite.code.clone(), actor_id: actor.get() };
    refused!(ask!(rig, delete_invite, delete(bob)), code::MISSING_PERMISSIONS);
    ask!(rig, delete_invite, delete(alice)).unwrap();
    refused!(ask!(rig, delete_invite, delete(alice)), code::UNKNOWN_INVITE);

    let deny = Permissions::CREATE_INSTANT_INVITE.bits();
    let overwrite = Some(v1::Overwrite { id: guild, kind: 0, allow: 0, deny });
    let set = v1::SetOverwriteRequest { channel_id: channel, actor_id: alice.get(), overwrite };
    ask!(rig, set_overwrite, set).unwrap();
    refused!(ask!(rig, create_invite, create(channel, bob, None, 0)), code::MISSING_PERMISSIONS);
}
