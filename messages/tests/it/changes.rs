//! Edits, deletes and reactions.

use model::EventKind;
use proto::failure::code;
use proto::v1;
use serde_json::json;
use tokio::task::JoinSet;

use crate::rig::Rig;
use crate::world::{BOT, FIRST, GENERAL, OWNER};

#[tokio::test]
async fn edits_are_the_authors_own() {
    let rig = Rig::new(2).await;
    let message = rig.sent(FIRST, "first").await;
    let mut events = rig.listen().await;
    assert_eq!(rig.edit(OWNER, message, "mine").await.unwrap_err().code, code::CANNOT_EDIT_OTHERS_MESSAGE);
    let edited = rig.edit(FIRST, message, "second").await.unwrap();
    assert_eq!(edited["content"], "second");
    assert!(edited["edited_timestamp"].is_string());
    let event = events.expect(EventKind::MessageUpdate).await;
    assert_eq!((&event["content"], &event["id"]), (&"second".into(), &message.to_string().into()));
    assert_eq!(rig.get(OWNER, message).await.unwrap()["content"], "second");
    assert_eq!(rig.edit(FIRST, 12345, "x").await.unwrap_err().code, code::UNKNOWN_MESSAGE);
    assert_eq!(rig.edit(FIRST, message, "").await.unwrap_err().code, code::EMPTY_MESSAGE);
}

#[tokio::test]
async fn a_moderator_changes_the_flags_of_others_and_nothing_else() {
    const SUPPRESS_EMBEDS: u32 = 4;
    let rig = Rig::new(2).await;
    let (author, moderator) = (FIRST, FIRST + 1);
    let message = rig.sent(author, "with an embed").await;
    let mut events = rig.listen().await;
    let edit = async |editor_id, content: Option<&str>| {
        let request = v1::EditMessageRequest {
            channel_id: GENERAL,
            message_id: message,
            editor_id,
            content: content.map(Into::into),
            flags: Some(SUPPRESS_EMBEDS),
            ..v1::EditMessageRequest::default()
        };
        let reply = rig.client.clone().edit_message(request).await.map_err(proto::Failure::from)?;
        Ok::<serde_json::Value, proto::Failure>(
            serde_json::from_slice(&reply.into_inner().message_json).unwrap(),
        )
    };
    assert_eq!(edit(BOT, None).await.unwrap_err().code, code::CANNOT_EDIT_OTHERS_MESSAGE);
    let both = edit(moderator, Some("mine")).await.unwrap_err();
    assert_eq!(both.code, code::CANNOT_EDIT_OTHERS_MESSAGE);
    let nothing = v1::EditMessageRequest {
        channel_id: GENERAL,
        message_id: message,
        editor_id: moderator,
        ..v1::EditMessageRequest::default()
    };
    let refused = rig.client.clone().edit_message(nothing).await.unwrap_err();
    assert_eq!(proto::Failure::from(refused).code, code::CANNOT_EDIT_OTHERS_MESSAGE);
    let edited = edit(moderator, None).await.unwrap();
    assert_eq!((&edited["flags"], &edited["edited_timestamp"]), (&json!(SUPPRESS_EMBEDS), &json!(null)));
    let event = events.expect(EventKind::MessageUpdate).await;
    assert_eq!(
        (&event["author"]["id"], &event["content"]),
        (&json!(author.to_string()), &json!("with an embed"))
    );
    assert_eq!(event["member"]["roles"], json!([]), "the author is shown as a member, not the moderator");
}

#[tokio::test]
async fn deletes_need_the_author_or_the_permission() {
    let rig = Rig::new(3).await;
    let mut ids = Vec::new();
    for index in 0..5 {
        ids.push(rig.sent(FIRST, &format!("message {index}")).await);
    }
    let mut events = rig.listen().await;
    let failure = rig.delete(FIRST + 1, &ids[..1], false).await.unwrap_err();
    assert_eq!(failure.code, code::MISSING_PERMISSIONS);
    rig.delete(FIRST, &ids[..1], false).await.unwrap();
    assert_eq!(events.expect(EventKind::MessageDelete).await["id"], ids[0].to_string());
    assert_eq!(rig.delete(FIRST, &ids[..1], false).await.unwrap_err().code, code::UNKNOWN_MESSAGE);

    let moderator = FIRST + 2;
    assert_eq!(rig.delete(FIRST, &ids[1..3], true).await.unwrap_err().code, code::MISSING_PERMISSIONS);
    assert_eq!(rig.delete(moderator, &ids[1..2], true).await.unwrap_err().code, code::BULK_DELETE_COUNT);
    assert_eq!(rig.delete(moderator, &[1, 2], true).await.unwrap_err().code, code::BULK_DELETE_TOO_OLD);
    rig.delete(moderator, &ids[..3], true).await.unwrap();
    let event = events.expect(EventKind::MessageDeleteBulk).await;
    assert_eq!(event["ids"], json!([ids[1].to_string(), ids[2].to_string()]));
    assert_eq!(rig.get(FIRST, ids[1]).await.unwrap_err().code, code::UNKNOWN_MESSAGE);
    assert!(rig.get(FIRST, ids[3]).await.is_ok());
}

