//! When leases end and when they do not, what a claim comes to, and a table that begins in the middle of things.

use super::*;

#[test]
fn sessions_of_an_ended_lease_are_released_slowly_unless_another_pod_took_them() {
    let mut table = Table::new(Bounds { releases_per_sec: 20, ..Bounds::default() });
    let all = (0..10).map(|n| update(&format!("s{n}"), 1, n + 1, Status::Online, &[7])).collect();
    table.apply(0, &key("old"), sessions(all)).unwrap();
    table.apply(0, &key("new"), sessions(vec![update("s3", 2, 4, Status::Online, &[7])])).unwrap();
    table.renew(50_000, &key("new"), None).unwrap();
    assert_eq!(published(&mut table).len(), 10);
    pass(&mut table, limits::PRESENCE_LEASE_MS);
    assert_eq!(published(&mut table).len(), 2);
    table.advance(limits::PRESENCE_LEASE_MS + 99);
    assert_eq!(published(&mut table).len(), 0);
    table.advance(limits::PRESENCE_LEASE_MS + 100);
    assert_eq!(published(&mut table).len(), 2);
    assert_eq!(table.counts(0).sessions, 6);
    table.renew(limits::PRESENCE_LEASE_MS + 150, &key("old"), None).unwrap();
    table.advance(limits::PRESENCE_LEASE_MS + 10_000);
    assert_eq!(published(&mut table), [], "the pod is back with the rest");
    assert_eq!(table.counts(0).sessions, 6);
}

#[test]
fn a_session_that_is_taken_while_it_waits_for_its_release_stays() {
    let mut table = Table::new(Bounds { releases_per_sec: 10, ..Bounds::default() });
    let named = |n: u64, epoch| update(&format!("s{n}"), epoch, n, Status::Online, &[7]);
    table.apply(0, &key("old"), sessions((1..6).map(|n| named(n, 1)).collect())).unwrap();
    pass(&mut table, limits::PRESENCE_LEASE_MS);
    assert_eq!((table.counts(0).sessions, table.counts(0).releases_pending), (4, 4));
    let waiting: Vec<u64> = (1..6).filter(|n| table.sessions.contains_key(&*format!("s{n}"))).collect();
    let taken = waiting[1..].iter().map(|n| named(*n, 2)).collect();
    table.apply(limits::PRESENCE_LEASE_MS, &key("new"), sessions(taken)).unwrap();
    for tick in 1..10 {
        table.advance(limits::PRESENCE_LEASE_MS + tick * 100);
    }
    assert_eq!((table.counts(0).sessions, table.counts(0).releases_pending), (3, 0));
}

#[test]
fn a_lease_ends_only_when_the_roster_agrees() {
    let (mut table, pod) = (Table::default(), key("pod"));
    table.apply(0, &pod, sessions(vec![update("s", 1, 5, Status::Online, &[7])])).unwrap();
    published(&mut table);
    let end = limits::PRESENCE_LEASE_MS;
    table.read_roster(end - 1, []);
    table.advance(end);
    assert!(table.needs_roster(end) && table.is_stale(end), "what was read before says nothing of now");
    table.advance(10 * end);
    assert_eq!(
        (published(&mut table), table.counts(10 * end).pods_held),
        (vec![], 1),
        "while it can't be read"
    );
    table.read_roster(10 * end, [(pod.clone(), 5_000)]);
    assert!(!table.needs_roster(10 * end) && table.next_deadline(10 * end) == Some(10 * end + 5_000));
    table.advance(10 * end + 5_000);
    assert_eq!(published(&mut table), [], "it lived, and may live still");
    pass(&mut table, 11 * end);
    assert_eq!(published(&mut table), [(7, 5, Status::Offline)]);
}

/// Each pod writes itself again in its own time; until then an empty roster says nothing.
#[test]
fn a_roster_that_was_lost_ends_no_lease() {
    let (mut table, pod, end) = (Table::default(), key("pod"), limits::PRESENCE_LEASE_MS);
    let absence_ms = limits::PRESENCE_SETTLE_MS;
    table.apply(0, &pod, sessions(vec![update("s", 1, 5, Status::Online, &[7])])).unwrap();
    published(&mut table);
    table.read_roster(2 * end, []);
    table.read_roster(2 * end + absence_ms - 1, []);
    table.read_roster(2 * end + absence_ms, [(pod.clone(), 1)]);
    table.read_roster(3 * end, []);
    table.roster_failed();
    table.read_roster(3 * end + absence_ms, []);
    table.read_roster(3 * end + 2 * absence_ms - 1, []);
    assert_eq!(published(&mut table), [], "it was named, and then the count began anew");
    table.read_roster(3 * end + 2 * absence_ms, []);
    assert_eq!(published(&mut table), [(7, 5, Status::Offline)]);
}

