use super::*;

const TALK: Id = 1;
const STAFF: Id = 2;
const ALICE: Id = 7;

fn sent(channel: Id, id: Id) -> Sent {
    let contents = vec![format!("message {id}")];
    let times = (id * 10, id * 10 + 5);
    Sent {
        channel,
        author: ALICE,
        id,
        contents,
        is_deleted: false,
        began_ms: times.0,
        acknowledged_ms: times.1,
    }
}

fn seen(channel: Id, id: Id) -> Seen {
    Seen { channel, author: ALICE, id, content: format!("message {id}") }
}

fn created(id: Id) -> Event {
    Event::Created(seen(TALK, id))
}

fn edit(id: Id, number: u32) -> Event {
    Event::Updated(Seen { content: format!("edit {number}"), ..seen(TALK, id) })
}

/// Five messages that all say something; the last is edited twice and then deleted; one of staff.
fn all_sent() -> Vec<Sent> {
    let mut all: Vec<Sent> = (1..=5).map(|id| sent(TALK, id)).chain([sent(STAFF, 6)]).collect();
    all[4].contents.extend(["edit 1", "edit 2"].map(str::to_owned));
    all[4].is_deleted = true;
    all
}

fn all_received() -> Vec<Event> {
    let deleted = Event::Deleted { channel: TALK, id: 5 };
    (1..=5).map(created).chain([edit(5, 1), edit(5, 2), deleted]).collect()
}

fn judged_with(sent: &[Sent], events: Vec<Event>, messages: Vec<Seen>) -> Vec<Kind> {
    let received = [Received { who: "bob".to_owned(), sees: BTreeSet::from([TALK]), events }];
    let history = [History { who: "bob".to_owned(), channel: TALK, messages }];
    let findings = judge(&BTreeSet::from([TALK, STAFF]), sent, &received, &history);
    findings.iter().map(|finding| finding.kind).collect()
}

fn history() -> Vec<Seen> {
    (1..=4).map(|id| seen(TALK, id)).collect()
}

/// What is found when bob gets this.
fn judged(events: Vec<Event>) -> Vec<Kind> {
    judged_with(&all_sent(), events, history())
}

fn without(at: usize) -> Vec<Event> {
    let mut events = all_received();
    events.remove(at);
    events
}

#[test]
fn nothing_is_wrong_with_what_is_right() {
    assert_eq!(judged(all_received()), []);
    let mut events = all_received();
    events.push(Event::Created(seen(99, 70)));
    assert_eq!(judged(events), [], "channels that are not of the traffic say nothing");
}

#[test]
fn a_lost_one_is_found() {
    for at in 0..4 {
        assert_eq!(judged(without(at)), [Kind::Lost], "{at}");
    }
    assert_eq!(judged(without(6)), [Kind::Lost], "the last edit");
    assert_eq!(judged(without(5)), [Kind::Lost], "the edit before it");
    assert_eq!(judged(without(7)), [Kind::Lost], "the deletion");
}

#[test]
fn a_new_session_excuses_only_what_the_history_has() {
    let mut events = without(2);
    events.insert(2, Event::Identified);
    assert_eq!(judged(events.clone()), [Kind::Lost]);
    events.insert(3, Event::Found(seen(TALK, 3)));
    assert_eq!(judged(events.clone()), []);
    events.insert(3, created(2));
    assert_eq!(judged(events), [Kind::Doubled], "a new session repeats nothing");
}

#[test]
fn a_doubled_one_is_found() {
    for at in 0..8 {
        let mut events = all_received();
        events.push(events[at].clone());
        assert_eq!(judged(events), [Kind::Doubled], "{at}");
    }
    let mut twice = all_sent();
    twice.push(Sent { began_ms: 0, ..twice[0].clone() });
    assert_eq!(judged_with(&twice, all_received(), history()), [Kind::Doubled], "one id for two sends");
}

#[test]
fn a_reordered_one_is_found() {
    let mut events = all_received();
    events.swap(1, 2);
    assert_eq!(judged(events), [Kind::Reordered]);
    let mut edits = all_received();
    edits.swap(5, 6);
    assert_eq!(judged(edits), [Kind::Lost, Kind::Doubled]);
    let mut sent = all_sent();
    (sent[1].began_ms, sent[1].acknowledged_ms) = (36, 37);
    assert_eq!(
        judged_with(&sent, all_received(), history()),
        [Kind::Reordered],
        "sent after the answer to 3, with a lower id"
    );
}

#[test]
fn a_foreign_one_is_found() {
    for foreign in [Event::Created(seen(STAFF, 6)), Event::Found(seen(STAFF, 6)), created(40)] {
        let mut events = all_received();
        events.push(foreign);
        assert_eq!(judged(events), [Kind::Foreign]);
    }
    let mut events = all_received();
    events.push(Event::Deleted { channel: TALK, id: 1 });
    assert_eq!(judged(events), [Kind::Foreign], "nobody has deleted it");
}

#[test]
fn one_that_says_something_else_is_found() {
    for wrong in [
        Seen { content: "other".to_owned(), ..seen(TALK, 3) },
        Seen { author: 8, ..seen(TALK, 3) },
        seen(TALK, 3),
    ] {
        let is_right = wrong == seen(TALK, 3);
        let mut events = all_received();
        events[2] = Event::Created(wrong);
        let expected: &[Kind] = if is_right { &[] } else { &[Kind::Altered, Kind::Lost] };
        assert_eq!(judged(events), expected);
    }
}

#[test]
fn the_history_is_what_was_acknowledged() {
    let rows: [(Vec<Seen>, Kind); 4] = [
        (history()[..3].to_vec(), Kind::Lost),
        ([history(), vec![seen(TALK, 5)]].concat(), Kind::Foreign),
        ([history()[..2].to_vec(), vec![seen(TALK, 4), seen(TALK, 3)]].concat(), Kind::Reordered),
        ([history(), vec![seen(TALK, 4)]].concat(), Kind::Doubled),
    ];
    for (messages, kind) in rows {
        assert_eq!(judged_with(&all_sent(), all_received(), messages), [kind]);
    }
    let mut altered = history();
    altered[0].content = "other".to_owned();
    assert_eq!(judged_with(&all_sent(), all_received(), altered), [Kind::Altered]);
}
