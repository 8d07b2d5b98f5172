//! Private channels: the same guarantees as in a guild's, for the two users and nobody else.

use model::EventKind;
use model::limits::OUTBOX_LOOKUP_MS;
use proto::failure::code;
use proto::{Envelope, Failure, v1};
use serde_json::Value;

use crate::rig::{Rig, with_nonce};
use crate::world::{FIRST, OWNER, PRIVATE, STRANGER, channel};

fn message(author: u64, content: &str) -> v1::CreateMessageRequest {
    v1::CreateMessageRequest { channel_id: PRIVATE, ..crate::rig::send_request(author, content) }
}

async fn sent(rig: &Rig, author: u64, content: &str) -> u64 {
    rig.create(message(author, content)).await.unwrap().message_id
}

fn json(event: &Envelope) -> Value {
    serde_json::from_slice(&event.data).unwrap()
}

fn kinds(events: &[Envelope]) -> Vec<EventKind> {
    events.iter().map(|event| event.kind).collect()
}

fn emoji() -> Option<v1::Emoji> {
    Some(v1::Emoji { id: None, name: "👍".into() })
}

async fn list(rig: &Rig, reader: u64) -> Result<Value, Failure> {
    let request = v1::ListMessagesRequest { channel_id: PRIVATE, reader_id: reader, ..Default::default() };
    let reply = rig.client.clone().list_messages(request).await.map_err(Failure::from)?;
    Ok(serde_json::from_slice(&reply.into_inner().messages_json).unwrap())
}

async fn change_all(rig: &Rig, user: u64, id: u64) -> [Result<(), Failure>; 4] {
    let mut client = rig.client.clone();
    let edit = v1::EditMessageRequest {
        channel_id: PRIVATE,
        message_id: id,
        editor_id: user,
        content: Some("edited".into()),
        ..Default::default()
    };
    let edited = client.edit_message(edit).await.map(|_| ()).map_err(Failure::from);
    let react = v1::ReactionRequest { channel_id: PRIVATE, message_id: id, user_id: user, emoji: emoji() };
    let reacted = client.add_reaction(react).await.map(|_| ()).map_err(Failure::from);
    let unreact = v1::RemoveReactionsRequest {
        channel_id: PRIVATE,
        message_id: id,
        actor_id: user,
        emoji: emoji(),
        user_id: Some(user),
    };
    let unreacted = client.remove_reactions(unreact).await.map(|_| ()).map_err(Failure::from);
    let delete =
        v1::DeleteMessagesRequest { channel_id: PRIVATE, message_ids: vec![id], actor_id: user, bulk: false };
    let deleted = client.delete_messages(delete).await.map(|_| ()).map_err(Failure::from);
    [edited, reacted, unreacted, deleted]
}

#[tokio::test]
async fn every_event_goes_to_both_users_and_to_no_guild() {
    let rig = Rig::new(2).await;
    let reply = rig.create(message(FIRST, "hello")).await.unwrap();
    for outcome in change_all(&rig, FIRST, reply.message_id).await {
        outcome.unwrap();
    }
    let (ours, theirs) = (rig.events_of(FIRST).await, rig.events_of(STRANGER).await);
    let expected = [
        EventKind::MessageCreate,
        EventKind::MessageUpdate,
        EventKind::MessageReactionAdd,
        EventKind::MessageReactionRemove,
        EventKind::MessageDelete,
    ];
    assert_eq!((kinds(&ours), &ours), (expected.into(), &theirs), "the same events with the same ids");
    assert!(rig.stored_events().await.is_empty());
    for event in &ours {
        assert_eq!((event.guild_id, event.channel_id), (None, Some(channel(PRIVATE))));
        assert!(event.data_without_content.is_none(), "content is never stripped");
        let data = json(event);
        assert!(data.get("guild_id").is_none() && data.get("member").is_none(), "{data}");
    }
    assert_eq!(ours[0].event_id, reply.message_id);
    assert_eq!(json(&ours[0])["author"]["username"], format!("user{FIRST}"));
    assert_eq!(json(&ours[2])["message_author_id"], FIRST.to_string());
    let answer: Value = serde_json::from_slice(&reply.message_json).unwrap();
    assert_eq!((&answer["channel_id"], answer.get("guild_id")), (&PRIVATE.to_string().into(), None));
}

#[tokio::test]
async fn both_read_and_answer_and_nobody_else_does_anything() {
    let rig = Rig::new(2).await;
    let first = sent(&rig, FIRST, "from the member").await;
    let reply = v1::CreateMessageRequest {
        reference: Some(v1::MessageReference { message_id: first, channel_id: PRIVATE, guild_id: None }),
        ..message(STRANGER, "from the stranger")
    };
    rig.create(reply).await.unwrap();
    for reader in [FIRST, STRANGER] {
        let page = list(&rig, reader).await.unwrap();
        assert_eq!(
            (&page[0]["content"], &page[1]["content"]),
            (&"from the stranger".into(), &"from the member".into())
        );
        assert_eq!(page[0]["referenced_message"]["author"]["id"], FIRST.to_string());
    }
    let lasts = rig.messages.last_message_ids(&[channel(PRIVATE)]).await.unwrap();
    assert!(lasts[&channel(PRIVATE)].get() > first);

    // Not the guild's owner either.
    for third in [OWNER, FIRST + 1] {
        let mut failures =
            vec![list(&rig, third).await.map(|_| ()), rig.create(message(third, "me too")).await.map(|_| ())];
        failures.extend(change_all(&rig, third, first).await);
        let get = v1::GetMessageRequest { channel_id: PRIVATE, message_id: first, reader_id: third };
        failures.push(rig.client.clone().get_message(get).await.map(|_| ()).map_err(Failure::from));
        let typing = v1::StartTypingRequest { channel_id: PRIVATE, user_id: third };
        failures.push(rig.client.clone().start_typing(typing).await.map(|_| ()).map_err(Failure::from));
        let who = v1::ListReactionsRequest {
            channel_id: PRIVATE,
            message_id: first,
            reader_id: third,
            emoji: emoji(),
            ..Default::default()
        };
        failures.push(rig.client.clone().list_reactions(who).await.map(|_| ()).map_err(Failure::from));
        for failure in failures {
            assert_eq!(failure.unwrap_err().code, code::MISSING_ACCESS);
        }
        assert!(rig.events_of(third).await.is_empty());
    }
    assert_eq!(rig.events_of(FIRST).await.len(), 2);
}