#[test]
fn a_pod_that_the_roster_names_again_keeps_what_is_not_released() {
    let mut table = Table::new(Bounds { releases_per_sec: 10, ..Bounds::default() });
    let all = (1..4).map(|n| update(&format!("s{n}"), 1, n, Status::Online, &[7])).collect();
    table.apply(0, &key("pod"), sessions(all)).unwrap();
    pass(&mut table, limits::PRESENCE_LEASE_MS);
    table.read_roster(limits::PRESENCE_LEASE_MS + 50, [(key("pod"), 60_000)]);
    table.advance(limits::PRESENCE_LEASE_MS + 10_000);
    assert_eq!((table.counts(0).sessions, table.counts(0).releases_pending), (2, 0));
}

#[test]
fn a_late_list_ends_nothing() {
    let (mut table, pod) = (Table::default(), key("pod"));
    let (a, b) = (update("a", 1, 1, Status::Online, &[7]), update("b", 1, 2, Status::Online, &[7]));
    table.apply(0, &pod, list(vec![a.clone(), b.clone()])).unwrap();
    table.take_presences();
    table.apply(10, &pod, list(vec![a.clone()])).unwrap();
    assert_eq!(table.renew(15_000, &pod, claim(&[a.clone(), b])), Ok(false));
    assert_eq!((published(&mut table), table.counts(0).sessions), (vec![], 2));
    table.apply(20_000, &pod, list(vec![a.clone()])).unwrap();
    assert_eq!(table.renew(30_000, &pod, claim(&[a])), Ok(false), "now the pod says it itself");
    assert_eq!(published(&mut table), [(7, 2, Status::Offline)]);
}

#[test]
fn a_claim_that_differs_twice_asks_for_a_list() {
    let (mut table, pod) = (Table::default(), key("pod"));
    let a = update("a", 1, 1, Status::Online, &[7]);
    assert_eq!(table.renew(0, &pod, claim(&[])), Ok(true), "a pod that has sent no list yet");
    table.apply(1, &pod, list(vec![a.clone()])).unwrap();
    assert_eq!(table.renew(2, &pod, claim(std::slice::from_ref(&a))), Ok(false));
    for other in [vec![], vec![update("a", 1, 1, Status::Idle, &[7])]] {
        let other = claim(&other);
        assert_eq!(table.renew(3, &pod, other), Ok(false), "something may be on its way");
        assert_eq!(table.renew(4, &pod, claim(std::slice::from_ref(&a))), Ok(false));
        assert_eq!([table.renew(5, &pod, other), table.renew(6, &pod, other)], [Ok(false), Ok(true)]);
        table.apply(7, &pod, list(vec![a.clone()])).unwrap();
    }
    assert_eq!(table.renew(8, &pod, None), Ok(false), "it does not know");
}

#[test]
fn a_list_comes_in_parts() {
    let (mut table, pod) = (Table::default(), key("pod"));
    let of = |n: u64| update(&format!("s{n}"), 1, n, Status::Online, &[7]);
    let part = |range: std::ops::Range<u64>, is_first, is_last| Batch {
        list: Some(ListPart { is_first, is_last }),
        ..sessions(range.map(of).collect())
    };
    table.apply(0, &pod, sessions((1..10).map(of).collect())).unwrap();
    table.apply(1, &pod, part(1..3, true, false)).unwrap();
    table.apply(2, &pod, sessions(vec![of(5)])).unwrap();
    table.apply(3, &pod, part(3..5, false, false)).unwrap();
    assert_eq!(table.renew(4, &pod, claim(&[])), Ok(true), "it is not at its end");
    table.apply(5, &pod, part(6..8, false, true)).unwrap();
    let all: Vec<_> = (1..8).map(of).collect();
    assert_eq!(table.renew(6, &pod, claim(&all)), Ok(false));
    assert_eq!(table.counts(0).sessions, 7);
}

