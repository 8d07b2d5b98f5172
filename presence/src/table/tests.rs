//! The table in virtual time: chosen cases, and a world of pods that renew, move sessions, crash and repeat themselves.

mod world;

use model::{Timestamp, User};
use proptest::prelude::*;

use super::*;
use model::presence::{Platform, Status};
use world::{Op, World};

fn key(text: &str) -> Arc<str> {
    text.into()
}

fn guild(number: u64) -> GuildId {
    GuildId::new(number).unwrap()
}

fn update(session: &str, epoch: u64, user: u64, status: Status, guilds: &[u64]) -> SessionUpdate {
    SessionUpdate {
        owner_epoch: epoch,
        user_id: UserId::new(user).unwrap(),
        part: Part {
            session_id: key(session),
            status,
            platform: Platform::Desktop,
            activities_json: key(""),
            guild_ids: guilds.iter().map(|number| guild(*number)).collect(),
        },
    }
}

fn sessions(sessions: Vec<SessionUpdate>) -> Batch {
    Batch { sessions, ..Batch::default() }
}

fn gone(session: &str, owner_epoch: u64) -> Batch {
    Batch { gone: vec![SessionGone { session_id: key(session), owner_epoch }], ..Batch::default() }
}

/// (guild, user, status) of what is to be published.
fn published(table: &mut Table) -> Vec<(u64, u64, Status)> {
    let changes = table.take_presences().into_iter();
    changes.map(|c| (c.guild_id.get(), c.presence.user_id.get(), c.presence.status)).collect()
}

#[test]
fn the_first_change_goes_out_at_once_and_the_last_at_the_end_of_the_window() {
    let (mut table, pod) = (Table::default(), key("pod"));
    let mut say = |now: u64, status| {
        table.apply(now, &pod, sessions(vec![update("s", 1, 5, status, &[7, 8])])).unwrap();
        published(&mut table)
    };
    assert_eq!(say(0, Status::Online), [(7, 5, Status::Online), (8, 5, Status::Online)]);
    assert_eq!(say(10, Status::Dnd), []);
    assert_eq!(say(20, Status::Idle), []);
    table.advance(999);
    assert_eq!(published(&mut table), []);
    assert_eq!(table.presence(UserId::new(5).unwrap()).unwrap().status, Status::Online, "as published");
    table.advance(1000);
    assert_eq!(published(&mut table), [(7, 5, Status::Idle), (8, 5, Status::Idle)]);
}

#[test]
fn a_change_that_is_taken_back_within_the_window_is_never_seen() {
    let (mut table, pod) = (Table::default(), key("pod"));
    for (now, status) in [(0, Status::Online), (10, Status::Invisible), (20, Status::Online)] {
        table.apply(now, &pod, sessions(vec![update("s", 1, 5, status, &[7])])).unwrap();
    }
    assert_eq!(published(&mut table), [(7, 5, Status::Online)]);
    table.advance(5000);
    assert_eq!(published(&mut table), []);
}

#[test]
fn a_shard_that_ends_takes_the_user_offline_in_its_own_guilds() {
    let (mut table, pod) = (Table::default(), key("pod"));
    let both = vec![update("a", 1, 5, Status::Online, &[1, 2]), update("b", 1, 5, Status::Online, &[2, 3])];
    table.apply(0, &pod, sessions(both)).unwrap();
    table.advance(1000);
    table.take_presences();
    table.apply(2000, &pod, gone("a", 1)).unwrap();
    assert_eq!(published(&mut table), [(1, 5, Status::Offline)]);
    assert_eq!(table.presences_in(guild(1), 9).count() + table.presences_in(guild(3), 9).count(), 1);
    assert_eq!(table.presences_in(guild(3), 0).count(), 0);
}

