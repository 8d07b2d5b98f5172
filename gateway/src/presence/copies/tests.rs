//! Copies with events, answers and corrections in every order.

use model::presence::ClientStatus;

use super::*;

const ALL: &dyn Fn(UserId) -> bool = &|_| true;

fn guild(number: u64) -> GuildId {
    GuildId::new(number).unwrap()
}

fn presence(user: u64, status: Status) -> Presence {
    let client_status = ClientStatus { web: Some(status), ..ClientStatus::default() };
    match status {
        Status::Offline => Presence::offline(UserId::new(user).unwrap()),
        status => Presence { client_status, status, ..Presence::offline(UserId::new(user).unwrap()) },
    }
}

fn whole(presences: &[(u64, Status)]) -> Answer<'static> {
    let presences = presences.iter().map(|(user, status)| presence(*user, *status)).collect();
    Answer { presences, covers: ALL, is_whole: true }
}

fn event(copies: &Copies, at: u64, user: u64, status: Status) {
    let envelope = events::envelope(guild(at), &presence(user, status));
    copies.take(guild(at), &envelope.data);
}

fn filled(at: u64, presences: &[(u64, Status)]) -> Copies {
    let copies = Copies::default();
    assert!(copies.ask(guild(at)).unwrap().load(vec![whole(presences)]).is_empty());
    copies
}

fn shown(copies: &Copies, at: u64) -> Vec<(u64, Status)> {
    let mut shown: Vec<_> =
        copies.in_guild(guild(at), 100).iter().map(|p| (p.user_id.get(), p.status)).collect();
    shown.sort_unstable();
    shown
}

fn corrections(copies: &Copies, at: u64, answer: Answer<'_>) -> Vec<(u64, Status)> {
    let question = copies.ask(guild(at)).unwrap();
    let mut wrong: Vec<_> = question.correct(answer).iter().map(|p| (p.user_id.get(), p.status)).collect();
    wrong.sort_unstable();
    wrong
}

#[test]
fn a_guild_follows_its_events() {
    let copies = filled(7, &[(1, Status::Online), (2, Status::Idle)]);
    event(&copies, 7, 1, Status::Dnd);
    event(&copies, 7, 2, Status::Offline);
    event(&copies, 7, 3, Status::Online);
    event(&copies, 8, 4, Status::Online);
    assert_eq!(shown(&copies, 7), [(1, Status::Dnd), (3, Status::Online)]);
    assert_eq!((shown(&copies, 8), copies.count()), (vec![], 2), "nobody here has that one open");
    let all = presence(1, Status::Dnd).digest() ^ presence(3, Status::Online).digest();
    assert_eq!(copies.digest(guild(7), ALL), all);
    assert_eq!(copies.digest(guild(7), &|user| user.get() == 3), presence(3, Status::Online).digest());
}

#[test]
fn whoever_an_event_told_of_meanwhile_is_left_alone() {
    let copies = Copies::default();
    let question = copies.ask(guild(7)).unwrap();
    event(&copies, 7, 1, Status::Dnd);
    event(&copies, 7, 2, Status::Offline);
    let late = whole(&[(1, Status::Online), (2, Status::Online), (3, Status::Online)]);
    assert!(question.load(vec![late]).is_empty());
    assert_eq!(shown(&copies, 7), [(1, Status::Dnd), (3, Status::Online)]);
    let question = copies.ask(guild(7)).unwrap();
    event(&copies, 7, 4, Status::Online);
    let wrong = question.correct(whole(&[(1, Status::Dnd), (3, Status::Online)]));
    assert_eq!(wrong, [], "who came meanwhile is not said to have gone");
}

