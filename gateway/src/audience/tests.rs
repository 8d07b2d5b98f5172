//! The audience against a model that asks the permission algorithm for every member and channel.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use model::view::ChannelView;
use model::{ChannelKind, GuildId, Overwrite};
use proptest::prelude::*;

use super::*;

const GUILD: u64 = 1;
const OWNER: u64 = 100;

fn role(id: u64) -> RoleId {
    RoleId::new(id).unwrap()
}

fn user(id: u64) -> UserId {
    UserId::new(id).unwrap()
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
        roles: BTreeMap::from([(role(GUILD), Permissions::DEFAULT), (role(2), Permissions::NONE)]),
        channels: BTreeMap::from([
            (channel(10), text(Vec::new())),
            (channel(11), hidden_but_for(OverwriteKind::Role(role(2)))),
        ]),
    }
}

fn viewers(audience: &Audience, id: u64) -> BTreeSet<SessionKey> {
    audience.viewers(channel(id)).collect()
}

#[test]
fn a_role_opens_a_channel_and_its_loss_closes_it() {
    let mut audience = Audience::new(guild());
    let _ = audience.join(user(5), member(&[]), 1, 0);
    let _ = audience.join(user(OWNER), member(&[]), 1, 1);
    assert_eq!(viewers(&audience, 11), BTreeSet::from([1]));
    let given = ViewChange::Member { id: user(5), before: Some(member(&[])), after: Some(member(&[2])) };
    let shift = Shift { sessions: vec![0], gained: vec![channel(11)], lost: vec![] };
    assert_eq!(audience.apply(2, &given), [shift]);
    assert_eq!(viewers(&audience, 11), BTreeSet::from([0, 1]));
    let stale = ViewChange::Member { id: user(5), before: None, after: Some(member(&[])) };
    assert_eq!(audience.apply(2, &stale), [], "a revision that is there already changes nothing");
    let gone = ViewChange::Role { id: role(2), before: Some(Permissions::NONE), after: None };
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
    let mut audience = Audience::new(guild());
    let _ = audience.join(user(5), member(&[]), 1, 7);
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
    let mut audience = Audience::new(guild());
    assert_eq!(audience.join(user(5), member(&[]), 1, 0), []);
    let shift = Shift { sessions: vec![0], gained: vec![channel(11)], lost: vec![] };
    assert_eq!(audience.join(user(5), member(&[2]), 2, 1), [shift]);
    let event = ViewChange::Member { id: user(5), before: Some(member(&[])), after: Some(member(&[2])) };
    assert_eq!(audience.apply(2, &event), [], "both know by now");
}

#[test]
fn an_edit_that_does_not_matter_for_viewing_moves_nobody() {
    let mut audience = Audience::new(guild());
    for id in 0..100 {
        let _ = audience.join(user(200 + id), member(&[2]), 1, id as usize);
    }
    let edit = ViewChange::Role { id: role(2), before: None, after: Some(Permissions::KICK_MEMBERS) };
    assert_eq!(audience.apply(2, &edit), []);
    assert_eq!(audience.class_count(), 1);
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
    let mut audience = Audience::new(view);
    for id in 0..100_000_u64 {
        // One or two roles that matter and three that do not: 1,275 pairs of the ones and millions of the others.
        let mix = id.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 16;
        let (first, second) = (1_000 + mix % 50, 1_000 + id % 20);
        let others = (0..3).map(|place| 1_050 + (mix >> (8 * place)) % 250);
        let roles: Vec<u64> = [first, second].into_iter().chain(others).collect();
        let _ = audience.join(user(10_000 + id), member(&roles), 1, id as usize);
    }
    assert!(audience.class_count() <= 1_000, "{} classes", audience.class_count());
    let role_id = role(1_049);
    let holders: BTreeSet<SessionKey> = viewers(&audience, 2_049);
    let admin = ViewChange::Role {
        id: role_id,
        before: Some(Permissions::NONE),
        after: Some(Permissions::ADMINISTRATOR),
    };
    let touched: BTreeSet<SessionKey> =
        audience.apply(2, &admin).into_iter().flat_map(|shift| shift.sessions).collect();
    assert_eq!(touched, holders);
    assert!(!holders.is_empty() && holders.len() < 10_000, "{} holders", holders.len());
}

#[derive(Debug, Clone)]
enum Step {
    Join(u64, Vec<u64>),
    Leave(u64),
    Member(u64, Vec<u64>),
    Role(u64, Option<u64>),
    Channel(u64, Option<Vec<(bool, u64, bool)>>),
    Owner(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let users = 100_u64..106;
    let roles = proptest::collection::vec(2_u64..7, 0..4);
    prop_oneof![
        (users.clone(), roles.clone()).prop_map(|(user, roles)| Step::Join(user, roles)),
        users.clone().prop_map(Step::Leave),
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

/// What every present user sees, by the algorithm itself.
fn expected(view: &GuildView, members: &BTreeMap<u64, MemberView>) -> BTreeSet<(u64, u64)> {
    let pairs = members.iter().flat_map(|(id, member)| {
        let sees = |channel: &&ChannelId| {
            view.in_channel(user(*id), member, **channel, Timestamp::default())
                .contains(Permissions::VIEW_CHANNEL)
        };
        view.channels.keys().filter(sees).map(|channel| (*id, channel.get())).collect::<Vec<_>>()
    });
    pairs.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn the_table_is_what_the_algorithm_says_and_shifts_tell_every_change(steps in proptest::collection::vec(step(), 1..40)) {
        let mut audience = Audience::new(guild());
        let mut members: BTreeMap<u64, MemberView> = BTreeMap::new();
        for (index, step) in steps.into_iter().enumerate() {
            let revision = index as u64 + 2;
            let before = expected(audience.view(), &members);
            let change = match step {
                Step::Join(id, roles) => {
                    if let Entry::Vacant(vacant) = members.entry(id) {
                        vacant.insert(member(&roles));
                        let _ = audience.join(user(id), member(&roles), revision, id as usize);
                    }
                    continue;
                }
                Step::Leave(id) => {
                    members.remove(&id);
                    audience.leave(user(id), id as usize);
                    continue;
                }
                Step::Member(id, roles) => {
                    members.entry(id).and_modify(|view| *view = member(&roles));
                    ViewChange::Member { id: user(id), before: None, after: Some(member(&roles)) }
                }
                Step::Role(id, bits) => {
                    ViewChange::Role { id: role(id), before: None, after: bits.map(Permissions::from_bits) }
                }
                Step::Channel(id, rows) => {
                    ViewChange::Channel { id: channel(id), before: None, after: rows.map(|rows| text(overwrites(&rows))) }
                }
                Step::Owner(id) => ViewChange::Owner { before: audience.view().owner_id, after: user(id) },
            };
            let mut told = before;
            for shift in audience.apply(revision, &change) {
                for session in &shift.sessions {
                    for gained in &shift.gained {
                        prop_assert!(told.insert((*session as u64, gained.get())), "gained what was seen");
                    }
                    for lost in &shift.lost {
                        prop_assert!(told.remove(&(*session as u64, lost.get())), "lost what was not seen");
                    }
                }
            }
            let expected = expected(audience.view(), &members);
            prop_assert_eq!(&told, &expected);
            let seen: BTreeSet<(u64, u64)> = audience.view().channels.keys()
                .flat_map(|channel| audience.viewers(*channel).map(|session| (session as u64, channel.get())))
                .collect();
            prop_assert_eq!(&seen, &expected);
        }
    }
}
