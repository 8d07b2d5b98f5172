//! The machine on its own: rows for each rule, and a property over arbitrary schedules.

mod schedule;

use super::*;

fn state(first: u64, last: u64) -> StreamState {
    StreamState { incarnation: 1, first, last }
}

fn chain(seen: u64) -> Chain<u64> {
    Chain::new(state(1, seen), 4)
}

fn outputs(chain: &mut Chain<u64>) -> Vec<Output<u64>> {
    std::iter::from_fn(|| chain.pop()).collect()
}

fn deliver(sequence: u64) -> Output<u64> {
    Output::Deliver { sequence, event: sequence }
}

fn stored(range: RangeInclusive<u64>) -> Vec<(u64, u64)> {
    range.map(|sequence| (sequence, sequence)).collect()
}

#[test]
fn in_order_is_given_and_repeats_are_not() {
    let mut chain = chain(7);
    assert_eq!(chain.delivered(7, 7), Taken::Repeat);
    assert_eq!(chain.delivered(8, 8), Taken::InOrder);
    assert_eq!(chain.delivered(8, 8), Taken::Repeat);
    assert_eq!(outputs(&mut chain), [deliver(8)]);
    assert_eq!(chain.repair(), None);
}

#[test]
fn nothing_behind_a_hole_is_given_before_it_is_closed() {
    let mut chain = chain(0);
    for sequence in [3, 4, 6] {
        assert_eq!(chain.delivered(sequence, sequence), Taken::Buffered);
    }
    assert_eq!(outputs(&mut chain), []);
    let repair = chain.repair().unwrap();
    assert_eq!(repair.range, Some(1..=2));
    chain.answered(&repair, stored(1..=2), false, state(1, 6));
    assert_eq!(outputs(&mut chain), [1, 2, 3, 4].map(deliver));
    assert_eq!(chain.repair().unwrap().range, Some(5..=5));
    assert_eq!(chain.delivered(5, 5), Taken::InOrder);
    assert_eq!(outputs(&mut chain), [5, 6].map(deliver));
    assert!(!chain.is_gap_open());
}

#[test]
fn a_mark_asks_for_the_end_and_reads_up_to_it() {
    let mut chain = chain(3);
    chain.gap();
    let repair = chain.repair().unwrap();
    assert_eq!(repair.range, None);
    chain.answered(&repair, vec![], false, state(1, 5));
    let repair = chain.repair().unwrap();
    assert_eq!(repair.range, Some(4..=5));
    chain.answered(&repair, stored(4..=5), false, state(1, 5));
    assert_eq!(outputs(&mut chain), [4, 5].map(deliver));
    assert!(!chain.is_gap_open());
}

#[test]
fn what_is_missing_behind_a_sequence_does_not_matter_to_having_come_to_it() {
    let mut chain = chain(3);
    chain.delivered(6, 6);
    chain.gap();
    assert!(chain.has_come_to(3) && !chain.has_come_to(4));
    chain.reconnected();
    assert!(!chain.has_come_to(3), "the stream may be another one");
}

#[test]
fn a_mark_that_came_after_the_question_stays() {
    let mut chain = chain(3);
    chain.gap();
    let repair = chain.repair().unwrap();
    chain.gap();
    chain.answered(&repair, vec![], false, state(1, 3));
    assert!(chain.is_gap_open());
}

#[test]
fn the_tail_shows_what_was_lost_silently() {
    let mut chain = chain(3);
    chain.tail(3);
    assert!(!chain.is_gap_open());
    chain.tail(4);
    assert_eq!(chain.repair().unwrap().range, Some(4..=4));
}

#[test]
fn a_repair_counts_only_if_the_stream_still_begins_below() {
    let mut chain = chain(2);
    chain.delivered(8, 8);
    let repair = chain.repair().unwrap();
    chain.answered(&repair, stored(6..=7), false, state(6, 8));
    let lost = Output::Lost { cause: LostCause::Expired, after: 2, count: 3 };
    assert_eq!(outputs(&mut chain), [lost, deliver(6), deliver(7), deliver(8)]);
}