#[test]
fn activities_are_those_of_the_highest_session_that_has_some() {
    let (mut table, pod) = (Table::default(), key("pod"));
    let with = |session, status, platform, activities: &str| {
        let mut update = update(session, 1, 5, status, &[7]);
        (update.part.platform, update.part.activities_json) = (platform, key(activities));
        update
    };
    let all = vec![
        with("a", Status::Idle, Platform::Web, "[1]"),
        with("b", Status::Online, Platform::Mobile, "[2]"),
        with("c", Status::Online, Platform::Desktop, ""),
        with("d", Status::Invisible, Platform::Desktop, "[3]"),
    ];
    table.apply(0, &pod, sessions(all)).unwrap();
    table.advance(1000);
    let shown = table.presence(UserId::new(5).unwrap()).unwrap();
    assert_eq!((shown.status, &*shown.activities_json), (Status::Online, "[2]"));
    let client = shown.client_status;
    assert_eq!((client.web, client.mobile), (Some(Status::Idle), Some(Status::Online)));
    assert_eq!(client.desktop, Some(Status::Online));
}

#[test]
fn sessions_of_an_ended_lease_are_released_slowly_unless_another_pod_took_them() {
    let mut table = Table::new(Bounds { releases_per_sec: 20, ..Bounds::default() });
    let all = (0..10).map(|n| update(&format!("s{n}"), 1, n + 1, Status::Online, &[7])).collect();
    table.apply(0, &key("old"), sessions(all)).unwrap();
    table.apply(0, &key("new"), sessions(vec![update("s3", 2, 4, Status::Online, &[7])])).unwrap();
    table.renew(50_000, &key("new"), 1).unwrap();
    assert_eq!(published(&mut table).len(), 10);
    table.advance(limits::PRESENCE_LEASE_MS);
    assert_eq!(published(&mut table).len(), 2);
    table.advance(limits::PRESENCE_LEASE_MS + 99);
    assert_eq!(published(&mut table).len(), 0);
    table.advance(limits::PRESENCE_LEASE_MS + 100);
    assert_eq!(published(&mut table).len(), 2);
    assert_eq!(table.counts().sessions, 6);
    table.renew(limits::PRESENCE_LEASE_MS + 150, &key("old"), 5).unwrap();
    table.advance(limits::PRESENCE_LEASE_MS + 10_000);
    assert_eq!(published(&mut table), [], "the pod is back with the rest");
    assert_eq!(table.counts().sessions, 6);
}

#[test]
fn a_session_that_is_taken_while_it_waits_for_its_release_stays() {
    let mut table = Table::new(Bounds { releases_per_sec: 10, ..Bounds::default() });
    let named = |n: u64, epoch| update(&format!("s{n}"), epoch, n, Status::Online, &[7]);
    table.apply(0, &key("old"), sessions((1..6).map(|n| named(n, 1)).collect())).unwrap();
    table.advance(limits::PRESENCE_LEASE_MS);
    assert_eq!((table.counts().sessions, table.counts().releases_pending), (4, 4));
    let waiting: Vec<u64> = (1..6).filter(|n| table.sessions.contains_key(&*format!("s{n}"))).collect();
    let taken = waiting[1..].iter().map(|n| named(*n, 2)).collect();
    table.apply(limits::PRESENCE_LEASE_MS, &key("new"), sessions(taken)).unwrap();
    for tick in 1..10 {
        table.advance(limits::PRESENCE_LEASE_MS + tick * 100);
    }
    assert_eq!((table.counts().sessions, table.counts().releases_pending), (3, 0));
}

#[test]
fn late_words_of_an_epoch_that_is_over_change_nothing() {
    let (mut table, old, new) = (Table::default(), key("old"), key("new"));
    let online = |epoch| sessions(vec![update("s", epoch, 5, Status::Online, &[7])]);
    table.apply(0, &old, online(1)).unwrap();
    table.apply(1, &new, online(2)).unwrap();
    assert_eq!(table.apply(2, &old, gone("s", 1)).unwrap().refused, 1);
    assert_eq!(table.apply(3, &old, online(1)).unwrap().refused, 1);
    assert_eq!(table.apply(4, &old, online(2)).unwrap().refused, 1, "an epoch has one owner");
    assert_eq!(table.counts().sessions, 1);
    assert_eq!(table.apply(5, &new, gone("s", 2)).unwrap().refused, 0);
    assert_eq!(table.apply(6, &new, online(2)).unwrap().refused, 1, "it has ended");
    assert_eq!(table.counts().sessions, 0);
    assert_eq!(table.apply(7, &new, online(3)).unwrap().refused, 0, "it was resumed");
    assert_eq!(table.counts().sessions, 1);
}

