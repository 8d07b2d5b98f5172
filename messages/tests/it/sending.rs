//! What a send is checked for, and what its event shows.

use std::time::Duration;

use backplane::{Backplane, Delivery};
use messages::{FilterConfig, RateLimitConfig};
use model::{EventKind, Permissions};
use proto::failure::code;
use proto::{Envelope, FailureKind, v1};
use serde_json::{Value, json};
use tokio::time::{advance, pause, resume};

use crate::rig::{Rig, send_request};
use crate::world::{BOT, FIRST, GENERAL, GUILD, LOUD, MODERATORS, OWNER, SLOW, STRANGER, guild};

#[tokio::test]
async fn the_sixth_message_in_a_window_is_refused_with_what_headers_need() {
    let rate_limit = RateLimitConfig { messages: 5, window_ms: 5_000 };
    let rig = Rig::with(2, rate_limit, FilterConfig::default()).await;
    for remaining in (0..5).rev() {
        let state = rig.send(FIRST, "hello").await.unwrap().rate_limit.unwrap();
        assert_eq!((state.limit, state.remaining), (5, remaining));
        assert!(state.reset_after_ms <= 5_000 && !state.bucket.is_empty());
    }
    let failure = rig.send(FIRST, "hello").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::RateLimited);
    assert_eq!(failure.rate_limit.unwrap().remaining, 0);
    rig.send(FIRST + 1, "hello").await.expect("the limit is each user's own");
    pause();
    advance(Duration::from_millis(failure.retry_after_ms.unwrap())).await;
    resume();
    rig.send(FIRST, "hello").await.expect("who waits as long as told is let through");
}

#[tokio::test]
async fn slow_mode_holds_through_a_restart_and_not_for_bots_or_who_may_pass_it() {
    let mut rig = Rig::new(2).await;
    let send = |author| v1::CreateMessageRequest { channel_id: SLOW, ..send_request(author, "hello") };
    let sends = rig.create(send(FIRST)).await.unwrap().rate_limit.unwrap();
    let moderator = FIRST + 1;
    rig.create(send(moderator)).await.unwrap();
    for round in 0..2 {
        rig.clock.advance(10_000);
        let failure = rig.create(send(FIRST)).await.unwrap_err();
        assert_eq!((failure.code, failure.kind), (code::SLOWMODE, FailureKind::RateLimited));
        assert!(failure.retry_after_ms.unwrap() <= 50_000);
        assert_eq!(failure.rate_limit.unwrap().bucket, sends.bucket, "a route has one bucket");
        for sender in [BOT, OWNER, BOT, OWNER] {
            rig.create(send(sender)).await.expect("they need not wait");
        }
        let failure = rig.create(send(moderator)).await.unwrap_err();
        assert_eq!(failure.code, code::SLOWMODE, "managing messages is not passing slow mode, round {round}");
        rig.restart().await;
    }
    rig.clock.advance(40_000);
    rig.create(send(FIRST)).await.unwrap();
    let everyone = Permissions::DEFAULT | Permissions::BYPASS_SLOWMODE;
    rig.world.set_everyone(everyone, Some(&*rig.stream)).await;
    rig.create(send(FIRST)).await.unwrap();
}

#[tokio::test]
async fn roles_are_mentioned_if_they_may_be_or_by_whoever_may_mention_all() {
    let rig = Rig::new(1).await;
    let text = format!("<@&{MODERATORS}> <@&{LOUD}> <@&501> @everyone @here");
    let shown = async |author| {
        let reply = rig.send(author, &text).await.unwrap();
        let json: Value = serde_json::from_slice(&reply.message_json).unwrap();
        (json["mention_roles"].clone(), json["mention_everyone"].clone())
    };
    let all = (json!([MODERATORS.to_string(), LOUD.to_string()]), json!(true));
    assert_eq!(shown(FIRST).await, all);
    let everyone = Permissions::DEFAULT.without(Permissions::MENTION_EVERYONE);
    rig.world.set_everyone(everyone, Some(&*rig.stream)).await;
    let loud = (json!([LOUD.to_string()]), json!(false));
    assert_eq!(shown(FIRST).await, loud);
    assert_eq!(shown(OWNER).await, all);
    let message = rig.sent(FIRST, "plain").await;
    let edited = rig.edit(FIRST, message, &text).await.unwrap();
    assert_eq!((edited["mention_roles"].clone(), edited["mention_everyone"].clone()), loud);
    rig.world.set_mentionable(MODERATORS, true, &*rig.stream).await;
    rig.world.set_mentionable(LOUD, false, &*rig.stream).await;
    assert_eq!(shown(FIRST).await, (json!([MODERATORS.to_string()]), json!(false)));
}

