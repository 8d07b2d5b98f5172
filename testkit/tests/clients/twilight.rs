//! twilight 0.18, unpatched, without TLS and compression.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use tokio::time::{self, Instant};
use twilight_gateway::{ConfigBuilder, Event, EventTypeFlags, Intents, Shard, ShardId, StreamExt};
use twilight_http::Client;
use twilight_http::request::channel::reaction::RequestReactionType;
use twilight_model::channel::message::EmojiReactionType;
use twilight_model::gateway::payload::incoming::GuildCreate;
use twilight_model::gateway::payload::outgoing::{RequestGuildMembers, UpdatePresence, UpdateVoiceState};
use twilight_model::gateway::presence::{ActivityType, MinimalActivity, Status};
use twilight_model::id::Id;
use twilight_model::id::marker::{ChannelMarker, GuildMarker, UserMarker};

use super::home::{Home, Place};
use super::house::House;

const PATIENCE: Duration = Duration::from_secs(90);

/// A shard and the HTTP client beside it.
struct Twilight {
    shard: Shard,
    http: Client,
    /// Contents of all messages received so far, in their order.
    messages: Vec<String>,
    resumes: usize,
    starts: usize,
}

impl Twilight {
    fn new(place: Place, token: &str) -> Self {
        let host = place.api_host().to_owned();
        let http = Client::builder().token(token.to_owned()).proxy(host, true).build();
        let config = ConfigBuilder::new(token.to_owned(), Intents::all()).proxy_url(place.gateway);
        let shard = Shard::with_config(ShardId::ONE, config.build());
        Self { shard, http, messages: Vec::new(), resumes: 0, starts: 0 }
    }

    /// Waits for an event from which `take` takes something.
    async fn expect<T>(&mut self, what: &str, take: impl Fn(&Event) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut passed = Vec::new();
        loop {
            let next = time::timeout_at(deadline, self.shard.next_event(EventTypeFlags::all())).await;
            let event = match next {
                Ok(Some(Ok(event))) => event,
                Ok(Some(Err(error))) => {
                    let text = format!("{error:?}");
                    assert!(!text.contains("Deserializ"), "twilight cannot read it: {text}");
                    continue;
                }
                Ok(None) => panic!("the shard ended before {what}"),
                Err(_) => panic!("no {what} in {PATIENCE:?}, but {passed:?}"),
            };
            match &event {
                Event::MessageCreate(message) => self.messages.push(message.content.clone()),
                Event::Resumed => self.resumes += 1,
                Event::Ready(_) => self.starts += 1,
                _ => {}
            }
            if let Some(taken) = take(&event) {
                return taken;
            }
            passed.push(event.kind());
        }
    }

    async fn expect_message(&mut self, content: &str) {
        let is_it =
            |event: &Event| matches!(event, Event::MessageCreate(message) if message.content == content);
        self.expect(content, |event| is_it(event).then_some(())).await;
    }
}

fn id<M>(text: &str) -> Id<M> {
    text.parse().unwrap()
}

fn guild(server: &Home) -> Id<GuildMarker> {
    id(&server.demo.guild_id)
}

fn general(server: &Home) -> Id<ChannelMarker> {
    id(&server.demo.channels.general)
}

fn bob_id(server: &Home) -> Id<UserMarker> {
    id(&server.user("bob").id)
}

async fn two(house: &House) -> (Twilight, Twilight) {
    let (here, there) = (house.server.here(&house.proxy), house.server.there(&house.proxy));
    let mut bot = Twilight::new(here, &house.server.demo.bot.token);
    let mut bob = Twilight::new(there, &house.server.user("bob").token);
    for client in [&mut bot, &mut bob] {
        let ready = |event: &Event| match event {
            Event::Ready(ready) => Some(ready.guilds.iter().map(|guild| guild.id).collect::<Vec<_>>()),
            _ => None,
        };
        assert_eq!(client.expect("READY", ready).await, [guild(&house.server)]);
        let created = |event: &Event| match event {
            Event::GuildCreate(create) => match &**create {
                GuildCreate::Available(guild) => {
                    Some((guild.name.clone(), guild.channels.len(), guild.member_count))
                }
                GuildCreate::Unavailable(_) => None,
            },
            _ => None,
        };
        let (name, channels, members) = client.expect("GUILD_CREATE", created).await;
        assert_eq!((name.as_str(), members), ("Demo", Some(3)));
        assert!((3..=4).contains(&channels));
    }
    (bot, bob)
}

