//! The audience against a model that asks the permission algorithm for every member and channel.

use std::collections::{BTreeMap, BTreeSet};

use model::view::{ChannelView, ViewChange};
use model::{ChannelKind, GuildId, Overwrite, OverwriteKind, SortedMap};
use proptest::prelude::*;

use rustc_hash::FxHashMap;

use super::*;

const GUILD: u64 = 1;
const OWNER: u64 = 100;

fn role(id: u64) -> RoleId {
    RoleId::new(id).unwrap()
}

fn user(id: u64) -> UserId {
    UserId::new(id).unwrap()
}

/// An audience, and what its sessions remember of it.
struct Guild {
    audience: Audience,
    seats: Seated,
}

#[derive(Default)]
struct Seated {
    rows: FxHashMap<SessionKey, RowIndex>,
    users: FxHashMap<UserId, Vec<SessionKey>>,
}

impl Seats for Seated {
    fn row_of(&self, session: SessionKey) -> Option<RowIndex> {
        self.rows.get(&session).copied()
    }

    fn put(&mut self, session: SessionKey, row: RowIndex) {
        self.rows.insert(session, row);
    }

    fn sessions_of(&self, user_id: UserId) -> Vec<SessionKey> {
        self.users.get(&user_id).cloned().unwrap_or_default()
    }
}

impl std::ops::Deref for Guild {
    type Target = Audience;

    fn deref(&self) -> &Audience {
        &self.audience
    }
}

impl Guild {
    fn new(view: GuildView) -> Self {
        Self { audience: Audience::new(view), seats: Seated::default() }
    }

    fn join(
        &mut self,
        user_id: UserId,
        view: MemberView,
        revision: u64,
        session: SessionKey,
        intents: Intents,
    ) -> Vec<Shift> {
        let shifts = self.audience.join(&mut self.seats, (user_id, &view), revision, (session, intents));
        self.seats.users.entry(user_id).or_default().push(session);
        shifts
    }

    fn leave(&mut self, user_id: UserId, session: SessionKey) {
        let Some(row) = self.seats.rows.remove(&session) else { return };
        self.seats.users.entry(user_id).or_default().retain(|other| *other != session);
        self.audience.leave(&mut self.seats, user_id, session, row);
    }

    fn apply(&mut self, revision: u64, change: &ViewChange) -> Vec<Shift> {
        self.audience.apply(&mut self.seats, revision, change)
    }

    /// Of each session the row in which it sits is the one that it remembers, and only first rows have room.
    fn check(&self) {
        let audience = &self.audience;
        let mut sitting = 0;
        let standings: Vec<_> = audience.standings.all().into_iter().collect();
        for standing in &standings {
            for first in audience.standings[*standing].first_rows() {
                for row in audience.rows.from(first) {
                    let sessions = audience.rows[row].sessions();
                    assert!(!sessions.is_empty() && audience.rows[row].standing == *standing);
                    assert!(row == first || audience.rows[row].is_full());
                    sitting += sessions.len();
                    for session in sessions {
                        assert_eq!(self.seats.rows[&(*session as SessionKey)], row);
                    }
                }
            }
        }
        assert_eq!([sitting, audience.session_count], [self.seats.rows.len(); 2]);
    }
}

fn channel(id: u64) -> ChannelId {
    ChannelId::new(id).unwrap()
}

fn member(roles: &[u64]) -> MemberView {
    MemberView { roles: roles.iter().map(|id| role(*id)).collect(), timed_out_until: None }
}

fn text(overwrites: Vec<Overwrite>) -> ChannelView {
    ChannelView { kind: ChannelKind::Text, overwrites, rate_limit_per_user: 0 }
}

fn hidden_but_for(target: OverwriteKind) -> ChannelView {
    let view = Permissions::VIEW_CHANNEL;
    let everyone = OverwriteKind::Role(role(GUILD));
    text(vec![
        Overwrite { target: everyone, allow: Permissions::NONE, deny: view },
        Overwrite { target, allow: view, deny: Permissions::NONE },
    ])
}