#[tokio::test]
async fn a_message_of_components_is_of_nothing_else() {
    const V2: u32 = 1 << 15;
    let rig = Rig::new(1).await;
    let components = format!(
        r#"[{{"type":17,"components":[{{"type":10,"content":"hi <@{FIRST}>"}},{{"type":9,"content":"<@{OWNER}>"}}]}}]"#
    );
    let request = |content: &str, embeds: &str, flags| v1::CreateMessageRequest {
        flags,
        content: Some(v1::MessageContent {
            content: content.into(),
            embeds_json: embeds.into(),
            components_json: components.clone(),
            ..v1::MessageContent::default()
        }),
        ..send_request(FIRST, "")
    };
    for (content, embeds, path) in [("text", "", "content"), ("", r#"[{"title":"t"}]"#, "embeds")] {
        let failure = rig.create(request(content, embeds, V2)).await.unwrap_err();
        assert_eq!(failure.fields[0].path, path);
        rig.create(request(content, embeds, 0)).await.unwrap();
    }
    let reply = rig.create(request("", "", V2 | 1)).await.unwrap();
    let shown: Value = serde_json::from_slice(&reply.message_json).unwrap();
    assert_eq!(shown["flags"], V2, "unknown flags are dropped");
    let mentions = shown["mentions"].as_array().unwrap();
    assert_eq!(mentions.iter().map(|user| &user["id"]).collect::<Vec<_>>(), [&json!(FIRST.to_string())]);
    assert_eq!(rig.edit(FIRST, reply.message_id, "text").await.unwrap_err().fields[0].path, "content");
    let edit = v1::EditMessageRequest {
        channel_id: GENERAL,
        message_id: reply.message_id,
        editor_id: FIRST,
        components_json: Some(r#"[{"type":10,"content":"nobody"}]"#.into()),
        flags: Some(4),
        ..v1::EditMessageRequest::default()
    };
    let edited = rig.client.clone().edit_message(edit).await.unwrap().into_inner();
    let edited: Value = serde_json::from_slice(&edited.message_json).unwrap();
    assert_eq!((&edited["flags"], &edited["mentions"]), (&json!(V2 | 4), &json!([])), "it stays what it is");
}

#[tokio::test]
async fn the_filter_blocks_sends_and_edits() {
    let filter = FilterConfig { words: vec!["spam".into()], patterns: vec![r"\bbuy \d+".into()] };
    let rig = Rig::with(2, RateLimitConfig::default(), filter).await;
    for blocked in ["SPAM!", "please buy 12 now"] {
        assert_eq!(rig.send(FIRST, blocked).await.unwrap_err().code, code::FILTERED);
    }
    let message = rig.sent(FIRST, "fine").await;
    assert_eq!(rig.edit(FIRST, message, "spam").await.unwrap_err().code, code::FILTERED);
    assert_eq!(rig.messages.stats().filtered.get(), 3);
    assert_eq!(rig.send(FIRST, "  ").await.unwrap_err().code, code::EMPTY_MESSAGE);
    assert_eq!(rig.stored_events().await.len(), 1);
}

#[tokio::test]
async fn the_event_shows_the_message_and_its_people() {
    let rig = Rig::new(3).await;
    let mut events = rig.listen().await;
    let second = FIRST + 1;
    let text = format!("<@{second}> <@{STRANGER}> <@55> <@&500> <@&501> @everyone");
    let reply = rig.send(FIRST, &text).await.unwrap();
    let event = events.next().await;
    let data: Value = serde_json::from_slice(&event.data).unwrap();
    let answer: Value = serde_json::from_slice(&reply.message_json).unwrap();
    assert_eq!((event.event_id, event.channel_id.unwrap().get()), (reply.message_id, GENERAL));
    assert_eq!((event.guild_id, event.user_id.unwrap().get()), (Some(guild()), FIRST));
    assert_eq!(event.mentions.iter().map(|id| id.get()).collect::<Vec<_>>(), [second, STRANGER]);
    assert_eq!(data["author"]["username"], "user1000");
    assert_eq!(data["mentions"][1]["username"], "stranger");
    assert_eq!(data["mention_roles"], json!(["500"]));
    assert_eq!((&data["mention_everyone"], &data["guild_id"]), (&true.into(), &GUILD.to_string().into()));
    assert!(data["member"]["joined_at"].is_string() && data["member"].get("user").is_none());
    assert!(answer.get("guild_id").is_none() && answer["content"] == text.as_str());
    let stripped: Value = serde_json::from_slice(&event.data_without_content.unwrap()).unwrap();
    assert_eq!(stripped["content"], "");

    let mut quiet = send_request(FIRST, &text);
    quiet.content.as_mut().unwrap().allowed_mentions = Some(v1::AllowedMentions::default());
    rig.create(quiet).await.unwrap();
    let event = events.expect(EventKind::MessageCreate).await;
    assert_eq!((&event["mentions"], &event["mention_everyone"]), (&json!([]), &false.into()));
}

#[tokio::test]
async fn replies_show_what_they_answer() {
    let rig = Rig::new(2).await;
    let first = rig.sent(FIRST, "question").await;
    let reference = |message_id| v1::MessageReference { message_id, channel_id: GENERAL, guild_id: None };
    let reply_to = |message_id, fail_if_not_exists| v1::CreateMessageRequest {
        reference: Some(reference(message_id)),
        fail_if_not_exists,
        ..send_request(FIRST + 1, "answer")
    };
    let answer = rig.create(reply_to(first, true)).await.unwrap();
    let json: Value = serde_json::from_slice(&answer.message_json).unwrap();
    assert_eq!((&json["type"], &json["referenced_message"]["content"]), (&19.into(), &"question".into()));
    assert_eq!(json["mentions"][0]["id"], FIRST.to_string());
    assert_eq!(rig.create(reply_to(12345, true)).await.unwrap_err().code, code::INVALID_FORM);
    let plain = rig.create(reply_to(12345, false)).await.unwrap();
    let plain: Value = serde_json::from_slice(&plain.message_json).unwrap();
    assert_eq!(plain["type"], 0);
    rig.delete(FIRST, &[first], false).await.unwrap();
    let read = rig.get(FIRST, answer.message_id).await.unwrap();
    assert!(read["referenced_message"].is_null() && read["message_reference"].is_object());
}

#[tokio::test]
async fn typing_is_told_once_in_three_seconds() {
    let rig = Rig::new(2).await;
    let partition = rig.stream.layout().guild(guild());
    let mut listener = rig.stream.listen_ephemeral(partition).await.unwrap();
    for user_id in [FIRST, FIRST, OWNER] {
        let request = v1::StartTypingRequest { channel_id: GENERAL, user_id };
        rig.client.clone().start_typing(request).await.unwrap();
    }
    for expected in [FIRST, OWNER] {
        let Some(Delivery::Ephemeral(envelope)) = listener.next().await else { panic!("expected typing") };
        let event = Envelope::decode(envelope).unwrap();
        let data: Value = serde_json::from_slice(&event.data).unwrap();
        assert_eq!((event.kind, &data["user_id"]), (EventKind::TypingStart, &expected.to_string().into()));
        assert_eq!(data["timestamp"], crate::rig::START_MS / 1000);
        assert_eq!(data["member"]["user"]["id"], expected.to_string());
    }
    let stranger = v1::StartTypingRequest { channel_id: GENERAL, user_id: STRANGER };
    assert!(rig.client.clone().start_typing(stranger).await.is_err());
}
