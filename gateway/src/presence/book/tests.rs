//! The book and its claims, driven without a service.

use std::collections::BTreeMap;

use model::limits;
use proptest::prelude::*;

use super::*;

fn user(number: u64) -> UserId {
    UserId::new(number).unwrap()
}

fn id(number: u8) -> SessionId {
    SessionId::of_bytes([number; 16])
}

fn page(number: u64, status: Status) -> Page {
    Page::new(user(number), status, Platform::Web, "".into())
}

/// A replica as it believes what it is told: the sessions that it has, each with its digest.
#[derive(Default)]
struct Replica(BTreeMap<String, u64>);

impl Replica {
    fn apply(&mut self, request: &v1::UpdateSessionsRequest) {
        for session in &request.sessions {
            self.0.insert(session.session_id.clone(), session.digest());
        }
        for gone in &request.gone {
            self.0.remove(&gone.session_id);
        }
    }

    fn claim(&self) -> Claim {
        let digest = self.0.values().fold(0, |sum, digest| sum ^ digest);
        Claim { session_count: self.0.len() as u64, digest }
    }
}

#[test]
fn changes_go_to_the_replica_of_their_user_once() {
    let book = PresenceBook::new(3);
    for number in 1..=30 {
        book.set(id(number), page(number.into(), Status::Online));
    }
    let mut told = 0;
    for place in 0..3 {
        let (request, sent) = book.batch(place, "pod").unwrap();
        assert!(request.sessions.iter().all(|session| super::place(user(session.user_id), 3) == place));
        told += request.sessions.len();
        book.taken(place, sent, &[]);
        assert_eq!(book.batch(place, "pod"), None);
    }
    assert_eq!(told, 30);
}

#[test]
fn a_session_that_was_never_told_of_is_not_spoken_of() {
    let book = PresenceBook::new(1);
    book.set(id(1), page(1, Status::Online));
    book.remove(id(1));
    assert_eq!(book.batch(0, "pod"), None);
    book.set(id(2), page(2, Status::Online));
    let (_, sent) = book.batch(0, "pod").unwrap();
    book.remove(id(2));
    book.put_back(0, sent);
    let (request, _) = book.batch(0, "pod").unwrap();
    assert_eq!((request.sessions.len(), request.gone.len()), (0, 1), "it may have arrived");
}

#[test]
fn a_session_speaks_and_ends_in_the_epoch_of_its_owner() {
    let book = PresenceBook::new(1);
    book.set(id(1), Page { owner_epoch: 3, ..page(1, Status::Online) });
    let (request, sent) = book.batch(0, "pod").unwrap();
    assert_eq!(request.sessions[0].owner_epoch, 3);
    book.taken(0, sent, &[]);
    book.remove(id(1));
    assert_eq!(book.batch(0, "pod").unwrap().0.gone[0].owner_epoch, 3);
}

#[test]
fn a_session_that_was_refused_is_not_claimed() {
    let book = PresenceBook::new(1);
    for number in [1, 2] {
        book.set(id(number), page(number.into(), Status::Online));
    }
    let (request, sent) = book.batch(0, "pod").unwrap();
    let kept = request.sessions.iter().find(|session| session.user_id == 2).unwrap().digest();
    book.taken(0, sent, &[id(1).to_string()]);
    assert_eq!(book.claim(0), Some(Claim { session_count: 1, digest: kept }));
}

#[test]
fn voice_states_stand_in_the_list_until_they_or_their_session_end() {
    let book = PresenceBook::new(1);
    book.set(id(1), page(1, Status::Online));
    let hold = |guild_id: u64, channel_id: Option<u64>| {
        let state = v1::VoiceState {
            guild_id,
            channel_id,
            user_id: 1,
            session_id: id(1).to_string(),
            ..Default::default()
        };
        let held = v1::HeldVoice { state: Some(state.clone()), member: None };
        book.set_voice(&VoiceState::try_from(state).unwrap(), held);
    };
    let listed = || {
        let (request, sent) = book.list_part(0, "pod", &book.parts_of(0).concat(), v1::ListPart::Whole);
        book.taken(0, sent, &[]);
        let states = request.voices.into_iter().filter_map(|held| held.state);
        states.map(|state| (state.guild_id, state.channel_id.unwrap())).collect::<Vec<_>>()
    };
    hold(7, Some(3));
    hold(8, Some(5));
    hold(7, Some(4));
    assert_eq!(listed(), [(8, 5), (7, 4)]);
    hold(8, None);
    assert_eq!(listed(), [(7, 4)]);
    book.replace_voice(id(1), GuildId::new(7).unwrap(), true);
    assert_eq!(listed(), [], "another session is there in its place");
    book.replace_voice(id(1), GuildId::new(7).unwrap(), false);
    assert_eq!(listed(), [(7, 4)]);
    book.remove(id(1));
    hold(7, Some(9));
    assert!(book.pages.lock().voices.is_empty());
}

#[test]
fn a_session_that_is_set_again_is_claimed_once() {
    let book = PresenceBook::new(1);
    for status in [Status::Online, Status::Idle] {
        book.set(id(1), page(1, status));
        let (_, sent) = book.batch(0, "pod").unwrap();
        book.taken(0, sent, &[]);
    }
    assert_eq!(book.claim(0).map(|claim| claim.session_count), Some(1));
}

