//! The machine on its own: rows for each rule, and a property over arbitrary schedules.

mod schedule;

use super::*;

fn state(first: u64, last: u64) -> StreamState {
    StreamState { incarnation: 1, first, last }
}

fn guild(number: u64) -> GuildId {
    GuildId::new(number).unwrap()
}

/// Two guilds of which nothing is missing up to 10.
fn chains() -> Chains<u64> {
    let mut chains = Chains::new(1, 10, 4);
    chains.open(guild(1), 10);
    chains.open(guild(2), 10);
    chains
}

fn outputs(chains: &mut Chains<u64>) -> Vec<Output<u64>> {
    std::iter::from_fn(|| chains.pop()).collect()
}

fn take(chains: &mut Chains<u64>, of: u64, sequence: u64, previous: u64) -> Option<Taken> {
    chains.delivered(guild(of), sequence, previous, sequence)
}

fn deliver(of: u64, sequence: u64) -> Output<u64> {
    Output::Deliver { guild: guild(of), sequence, event: sequence }
}

fn lost(of: u64, cause: LostCause, after: u64) -> Output<u64> {
    Output::Lost { guild: guild(of), cause, after }
}

fn stored(sequences: &[u64]) -> Vec<(u64, u64)> {
    sequences.iter().map(|sequence| (*sequence, *sequence)).collect()
}

/// The range that is asked for.
fn range(question: &Question) -> (u64, RangeInclusive<u64>) {
    match &question.about {
        About::Range(guild, range) => (guild.get(), range.clone()),
        About::Ends(_) => panic!("the ends are asked for"),
    }
}

fn check(chains: &mut Chains<u64>) -> Question {
    let question = chains.question(true).unwrap();
    assert_eq!(question.about, About::Ends(vec![guild(1), guild(2)]));
    question
}

#[test]
fn a_guilds_chain_leaves_out_what_other_guilds_have() {
    let mut chains = chains();
    assert_eq!(take(&mut chains, 1, 13, 9), Some(Taken::InOrder));
    assert_eq!(take(&mut chains, 1, 20, 13), Some(Taken::InOrder));
    assert_eq!(take(&mut chains, 2, 15, 0), Some(Taken::InOrder));
    assert_eq!(take(&mut chains, 1, 13, 9), Some(Taken::Repeat));
    assert_eq!(take(&mut chains, 3, 21, 0), None);
    assert_eq!(outputs(&mut chains), [deliver(1, 13), deliver(1, 20), deliver(2, 15)]);
    assert_eq!((chains.seen(), chains.question(false)), (10, None));
}

#[test]
fn a_hole_holds_its_guild_and_no_other() {
    let mut chains = chains();
    assert_eq!(take(&mut chains, 1, 14, 12), Some(Taken::Buffered));
    assert_eq!(take(&mut chains, 1, 17, 14), Some(Taken::Buffered));
    assert_eq!(take(&mut chains, 2, 16, 11), Some(Taken::Buffered), "it has a hole as well");
    let question = chains.question(false).unwrap();
    assert_eq!(range(&question), (1, 11..=14));
    chains.answered_range(&question, stored(&[12, 14]), false, state(1, 17));
    assert_eq!(outputs(&mut chains), [12, 14, 17].map(|sequence| deliver(1, sequence)));
    assert_eq!(range(&chains.question(false).unwrap()), (2, 11..=16));
    assert_eq!(take(&mut chains, 2, 11, 8), Some(Taken::InOrder));
    assert_eq!(outputs(&mut chains), [11, 16].map(|sequence| deliver(2, sequence)));
    assert!(!chains.is_gap_open());
}

#[test]
fn nothing_before_is_believed_unless_a_hole_is_open() {
    let mut chains = chains();
    take(&mut chains, 1, 14, 12);
    assert_eq!(take(&mut chains, 2, 15, 0), Some(Taken::Buffered));
    let question = chains.question(false).unwrap();
    chains.answered_range(&question, stored(&[12, 14]), false, state(1, 15));
    let question = chains.question(false).unwrap();
    assert_eq!(range(&question), (2, 11..=15));
    chains.answered_range(&question, stored(&[15]), false, state(11, 15));
    assert_eq!(outputs(&mut chains), [deliver(1, 12), deliver(1, 14), deliver(2, 15)]);
}

#[test]
fn what_was_believed_is_looked_into_by_the_next_check() {
    for (first, expected) in [(11, vec![]), (12, vec![lost(1, LostCause::Expired, 10)])] {
        let mut chains = chains();
        take(&mut chains, 1, 15, 0);
        assert_eq!(outputs(&mut chains), [deliver(1, 15)]);
        let question = check(&mut chains);
        take(&mut chains, 2, 17, 0);
        chains.answered_ends(&question, state(first, 17), &[15, 17], first);
        let mut given = outputs(&mut chains);
        given.retain(|output| matches!(output, Output::Lost { .. }));
        assert_eq!(given, expected, "what came after the question waits for the next");
    }
}