fn guild() -> GuildView {
    GuildView {
        id: GuildId::new(GUILD).unwrap(),
        owner_id: user(OWNER),
        revision: 1,
        roles: SortedMap::from([(role(GUILD), Permissions::DEFAULT), (role(2), Permissions::NONE)]),
        mentionable: BTreeSet::new(),
        channels: SortedMap::from([
            (channel(10), text(Vec::new())),
            (channel(11), hidden_but_for(OverwriteKind::Role(role(2)))),
        ]),
    }
}

fn role_change(id: u64, after: Option<Permissions>) -> ViewChange {
    ViewChange::Role { id: role(id), before: None, after, mentionable: false }
}

fn viewers(audience: &Guild, id: u64) -> BTreeSet<SessionKey> {
    audience.viewers(channel(id), Intents::GUILD_MESSAGES).collect()
}

#[test]
fn a_role_opens_a_channel_and_its_loss_closes_it() {
    let mut audience = Guild::new(guild());
    let _ = audience.join(user(5), member(&[]), 1, 0, Intents::ALL);
    let _ = audience.join(user(OWNER), member(&[]), 1, 1, Intents::ALL);
    assert_eq!(viewers(&audience, 11), BTreeSet::from([1]));
    let given = ViewChange::Member { id: user(5), before: Some(member(&[])), after: Some(member(&[2])) };
    let shift = Shift { sessions: vec![0], gained: vec![channel(11)], lost: vec![] };
    assert_eq!(audience.apply(2, &given), [shift]);
    assert_eq!(viewers(&audience, 11), BTreeSet::from([0, 1]));
    let stale = ViewChange::Member { id: user(5), before: None, after: Some(member(&[])) };
    assert_eq!(audience.apply(2, &stale), [], "a revision that is there already changes nothing");
    let gone = role_change(2, None);
    audience.apply(3, &gone);
    let view = ViewChange::Channel {
        id: channel(11),
        before: None,
        after: Some(hidden_but_for(OverwriteKind::Member(user(6)))),
    };
    assert_eq!(
        audience.apply(4, &view),
        [Shift { sessions: vec![0], gained: vec![], lost: vec![channel(11)] }]
    );
    assert_eq!(viewers(&audience, 11), BTreeSet::from([1]));
}

#[test]
fn a_new_channel_is_gained_and_a_deleted_one_lost() {
    let mut audience = Guild::new(guild());
    let _ = audience.join(user(5), member(&[]), 1, 7, Intents::ALL);
    let made = ViewChange::Channel { id: channel(12), before: None, after: Some(text(Vec::new())) };
    assert_eq!(
        audience.apply(2, &made),
        [Shift { sessions: vec![7], gained: vec![channel(12)], lost: vec![] }]
    );
    let gone = ViewChange::Channel { id: channel(12), before: Some(text(Vec::new())), after: None };
    assert_eq!(
        audience.apply(3, &gone),
        [Shift { sessions: vec![7], gained: vec![], lost: vec![channel(12)] }]
    );
}

#[test]
fn a_newer_view_that_a_second_session_brings_is_told_to_the_first() {
    let mut audience = Guild::new(guild());
    assert_eq!(audience.join(user(5), member(&[]), 1, 0, Intents::ALL), []);
    let shift = Shift { sessions: vec![0], gained: vec![channel(11)], lost: vec![] };
    assert_eq!(audience.join(user(5), member(&[2]), 2, 1, Intents::ALL), [shift]);
    let event = ViewChange::Member { id: user(5), before: Some(member(&[])), after: Some(member(&[2])) };
    assert_eq!(audience.apply(2, &event), [], "both know by now");
}

#[test]
fn an_edit_that_does_not_matter_for_viewing_moves_nobody() {
    let mut audience = Guild::new(guild());
    for id in 0..100 {
        let _ = audience.join(user(200 + id), member(&[2]), 1, id as usize, Intents::ALL);
    }
    let edit = role_change(2, Some(Permissions::KICK_MEMBERS));
    assert_eq!(audience.apply(2, &edit), []);
    assert_eq!(audience.class_count(), 1);
}