#[tokio::test]
async fn what_needs_an_office_cannot_be_done() {
    let rig = Rig::new(2).await;
    let (theirs, more) = (sent(&rig, STRANGER, "theirs").await, sent(&rig, FIRST, "mine").await);
    let delete = |ids: &[u64], bulk| v1::DeleteMessagesRequest {
        channel_id: PRIVATE,
        message_ids: ids.to_vec(),
        actor_id: FIRST,
        bulk,
    };
    for request in [delete(&[theirs], false), delete(&[theirs, more], true)] {
        let failure = Failure::from(rig.client.clone().delete_messages(request).await.unwrap_err());
        assert_eq!(failure.code, code::CANNOT_EXECUTE_ON_DM, "{failure}");
    }
    let everyone = sent(&rig, FIRST, "@everyone <@&500>").await;
    let get = v1::GetMessageRequest { channel_id: PRIVATE, message_id: everyone, reader_id: STRANGER };
    let shown = rig.client.clone().get_message(get).await.unwrap().into_inner().message_json;
    let shown: Value = serde_json::from_slice(&shown).unwrap();
    assert_eq!((&shown["mention_everyone"], &shown["mention_roles"]), (&false.into(), &Value::Array(vec![])));
}

#[tokio::test]
async fn a_nonce_makes_one_message_and_the_limit_is_the_authors() {
    let mut rig = Rig::new(2).await;
    let request =
        |nonce| v1::CreateMessageRequest { channel_id: PRIVATE, ..with_nonce(FIRST, "hello", nonce) };
    let first = rig.create(request("n1")).await.unwrap();
    rig.restart().await;
    let again = rig.create(request("n1")).await.unwrap();
    assert_eq!((again.message_id, again.repeated), (first.message_id, true));
    assert_eq!(again.message_json, first.message_json);
    assert_eq!((rig.events_of(FIRST).await.len(), rig.events_of(STRANGER).await.len()), (1, 1));
}

/// The backplane goes away before the first publish, or between the two.
#[tokio::test]
async fn what_was_stored_and_not_published_reaches_both_once_after_the_next_start() {
    for published in 0..2 {
        for wait_ms in [0, OUTBOX_LOOKUP_MS + 10_000] {
            let mut rig = Rig::new(2).await;
            rig.backplane.go_away_after(published);
            let request =
                v1::CreateMessageRequest { channel_id: PRIVATE, ..with_nonce(STRANGER, "stored", "n1") };
            rig.create(request.clone()).await.unwrap_err();
            rig.clock.advance(wait_ms);
            rig.crash().await;
            let (ours, theirs) = (rig.events_of(FIRST).await, rig.events_of(STRANGER).await);
            assert_eq!(
                (kinds(&ours), kinds(&theirs)),
                (vec![EventKind::MessageCreate], vec![EventKind::MessageCreate])
            );
            assert_eq!(
                (ours[0].event_id, json(&ours[0])["content"].clone()),
                (theirs[0].event_id, "stored".into())
            );
            let again = rig.create(request).await.unwrap();
            assert_eq!((again.message_id, again.repeated), (ours[0].event_id, true));
            rig.crash().await;
            assert_eq!((rig.events_of(FIRST).await.len(), rig.events_of(STRANGER).await.len()), (1, 1));
        }
    }
}

#[tokio::test]
async fn the_order_is_that_of_ids_on_both_subjects() {
    let rig = Rig::new(2).await;
    rig.backplane.fail(5);
    let sends = (0..40).map(|index| {
        let request = message(if index % 2 == 0 { FIRST } else { STRANGER }, "hello");
        let rig = &rig;
        async move { rig.create(request).await.unwrap().message_id }
    });
    let mut ids = futures_util::future::join_all(sends).await;
    ids.sort_unstable();
    for user in [FIRST, STRANGER] {
        let events: Vec<u64> = rig.events_of(user).await.iter().map(|event| event.event_id).collect();
        assert_eq!(events, ids);
    }
}

#[tokio::test]
async fn typing_is_told_to_both_and_stored_for_nobody() {
    let rig = Rig::new(2).await;
    let mut told = backplane::Backplane::told_users(&*rig.stream).await.unwrap();
    let typing = v1::StartTypingRequest { channel_id: PRIVATE, user_id: FIRST };
    rig.client.clone().start_typing(typing).await.unwrap();
    rig.client.clone().start_typing(typing).await.unwrap();
    let mut users = Vec::new();
    while let Ok(told) = told.try_recv() {
        let event = Envelope::decode(told.envelope).unwrap();
        assert_eq!((event.kind, event.guild_id), (EventKind::TypingStart, None));
        let data = json(&event);
        assert_eq!((&data["user_id"], data.get("member")), (&FIRST.to_string().into(), None));
        users.push(told.user.get());
    }
    assert_eq!(users, [STRANGER, FIRST], "once in a while");
    assert!(rig.events_of(FIRST).await.is_empty());
}