#[test]
fn a_late_complete_list_ends_nothing() {
    let (mut table, pod) = (Table::default(), key("pod"));
    let online = |session, user| update(session, 1, user, Status::Online, &[7]);
    table.apply(0, &pod, sessions(vec![online("a", 1), online("b", 2)])).unwrap();
    table.take_presences();
    let late = Batch { sessions: vec![online("a", 1)], complete: true, ..Batch::default() };
    table.apply(10, &pod, late.clone()).unwrap();
    assert_eq!(table.renew(15_000, &pod, 2), Ok(false));
    assert_eq!((published(&mut table), table.counts().sessions), (vec![], 2));
    table.apply(20_000, &pod, late).unwrap();
    assert_eq!(table.renew(30_000, &pod, 1), Ok(false), "now the pod says it itself");
    assert_eq!(published(&mut table), [(7, 2, Status::Offline)]);
    assert_eq!(table.renew(30_000, &pod, 3), Ok(true));
}

#[test]
fn bounds_hold_and_leave_the_rest_alone() {
    let bounds =
        Bounds { pods: 2, pod_sessions: 3, user_sessions: 2, ended: 4, voice_states: 1, ..Bounds::default() };
    let mut table = Table::new(bounds);
    let of = |user: u64, names: &[&str]| {
        sessions(names.iter().map(|name| update(name, 1, user, Status::Online, &[7])).collect())
    };
    let applied = table.apply(0, &key("p"), of(1, &["a", "b", "c"])).unwrap();
    assert_eq!(applied.full, Some(Full::UserSessions(2)));
    let applied = table.apply(0, &key("p"), of(2, &["d", "e"])).unwrap();
    assert_eq!((applied.full, table.counts().sessions), (Some(Full::PodSessions(3)), 3));
    table.renew(0, &key("q"), 0).unwrap();
    assert_eq!(table.renew(0, &key("r"), 0), Err(Full::Pods(2)));
    for number in 0..9 {
        table.apply(0, &key("p"), gone(&format!("x{number}"), 1)).unwrap();
    }
    assert_eq!(table.counts().ended, 4);
    table.set_voice(0, &key("p"), voice("a", 1, Some(3)), member(1)).unwrap();
    let refused = table.set_voice(0, &key("p"), voice("d", 2, Some(3)), member(2));
    assert_eq!(refused, Err(VoiceRefused::Full(Full::VoiceStates(1))));
}

fn voice(session: &str, user: u64, channel: Option<u64>) -> VoiceState {
    VoiceState {
        guild_id: guild(7),
        channel_id: channel.and_then(model::ChannelId::new),
        user_id: UserId::new(user).unwrap(),
        session_id: session.into(),
        self_mute: false,
        self_deaf: false,
        self_video: false,
        deaf: false,
        mute: false,
        suppress: false,
    }
}

fn member(user: u64) -> Member {
    let user = User::new(UserId::new(user).unwrap(), format!("user{user}"), false);
    Member::new(guild(7), user, Timestamp::from_ms(1))
}

