//! Whatever is lost, repeated, reordered or late: every event is given exactly once and in order, or reported lost, and
//! only what has expired is lost.

use proptest::prelude::*;

use super::*;

const READ_MAX: usize = 3;

#[derive(Debug, Clone, Copy)]
enum Step {
    Publish(Fate),
    /// The oldest of the deliveries that are late comes.
    Late,
    Expire,
    Reconnect,
    BeginAnew,
    Tail,
    /// One stage of a repair: ask and read, ask for the state, answer.
    Repair,
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
        12 => fate.prop_map(Step::Publish),
        3 => Just(Step::Late),
        1 => Just(Step::Expire),
        1 => Just(Step::Reconnect),
        1 => Just(Step::BeginAnew),
        1 => Just(Step::Tail),
        6 => Just(Step::Repair),
    ]
}

/// An event that knows where it belongs: incarnation and sequence.
type Event = (u64, u64);

struct InFlight {
    repair: Repair,
    read: Vec<(u64, Event)>,
    is_full: bool,
    state: Option<StreamState>,
}

/// A stream, a reader, and what lies between them.
struct World {
    stream: StreamState,
    chain: Chain<Event>,
    late: VecDeque<u64>,
    in_flight: Option<InFlight>,
    /// Where the reader's account is: the incarnation and the next sequence.
    account: (u64, u64),
}

impl World {
    fn new() -> Self {
        let stream = StreamState { incarnation: 1, first: 1, last: 0 };
        let chain = Chain::new(stream, 4);
        Self { stream, chain, late: VecDeque::new(), in_flight: None, account: (1, 1) }
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Publish(fate) => self.publish(fate),
            Step::Late => {
                if let Some(sequence) = self.late.pop_front() {
                    self.deliver(sequence);
                }
            }
            Step::Expire => self.stream.first = (self.stream.first + 2).min(self.stream.last + 1),
            Step::Reconnect => self.reconnect(),
            Step::BeginAnew => {
                let incarnation = self.stream.incarnation + 1;
                self.stream = StreamState { incarnation, first: 1, last: 0 };
                self.reconnect();
            }
            Step::Tail => self.chain.tail(self.stream.last),
            Step::Repair => self.repair(),
        }
        self.check();
    }

    fn publish(&mut self, fate: Fate) {
        self.stream.last += 1;
        let sequence = self.stream.last;
        match fate {
            Fate::Arrives => self.deliver(sequence),
            Fate::ArrivesTwice => {
                self.deliver(sequence);
                self.deliver(sequence);
            }
            Fate::IsLate => self.late.push_back(sequence),
            Fate::IsLost => {}
            Fate::IsLostWithMark => self.chain.gap(),
        }
    }

    fn deliver(&mut self, sequence: u64) {
        self.chain.delivered(sequence, (self.stream.incarnation, sequence));
        assert!(self.chain.buffer.len() <= self.chain.buffer_max);
    }

    fn reconnect(&mut self) {
        self.late.clear();
        self.chain.reconnected();
    }

    fn repair(&mut self) {
        match self.in_flight.take() {
            None => {
                let Some(repair) = self.chain.repair() else { return };
                let (read, is_full) = self.read(repair.range.clone());
                self.in_flight = Some(InFlight { repair, read, is_full, state: None });
            }
            Some(in_flight @ InFlight { state: None, .. }) => {
                self.in_flight = Some(InFlight { state: Some(self.stream), ..in_flight });
            }
            Some(InFlight { repair, read, is_full, state: Some(state) }) => {
                self.chain.answered(&repair, read, is_full, state);
            }
        }
    }

    fn read(&self, range: Option<RangeInclusive<u64>>) -> (Vec<(u64, Event)>, bool) {
        let Some(range) = range else { return (vec![], false) };
        if *range.end() > self.stream.last {
            return (vec![], true);
        }
        let stored = range.filter(|sequence| *sequence >= self.stream.first).take(READ_MAX);
        let read: Vec<_> = stored.map(|sequence| (sequence, (self.stream.incarnation, sequence))).collect();
        let is_full = read.len() == READ_MAX;
        (read, is_full)
    }

    /// Draws the account of what the reader was given.
    fn check(&mut self) {
        while let Some(output) = self.chain.pop() {
            let (incarnation, next) = self.account;
            match output {
                Output::Deliver { sequence, event } => {
                    assert_eq!((sequence, event), (next, self.account), "out of order, twice, or another's");
                    self.account.1 += 1;
                }
                Output::Lost { cause, after, count } => {
                    assert_eq!((after + 1, cause), (next, LostCause::Expired));
                    let is_current = incarnation == self.stream.incarnation;
                    assert!(!is_current || after + count < self.stream.first, "lost and yet stored");
                    self.account.1 += count;
                }
                Output::NewIncarnation { incarnation: new, seen } => {
                    assert!(new > incarnation && new <= self.stream.incarnation);
                    self.account = (new, seen + 1);
                }
            }
        }
    }

    fn settle(&mut self) {
        for _ in 0..10_000 {
            self.chain.tail(self.stream.last);
            if self.in_flight.is_none() && !self.chain.is_gap_open() {
                break;
            }
            self.apply(Step::Repair);
        }
        assert_eq!(self.account, (self.stream.incarnation, self.stream.last + 1));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_event_once_and_in_order_or_lost(steps in proptest::collection::vec(step(), 0..80)) {
        let mut world = World::new();
        for step in steps {
            world.apply(step);
        }
        world.settle();
    }
}