#[test]
fn a_guild_that_is_filled_is_compared_and_not_changed() {
    let copies = filled(7, &[(1, Status::Online)]);
    for (answer, differs) in [
        (whole(&[(1, Status::Online)]), false),
        (whole(&[(1, Status::Idle)]), true),
        (whole(&[(1, Status::Online), (2, Status::Online)]), true),
        (whole(&[]), true),
        (Answer { is_whole: false, ..whole(&[]) }, false),
        (Answer { covers: &|user| user.get() != 1, ..whole(&[]) }, false),
    ] {
        let differing = copies.ask(guild(7)).unwrap().load(vec![answer]);
        assert_eq!(differing, if differs { vec![0] } else { vec![] });
        assert_eq!(shown(&copies, 7), [(1, Status::Online)]);
    }
}

#[test]
fn a_correction_names_exactly_what_was_wrong() {
    let copies = filled(7, &[(1, Status::Online), (2, Status::Online), (3, Status::Online)]);
    let answer = whole(&[(1, Status::Online), (2, Status::Idle), (4, Status::Dnd)]);
    let wrong = [(2, Status::Idle), (3, Status::Offline), (4, Status::Dnd)];
    assert_eq!(corrections(&copies, 7, answer), wrong);
    assert_eq!(shown(&copies, 7), [(1, Status::Online), (2, Status::Idle), (4, Status::Dnd)]);
    let same = whole(&[(1, Status::Online), (2, Status::Idle), (4, Status::Dnd)]);
    assert_eq!(corrections(&copies, 7, same), []);
    let partial = Answer { is_whole: false, ..whole(&[(5, Status::Online)]) };
    assert_eq!(corrections(&copies, 7, partial), [(5, Status::Online)], "who is missing may be cut off");
    let others = Answer { covers: &|user| user.get() == 5, ..whole(&[]) };
    assert_eq!(
        corrections(&copies, 7, others),
        [(5, Status::Offline)],
        "another replica's users are not its own"
    );
}

#[test]
fn what_nobody_has_open_is_forgotten() {
    let copies = filled(7, &[(1, Status::Online), (2, Status::Online)]);
    copies.ask(guild(8)).unwrap().load(vec![whole(&[(1, Status::Online)])]);
    assert_eq!(copies.count(), 3);
    copies.retain(|at| at == guild(8));
    assert_eq!((copies.count(), copies.guilds()), (1, vec![guild(8)]));
    assert!(copies.of(UserId::new(1).unwrap()).is_some() && copies.of(UserId::new(2).unwrap()).is_none());
    let question = copies.ask(guild(9));
    copies.retain(|_| false);
    assert_eq!(copies.guilds(), [guild(9)], "it is being asked for");
    drop(question);
    copies.retain(|_| false);
    assert_eq!((copies.count(), copies.guilds()), (0, vec![]));
}

/// Two guilds share a user, and one of them loses the event.
#[test]
fn what_one_guild_was_told_the_other_was_not() {
    let copies = filled(7, &[(1, Status::Online)]);
    copies.ask(guild(8)).unwrap().load(vec![whole(&[(1, Status::Online)])]);
    event(&copies, 7, 1, Status::Dnd);
    assert_eq!(shown(&copies, 8), [(1, Status::Dnd)], "whoever comes new sees the newest");
    assert_eq!(copies.digest(guild(7), ALL), presence(1, Status::Dnd).digest());
    assert_eq!(copies.digest(guild(8), ALL), presence(1, Status::Online).digest());
    assert_eq!(corrections(&copies, 7, whole(&[(1, Status::Dnd)])), []);
    assert_eq!(corrections(&copies, 8, whole(&[(1, Status::Dnd)])), [(1, Status::Dnd)]);
    assert_eq!(corrections(&copies, 8, whole(&[(1, Status::Dnd)])), []);
    event(&copies, 8, 1, Status::Offline);
    assert_eq!((shown(&copies, 7), shown(&copies, 8)), (vec![(1, Status::Dnd)], vec![]));
    assert_eq!(*copies.seen(guild(8), UserId::new(1).unwrap()), presence(1, Status::Offline));
}