/// A channel is closed to its owner by name, which shows when somebody else becomes the owner.
#[test]
fn what_was_closed_to_the_owner_is_closed_when_they_no_longer_own() {
    let mut guild = guild();
    let opened = hidden_but_for(OverwriteKind::Member(user(5)));
    guild.channels.insert(channel(12), opened.clone());
    let mut audience = Guild::new(guild);
    let _ = audience.join(user(5), member(&[]), 1, 0, Intents::ALL);
    // Has the same channels as user 5, so their class stays.
    let _ = audience.join(user(6), member(&[]), 1, 1, Intents::ALL);
    let by_name = ViewChange::Channel {
        id: channel(12),
        before: Some(opened.clone()),
        after: Some(text(vec![Overwrite {
            target: OverwriteKind::Member(user(5)),
            allow: Permissions::VIEW_CHANNEL,
            deny: Permissions::NONE,
        }])),
    };
    audience.apply(2, &by_name);
    audience.apply(3, &ViewChange::Owner { before: user(OWNER), after: user(5) });
    let denied = ViewChange::Channel {
        id: channel(12),
        before: None,
        after: Some(text(vec![Overwrite {
            target: OverwriteKind::Member(user(5)),
            allow: Permissions::NONE,
            deny: Permissions::VIEW_CHANNEL,
        }])),
    };
    audience.apply(4, &denied);
    assert_eq!(viewers(&audience, 12), BTreeSet::from([0, 1]));
    audience.apply(5, &ViewChange::Owner { before: user(5), after: user(OWNER) });
    assert_eq!(viewers(&audience, 12), BTreeSet::from([1]));
}

/// 100,000 members, 50 roles that matter for viewing, each member with a few of them and many that do not matter.
#[test]
fn classes_stay_few_in_a_large_guild_and_a_role_edit_touches_only_its_holders() {
    let relevant: Vec<u64> = (1_000..1_050).collect();
    let mut view = guild();
    for id in 1_000..1_300_u64 {
        view.roles.insert(role(id), Permissions::NONE);
    }
    for (index, id) in relevant.iter().enumerate() {
        view.channels.insert(channel(2_000 + index as u64), hidden_but_for(OverwriteKind::Role(role(*id))));
    }
    let mut audience = Guild::new(view);
    for id in 0..100_000_u64 {
        // One or two roles that matter and three that do not: 1,275 pairs of the ones and millions of the others.
        let mix = id.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 16;
        let (first, second) = (1_000 + mix % 50, 1_000 + id % 20);
        let others = (0..3).map(|place| 1_050 + (mix >> (8 * place)) % 250);
        let roles: Vec<u64> = [first, second].into_iter().chain(others).collect();
        let _ = audience.join(user(10_000 + id), member(&roles), 1, id as usize, Intents::ALL);
    }
    assert!(audience.class_count() <= 1_000, "{} classes", audience.class_count());
    let holders: BTreeSet<SessionKey> = viewers(&audience, 2_049);
    let admin = role_change(1_049, Some(Permissions::ADMINISTRATOR));
    let touched: BTreeSet<SessionKey> =
        audience.apply(2, &admin).into_iter().flat_map(|shift| shift.sessions).collect();
    assert_eq!(touched, holders);
    assert!(!holders.is_empty() && holders.len() < 10_000, "{} holders", holders.len());
}

/// What a change made the audience do: members looked at, signatures of which all channels were worked out, and one.
fn work(audience: &mut Guild, revision: u64, change: &ViewChange) -> ([usize; 3], usize) {
    let count = |audience: &Audience| {
        let [all, one] = audience.classes.sights.get();
        [audience.members_looked_at, all, one]
    };
    let before = count(audience);
    let told = audience.apply(revision, change).iter().map(|shift| shift.sessions.len()).sum();
    let after = count(audience);
    ([0, 1, 2].map(|place| after[place] - before[place]), told)
}