#[test]
fn what_was_read_before_it_expired_is_not_lost() {
    let mut chain = chain(2);
    chain.delivered(5, 5);
    let repair = chain.repair().unwrap();
    chain.answered(&repair, stored(3..=4), false, state(6, 8));
    assert_eq!(outputs(&mut chain), [3, 4, 5].map(deliver));
}

#[test]
fn a_hole_in_the_stream_itself_is_lost() {
    let mut chain = chain(2);
    chain.delivered(6, 6);
    let repair = chain.repair().unwrap();
    chain.answered(&repair, vec![(4, 4)], false, state(1, 6));
    let lost = |after| Output::Lost { cause: LostCause::Missing, after, count: 1 };
    assert_eq!(outputs(&mut chain), [lost(2), deliver(4), lost(4), deliver(6)]);
}

#[test]
fn a_full_read_is_continued() {
    let mut chain = chain(0);
    chain.tail(5);
    let repair = chain.repair().unwrap();
    chain.answered(&repair, stored(1..=3), true, state(1, 5));
    assert_eq!(outputs(&mut chain), [1, 2, 3].map(deliver));
    assert_eq!(chain.repair().unwrap().range, Some(4..=5));
}

#[test]
fn an_overflow_empties_the_buffer_and_the_stream_gives_it_again() {
    let mut chain = chain(0);
    for sequence in 2..=5 {
        assert_eq!(chain.delivered(sequence, sequence), Taken::Buffered);
    }
    assert_eq!(chain.delivered(6, 6), Taken::Overflow);
    assert_eq!(chain.buffer.len(), 0);
    let repair = chain.repair().unwrap();
    assert_eq!(repair.range, Some(1..=6));
    chain.answered(&repair, stored(1..=6), false, state(1, 6));
    assert_eq!(outputs(&mut chain), [1, 2, 3, 4, 5, 6].map(deliver));
}

#[test]
fn a_last_below_seen_is_a_new_incarnation_never_a_repeat() {
    for (incarnation, last) in [(1, 2), (2, 9)] {
        let mut chain = chain(5);
        chain.reconnected();
        assert_eq!(chain.delivered(6, 6), Taken::Buffered, "given before the incarnation was known");
        let repair = chain.repair().unwrap();
        chain.answered(&repair, vec![], false, StreamState { incarnation, first: 1, last });
        assert_eq!(outputs(&mut chain), [Output::NewIncarnation { incarnation, seen: last }]);
        assert_eq!(chain.delivered(last + 1, 7), Taken::InOrder);
    }
}

#[test]
fn a_reconnect_to_the_same_stream_repairs() {
    let mut chain = chain(5);
    chain.reconnected();
    chain.delivered(8, 8);
    let repair = chain.repair().unwrap();
    chain.answered(&repair, vec![], false, state(1, 8));
    let repair = chain.repair().unwrap();
    assert_eq!(repair.range, Some(6..=7));
    chain.answered(&repair, stored(6..=7), false, state(1, 8));
    assert_eq!(outputs(&mut chain), [6, 7, 8].map(deliver));
}

#[test]
fn leftovers_of_another_stream_do_not_hold_the_chain_up() {
    let mut chain = chain(5);
    chain.delivered(1000, 1000);
    let repair = chain.repair().unwrap();
    chain.answered(&repair, vec![], true, state(1, 6));
    assert_eq!(chain.repair().unwrap().range, Some(6..=6));
}

#[test]
fn an_answer_about_an_earlier_incarnation_is_ignored() {
    let mut chain = chain(5);
    chain.delivered(7, 7);
    let late = chain.repair().unwrap();
    chain.restart(StreamState { incarnation: 2, first: 1, last: 5 });
    chain.answered(&late, stored(6..=6), false, state(1, 7));
    assert_eq!(outputs(&mut chain), [Output::NewIncarnation { incarnation: 2, seen: 5 }]);
    assert_eq!(chain.seen(), 5);
}
