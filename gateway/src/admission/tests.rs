//! The door driven in virtual time: what is promised of it holds for every order of things.

use std::collections::BTreeMap;

use model::limits::{OVERLOAD_PACE_DIVISOR, START_PATIENCE_MS, START_STEP_MS};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const RATES: Rates = Rates { connections_per_sec: 50, starts_per_sec: 20, burst_ms: 500 };
const BURST: u64 = 10;
const WHOLE: u64 = 8;

/// What happens next, after a pause.
#[derive(Debug, Clone, Copy)]
enum Event {
    Ask(Start),
    /// The one who has waited for the shortest time goes.
    Leave,
    /// A shard is asked, or answers.
    Probe,
    Answer,
}

/// Drives the machine as its task does, and keeps account.
struct Drive {
    now_ms: u64,
    admission: Admission,
    waiting: BTreeMap<Ticket, (Start, u64)>,
    /// When, and how much of a token it took, in parts of [`WHOLE`].
    begun: Vec<(u64, u64)>,
}

impl Drive {
    fn new() -> Self {
        let admission = Admission::new(0, RATES, 1);
        Self { now_ms: 0, admission, waiting: BTreeMap::new(), begun: Vec::new() }
    }

    fn event(&mut self, event: Event) -> Result<(), TestCaseError> {
        match event {
            Event::Ask(start) => match self.admission.ask(self.now_ms, start) {
                Decision::Go => {
                    let overtaken =
                        self.waiting.values().any(|(other, _)| *other == start || *other == Start::Resume);
                    prop_assert!(!overtaken, "one who came later went first");
                    self.begin(start);
                }
                Decision::Wait(ticket) => {
                    prop_assert!(self.waiting.insert(ticket, (start, self.now_ms)).is_none());
                }
                Decision::Refused(_) => {
                    let places = places(start);
                    let taken = self.waiting.values().filter(|(other, _)| *other == start).count();
                    prop_assert_eq!(taken as u64, places, "there was a place");
                }
            },
            Event::Leave => {
                if let Some((ticket, _)) = self.waiting.pop_last() {
                    prop_assert!(self.admission.forget(ticket) && !self.admission.forget(ticket));
                }
            }
            Event::Probe => drop(self.admission.probe(self.now_ms, 0)),
            Event::Answer => self.admission.answered(self.now_ms, 0),
        }
        Ok(())
    }

    /// Time passes; the machine is looked at when it asks for it, a step late at most.
    fn pass(&mut self, ms: u64) -> Result<(), TestCaseError> {
        let until_ms = self.now_ms + ms;
        loop {
            self.deal()?;
            let Some(at_ms) = self.admission.next_at_ms(self.now_ms).filter(|at_ms| *at_ms <= until_ms)
            else {
                break;
            };
            prop_assert!(at_ms > self.now_ms, "it asks to be looked at and has nothing to say");
            self.now_ms = at_ms.max(self.now_ms + START_STEP_MS).min(until_ms.max(at_ms));
            if self.now_ms >= until_ms {
                break;
            }
        }
        self.now_ms = until_ms;
        self.deal()
    }

    fn deal(&mut self) -> Result<(), TestCaseError> {
        while let Some((ticket, outcome)) = self.admission.next(self.now_ms) {
            let Some((start, since_ms)) = self.waiting.remove(&ticket) else {
                return Err(TestCaseError::fail("an outcome for somebody who does not wait"));
            };
            let waited_ms = self.now_ms - since_ms;
            match outcome {
                Outcome::Go { waited_ms: told_ms } => {
                    prop_assert_eq!(told_ms, waited_ms);
                    prop_assert!(waited_ms < START_PATIENCE_MS, "too late for {ticket:?}");
                    let first = self
                        .waiting
                        .iter()
                        .find(|(_, (other, _))| *other == Start::Resume || *other == start);
                    let is_first = first.is_none_or(|(other, (kind, _))| match kind {
                        Start::Resume if start == Start::Identify => false,
                        _ => *other > ticket,
                    });
                    prop_assert!(is_first, "{first:?} comes before {ticket:?}");
                    self.begin(start);
                }
                Outcome::TooLate(_) => {
                    prop_assert!(waited_ms >= START_PATIENCE_MS, "{waited_ms} ms are not too late")
                }
            }
        }
        let in_time = |(_, since_ms): &(Start, u64)| self.now_ms - since_ms < START_PATIENCE_MS;
        prop_assert!(self.waiting.values().all(in_time), "somebody is not told");
        prop_assert_eq!(self.admission.waiting.len(), self.waiting.len());
        Ok(())
    }

    fn begin(&mut self, start: Start) {
        self.begun.push((self.now_ms, WHOLE / start.per_token()));
    }

    /// In no stretch of time more have begun than the rate allows.
    fn check_rate(&self) -> Result<(), TestCaseError> {
        for (first, (from_ms, _)) in self.begun.iter().enumerate() {
            let mut taken = 0;
            for (to_ms, parts) in &self.begun[first..] {
                taken += parts;
                let allowed = 1000 * BURST + (to_ms - from_ms) * u64::from(RATES.starts_per_sec);
                prop_assert!(1000 * taken <= allowed * WHOLE, "{from_ms} to {to_ms}");
            }
        }
        Ok(())
    }
}