/// 10,000 members, of whom every tenth has the role that opens its channel, and one of ten others.
#[test]
fn a_change_is_as_much_work_as_what_it_changes() {
    let mut view = guild();
    for id in 1_000..1_010_u64 {
        view.roles.insert(role(id), Permissions::NONE);
        view.channels.insert(channel(id), hidden_but_for(OverwriteKind::Role(role(id))));
    }
    let opened = |id: u64| hidden_but_for(OverwriteKind::Role(role(id)));
    let mut audience = Guild::new(view);
    for id in 0..10_000_u64 {
        let roles: &[u64] = if id % 10 == 0 { &[2, 1_000 + id / 10 % 10] } else { &[1_000 + id % 10] };
        let _ = audience.join(user(10_000 + id), member(roles), 1, id as usize, Intents::ALL);
    }
    let signatures = 10 + 9;
    let of_member =
        |roles: &[u64]| ViewChange::Member { id: user(10_001), before: None, after: Some(member(roles)) };
    let of_channel =
        |id: u64, view: ChannelView| ViewChange::Channel { id: channel(id), before: None, after: Some(view) };
    let slow = ChannelView { rate_limit_per_user: 5, ..opened(1_001) };
    let everyone = |permissions| role_change(GUILD, Some(permissions));
    let rows = [
        ("one member has another role", of_member(&[1_002]), [1, 0, 0], 1),
        ("one member has a role that others have not", of_member(&[1_002, 1_003]), [1, 1, 0], 1),
        ("a channel is slow", of_channel(1_001, slow), [0, 0, 0], 0),
        ("a role may kick", role_change(1_001, Some(Permissions::KICK_MEMBERS)), [0, 0, 0], 0),
        ("nobody may send", everyone(Permissions::VIEW_CHANNEL), [0, 0, 0], 0),
        (
            "an overwrite opens a channel to another role",
            of_channel(11, opened(1_005)),
            [2_100, 3, 20],
            2_000,
        ),
    ];
    for (number, (what, change, expected, told)) in rows.into_iter().enumerate() {
        let done = work(&mut audience, number as u64 + 2, &change);
        println!("{what}: {done:?}");
        if number < 5 {
            assert_eq!(done, (expected, told), "{what}");
        } else {
            let ([members, all, one], sessions) = done;
            assert!(members <= 3_000 && all <= signatures && one <= signatures + 1, "{what}: {done:?}");
            assert!(sessions > 1_000);
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// A user's first or second session, and the roles that its snapshot shows.
    Join(u64, bool, Vec<u64>),
    Leave(u64, bool),
    Member(u64, Vec<u64>),
    Role(u64, Option<u64>),
    Channel(u64, Option<Vec<(bool, u64, bool)>>),
    Owner(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let users = 100_u64..106;
    let roles = proptest::collection::vec(2_u64..7, 0..4);
    prop_oneof![
        (users.clone(), any::<bool>(), roles.clone())
            .prop_map(|(user, is_second, roles)| Step::Join(user, is_second, roles)),
        (users.clone(), any::<bool>()).prop_map(|(user, is_second)| Step::Leave(user, is_second)),
        (users.clone(), roles).prop_map(|(user, roles)| Step::Member(user, roles)),
        (1_u64..7, proptest::option::of(prop_oneof![Just(0_u64), Just(1 << 10), Just(1 << 3), Just(1 << 1)]))
            .prop_map(|(id, bits)| Step::Role(id, bits)),
        (
            10_u64..14,
            proptest::option::of(proptest::collection::vec((any::<bool>(), 1_u64..7, any::<bool>()), 0..4))
        )
            .prop_map(|(id, overwrites)| Step::Channel(id, overwrites)),
        users.prop_map(Step::Owner),
    ]
}

fn overwrites(rows: &[(bool, u64, bool)]) -> Vec<Overwrite> {
    let view = Permissions::VIEW_CHANNEL;
    let rows = rows.iter().map(|(of_role, id, allow)| {
        let target =
            if *of_role { OverwriteKind::Role(role(*id)) } else { OverwriteKind::Member(user(99 + id)) };
        let (allow, deny) = if *allow { (view, Permissions::NONE) } else { (Permissions::NONE, view) };
        (target, Overwrite { target, allow, deny })
    });
    rows.collect::<BTreeMap<_, _>>().into_values().collect()
}

fn session(user: u64, is_second: bool) -> SessionKey {
    user as usize * 2 + usize::from(is_second)
}

/// Second sessions do not ask for messages.
fn intents(session: SessionKey) -> Intents {
    if session.is_multiple_of(2) { Intents::ALL } else { Intents::GUILDS }
}

/// Which channels every session sees, by the algorithm itself.
fn expected(
    view: &GuildView,
    members: &BTreeMap<u64, MemberView>,
    sessions: &BTreeSet<SessionKey>,
) -> BTreeSet<(SessionKey, u64)> {
    let pairs = sessions.iter().flat_map(|session| {
        let id = *session as u64 / 2;
        let sees = |channel: &&ChannelId| {
            view.in_channel(user(id), &members[&id], **channel, Timestamp::default())
                .contains(Permissions::VIEW_CHANNEL)
        };
        view.channels.keys().filter(sees).map(|channel| (*session, channel.get())).collect::<Vec<_>>()
    });
    pairs.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn the_table_is_what_the_algorithm_says_and_shifts_tell_every_change(steps in proptest::collection::vec(step(), 1..40)) {
        let mut audience = Guild::new(guild());
        let mut members: BTreeMap<u64, MemberView> = BTreeMap::new();
        let mut sessions: BTreeSet<SessionKey> = BTreeSet::new();
        for (index, step) in steps.into_iter().enumerate() {
            let revision = index as u64 + 2;
            let mut told = expected(audience.view(), &members, &sessions);
            let change = match step {
                Step::Join(id, is_second, roles) => {
                    let key = session(id, is_second);
                    if sessions.insert(key) {
                        members.insert(id, member(&roles));
                        let shifts = audience.join(user(id), member(&roles), revision, key, intents(key));
                        take(&mut told, &shifts);
                        told.retain(|(session, _)| *session != key);
                        let now = expected(audience.view(), &members, &sessions);
                        told.extend(now.iter().filter(|(session, _)| *session == key));
                        prop_assert_eq!(told, now);
                    }
                    continue;
                }
                Step::Leave(id, is_second) => {
                    sessions.remove(&session(id, is_second));
                    audience.leave(user(id), session(id, is_second));
                    continue;
                }
                Step::Member(id, roles) => {
                    members.entry(id).and_modify(|view| *view = member(&roles));
                    ViewChange::Member { id: user(id), before: None, after: Some(member(&roles)) }
                }
                Step::Role(id, bits) => role_change(id, bits.map(Permissions::from_bits)),
                Step::Channel(id, rows) => {
                    ViewChange::Channel { id: channel(id), before: None, after: rows.map(|rows| text(overwrites(&rows))) }
                }
                Step::Owner(id) => ViewChange::Owner { before: audience.view().owner_id, after: user(id) },
            };
            take(&mut told, &audience.apply(revision, &change));
            let expected = expected(audience.view(), &members, &sessions);
            prop_assert_eq!(&told, &expected);
            for intent in [Intents::NONE, Intents::GUILD_MESSAGES] {
                let wants = |session: &SessionKey| intents(*session).contains(intent);
                let seen: Vec<(SessionKey, u64)> = audience.view().channels.keys()
                    .flat_map(|channel| audience.viewers(*channel, intent).map(|session| (session, channel.get())))
                    .collect();
                let seen_once: BTreeSet<(SessionKey, u64)> = seen.iter().copied().collect();
                prop_assert_eq!(seen.len(), seen_once.len());
                prop_assert_eq!(seen_once, expected.iter().copied().filter(|(session, _)| wants(session)).collect());
                let listed: BTreeSet<SessionKey> = audience.sessions(intent).collect();
                prop_assert_eq!(listed, sessions.iter().copied().filter(wants).collect());
            }
            audience.check();
            for (key, channel) in sessions.iter().flat_map(|key| (10..14).map(move |id| (*key, id))) {
                prop_assert_eq!(audience.sees(audience.seats.rows[&key], self::channel(channel)), expected.contains(&(key, channel)));
            }
        }
    }
}

/// What the sessions know once they are told.
fn take(told: &mut BTreeSet<(SessionKey, u64)>, shifts: &[Shift]) {
    for shift in shifts {
        for session in &shift.sessions {
            for gained in &shift.gained {
                assert!(told.insert((*session, gained.get())), "gained what was seen");
            }
            for lost in &shift.lost {
                assert!(told.remove(&(*session, lost.get())), "lost what was not seen");
            }
        }
    }
}

/// More sessions than go into a row come and go, and each is found.
#[test]
fn gaps_are_filled_and_everybody_is_found() {
    let mut audience = Guild::new(guild());
    for id in 0..1_000_u64 {
        let _ = audience.join(user(1_000 + id), member(&[]), 1, id as usize, intents(id as usize));
    }
    audience.check();
    assert_eq!(audience.rows.from(*audience.seats.rows.get(&999).unwrap()).count(), 2);
    for id in (0..1_000_u64).filter(|id| id % 7 != 3) {
        audience.leave(user(1_000 + id), id as usize);
        audience.check();
    }
    let left: BTreeSet<SessionKey> = (0..1_000).filter(|id| id % 7 == 3).collect();
    assert_eq!(audience.sessions(Intents::NONE).collect::<BTreeSet<_>>(), left);
    assert_eq!(viewers(&audience, 10), left.iter().copied().filter(|id| id % 2 == 0).collect());
    for id in left {
        audience.leave(user(1_000 + id as u64), id);
    }
    assert!(audience.is_empty() && audience.standings.all().is_empty());
}

/// What a session has loaded is the newest, unless an event has told more since.
#[test]
fn of_several_sessions_the_newest_view_counts() {
    let mut audience = Guild::new(guild());
    let _ = audience.join(user(5), member(&[]), 1, 0, Intents::ALL);
    let told = ViewChange::Member { id: user(5), before: None, after: Some(member(&[2])) };
    assert_eq!(audience.apply(7, &told).len(), 1);
    assert_eq!(audience.join(user(5), member(&[]), 6, 1, Intents::ALL), []);
    assert_eq!(viewers(&audience, 11), BTreeSet::from([0, 1]));
    let late = ViewChange::Member { id: user(5), before: None, after: Some(member(&[])) };
    assert_eq!(audience.apply(6, &late), []);
    let of_another = ViewChange::Member { id: user(6), before: None, after: Some(member(&[])) };
    audience.apply(8, &of_another);
    assert!(audience.noted.is_empty());
    assert_eq!(audience.apply(7, &late), [], "everything below the newest has come");
}

/// How long it takes to name all who see a channel, by how alike the members are: `cargo test --release -p gateway
/// how_long_it_takes -- --ignored --nocapture`.
#[test]
#[ignore = "measures time, which a busy machine makes meaningless: see above"]
fn how_long_it_takes_to_name_everybody() {
    for kinds in [1_u64, 100, 50_000] {
        let mut audience = Guild::new(guild());
        for id in 0..50_000_u64 {
            let roles = [100_000 + id % kinds, 200_000 + id % 7];
            let _ = audience.join(user(10_000 + id), member(&roles), 1, id as usize, Intents::ALL);
        }
        let times = (0..200).map(|_| {
            let began = tokio::time::Instant::now();
            let sum: usize = audience.viewers(channel(10), Intents::GUILD_MESSAGES).sum();
            assert!(std::hint::black_box(sum) > 0);
            began.elapsed()
        });
        let mut times: Vec<_> = times.collect();
        times.sort_unstable();
        println!("{kinds:6} kinds of roles: {:?} for 50,000", times[100]);
    }
}
