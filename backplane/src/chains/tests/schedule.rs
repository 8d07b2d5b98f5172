//! Whatever is lost, repeated, reordered or late: every event of an open guild is given exactly once and in order, or
//! reported lost, only what may have expired is lost, and nothing is missing up to `seen`.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use proptest::prelude::*;

use super::*;

const READ_MAX: usize = 3;
const GUILDS: u64 = 4;

#[derive(Debug, Clone, Copy)]
enum Step {
    Publish(u64, Fate),
    /// The oldest of the deliveries that are late comes.
    Late,
    Expire,
    Reconnect,
    Look,
    Open(u64),
    Close(u64),
    /// A stage of a question: ask and read, ask for the state, answer.
    Ask {
        is_due: bool,
    },
}

#[derive(Debug, Clone, Copy)]
enum Fate {
    Arrives,
    ArrivesTwice,
    IsLate,
    IsLost,
    IsLostWithMark,
}

fn step() -> impl Strategy<Value = Step> {
    let fate = prop_oneof![
        4 => Just(Fate::Arrives),
        1 => Just(Fate::ArrivesTwice),
        2 => Just(Fate::IsLate),
        2 => Just(Fate::IsLost),
        1 => Just(Fate::IsLostWithMark),
    ];
    prop_oneof![
        14 => (1..=GUILDS, fate).prop_map(|(guild, fate)| Step::Publish(guild, fate)),
        3 => Just(Step::Late),
        1 => Just(Step::Expire),
        1 => Just(Step::Reconnect),
        2 => Just(Step::Look),
        1 => (1..=GUILDS).prop_map(Step::Open),
        1 => (1..=GUILDS).prop_map(Step::Close),
        6 => any::<bool>().prop_map(|is_due| Step::Ask { is_due }),
    ]
}

struct InFlight {
    question: Question,
    ends: Vec<u64>,
    read: Vec<(u64, u64)>,
    is_full: bool,
    /// Before the ends, or after the read.
    state: Option<StreamState>,
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    guild: u64,
    sequence: u64,
    previous: u64,
}

/// A stream of several guilds, a reader of some, and what lies between them.
struct World {
    /// The guild of each sequence from 1.
    log: Vec<u64>,
    first: u64,
    chains: Chains<u64>,
    late: VecDeque<Sent>,
    in_flight: Option<InFlight>,
    /// The last sequence that each open guild was given, or that it was opened at, and whether a loss was reported since.
    account: BTreeMap<u64, u64>,
    /// What was left out of each guild's account and not reported yet.
    owed: BTreeMap<u64, u64>,
    /// Up to where losses were reported.
    excused: BTreeMap<u64, u64>,
}

impl World {
    fn new() -> Self {
        let chains = Chains::new(1, 0, 5);
        let (account, owed, excused) = Default::default();
        let late = VecDeque::new();
        Self { log: Vec::new(), first: 1, chains, late, in_flight: None, account, owed, excused }
    }

    fn state(&self) -> StreamState {
        state(self.first, self.log.len() as u64)
    }

