//! Private channels: one for two users, found by both, and by nobody else.

use crate::rig::{Rig, json};
use crate::{ask, refused};
use futures_util::future::join_all;
use guilds::store::{Commit, DirectoryStore, PrivatePlace, Write};
use model::{ChannelId, EventKind, Pair, UserId};
use proto::failure::{FailureKind, code};
use proto::v1;
use proto::v1::guilds_server::Guilds;

async fn places(rig: &Rig, user: UserId) -> Vec<(u64, Option<u64>)> {
    let list = v1::ListPrivateChannelsRequest { user_id: user.get() };
    let channels = ask!(rig, list_private_channels, list).unwrap().channels;
    channels.into_iter().map(|private| (private.channel.unwrap().id, private.closed_at)).collect()
}

fn get(channel: u64, reader: Option<UserId>) -> v1::GetChannelRequest {
    v1::GetChannelRequest { channel_id: channel, reader_id: reader.map(UserId::get) }
}

fn close(user: UserId, other: UserId, last_message_id: Option<u64>) -> v1::ClosePrivateChannelRequest {
    v1::ClosePrivateChannelRequest {
        lower_id: user.min(other).get(),
        higher_id: user.max(other).get(),
        user_id: user.get(),
        last_message_id,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_opens_it_and_however_often_it_is_one_channel() {
    let rig = Rig::new().await;
    let (alice, bob) = (rig.user("alice").await, rig.user("bob").await);
    let opened = join_all((0..40).map(|index| match index % 2 {
        0 => rig.open_private(alice, bob),
        _ => rig.open_private(bob, alice),
    }))
    .await;
    let ids: Vec<u64> = opened.into_iter().map(|channel| channel.unwrap().id).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    for user in [alice, bob] {
        assert_eq!(places(&rig, user).await, [(ids[0], None)]);
        let events = rig.of_user(user).await;
        assert_eq!(events.len(), 1, "told once, whoever was first");
        assert_eq!((events[0].kind, events[0].guild_id), (EventKind::ChannelCreate, None));
    }
    let rig = rig.restart().await;
    assert_eq!(rig.open_private(bob, alice).await.unwrap().id, ids[0]);
}

#[tokio::test]
async fn each_sees_the_other_and_a_third_sees_nothing() {
    let rig = Rig::new().await;
    let (alice, bob, eve) = (rig.user("alice").await, rig.user("bob").await, rig.user("eve").await);
    let channel = rig.open_private(alice, bob).await.unwrap();
    assert_eq!((channel.kind, channel.guild_id, channel.recipients[0].id), (1, None, bob.get()));
    let told = rig.of_user(alice).await;
    let object = json(&told[0]);
    assert_eq!(object["id"], channel.id.to_string());
    assert_eq!((&object["type"], &object["recipients"][0]["username"]), (&1.into(), &"bob".into()));
    assert!(rig.of_user(bob).await.is_empty(), "the other is told by the first message");
    assert_eq!(places(&rig, bob).await, [(channel.id, Some(1))]);

    let of = |channel: v1::Channel| channel.recipients.iter().map(|user| user.id).collect::<Vec<_>>();
    assert_eq!(of(ask!(rig, get_channel, get(channel.id, Some(bob))).unwrap()), [alice.get()]);
    assert_eq!(of(ask!(rig, get_channel, get(channel.id, None)).unwrap()), [alice.get(), bob.get()]);
    refused!(ask!(rig, get_channel, get(channel.id, Some(eve))), code::MISSING_ACCESS);
    refused!(ask!(rig, get_channel, get(channel.id + 1, Some(alice))), code::UNKNOWN_CHANNEL);
    assert!(places(&rig, eve).await.is_empty());
    for (actor, code) in [(alice, code::CANNOT_EXECUTE_ON_DM), (eve, code::MISSING_ACCESS)] {
        let delete = v1::DeleteChannelRequest { channel_id: channel.id, actor_id: actor.get() };
        refused!(ask!(rig, delete_channel, delete), code);
        let edit = v1::EditChannelRequest { channel_id: channel.id, actor_id: actor.get(), fields: None };
        refused!(ask!(rig, edit_channel, edit), code);
        let invite =
            v1::CreateInviteRequest { channel_id: channel.id, actor_id: actor.get(), ..Default::default() };
        refused!(ask!(rig, create_invite, invite), code);
    }
}

#[tokio::test]
async fn a_closed_one_is_marked_until_it_is_opened_again() {
    let rig = Rig::new().await;
    let (alice, bob) = (rig.user("alice").await, rig.user("bob").await);
    let channel = rig.open_private(alice, bob).await.unwrap().id;
    for (last, mark) in [(None, 1), (Some(500), 500)] {
        assert_eq!(ask!(rig, close_private_channel, close(alice, bob, last)).unwrap().id, channel);
        assert_eq!(places(&rig, alice).await, [(channel, Some(mark))]);
    }
    assert_eq!(places(&rig, bob).await, [(channel, Some(1))]);
    rig.open_private(alice, bob).await.unwrap();
    assert_eq!(places(&rig, alice).await, [(channel, None)]);
    let kinds: Vec<_> = rig.of_user(alice).await.iter().map(|event| event.kind).collect();
    let (create, delete) = (EventKind::ChannelCreate, EventKind::ChannelDelete);
    assert_eq!(kinds, [create, delete, delete, create]);
    let eve = rig.user("eve").await;
    refused!(ask!(rig, close_private_channel, close(alice, eve, None)), code::UNKNOWN_CHANNEL);
}

#[tokio::test]
async fn who_cannot_have_one_is_told_why() {
    let rig = Rig::new().await;
    let (alice, bob) = (rig.user("alice").await, rig.user("bob").await);
    let [one, other] = [rig.bot(alice, "one").await, rig.bot(alice, "other").await];
    refused!(rig.open_private(alice, alice).await, code::CANNOT_MESSAGE_USER);
    refused!(rig.open_private(one, other).await, code::CANNOT_MESSAGE_USER);
    refused!(rig.open_private(alice, UserId::new(77).unwrap()).await, code::INVALID_RECIPIENTS);
    rig.open_private(one, alice).await.unwrap();
    assert!(rig.of_user(one).await.is_empty(), "bots are not told of their private channels");
    let wrong = [(alice.max(bob), alice.min(bob), alice), (alice.min(bob), alice.max(bob), one)];
    for (lower, higher, user) in wrong {
        let request = v1::OpenPrivateChannelRequest {
            lower_id: lower.get(),
            higher_id: higher.get(),
            user_id: user.get(),
        };
        refused!(ask!(rig, open_private_channel, request), code::INVALID_FORM);
    }
}

#[tokio::test]
async fn an_opening_that_was_stored_and_not_published_is_told_by_the_next_start() {
    let rig = Rig::new().await;
    let (alice, bob) = (rig.user("alice").await, rig.user("bob").await);
    rig.backplane.go_away_after(0);
    let failure = rig.open_private(alice, bob).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unavailable, "{failure}");
    let rig = rig.restart().await;
    let events = rig.of_user(alice).await;
    assert_eq!(events.len(), 1);
    let channel = rig.open_private(alice, bob).await.unwrap().id;
    assert_eq!(
        (json(&events[0])["id"].clone(), rig.of_user(alice).await.len()),
        (channel.to_string().into(), 1)
    );
}

#[tokio::test]
async fn what_an_owner_wrote_who_had_lost_the_pair_is_no_channel() {
    let rig = Rig::new().await;
    let (alice, bob) = (rig.user("alice").await, rig.user("bob").await);
    let channel = rig.open_private(alice, bob).await.unwrap().id;
    let second = ChannelId::new(channel + 1).unwrap();
    let pair = Pair::new(alice, bob).unwrap();
    // The later owner's row of the pair stays; the others of the earlier owner are there as well.
    let rig = rig
        .restart_after(async |store| {
            let place = PrivatePlace { user: alice, channel: second, other: bob, closed_at: None };
            let mut writes = vec![Write::PutPrivateChannel(second, pair), Write::PutPrivatePlace(place)];
            writes.push(Write::PutPrivateChannel(ChannelId::new(channel).unwrap(), pair));
            store.commit(&crate::rig::LEASE, Commit { writes, ..Commit::default() }).await.unwrap();
        })
        .await;
    assert_eq!(places(&rig, alice).await, [(channel, None)]);
    refused!(ask!(rig, get_channel, get(second.get(), Some(alice))), code::UNKNOWN_CHANNEL);
    assert_eq!(rig.open_private(alice, bob).await.unwrap().id, channel);
}
