//! Reading pages.

use model::Permissions;
use proto::failure::code;
use proto::{Failure, v1};
use serde_json::Value;

use crate::rig::{Rig, send_request};
use crate::world::{FIRST, GENERAL, OWNER, VOICE};

/// The ids of a page, as it shows them.
async fn page(rig: &Rig, request: v1::ListMessagesRequest) -> Vec<u64> {
    let request = v1::ListMessagesRequest { channel_id: GENERAL, reader_id: FIRST, ..request };
    let reply = rig.client.clone().list_messages(request).await.unwrap().into_inner();
    let messages: Vec<Value> = serde_json::from_slice(&reply.messages_json).unwrap();
    messages.iter().map(|message| message["id"].as_str().unwrap().parse().unwrap()).collect()
}

#[tokio::test]
async fn pages_are_the_nearest_messages_newest_first() {
    let rig = Rig::new(1).await;
    let mut ids = Vec::new();
    for number in 0..9 {
        rig.clock.advance(10);
        ids.push(rig.sent(FIRST, &format!("message {number}")).await);
    }
    let default = v1::ListMessagesRequest::default;
    let newest_first = |range: std::ops::Range<usize>| ids[range].iter().rev().copied().collect::<Vec<_>>();
    let (limit, middle) = (3, ids[4]);
    let before = |id| v1::ListMessagesRequest { before: Some(id), limit, ..default() };
    let after = |id| v1::ListMessagesRequest { after: Some(id), limit, ..default() };
    let around = |id, limit| v1::ListMessagesRequest { around: Some(id), limit, ..default() };
    for (request, expected) in [
        (default(), newest_first(0..9)),
        (v1::ListMessagesRequest { limit, ..default() }, newest_first(6..9)),
        (before(middle), newest_first(1..4)),
        (before(ids[1]), newest_first(0..1)),
        (before(ids[0]), vec![]),
        (before(0), vec![]),
        (before(u64::MAX), newest_first(6..9)),
        (after(middle), newest_first(5..8)),
        (after(ids[8]), vec![]),
        (after(0), newest_first(0..3)),
        (around(middle, 3), newest_first(3..6)),
        (around(middle, 4), newest_first(3..7)),
        (around(middle, 1), newest_first(4..5)),
        (around(middle + 1, 4), newest_first(3..7)),
        (around(ids[0], 4), newest_first(0..3)),
        (around(0, 4), newest_first(0..2)),
    ] {
        assert_eq!(page(&rig, request).await, expected, "{request:?}");
    }
    let refused = async |request| {
        let request = v1::ListMessagesRequest { channel_id: GENERAL, reader_id: FIRST, ..request };
        Failure::from(rig.client.clone().list_messages(request).await.unwrap_err())
    };
    let both = refused(v1::ListMessagesRequest { before: Some(1), after: Some(1), ..default() }).await;
    assert_eq!((both.code, both.fields[0].path.as_str()), (code::INVALID_FORM, "before"));
    let many = refused(v1::ListMessagesRequest { limit: 101, ..default() }).await;
    assert_eq!(many.fields[0].code, "NUMBER_TYPE_MAX");
}

#[tokio::test]
async fn what_is_written_in_a_voice_channel_is_for_who_may_connect() {
    let rig = Rig::new(1).await;
    let request = v1::CreateMessageRequest { channel_id: VOICE, ..send_request(OWNER, "in here") };
    let message = rig.create(request).await.unwrap().message_id;
    let read = async |reader| {
        let mut client = rig.client.clone();
        let get = v1::GetMessageRequest { channel_id: VOICE, message_id: message, reader_id: reader };
        let list = v1::ListMessagesRequest { channel_id: VOICE, reader_id: reader, ..Default::default() };
        let emoji = Some(v1::Emoji { id: None, name: "👍".into() });
        let reactors = v1::ListReactionsRequest {
            channel_id: VOICE,
            message_id: message,
            reader_id: reader,
            emoji,
            ..Default::default()
        };
        let answers = [
            client.get_message(get).await.map(drop),
            client.list_messages(list).await.map(drop),
            client.list_reactions(reactors).await.map(drop),
        ];
        answers.map(|answer| answer.map_err(|status| Failure::from(status).code))
    };
    assert_eq!(read(FIRST).await, [Err(code::MISSING_ACCESS); 3]);
    assert_eq!(read(OWNER).await, [Ok(()); 3]);
    rig.world.set_everyone(Permissions::DEFAULT | Permissions::ADMINISTRATOR, Some(&*rig.stream)).await;
    assert_eq!(read(FIRST).await, [Ok(()); 3]);
}

#[tokio::test]
async fn a_page_may_show_more_people_than_one_call_gives() {
    const PER_MESSAGE: u64 = 13;
    let mut rig = Rig::new(1 + 100 * PER_MESSAGE).await;
    for number in 0..100 {
        let mentioned = (0..PER_MESSAGE).map(|index| FIRST + 1 + number * PER_MESSAGE + index);
        let content: String = mentioned.map(|user| format!("<@{user}>")).collect();
        rig.sent(FIRST, &content).await;
    }
    // Whoever was mentioned is remembered for a while; the next start remembers nobody.
    rig.restart().await;
    let request = v1::ListMessagesRequest {
        channel_id: GENERAL,
        reader_id: FIRST,
        limit: 100,
        ..v1::ListMessagesRequest::default()
    };
    let reply = rig.client.clone().list_messages(request).await.map_err(Failure::from).unwrap().into_inner();
    let messages: Vec<serde_json::Value> = serde_json::from_slice(&reply.messages_json).unwrap();
    assert_eq!(messages.len(), 100);
    for message in messages {
        let mentions = message["mentions"].as_array().unwrap();
        assert_eq!(mentions.len() as u64, PER_MESSAGE, "{message}");
    }
}