async fn count(rig: &Rig, message: u64, emoji: &str) -> u64 {
    let shown = rig.get(FIRST, message).await.unwrap();
    let reactions = shown["reactions"].as_array().cloned().unwrap_or_default();
    let found = reactions.iter().find(|reaction| reaction["emoji"]["name"] == emoji);
    found.map_or(0, |reaction| reaction["count"].as_u64().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reactions_are_counted_once_each_however_many_come_at_once() {
    let rig = Rig::new(200).await;
    let message = rig.sent(FIRST, "vote").await;
    let mut events = rig.listen().await;
    let mut reactions = JoinSet::new();
    for user in (FIRST..FIRST + 200).chain(FIRST..FIRST + 100) {
        let mut client = rig.client.clone();
        let emoji = Some(v1::Emoji { id: None, name: "👍".into() });
        let request = v1::ReactionRequest { channel_id: GENERAL, message_id: message, user_id: user, emoji };
        reactions.spawn(async move { client.add_reaction(request).await.map(|_| ()) });
    }
    assert!(reactions.join_all().await.into_iter().all(|outcome| outcome.is_ok()));
    assert_eq!(count(&rig, message, "👍").await, 200);
    let mut last = 0;
    for _ in 0..200 {
        let event = events.next().await;
        assert!(event.kind == EventKind::MessageReactionAdd && event.event_id > last);
        last = event.event_id;
    }
    let list = v1::ListReactionsRequest {
        channel_id: GENERAL,
        message_id: message,
        reader_id: FIRST,
        emoji: Some(v1::Emoji { id: None, name: "👍".into() }),
        after: Some(FIRST + 149),
        limit: 100,
    };
    let users = rig.client.clone().list_reactions(list).await.unwrap().into_inner().users;
    assert_eq!(
        users.iter().map(|user| user.id).collect::<Vec<_>>(),
        (FIRST + 150..FIRST + 200).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn reactions_are_removed_one_by_one_by_emoji_and_altogether() {
    let rig = Rig::new(3).await;
    let (message, moderator) = (rig.sent(FIRST, "vote").await, FIRST + 2);
    for (user, emoji) in [(FIRST, "👍"), (FIRST + 1, "👍"), (FIRST, "👎"), (FIRST, "🎉")] {
        rig.react(user, message, emoji).await.unwrap();
    }
    let shown = rig.get(FIRST + 1, message).await.unwrap();
    assert_eq!((&shown["reactions"][0]["me"], &shown["reactions"][1]["me"]), (&true.into(), &false.into()));
    let mut events = rig.listen().await;
    let refused = rig.unreact(FIRST, message, Some("👍"), Some(FIRST + 1)).await.unwrap_err();
    assert_eq!(refused.code, code::MISSING_PERMISSIONS);
    for _ in 0..2 {
        rig.unreact(FIRST, message, Some("👍"), Some(FIRST)).await.unwrap();
    }
    assert_eq!(count(&rig, message, "👍").await, 1);
    let event = events.expect(EventKind::MessageReactionRemove).await;
    assert_eq!(event["user_id"], FIRST.to_string());
    rig.unreact(moderator, message, Some("👎"), None).await.unwrap();
    assert_eq!(events.expect(EventKind::MessageReactionRemoveEmoji).await["emoji"]["name"], "👎");
    rig.unreact(moderator, message, None, None).await.unwrap();
    events.expect(EventKind::MessageReactionRemoveAll).await;
    assert!(rig.get(FIRST, message).await.unwrap().get("reactions").is_none());
    rig.react(FIRST + 1, message, "👍").await.unwrap();
    assert_eq!(count(&rig, message, "👍").await, 1, "what was cleared counts anew");
}

#[tokio::test]
async fn a_message_takes_twenty_emoji() {
    let rig = Rig::new(1).await;
    let message = rig.sent(FIRST, "vote").await;
    for index in 0..20 {
        let emoji = char::from_u32(0x1f600 + index).unwrap().to_string();
        rig.react(FIRST, message, &emoji).await.unwrap();
    }
    assert_eq!(rig.react(FIRST, message, "🚀").await.unwrap_err().code, code::MAX_REACTIONS);
    assert_eq!(rig.react(FIRST, message, "no emoji").await.unwrap_err().code, code::UNKNOWN_EMOJI);
    rig.react(OWNER, message, "\u{1f600}").await.expect("one that is there takes no place");
}
