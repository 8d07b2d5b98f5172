//! Who may do what, as of the moment of the request.

use model::{Permissions, Timestamp};
use proto::failure::code;
use proto::{FailureKind, v1};

use crate::rig::{Rig, START_MS, send_request};
use crate::world::{CATEGORY, FIRST, GENERAL, OWNER, STAFF, STRANGER};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_permission_taken_away_is_taken_away_at_once() {
    let rig = Rig::new(2).await;
    let backplane: &dyn backplane::Backplane = &*rig.stream;
    let all = Permissions::DEFAULT;
    for round in 0..100 {
        rig.world.set_everyone(all.without(Permissions::SEND_MESSAGES), Some(backplane)).await;
        let failure = rig.send(FIRST, "no").await.unwrap_err();
        assert_eq!(failure.code, code::MISSING_PERMISSIONS, "round {round}");
        rig.world.set_everyone(all.without(Permissions::VIEW_CHANNEL), Some(backplane)).await;
        assert_eq!(rig.send(FIRST, "no").await.unwrap_err().code, code::MISSING_ACCESS, "round {round}");
        rig.world.set_everyone(all, Some(backplane)).await;
        rig.send(FIRST, "yes").await.unwrap();
        rig.world.time_out(FIRST + 1, Some(Timestamp::from_ms(START_MS + 60_000)), Some(backplane)).await;
        assert_eq!(rig.send(FIRST + 1, "no").await.unwrap_err().code, code::MISSING_PERMISSIONS);
        rig.world.time_out(FIRST + 1, None, Some(backplane)).await;
        rig.send(FIRST + 1, "yes").await.unwrap();
    }
    assert_eq!(rig.messages.stats().direct_checks.get(), 0);
    assert_eq!(rig.messages.stats().guilds_loaded.get(), 1);
}

#[tokio::test]
async fn whoever_can_not_be_sure_asks_the_directory_and_else_refuses() {
    let rig = Rig::new(1).await;
    rig.send(FIRST, "yes").await.unwrap();
    // Somebody says that more was published than has come: the view may be old, and here it is.
    rig.backplane.set_tail_ahead(1);
    rig.world.set_everyone(Permissions::NONE, None).await;
    assert_eq!(rig.send(FIRST, "no").await.unwrap_err().code, code::MISSING_ACCESS);
    assert_eq!(rig.messages.stats().direct_checks.get(), 1);
    rig.world.set_down(true);
    let failure = rig.send(OWNER, "no").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unavailable);
    assert!(failure.retry_after_ms.is_some() && failure.message.contains("nothing was done"), "{failure}");
}

#[tokio::test]
async fn refusals_have_their_codes() {
    let rig = Rig::new(2).await;
    let send_to = |channel_id, author| {
        rig.create(v1::CreateMessageRequest { channel_id, ..send_request(author, "hello") })
    };
    assert_eq!(send_to(STAFF, FIRST).await.unwrap_err().code, code::MISSING_ACCESS);
    assert!(send_to(STAFF, OWNER).await.is_ok());
    assert_eq!(send_to(GENERAL, STRANGER).await.unwrap_err().code, code::MISSING_ACCESS);
    assert_eq!(send_to(CATEGORY, FIRST).await.unwrap_err().code, code::NOT_A_TEXT_CHANNEL);
    assert_eq!(send_to(999, FIRST).await.unwrap_err().code, code::UNKNOWN_CHANNEL);
    rig.world.delete_channel(GENERAL, Some(&*rig.stream)).await;
    assert_eq!(send_to(GENERAL, FIRST).await.unwrap_err().code, code::UNKNOWN_CHANNEL);
    let list =
        v1::ListMessagesRequest { channel_id: STAFF, reader_id: FIRST, ..v1::ListMessagesRequest::default() };
    let failure = rig.client.clone().list_messages(list).await.unwrap_err();
    assert_eq!(proto::Failure::from(failure).code, code::MISSING_ACCESS);
}

#[tokio::test]
async fn who_is_in_a_time_out_reads_and_nothing_else() {
    let rig = Rig::new(2).await;
    let message = rig.sent(FIRST, "hello").await;
    rig.react(OWNER, message, "👍").await.unwrap();
    let until = Some(Timestamp::from_ms(START_MS + 60_000));
    rig.world.time_out(FIRST, until, Some(&*rig.stream)).await;
    assert_eq!(rig.get(FIRST, message).await.unwrap()["content"], "hello");
    let typing = v1::StartTypingRequest { channel_id: GENERAL, user_id: FIRST };
    let typing = rig.client.clone().start_typing(typing).await.map_err(proto::Failure::from);
    for refused in [
        rig.send(FIRST, "no").await.map(drop),
        rig.react(FIRST, message, "🚀").await,
        rig.react(FIRST, message, "👍").await,
        typing.map(drop),
        rig.delete(FIRST, &[message, message + 1], true).await,
    ] {
        assert_eq!(refused.unwrap_err().code, code::MISSING_PERMISSIONS);
    }
    rig.clock.advance(60_000);
    rig.send(FIRST, "yes").await.unwrap();
    rig.react(FIRST, message, "👍").await.unwrap();
}

#[tokio::test]
async fn without_history_there_is_nothing_to_read() {
    let rig = Rig::new(2).await;
    let message = rig.sent(FIRST, "hello").await;
    let everyone = Permissions::DEFAULT.without(Permissions::READ_MESSAGE_HISTORY);
    rig.world.set_everyone(everyone, Some(&*rig.stream)).await;
    let list = v1::ListMessagesRequest {
        channel_id: GENERAL,
        reader_id: FIRST,
        ..v1::ListMessagesRequest::default()
    };
    let reply = rig.client.clone().list_messages(list).await.unwrap().into_inner();
    assert_eq!(&reply.messages_json[..], b"[]");
    assert_eq!(rig.get(FIRST, message).await.unwrap_err().code, code::MISSING_PERMISSIONS);
    assert_eq!(rig.react(FIRST, message, "👍").await.unwrap_err().code, code::MISSING_PERMISSIONS);
}