#[test]
fn a_list_whose_beginning_went_elsewhere_is_no_list() {
    let mut table = Table::unsettled(Bounds::default(), 0);
    let pod = key("pod");
    let part = |is_first, is_last| Batch {
        list: Some(ListPart { is_first, is_last }),
        ..sessions(vec![update("s", 1, 1, Status::Online, &[7])])
    };
    table.read_roster(0, [(pod.clone(), 60_000)]);
    assert!(table.apply(1, &pod, part(false, false)).unwrap().is_unknown);
    assert!(table.apply(2, &pod, part(false, true)).unwrap().is_unknown);
    assert!(table.is_stale(2), "the rest of its sessions is not known");
    assert!(!table.apply(3, &pod, part(true, false)).unwrap().is_unknown);
    assert!(!table.apply(4, &pod, part(false, true)).unwrap().is_unknown);
    assert!(!table.is_stale(4));
}

#[test]
fn a_pod_that_comes_back_from_the_dead_sends_all_again() {
    let (mut table, pod) = (Table::default(), key("pod"));
    let all = vec![update("a", 1, 1, Status::Online, &[7]), update("b", 1, 2, Status::Online, &[7])];
    table.apply(0, &pod, list(all.clone())).unwrap();
    table.bounds.releases_per_sec = 10;
    pass(&mut table, limits::PRESENCE_LEASE_MS);
    assert_eq!(table.counts(0).sessions, 1);
    assert_eq!(table.renew(limits::PRESENCE_LEASE_MS + 1, &pod, claim(&all)), Ok(true), "at once");
}

/// What a table that took over publishes while it is unsettled, and what it does not.
#[test]
fn an_unsettled_table_takes_lists_as_known_and_says_of_nobody_that_they_are_offline() {
    let mut table = Table::unsettled(Bounds::default(), 20_000);
    let (here, there) = (key("here"), key("there"));
    assert!(table.apply(0, &here, sessions(vec![])).unwrap().is_unknown);
    table.apply(1, &here, list(vec![update("a", 1, 1, Status::Online, &[7])])).unwrap();
    assert_eq!(published(&mut table), [], "it was published by the one before");
    table.apply(2, &here, sessions(vec![update("b", 1, 2, Status::Dnd, &[7])])).unwrap();
    assert_eq!(published(&mut table), [(7, 2, Status::Dnd)], "news");
    table.apply(3, &here, gone("a", 1)).unwrap();
    table.apply(3, &here, gone("b", 1)).unwrap();
    table.advance(5_000);
    assert_eq!(published(&mut table), [], "they may have sessions on a pod that was not heard");
    assert_eq!(table.presences_in(guild(7)).count(), 0, "its readers know that it is stale");
    table.read_roster(10_000, []);
    assert!(table.is_stale(10_000), "the roster may not be complete yet");
    table.read_roster(20_000, [(here.clone(), 1), (there.clone(), 1)]);
    assert_eq!(table.counts(20_000).pods_unheard, 1);
    assert!(table.is_stale(20_000));
    table.apply(21_000, &there, list(vec![update("c", 1, 1, Status::Idle, &[7])])).unwrap();
    assert_eq!((table.is_stale(21_000), published(&mut table)), (false, vec![]));
    table.apply(22_000, &there, gone("c", 1)).unwrap();
    assert_eq!(published(&mut table), [(7, 1, Status::Offline)], "now it knows");
}

#[test]
fn an_unsettled_table_does_not_wait_for_a_pod_that_is_gone() {
    let mut table = Table::unsettled(Bounds::default(), 20_000);
    table.read_roster(20_000, [(key("gone"), 500)]);
    assert!(table.is_stale(20_000));
    table.read_roster(21_000, []);
    assert!(!table.is_stale(21_000));
}

#[test]
fn a_living_pod_that_was_never_heard_makes_answers_stale() {
    let mut table = Table::default();
    assert!(!table.is_stale(0));
    table.read_roster(0, [(key("pod"), 60_000)]);
    assert!(table.is_stale(0));
    table.apply(1, &key("pod"), list(vec![])).unwrap();
    assert!(!table.is_stale(1));
    table.read_roster(2, [(key("pod"), 60_000)]);
    assert!(!table.is_stale(2));
}