#[test]
fn nothing_can_be_lost_before_an_event_that_is_right_behind() {
    let mut chains = chains();
    take(&mut chains, 1, 11, 0);
    let question = check(&mut chains);
    chains.answered_ends(&question, state(15, 17), &[17, 16], 15);
    assert_eq!(outputs(&mut chains), [deliver(1, 11)]);
}

#[test]
fn a_check_moves_seen_when_every_guild_has_come_to_its_end() {
    let mut chains = chains();
    take(&mut chains, 1, 12, 9);
    let question = check(&mut chains);
    chains.answered_ends(&question, state(1, 20), &[12, 18], 1);
    assert_eq!(outputs(&mut chains), [deliver(1, 12)]);
    assert!(!chains.is_gap_open(), "it may still be on its way");
    take(&mut chains, 2, 18, 7);
    assert_eq!(outputs(&mut chains), [deliver(2, 18), Output::Seen(20)]);
    assert_eq!(take(&mut chains, 1, 21, 20), Some(Taken::InOrder), "nothing is missing up to 20");
}

#[test]
fn a_check_finds_what_was_lost_at_the_end() {
    let mut chains = chains();
    let question = check(&mut chains);
    chains.answered_ends(&question, state(1, 20), &[9, 18], 1);
    assert_eq!(chains.look(|_| 0), 0);
    assert_eq!(chains.look(|_| 0), 1);
    let question = chains.question(false).unwrap();
    assert_eq!(range(&question), (2, 11..=18));
    chains.answered_range(&question, stored(&[13, 18]), false, state(1, 20));
    assert_eq!(outputs(&mut chains), [deliver(2, 13), deliver(2, 18), Output::Seen(20)]);
}

#[test]
fn a_guild_that_has_nothing_any_more_is_at_its_end() {
    let mut chains = chains();
    let question = check(&mut chains);
    chains.answered_ends(&question, state(11, 20), &[0, 0], 11);
    assert_eq!(outputs(&mut chains), [Output::Seen(20)]);
    let question = check(&mut chains);
    chains.answered_ends(&question, state(22, 30), &[0, 30], 22);
    assert_eq!(outputs(&mut chains), [lost(1, LostCause::Expired, 20)], "21 may have been its own");
}

#[test]
fn the_tail_shows_what_was_lost_silently() {
    let mut chains = chains();
    assert_eq!(chains.look(|of| if of == guild(1) { 14 } else { 9 }), 0);
    assert_eq!(chains.look(|_| 0), 1);
    assert_eq!(range(&chains.question(false).unwrap()), (1, 11..=14));
}

#[test]
fn a_mark_asks_for_the_ends_and_lets_pass_what_the_chain_proves() {
    let mut chains = chains();
    chains.gap();
    assert_eq!(take(&mut chains, 1, 12, 10), Some(Taken::InOrder));
    assert_eq!(take(&mut chains, 2, 13, 0), Some(Taken::Buffered));
    let question = chains.question(false).unwrap();
    chains.answered_ends(&question, state(1, 16), &[15, 13], 1);
    assert_eq!(range(&chains.question(false).unwrap()), (1, 13..=15));
    assert_eq!(outputs(&mut chains), [deliver(1, 12)]);
}

#[test]
fn a_mark_that_came_after_the_question_stays() {
    let mut chains = chains();
    chains.gap();
    let question = chains.question(false).unwrap();
    chains.gap();
    chains.answered_ends(&question, state(1, 10), &[10, 10], 1);
    assert!(chains.is_gap_open());
}

#[test]
fn nothing_is_given_after_a_reconnect_before_the_stream_is_known() {
    let mut chains = chains();
    chains.reconnected();
    assert_eq!(take(&mut chains, 1, 12, 10), Some(Taken::Buffered));
    let question = chains.question(false).unwrap();
    assert!(question.is_foreign(&StreamState { incarnation: 2, first: 1, last: 12 }));
    assert!(question.is_foreign(&state(1, 9)), "a last below seen is a new incarnation");
    assert!(!question.is_foreign(&state(1, 10)));
    chains.answered_ends(&question, state(1, 12), &[12, 10], 1);
    assert_eq!(outputs(&mut chains), [deliver(1, 12), Output::Seen(12)]);
    assert!(!chains.is_gap_open());
}

#[test]
fn a_repair_counts_only_if_the_stream_still_begins_below() {
    let mut chains = chains();
    take(&mut chains, 1, 18, 15);
    let question = chains.question(false).unwrap();
    chains.answered_range(&question, stored(&[15, 18]), false, state(14, 18));
    let expected = [lost(1, LostCause::Expired, 10), deliver(1, 15), deliver(1, 18)];
    assert_eq!(outputs(&mut chains), expected);
}