#[test]
fn an_empty_list_leaves_nothing_in_doubt() {
    let book = PresenceBook::new(1);
    let (_, sent) = book.list_part(0, "pod", &[], v1::ListPart::Whole);
    book.put_back(0, sent);
    assert_eq!(book.claim(0), Some(Claim::default()));
}

#[test]
fn a_batch_is_bounded_by_its_sessions_and_their_guilds() {
    let book = PresenceBook::new(1);
    let large = || (1..=limits::PRESENCE_BATCH_GUILDS_MAX as u64 / 2).filter_map(GuildId::new);
    let (mut told, mut ended) = (Vec::new(), Vec::new());
    for number in 1..=5 {
        book.set(id(number), page(number.into(), Status::Online));
        book.update(id(number), |page| page.guilds = large().collect());
    }
    assert_eq!(book.parts_of(0).iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
    while let Some((request, sent)) = book.batch(0, "pod") {
        told.push(request.sessions.len());
        book.taken(0, sent, &[]);
    }
    let small = |number: usize| SessionId::of_bytes((number as u128).to_be_bytes());
    let count = limits::PRESENCE_BATCH_MAX + 1;
    (0..count).for_each(|number| book.set(small(number), page(1, Status::Online)));
    while let Some((request, sent)) = book.batch(0, "pod") {
        told.push(request.sessions.len());
        book.taken(0, sent, &[]);
    }
    (0..count).for_each(|number| {
        book.remove(small(number));
    });
    while let Some((request, sent)) = book.batch(0, "pod") {
        ended.push(request.gone.len());
        book.taken(0, sent, &[]);
    }
    assert_eq!((told, ended), (vec![2, 2, 1, count - 1, 1], vec![count - 1, 1]));
    assert_eq!(book.parts_of(0).concat().len(), 5);
}

#[derive(Debug, Clone)]
enum Op {
    Set(u8, u8),
    Update(u8, u8),
    Remove(u8),
    Take { arrives: bool, is_answered: bool },
    List { is_answered: bool },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (0..6_u8, 0..3_u8).prop_map(|(session, status)| Op::Set(session, status)),
        (0..6_u8, 0..3_u8).prop_map(|(session, status)| Op::Update(session, status)),
        (0..6_u8).prop_map(Op::Remove),
        (any::<bool>(), any::<bool>())
            .prop_map(|(arrives, answered)| Op::Take { arrives: arrives || answered, is_answered: answered }),
        any::<bool>().prop_map(|is_answered| Op::List { is_answered }),
    ]
}

proptest! {
    /// Whatever gets lost on the way: a claim that is made is what the replica has, and in the end it has everything.
    #[test]
    fn a_claim_is_the_truth(ops in prop::collection::vec((op(), op()), 1..60)) {
        const STATUSES: [Status; 3] = [Status::Online, Status::Idle, Status::Dnd];
        let (book, mut replica) = (PresenceBook::new(1), Replica::default());
        let mut births = [0_u8; 6];
        let name = |births: &[u8; 6], session: u8| id(session * 40 + births[session as usize] % 40);
        // What happens while a batch is under way is the second of each pair.
        let change = |op: &Op, births: &mut [u8; 6]| match *op {
            Op::Set(session, status) => {
                book.set(name(births, session), page(1 + u64::from(session), STATUSES[status as usize]));
            }
            Op::Update(session, status) => {
                book.update(name(births, session), |page| page.status = STATUSES[status as usize]);
            }
            Op::Remove(session) => {
                book.remove(name(births, session));
                births[session as usize] += 1;
            }
            Op::Take { .. } | Op::List { .. } => {}
        };
        for (op, meanwhile) in ops {
            match op {
                Op::Take { arrives, is_answered } => {
                    let Some((request, sent)) = book.batch(0, "pod") else { continue };
                    if arrives {
                        replica.apply(&request);
                    }
                    change(&meanwhile, &mut births);
                    if is_answered { book.taken(0, sent, &[]) } else { book.put_back(0, sent) }
                }
                Op::List { is_answered } => {
                    let all = book.parts_of(0).concat();
                    let (request, sent) = book.list_part(0, "pod", &all, v1::ListPart::Whole);
                    replica.apply(&request);
                    change(&meanwhile, &mut births);
                    if is_answered { book.taken(0, sent, &[]) } else { book.put_back(0, sent) }
                }
                op => change(&op, &mut births),
            }
            if let Some(claim) = book.claim(0) {
                prop_assert_eq!(claim, replica.claim());
            }
        }
        while let Some((request, sent)) = book.batch(0, "pod") {
            replica.apply(&request);
            book.taken(0, sent, &[]);
        }
        let pages = book.pages.lock();
        let truth: BTreeMap<String, u64> =
            pages.sessions.iter().map(|(id, page)| (id.to_string(), page.wire(*id).digest())).collect();
        drop(pages);
        prop_assert_eq!(&replica.0, &truth);
        prop_assert_eq!(book.claim(0), Some(replica.claim()));
    }
}