#[test]
fn a_voice_state_ends_with_its_session_and_names_the_channel_that_was_left() {
    let (mut table, pod) = (Table::default(), key("pod"));
    let joined = table.set_voice(0, &pod, voice("s", 1, Some(3)), member(1)).unwrap();
    assert!(joined.needs_server);
    assert_eq!(joined.change.unwrap().channel_id.get(), 3);
    table.apply(5, &pod, sessions(vec![update("s", 1, 1, Status::Online, &[7])])).unwrap();
    assert!(!table.set_voice(6, &pod, voice("s", 1, Some(3)), member(1)).unwrap().needs_server);
    let moved = table.set_voice(7, &pod, voice("s", 1, Some(4)), member(1)).unwrap();
    assert!(moved.needs_server);
    let (left, joined) = (moved.left.unwrap(), moved.change.unwrap());
    assert_eq!((left.state.channel_id, left.channel_id.get()), (None, 3));
    assert_eq!((joined.state.channel_id, joined.channel_id.get()), (Some(joined.channel_id), 4));
    table.apply(8, &pod, gone("s", 1)).unwrap();
    let left = table.take_voices().pop().unwrap();
    assert_eq!((left.state.channel_id, left.channel_id.get(), left.member.user.id.get()), (None, 4, 1));
    assert_eq!(table.voices_in(guild(7)).count(), 0);
    assert_eq!(table.set_voice(9, &pod, voice("t", 1, None), member(1)).unwrap().change, None);
}

#[test]
fn a_session_that_has_ended_joins_nothing_and_leaves_nothing_for_another() {
    let (mut table, pod) = (Table::default(), key("pod"));
    table.apply(0, &pod, sessions(vec![update("old", 1, 1, Status::Online, &[7])])).unwrap();
    table.apply(1, &pod, gone("old", 1)).unwrap();
    table.set_voice(2, &pod, voice("new", 1, Some(3)), member(1)).unwrap();
    for channel in [Some(4), None] {
        let late = table.set_voice(3, &pod, voice("old", 1, channel), member(1));
        assert_eq!(late, Err(VoiceRefused::Ended));
    }
    let states: Vec<_> = table.voices_in(guild(7)).map(|state| state.session_id.clone()).collect();
    assert_eq!(states, ["new"]);
    table.apply(4, &pod, sessions(vec![update("old", 2, 1, Status::Online, &[7])])).unwrap();
    assert!(table.set_voice(5, &pod, voice("old", 1, Some(3)), member(1)).is_ok(), "resumed elsewhere");
}

#[test]
fn a_voice_state_of_a_session_that_never_shows_up_ends_too() {
    let (mut table, pod) = (Table::default(), key("pod"));
    table.set_voice(0, &pod, voice("ghost", 1, Some(3)), member(1)).unwrap();
    assert_eq!(table.renew(10, &pod, 0), Ok(true));
    table.apply(11, &pod, Batch { complete: true, ..Batch::default() }).unwrap();
    assert_eq!(table.renew(20, &pod, 0), Ok(false));
    assert_eq!(table.take_voices().len(), 1);
    table.set_voice(30, &pod, voice("other", 1, Some(3)), member(1)).unwrap();
    table.advance(30 + limits::PRESENCE_LEASE_MS);
    assert_eq!((table.take_voices().len(), table.counts()), (1, Counts::default()));
}

#[test]
fn another_pods_or_users_session_joins_nothing() {
    let mut table = Table::default();
    table.apply(0, &key("p"), sessions(vec![update("s", 1, 1, Status::Online, &[7])])).unwrap();
    let join =
        |table: &mut Table, pod, user| table.set_voice(1, &key(pod), voice("s", user, Some(3)), member(user));
    assert_eq!(join(&mut table, "q", 1), Err(VoiceRefused::OtherPod));
    assert_eq!(join(&mut table, "p", 2), Err(VoiceRefused::OtherUser));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// What was published last is the aggregate of the live sessions, once everything is quiet; on the way nobody is told
    /// the same twice, or twice within a window, and whoever never left is never said to have.
    #[test]
    fn what_is_published_becomes_the_truth(ops in prop::collection::vec(Op::any(), 1..80)) {
        let mut world = World::new();
        for op in ops {
            world.run(op);
        }
        world.settle();
        world.check();
    }
}
