//! The service through its client, on the in-process backplane, in the runtime's paused time.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backplane::{Backplane, Delivery, InMemoryRoster, InProcess, Layout, Listener, Options};
use bytes::Bytes;
use doubles::Flaky;
use model::clock::{Clock as _, ManualClock};
use model::{EventKind, GuildId};
use presence::table::Bounds;
use presence::voice::VoiceConfig;
use presence::{Config, Presence};
use proto::clients::{PresenceClient, local_presence};
use proto::{Envelope, Failure, FailureKind, Writer, v1};
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::time::Instant;

const GUILD: u64 = 7;
const USER: u64 = 5;

struct Setup {
    service: Presence,
    client: PresenceClient,
    events: Listener,
    ephemeral: Listener,
    voice: VoiceConfig,
}

async fn start() -> Setup {
    start_with(|backplane| backplane).await
}

async fn start_with<B: Backplane>(wrap: impl FnOnce(Arc<InProcess>) -> Arc<B>) -> Setup {
    let clock = Arc::new(ManualClock::at(1_700_000_000_000));
    let backplane = wrap(InProcess::new(Layout::default(), clock.clone(), Options::default()));
    let partition = backplane.layout().guild(GuildId::new(GUILD).unwrap());
    let events = backplane.listen(partition).await.unwrap();
    let ephemeral = backplane.listen_ephemeral(partition).await.unwrap();
    let mut voice = VoiceConfig::new([1; 32]);
    voice.endpoints.insert("north".into(), "north.voice:443".into());
    let ids = AtomicU64::new(model::snowflake::lowest_at(clock.now_ms()));
    let service = Presence::start(Config {
        backplane,
        roster: Arc::new(InMemoryRoster::new(clock.clone())),
        settles_after_ms: None,
        clock,
        event_ids: Arc::new(move || ids.fetch_add(1, Ordering::Relaxed)),
        writer: Writer { set: 4, slot: 3, epoch: 5 },
        voice: voice.clone(),
        bounds: Bounds::default(),
    });
    let client = local_presence(service.clone(), Handle::current());
    Setup { service, client, events, ephemeral, voice }
}

fn online(session: &str, epoch: u64, status: v1::Status) -> v1::SessionPresence {
    v1::SessionPresence {
        session_id: session.into(),
        owner_epoch: epoch,
        user_id: USER,
        status: status.into(),
        platform: 2,
        activities_json: r#"[{"name":"chess","type":0}]"#.into(),
        guild_ids: vec![GUILD],
    }
}

fn update(pod: &str, sessions: Vec<v1::SessionPresence>) -> v1::UpdateSessionsRequest {
    v1::UpdateSessionsRequest { pod: pod.into(), sessions, ..v1::UpdateSessionsRequest::default() }
}

fn voice_request(channel_id: Option<u64>) -> v1::UpdateVoiceStateRequest {
    let user = v1::User { id: USER, username: "ann".into(), ..v1::User::default() };
    v1::UpdateVoiceStateRequest {
        state: Some(v1::VoiceState {
            guild_id: GUILD,
            channel_id,
            user_id: USER,
            session_id: "s".into(),
            ..v1::VoiceState::default()
        }),
        member: Some(v1::Member {
            guild_id: GUILD,
            user: Some(user),
            joined_at_ms: 1000,
            ..v1::Member::default()
        }),
        pod: "p".into(),
        rtc_region: Some("north".into()),
    }
}

/// The next envelope and its JSON.
async fn next(listener: &mut Listener) -> (Envelope, Value) {
    let delivery = tokio::time::timeout(Duration::from_secs(300), listener.next()).await.expect("an event");
    let bytes: Bytes = match delivery.unwrap() {
        Delivery::Event { envelope, .. } | Delivery::Ephemeral(envelope) => envelope,
        other => panic!("{other:?}"),
    };
    let envelope = Envelope::decode(bytes).unwrap();
    let data = serde_json::from_slice(&envelope.data).unwrap();
    (envelope, data)
}