    /// What is stored of the guild above a sequence.
    fn stored(&self, of: u64, above: u64) -> impl Iterator<Item = u64> + '_ {
        let all = (1..).zip(&self.log).filter(move |(_, guild)| **guild == of).map(|(sequence, _)| sequence);
        all.filter(move |sequence| *sequence > above && *sequence >= self.first)
    }

    fn end(&self, of: u64) -> u64 {
        self.stored(of, 0).last().unwrap_or(0)
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Publish(of, fate) => self.publish(of, fate),
            Step::Late => {
                if let Some(sent) = self.late.pop_front() {
                    self.deliver(sent);
                }
            }
            Step::Expire => self.first = (self.first + 2).min(self.log.len() as u64 + 1),
            Step::Reconnect => {
                self.late.clear();
                self.chains.reconnected();
            }
            Step::Look => self.look(),
            Step::Open(of) => {
                let last = self.log.len() as u64;
                if let Entry::Vacant(place) = self.account.entry(of) {
                    place.insert(last);
                    self.chains.open(guild(of), last);
                }
            }
            Step::Close(of) => {
                self.chains.close(guild(of));
                self.account.remove(&of);
                self.owed.remove(&of);
                self.excused.remove(&of);
            }
            Step::Ask { is_due } => self.ask(is_due),
        }
        self.check();
    }

    fn publish(&mut self, of: u64, fate: Fate) {
        let previous = self.end(of);
        self.log.push(of);
        let sent = Sent { guild: of, sequence: self.log.len() as u64, previous };
        match fate {
            Fate::Arrives => self.deliver(sent),
            Fate::ArrivesTwice => {
                self.deliver(sent);
                self.deliver(sent);
            }
            Fate::IsLate => self.late.push_back(sent),
            Fate::IsLost => {}
            Fate::IsLostWithMark => self.chains.gap(),
        }
    }

    fn deliver(&mut self, sent: Sent) {
        self.chains.delivered(guild(sent.guild), sent.sequence, sent.previous, sent.sequence);
        assert!(self.chains.held <= self.chains.held_max);
        let held: usize = self.chains.links.values().map(|link| link.held.len()).sum();
        assert_eq!(self.chains.held, held);
    }

    fn look(&mut self) {
        let ends: BTreeMap<GuildId, u64> = (1..=GUILDS).map(|of| (guild(of), self.end(of))).collect();
        self.chains.look(|of| ends[&of]);
    }

    fn ask(&mut self, is_due: bool) {
        match self.in_flight.take() {
            None => {
                let Some(question) = self.chains.question(is_due) else { return };
                let mut in_flight =
                    InFlight { question, ends: vec![], read: vec![], is_full: false, state: None };
                match &in_flight.question.about {
                    About::Ends(_) => in_flight.state = Some(self.state()),
                    About::Range(of, range) => {
                        let stored = self.stored(of.get(), range.start() - 1);
                        let within = stored.filter(|sequence| sequence <= range.end()).take(READ_MAX);
                        in_flight.read = within.map(|sequence| (sequence, sequence)).collect();
                        in_flight.is_full = in_flight.read.len() == READ_MAX;
                    }
                }
                self.in_flight = Some(in_flight);
            }
            Some(mut in_flight) => match in_flight.question.about.clone() {
                About::Ends(guilds) if in_flight.ends.len() < guilds.len() => {
                    in_flight.ends = guilds.iter().map(|of| self.end(of.get())).collect();
                    self.in_flight = Some(in_flight);
                }
                About::Ends(_) => {
                    let state = in_flight.state.expect("asked first");
                    self.chains.answered_ends(&in_flight.question, state, &in_flight.ends, self.first);
                }
                About::Range(..) => {
                    let InFlight { question, read, is_full, .. } = in_flight;
                    self.chains.answered_range(&question, read, is_full, self.state());
                }
            },
        }
    }

    /// Draws the account of what the reader was given.
    fn check(&mut self) {
        while let Some(output) = self.chains.pop() {
            match output {
                Output::Deliver { guild, sequence, event } => {
                    assert_eq!(sequence, event);
                    let account = self.account.get_mut(&guild.get()).expect("of an open guild");
                    let before = std::mem::replace(account, sequence);
                    assert!(sequence > before, "out of order, or twice");
                    self.skip(guild.get(), before, sequence - 1);
                }
                Output::Lost { guild, cause, after } => {
                    assert_eq!(cause, LostCause::Expired);
                    assert!(self.first > after + 1, "nothing above it has expired");
                    let excused = self.excused.entry(guild.get()).or_default();
                    *excused = (*excused).max(self.first - 1);
                    self.owed.remove(&guild.get());
                }
                Output::Seen(seen) => {
                    assert!(seen <= self.log.len() as u64);
                    for (of, before) in self.account.clone() {
                        self.skip(of, before, seen);
                        self.account.insert(of, before.max(seen));
                    }
                }
            }
        }
    }

    /// What lies between has to be none of the guild's, or to have expired and be reported sooner or later.
    fn skip(&mut self, of: u64, after: u64, last: u64) {
        let excused = self.excused.get(&of).copied().unwrap_or(0);
        let mut skipped = after.max(excused) + 1..=last;
        if let Some(missing) = skipped.find(|sequence| self.log[*sequence as usize - 1] == of) {
            assert!(missing < self.first, "{missing} of guild {of} was passed over");
            self.owed.insert(of, missing);
        }
    }

    fn settle(&mut self) {
        for _ in 0..10_000 {
            self.look();
            self.look();
            self.apply(Step::Ask { is_due: true });
            let last = self.log.len() as u64;
            if self.in_flight.is_none() && !self.chains.is_gap_open() && self.chains.seen() == last {
                break;
            }
        }
        // A question that was put before something was believed does not look into it.
        while self.in_flight.is_some() {
            self.apply(Step::Ask { is_due: true });
        }
        for _ in 0..3 {
            self.apply(Step::Ask { is_due: true });
        }
        assert_eq!(self.chains.seen(), self.log.len() as u64);
        assert!(self.owed.is_empty(), "lost and never reported: {:?}", self.owed);
        let ends: Vec<_> = self.account.iter().map(|(of, given)| (*of, *given >= self.end(*of))).collect();
        assert!(ends.iter().all(|(_, is_at_end)| *is_at_end), "{ends:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_event_once_and_in_order_or_lost(steps in proptest::collection::vec(step(), 0..100)) {
        let mut world = World::new();
        world.apply(Step::Open(1));
        world.apply(Step::Open(2));
        for step in steps {
            world.apply(step);
        }
        world.settle();
    }
}