/// Those who are served in the time that anybody waits.
fn places(start: Start) -> u64 {
    u64::from(RATES.starts_per_sec) * start.per_token() * START_PATIENCE_MS / 1000
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Ask(Start::Identify)),
        3 => Just(Event::Ask(Start::Resume)),
        1 => Just(Event::Leave),
        1 => Just(Event::Probe),
        1 => Just(Event::Answer),
    ]
}

fn pause() -> impl Strategy<Value = u64> {
    prop_oneof![6 => Just(0_u64), 3 => 1_u64..60, 1 => 500_u64..9_000]
}

proptest! {
    #[test]
    fn everybody_is_told_in_time_in_order_and_not_too_many_begin(events in vec((event(), pause()), 1..400)) {
        let mut drive = Drive::new();
        for (event, pause_ms) in events {
            drive.event(event)?;
            drive.pass(pause_ms)?;
        }
        drive.pass(2 * START_PATIENCE_MS)?;
        prop_assert!(drive.waiting.is_empty(), "{:?} wait for ever", drive.waiting);
        drive.check_rate()?;
    }

    #[test]
    fn connections_keep_to_their_rate_and_are_spread_over_the_time_that_they_need(pauses in vec(0_u64..40, 1..600)) {
        let (mut admission, mut now_ms, mut let_in, mut sent_away) = (Admission::new(0, RATES, 1), 0, 0, 0_u64);
        for pause_ms in pauses {
            now_ms += pause_ms;
            match admission.connect(now_ms) {
                Ok(()) => let_in += 1,
                Err(refused) => {
                    sent_away += 1;
                    prop_assert_eq!(refused.cause, Cause::Rate);
                    prop_assert!(refused.spread_s <= sent_away.div_ceil(u64::from(RATES.connections_per_sec)));
                }
            }
            prop_assert!(let_in <= 25 + now_ms * u64::from(RATES.connections_per_sec) / 1000);
        }
    }
}

/// A thousand at once, at a rate of fifty a second: the last ones come back within twenty seconds.
#[test]
fn the_more_are_sent_away_the_farther_apart_they_come_back() {
    let mut admission = Admission::new(0, RATES, 1);
    let refusals: Vec<u64> =
        (0..1025).filter_map(|_| admission.connect(0).err()).map(|it| it.spread_s).collect();
    assert_eq!((refusals.len(), refusals[0], refusals[999]), (1000, 1, 20));
    assert!(refusals.is_sorted());
    let later = (0..60).find_map(|_| admission.connect(30_000).err()).expect("more than the burst");
    assert_eq!(later.spread_s, 1, "there has been room for all of them");
}

#[test]
fn a_crowd_inside_closes_the_door() {
    for start in [Start::Identify, Start::Resume] {
        let mut admission = Admission::new(0, RATES, 1);
        for _ in 0..BURST * start.per_token() {
            assert_eq!(admission.ask(0, start), Decision::Go);
        }
        for _ in 0..places(start) / 2 {
            assert!(matches!(admission.ask(0, start), Decision::Wait(_)));
        }
        assert_eq!(admission.connect(0), Ok(()));
        for _ in 0..start.per_token() {
            assert!(matches!(admission.ask(0, start), Decision::Wait(_)));
        }
        assert!(admission.connect(0).is_err());
    }
}

#[test]
fn as_many_resumes_come_in_as_their_share_says() {
    let mut admission = Admission::new(0, RATES, 1);
    while admission.ask(0, Start::Identify) == Decision::Go {}
    let mut resumed = 0;
    for now_ms in 1..=10_000 {
        if let Decision::Wait(ticket) = admission.ask(now_ms, Start::Resume) {
            admission.forget(ticket);
        } else {
            resumed += 1;
        }
    }
    assert_eq!(resumed, 10 * u64::from(RATES.starts_per_sec) * limits::RESUMES_PER_START);
}

/// While a shard is late an eighth of the rate comes in, and whoever does not is told why.
#[test]
fn late_shards_slow_everything_down() {
    let mut admission = Admission::new(0, RATES, 2);
    assert!(admission.probe(0, 1));
    assert_eq!(
        (admission.pace(499), admission.pace(500), admission.late_ms(500)),
        (Pace::Full, Pace::Slow, 500)
    );
    let let_in = (500..8_500).filter(|now_ms| admission.connect(*now_ms).is_ok()).count() as u64;
    let eighth = 8 * u64::from(RATES.connections_per_sec) / OVERLOAD_PACE_DIVISOR;
    assert!((eighth..=eighth + 4).contains(&let_in), "{let_in}");
    assert_eq!(admission.connect(8_500).unwrap_err().cause, Cause::Load);

    assert_eq!(admission.ask(8_500, Start::Identify), Decision::Go, "an eighth of the burst, and a bit");
    let Decision::Wait(ticket) = admission.ask(8_500, Start::Resume) else { panic!("there was one token") };
    assert_eq!(admission.next(8_599), None);
    assert_eq!(admission.next(8_600), Some((ticket, Outcome::Go { waited_ms: 100 })));
    admission.answered(9_000, 1);
    assert!(admission.probe(9_000, 1));
    admission.answered(9_001, 1);
    assert_eq!(admission.pace(9_001), Pace::Full);
}