async fn has_next(listener: &mut Listener, within_ms: u64) -> bool {
    tokio::time::timeout(Duration::from_millis(within_ms), listener.next()).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn a_presence_is_published_coalesced_and_ends_with_the_lease() {
    let Setup { service, mut client, mut ephemeral, .. } = start().await;
    for status in [v1::Status::Online, v1::Status::Dnd, v1::Status::Idle] {
        client.update_sessions(update("p", vec![online("s", 1, status)])).await.unwrap();
    }
    let (envelope, data) = next(&mut ephemeral).await;
    assert_eq!((envelope.kind, envelope.guild_id.unwrap().get()), (EventKind::PresenceUpdate, GUILD));
    assert_eq!((envelope.user_id.unwrap().get(), envelope.channel_id), (USER, None));
    let expected = json!({"user": {"id": "5"}, "guild_id": "7", "status": "online",
        "client_status": {"web": "online"}, "activities": [{"name": "chess", "type": 0}]});
    assert_eq!(data, expected);
    assert!(!has_next(&mut ephemeral, 900).await);
    assert_eq!(next(&mut ephemeral).await.1["status"], "idle");

    let in_guild = v1::GetPresencesRequest { guild_id: Some(GUILD), ..v1::GetPresencesRequest::default() };
    let of_user = v1::GetPresencesRequest { user_ids: vec![USER, 6], ..v1::GetPresencesRequest::default() };
    for request in [in_guild.clone(), of_user] {
        let presences = client.get_presences(request).await.unwrap().into_inner().presences;
        assert_eq!(presences.len(), 1);
        assert_eq!((presences[0].user_id, presences[0].web()), (USER, v1::Status::Idle));
    }
    assert_eq!(next(&mut ephemeral).await.1["status"], "offline");
    assert_eq!(client.get_presences(in_guild).await.unwrap().into_inner().presences.len(), 0);
    assert_eq!((service.stats().presences_published, service.stats().counts.sessions), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_renews_stays_and_one_that_is_unknown_sends_all_again() {
    let Setup { mut client, mut ephemeral, .. } = start().await;
    let session = online("s", 1, v1::Status::Online);
    let renew = |digest| v1::RenewLeaseRequest { pod: "p".into(), session_count: Some(1), digest };
    let claim = renew(session.digest());
    assert!(client.renew_lease(claim.clone()).await.unwrap().into_inner().resync);
    let news = update("p", vec![session.clone()]);
    assert!(!client.update_sessions(news.clone()).await.unwrap().into_inner().resync, "it has called before");
    let list = v1::UpdateSessionsRequest { list: v1::ListPart::Whole.into(), ..news.clone() };
    client.update_sessions(list).await.unwrap();
    next(&mut ephemeral).await;
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_secs(15)).await;
        assert!(!client.renew_lease(claim.clone()).await.unwrap().into_inner().resync);
    }
    let wrong = renew(7);
    let answers = [client.renew_lease(wrong.clone()).await, client.renew_lease(wrong).await];
    assert_eq!(answers.map(|answer| answer.unwrap().into_inner().resync), [false, true], "twice in a row");
    assert!(client.update_sessions(update("q", vec![])).await.unwrap().into_inner().resync);
    assert!(!has_next(&mut ephemeral, 1).await);
}

/// A reader with a copy finds out what is different.
#[tokio::test(start_paused = true)]
async fn copies_are_compared_by_digest() {
    let Setup { mut client, .. } = start().await;
    client.update_sessions(update("p", vec![online("s", 1, v1::Status::Online)])).await.unwrap();
    let compare = |guilds: &[(u64, u64)]| {
        let guilds = guilds.iter().map(|&(guild_id, digest)| v1::GuildDigest { guild_id, digest });
        v1::ComparePresencesRequest { guilds: guilds.collect() }
    };
    let of_guild = v1::GetPresencesRequest { guild_id: Some(GUILD), ..v1::GetPresencesRequest::default() };
    let found = client.get_presences(of_guild).await.unwrap().into_inner();
    let shown = model::presence::Presence::try_from(found.presences[0].clone()).unwrap();
    let standing = found.standing.unwrap();
    assert!(!standing.stale && !found.truncated);
    let same = compare(&[(GUILD, shown.digest()), (8, 0)]);
    let answer = client.compare_presences(same).await.unwrap().into_inner();
    assert_eq!((answer.differing, answer.standing), (vec![], Some(standing)));
    let other = compare(&[(GUILD, 0), (8, 5)]);
    assert_eq!(client.compare_presences(other).await.unwrap().into_inner().differing, [GUILD, 8]);
    let too_many = compare(&vec![(GUILD, 0); model::limits::PRESENCE_COMPARE_MAX + 1]);
    let failure = Failure::from(client.compare_presences(too_many).await.unwrap_err());
    assert_eq!((failure.kind, &*failure.fields[0].path), (FailureKind::Invalid, "guilds"));
}

#[tokio::test(start_paused = true)]
async fn voice_is_published_before_the_answer_and_ends_with_the_session() {
    let Setup { mut client, mut events, voice, .. } = start().await;
    let joined = client.update_voice_state(voice_request(Some(20))).await.unwrap().into_inner();
    assert!(has_next(&mut events, 0).await, "published before it was answered");
    assert_eq!(joined.endpoint.as_deref(), Some("north.voice:443"));
    let claims = voice.verify(&joined.token.unwrap(), 1_700_000_000_001).unwrap();
    assert_eq!((claims.user_id.get(), claims.channel_id.get(), &*claims.session_id), (USER, 20, "s"));

    let same = client.update_voice_state(voice_request(Some(20))).await.unwrap().into_inner();
    assert_eq!((same.token, same.endpoint), (None, None));
    let (envelope, data) = next(&mut events).await;
    assert_eq!((envelope.kind, envelope.channel_id.unwrap().get()), (EventKind::VoiceStateUpdate, 20));
    assert_eq!((&data["channel_id"], &data["session_id"]), (&json!("20"), &json!("s")));
    assert!(data["member"]["joined_at"].is_string());
    let list = v1::ListVoiceStatesRequest { guild_id: GUILD };
    assert_eq!(client.list_voice_states(list).await.unwrap().into_inner().states.len(), 1);

    let gone = v1::SessionGone { session_id: "s".into(), owner_epoch: 1 };
    let request = v1::UpdateSessionsRequest { gone: vec![gone], ..update("p", Vec::new()) };
    client.update_sessions(request).await.unwrap();
    let (envelope, data) = next(&mut events).await;
    assert_eq!((envelope.channel_id.unwrap().get(), &data["channel_id"]), (20, &Value::Null));
    assert!(data["member"]["joined_at"].is_string());
    assert_eq!(client.list_voice_states(list).await.unwrap().into_inner().states.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_moves_leaves_the_old_channel_before_they_are_in_the_new_one() {
    let Setup { mut client, mut events, .. } = start().await;
    for channel in [20, 21] {
        client.update_voice_state(voice_request(Some(channel))).await.unwrap();
    }
    for (channel, shown) in [(20, json!("20")), (20, Value::Null), (21, json!("21"))] {
        let (envelope, data) = next(&mut events).await;
        assert_eq!((envelope.channel_id.unwrap().get(), &data["channel_id"]), (channel, &shown));
        assert!(data["member"]["joined_at"].is_string());
    }
}

#[tokio::test(start_paused = true)]
async fn voice_waits_for_a_backplane_that_is_away_and_keeps_its_order() {
    let setup = start_with(|backplane| {
        let flaky = Flaky::new(backplane);
        flaky.fail_and_store_some(5);
        flaky
    })
    .await;
    let Setup { service, mut client, mut events, .. } = setup;
    let mut joining = client.clone();
    let request = voice_request(Some(20));
    let begun = Instant::now();
    let (joined, ()) = tokio::join!(joining.update_voice_state(request), async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert_eq!(service.stats().voices_queued, 1);
        client.update_voice_state(voice_request(None)).await.unwrap();
    });
    assert!(joined.unwrap().into_inner().token.is_some());
    assert!(
        begun.elapsed() >= Duration::from_millis(20 + 40 + 80 + 160 + 320),
        "answered after {:?}",
        begun.elapsed()
    );
    assert_eq!(next(&mut events).await.1["channel_id"], json!("20"));
    assert_eq!(next(&mut events).await.1["channel_id"], Value::Null);
    assert_eq!(service.stats().voices_queued, 0);
    assert!(!has_next(&mut events, 1000).await, "repeated with the same event id");
}

#[tokio::test(start_paused = true)]
async fn malformed_requests_say_what_is_wrong_and_change_nothing() {
    let Setup { service, mut client, .. } = start().await;
    let mut unspecified = online("s", 1, v1::Status::Online);
    unspecified.status = 0;
    let long = v1::SessionPresence { session_id: "x".repeat(129), ..online("s", 1, v1::Status::Online) };
    let platform = v1::SessionPresence { platform: 3, ..online("s", 1, v1::Status::Online) };
    for (bad, field) in
        [(unspecified, "sessions.status"), (long, "sessions.session_id"), (platform, "sessions.platform")]
    {
        let good = online("good", 1, v1::Status::Online);
        let failure = Failure::from(client.update_sessions(update("p", vec![good, bad])).await.unwrap_err());
        assert_eq!((failure.kind, &*failure.fields[0].path), (FailureKind::Invalid, field));
    }
    let mut stranger = voice_request(Some(20));
    stranger.member.as_mut().unwrap().guild_id = 8;
    let failure = Failure::from(client.update_voice_state(stranger).await.unwrap_err());
    assert_eq!(failure.fields[0].path, "member");
    assert_eq!(service.stats().counts.sessions, 0);
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_dies_is_named() {
    let clock = Arc::new(ManualClock::at(1_700_000_000_000));
    let service = Presence::start(Config {
        backplane: InProcess::new(Layout::default(), clock.clone(), Options::default()),
        roster: Arc::new(InMemoryRoster::new(clock.clone())),
        settles_after_ms: None,
        clock,
        event_ids: Arc::new(|| panic!("a defect")),
        writer: Writer { set: 4, slot: 3, epoch: 5 },
        voice: VoiceConfig::new([1; 32]),
        bounds: Bounds::default(),
    });
    assert!(tokio::time::timeout(Duration::from_secs(60), service.ended()).await.is_err(), "it is well");
    let mut client = local_presence(service.clone(), Handle::current());
    let request = update("p", vec![online("s", 1, v1::Status::Online)]);
    let (ended, _) = tokio::join!(service.ended(), client.update_sessions(request));
    assert_eq!(ended.task, "the driver of its table");
}

#[tokio::test(start_paused = true)]
async fn after_shutdown_calls_are_unavailable() {
    let Setup { service, mut client, .. } = start().await;
    service.shutdown().await;
    let ended = tokio::time::timeout(Duration::from_secs(60), service.ended()).await;
    assert!(ended.is_err(), "an end that was asked for: {ended:?}");
    let failure = Failure::from(client.update_sessions(update("p", Vec::new())).await.unwrap_err());
    assert_eq!(failure.kind, FailureKind::Unavailable);
}