#[test]
fn what_the_stream_should_have_and_has_not_is_lost() {
    let mut chains = chains();
    chains.look(|of| if of == guild(2) { 15 } else { 0 });
    chains.look(|_| 0);
    let question = chains.question(false).unwrap();
    chains.answered_range(&question, stored(&[12]), false, state(1, 18));
    assert_eq!(outputs(&mut chains), [lost(2, LostCause::Missing, 10), deliver(2, 12)]);
    assert!(!chains.is_gap_open());
}

#[test]
fn a_full_read_is_continued() {
    let mut chains = chains();
    take(&mut chains, 1, 20, 19);
    let question = chains.question(false).unwrap();
    chains.answered_range(&question, stored(&[13, 16]), true, state(1, 20));
    assert_eq!(range(&chains.question(false).unwrap()), (1, 17..=20));
}

#[test]
fn an_overflow_empties_the_guilds_buffer_and_the_stream_gives_it_again() {
    let mut chains = chains();
    for sequence in 12..=15 {
        assert_eq!(take(&mut chains, 1, sequence, sequence - 1), Some(Taken::Buffered));
    }
    assert_eq!(take(&mut chains, 1, 16, 15), Some(Taken::Overflow));
    assert_eq!(chains.held, 0);
    let question = chains.question(false).unwrap();
    assert_eq!(range(&question), (1, 11..=16));
    chains.answered_range(&question, stored(&[11, 12, 13, 14, 15, 16]), false, state(1, 16));
    assert_eq!(outputs(&mut chains), [11, 12, 13, 14, 15, 16].map(|sequence| deliver(1, sequence)));
}

#[test]
fn a_tail_of_another_stream_does_not_hold_a_guild_up() {
    let mut chains = chains();
    take(&mut chains, 1, 1000, 999);
    let question = chains.question(false).unwrap();
    chains.answered_range(&question, vec![], true, state(1, 12));
    let question = chains.question(false).unwrap();
    chains.answered_ends(&question, state(1, 12), &[11, 10], 1);
    assert_eq!(range(&chains.question(false).unwrap()), (1, 11..=11));
}

#[test]
fn a_guild_that_is_closed_holds_nothing_up() {
    let mut chains = chains();
    take(&mut chains, 1, 14, 12);
    let question = chains.question(false).unwrap();
    chains.close(guild(1));
    chains.answered_range(&question, stored(&[12, 14]), false, state(1, 14));
    assert_eq!((outputs(&mut chains), chains.is_gap_open(), chains.held), (vec![], false, 0));
}

#[test]
fn all_holes_of_a_guild_are_read_at_once() {
    let mut chains = chains();
    for (sequence, previous) in [(13, 12), (16, 15), (17, 16)] {
        assert_eq!(take(&mut chains, 1, sequence, previous), Some(Taken::Buffered));
    }
    let question = chains.question(false).unwrap();
    assert_eq!(range(&question), (1, 11..=16));
    chains.answered_range(&question, stored(&[12, 13, 15, 16]), false, state(1, 17));
    assert_eq!(outputs(&mut chains), [12, 13, 15, 16, 17].map(|sequence| deliver(1, sequence)));
    assert!(!chains.is_gap_open() && chains.held == 0);
}

/// Something is lost during every question: still all is given, and `seen` moves.
#[test]
fn marks_that_never_end_hold_nothing_up() {
    let mut chains = chains();
    let (mut last, mut given) = (10, Vec::new());
    for _ in 0..20 {
        chains.gap();
        let question = chains.question(false).unwrap();
        last += 2;
        chains.gap();
        match &question.about {
            About::Ends(_) => chains.answered_ends(&question, state(1, last), &[last - 1, last], 1),
            About::Range(guild, range) => {
                let own = range.clone().filter(|sequence| sequence % 2 == guild.get() % 2);
                chains.answered_range(&question, own.map(|own| (own, own)).collect(), false, state(1, last));
            }
        }
        given.extend(outputs(&mut chains));
    }
    for of in [1, 2] {
        let own = given
            .iter()
            .filter(|output| matches!(output, Output::Deliver { guild, .. } if guild.get() == of));
        let expected = (11..).filter(|sequence| sequence % 2 == of % 2).map(|sequence| deliver(of, sequence));
        assert!(
            own.clone().count() > 10 && own.cloned().zip(expected).all(|(own, expected)| own == expected)
        );
    }
    assert!(chains.seen() > 30, "{}", chains.seen());
}

#[test]
fn seen_does_not_pass_a_guild_that_was_opened_during_the_question() {
    let mut chains = chains();
    let question = check(&mut chains);
    chains.open(guild(3), 14);
    chains.answered_ends(&question, state(1, 20), &[9, 10], 1);
    assert_eq!(outputs(&mut chains), [Output::Seen(14)], "what it has up to 20 nobody has asked");
}