#[tokio::test]
async fn a_day_of_a_bot() {
    let Some(house) = House::open().await else { return };
    let (mut bot, mut bob) = two(&house).await;
    messages(&mut bot, &mut bob, &house.server).await;
    presence_and_typing(&mut bot, &mut bob, &house.server).await;
    members(&mut bot, &house.server).await;
    voice(&mut bot, &mut bob, &house.server).await;
    private(&mut bot, &mut bob, &house.server).await;
    assert_eq!((bot.starts, bot.resumes, bob.starts), (1, 0, 1));
}

async fn messages(bot: &mut Twilight, bob: &mut Twilight, server: &Home) {
    let channel = general(server);
    let sent =
        bot.http.create_message(channel).content("hello").nonce(7).await.unwrap().model().await.unwrap();
    bob.expect_message("hello").await;
    bob.http.create_message(channel).content("hi").await.unwrap();
    bot.expect_message("hi").await;

    bot.http.update_message(channel, sent.id).content(Some("hello, all")).await.unwrap();
    let edited = |event: &Event| match event {
        Event::MessageUpdate(message) => Some((message.id, message.content.clone())),
        _ => None,
    };
    assert_eq!(bob.expect("MESSAGE_UPDATE", edited).await, (sent.id, "hello, all".to_owned()));
    let fire = RequestReactionType::Unicode { name: "🔥" };
    bob.http.create_reaction(channel, sent.id, &fire).await.unwrap();
    let reacted = |event: &Event| match event {
        Event::ReactionAdd(reaction) => Some((reaction.message_id, reaction.emoji.clone())),
        _ => None,
    };
    let fire = EmojiReactionType::Unicode { name: "🔥".to_owned() };
    assert_eq!(bot.expect("MESSAGE_REACTION_ADD", reacted).await, (sent.id, fire));

    let page = bot.http.channel_messages(channel).limit(10).await.unwrap().model().await.unwrap();
    let contents: Vec<_> = page.iter().map(|message| message.content.as_str()).collect();
    assert_eq!(contents, ["hi", "hello, all"], "newest first");
    let later = bot.http.channel_messages(channel).after(sent.id).limit(5).await.unwrap();
    assert_eq!(later.model().await.unwrap().len(), 1);
    bot.http.delete_message(channel, sent.id).await.unwrap();
    let deleted = |event: &Event| match event {
        Event::MessageDelete(message) => Some(message.id),
        _ => None,
    };
    assert_eq!(bob.expect("MESSAGE_DELETE", deleted).await, sent.id);
}

async fn presence_and_typing(bot: &mut Twilight, bob: &mut Twilight, server: &Home) {
    let me: Id<UserMarker> = id(&server.demo.bot.id);
    bot.http.create_typing_trigger(general(server)).await.unwrap();
    let typing = |event: &Event| match event {
        Event::TypingStart(typing) => Some((typing.channel_id, typing.user_id)),
        _ => None,
    };
    assert_eq!(bob.expect("TYPING_START", typing).await, (general(server), me));
    let activity =
        MinimalActivity { kind: ActivityType::Playing, name: "chess".to_owned(), url: None }.into();
    bob.shard.command(&UpdatePresence::new([activity], false, None, Status::DoNotDisturb).unwrap());
    let their_id = bob_id(server);
    let changed = |event: &Event| match event {
        Event::PresenceUpdate(presence) if presence.user.id() == their_id => {
            let names: Vec<_> = presence.activities.iter().map(|activity| activity.name.clone()).collect();
            (names == ["chess"]).then_some(presence.status)
        }
        _ => None,
    };
    // A shard writes only while it is polled.
    let shown = tokio::select! {
        shown = bot.expect("PRESENCE_UPDATE", changed) => shown,
        () = poll(bob) => unreachable!("it goes on for ever"),
    };
    assert_eq!(shown, Status::DoNotDisturb);
}

/// Lets a shard write what it was told to.
async fn poll(client: &mut Twilight) {
    loop {
        client.shard.next_event(EventTypeFlags::empty()).await;
    }
}

