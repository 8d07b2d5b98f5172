//! The table in virtual time: chosen cases, and a world of pods that renew, move sessions, crash and repeat themselves.

mod leases;
mod voice;
mod world;

use model::presence::{Platform, Status};
use model::{Digest, limits};
use proptest::prelude::*;

use super::*;
use voice::{member, voice};
use world::{Op, World};

fn key(text: &str) -> Arc<str> {
    text.into()
}

fn guild(number: u64) -> GuildId {
    GuildId::new(number).unwrap()
}

fn update(session: &str, epoch: u64, user: u64, status: Status, guilds: &[u64]) -> SessionUpdate {
    let digest = Digest::new().text(session).number(epoch).number(status as u64);
    SessionUpdate {
        owner_epoch: epoch,
        user_id: UserId::new(user).unwrap(),
        digest: guilds.iter().copied().fold(digest, Digest::number).finish(),
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

/// A list of all sessions, in one part.
fn list(sessions: Vec<SessionUpdate>) -> Batch {
    Batch { sessions, list: Some(ListPart { is_first: true, is_last: true }), ..Batch::default() }
}

/// What a pod with these sessions believes to be known.
fn claim(sessions: &[SessionUpdate]) -> Option<Claim> {
    let digest = sessions.iter().fold(0, |sum, session| sum ^ session.digest);
    Some(Claim { session_count: sessions.len() as u64, digest })
}

/// Lets time pass, with a roster that has named nobody for long enough.
fn pass(table: &mut Table, now_ms: u64) {
    table.read_roster(now_ms - limits::PRESENCE_SETTLE_MS, []);
    table.read_roster(now_ms, []);
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
    assert_eq!((table.presences_in(guild(1)).count(), table.presences_in(guild(3)).count()), (0, 1));
    let shown = table.presence(UserId::new(5).unwrap()).unwrap();
    assert_eq!((table.digest_of(guild(1)), table.digest_of(guild(3))), (0, shown.digest()));
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
fn late_words_of_an_epoch_that_is_over_change_nothing() {
    let (mut table, old, new) = (Table::default(), key("old"), key("new"));
    let online = |epoch| sessions(vec![update("s", epoch, 5, Status::Online, &[7])]);
    table.apply(0, &old, online(1)).unwrap();
    table.apply(1, &new, online(2)).unwrap();
    assert_eq!(table.apply(2, &old, gone("s", 1)).unwrap().late_ends, 1);
    assert_eq!(table.apply(3, &old, online(1)).unwrap().refused, [key("s")]);
    assert_eq!(table.apply(4, &old, online(2)).unwrap().refused, [key("s")], "an epoch has one owner");
    assert_eq!(table.counts(0).sessions, 1);
    assert_eq!(table.apply(5, &new, gone("s", 2)).unwrap().late_ends, 0);
    assert_eq!(table.apply(6, &new, online(2)).unwrap().refused, [key("s")], "it has ended");
    assert_eq!(table.counts(0).sessions, 0);
    assert!(table.apply(7, &new, online(3)).unwrap().refused.is_empty(), "it was resumed");
    assert_eq!(table.counts(0).sessions, 1);
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
    assert_eq!((applied.full, applied.refused), (Some(Full::UserSessions(2)), vec![key("c")]));
    let applied = table.apply(0, &key("p"), of(2, &["d", "e"])).unwrap();
    assert_eq!((applied.full, table.counts(0).sessions), (Some(Full::PodSessions(3)), 3));
    table.renew(0, &key("q"), None).unwrap();
    assert_eq!(table.renew(0, &key("r"), None), Err(Full::Pods(2)));
    for number in 0..9 {
        table.apply(0, &key("p"), gone(&format!("x{number}"), 1)).unwrap();
    }
    assert_eq!(table.counts(0).ended, 4);
    table.set_voice(0, &key("p"), voice("a", 1, Some(3)), member(1)).unwrap();
    let refused = table.set_voice(0, &key("p"), voice("d", 2, Some(3)), member(2));
    assert_eq!(refused, Err(VoiceRefused::Full(Full::VoiceStates(1))));
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