async fn members(bot: &mut Twilight, server: &Home) {
    let chunk = |event: &Event| match event {
        Event::MemberChunk(chunk) => Some(chunk.clone()),
        _ => None,
    };
    let request = || RequestGuildMembers::builder(guild(server));
    bot.shard.command(&request().nonce("q").query("ali", Some(10)));
    let found = bot.expect("GUILD_MEMBERS_CHUNK", chunk).await;
    assert_eq!((found.nonce.as_deref(), found.members.len()), (Some("q"), 1));
    bot.shard.command(&request().user_ids([bob_id(server), Id::new(1)]).unwrap());
    let found = bot.expect("GUILD_MEMBERS_CHUNK", chunk).await;
    assert_eq!((found.members.len(), found.not_found.len()), (1, 1));
    assert_eq!(found.members[0].user.name, "bob");
    bot.shard.command(&request().presences(true).query("", None));
    let found = bot.expect("GUILD_MEMBERS_CHUNK", chunk).await;
    assert_eq!((found.members.len(), found.chunk_count), (3, 1));
    assert!(!found.presences.is_empty());
}

async fn voice(bot: &mut Twilight, bob: &mut Twilight, server: &Home) {
    let lounge: Id<ChannelMarker> = id(&server.demo.channels.lounge);
    let me: Id<UserMarker> = id(&server.demo.bot.id);
    let state = |event: &Event| match event {
        Event::VoiceStateUpdate(update) if update.user_id == me => Some(update.channel_id),
        _ => None,
    };
    bot.shard.command(&UpdateVoiceState::new(guild(server), Some(lounge), false, true));
    // The two come in either order.
    let (moved, assigned) = (Cell::new(None), RefCell::new(None));
    let both = |event: &Event| {
        moved.set(state(event).flatten().or(moved.get()));
        if let Event::VoiceServerUpdate(update) = event {
            assigned.replace(Some((update.guild_id, update.token.clone())));
        }
        moved.get().and(assigned.borrow().clone())
    };
    let (where_to, token) = bot.expect("VOICE_STATE_UPDATE and VOICE_SERVER_UPDATE", both).await;
    assert_eq!(moved.get(), Some(lounge));
    assert_eq!(where_to, guild(server));
    assert!(!token.is_empty());
    assert_eq!(bob.expect("VOICE_STATE_UPDATE", state).await, Some(lounge));
    bot.shard.command(&UpdateVoiceState::new(guild(server), None, false, false));
    assert_eq!(bot.expect("VOICE_STATE_UPDATE", state).await, None);
    assert_eq!(bob.expect("VOICE_STATE_UPDATE", state).await, None);
}

async fn private(bot: &mut Twilight, bob: &mut Twilight, server: &Home) {
    let opened = bot.http.create_private_channel(bob_id(server)).await.unwrap().model().await.unwrap();
    assert_eq!(opened.recipients.map(|users| users[0].name.clone()).as_deref(), Some("bob"));
    bot.http.create_message(opened.id).content("psst").await.unwrap();
    let created = |event: &Event| match event {
        Event::ChannelCreate(create) => Some((create.id, create.guild_id)),
        _ => None,
    };
    assert_eq!(bob.expect("CHANNEL_CREATE", created).await, (opened.id, None));
    bob.expect_message("psst").await;
    bob.http.create_message(opened.id).content("yes?").await.unwrap();
    bot.expect_message("yes?").await;
}

#[tokio::test]
async fn a_reset_is_resumed() {
    let Some(house) = House::open().await else { return };
    let (mut bot, _) = two(&house).await;
    let alice = house.server.alice();
    let general = &house.server.demo.channels.general;
    let mut sent = Vec::new();
    for round in 1..=3 {
        for (place, count) in [("before", 1), ("missed", 5), ("after", 1)] {
            if place == "missed" {
                house.proxy.hold_new(true);
                house.proxy.reset();
            }
            for number in 0..count {
                let content = format!("{place} {round}.{number}");
                alice.send(general, &content).await;
                sent.push(content);
            }
            house.proxy.hold_new(false);
            bot.expect_message(sent.last().unwrap()).await;
        }
    }
    assert_eq!(bot.messages, sent, "all of it, once and in order");
    assert_eq!((bot.starts, bot.resumes), (1, 3));
}
