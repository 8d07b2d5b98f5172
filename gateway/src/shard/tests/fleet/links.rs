//! The ways between pods, with their faults: a request or an answer is lost, late, or comes twice, and those that are late
//! overtake each other; nobody is at an address, or somebody new.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use proto::clients::{GatewayClient, local_gateway};
use proto::v1::gateway_server::Gateway;
use proto::{Failure, v1};
use tasks::Tasks;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tonic::{Request, Response, Status};

use super::super::fakes::mix;
use super::marks::Marks;
use crate::giver::Giver;
use crate::neighbours::Ways;

/// All pods by their addresses, and what happens between them.
pub struct Links {
    state: Mutex<State>,
    marks: Arc<Marks>,
    /// What is on its way arrives whether or not who sent it still waits.
    tasks: Tasks,
}

struct State {
    seed: u64,
    calls: u64,
    givers: BTreeMap<String, Giver>,
    /// Of 100 calls so many meet a fault.
    faults: u64,
    /// From the pod in this place nothing arrives at that address.
    cut: BTreeSet<(usize, String)>,
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, Default)]
struct Fate {
    before_ms: u64,
    after_ms: u64,
    is_doubled: bool,
    loses_request: bool,
    loses_answer: bool,
}

/// The ways from the pod in a place.
pub struct From {
    pub place: usize,
    pub links: Arc<Links>,
}

/// One of them.
#[derive(Clone)]
struct Way {
    place: usize,
    address: String,
    links: Arc<Links>,
}

impl Links {
    pub fn new(seed: u64, marks: Arc<Marks>) -> Arc<Self> {
        let (givers, cut) = Default::default();
        let state = Mutex::new(State { seed, calls: 0, givers, faults: 0, cut });
        Arc::new(Self { state, marks, tasks: Tasks::new("links") })
    }

    pub fn open(&self, address: String, giver: Giver) {
        self.state.lock().givers.insert(address, giver);
    }

    pub fn close(&self, address: &str) {
        self.state.lock().givers.remove(address);
    }

    pub fn set_faults(&self, of_100: u64) {
        self.state.lock().faults = of_100;
    }

    pub fn cut(&self, from: usize, address: String) {
        self.state.lock().cut.insert((from, address));
    }

    pub fn heal(&self) {
        let mut state = self.state.lock();
        state.cut.clear();
        state.faults = 0;
    }

    fn fate(&self, from: usize, address: &str) -> Fate {
        let mut state = self.state.lock();
        state.calls += 1;
        let drawn = mix(state.seed ^ mix(state.calls));
        let calm = Fate { before_ms: drawn % 4, after_ms: (drawn >> 8) % 4, ..Fate::default() };
        if state.cut.contains(&(from, address.to_owned())) {
            return Fate { loses_request: true, ..calm };
        }
        if (drawn >> 16) % 100 >= state.faults {
            return calm;
        }
        let late = [50, 600, 3_000, 20_000][((drawn >> 24) % 4) as usize];
        match (drawn >> 32) % 6 {
            0 => Fate { loses_request: true, ..calm },
            1 => Fate { loses_answer: true, ..calm },
            2 => Fate { before_ms: late, ..calm },
            3 => Fate { after_ms: late, ..calm },
            4 => Fate { is_doubled: true, ..calm },
            _ => Fate { is_doubled: true, before_ms: late, loses_answer: true, ..calm },
        }
    }
}

impl Ways for From {
    fn to(&self, address: &str) -> GatewayClient {
        let way = Way { place: self.place, address: address.to_owned(), links: self.links.clone() };
        local_gateway(way, Handle::current())
    }
}

impl Way {
    /// Asks whoever is there by now.
    async fn ask(&self, request: v1::TakeSessionRequest) -> Result<Response<v1::TakeSessionReply>, Status> {
        let giver = self.links.state.lock().givers.get(&self.address).cloned();
        match giver {
            Some(giver) => giver.take_session(Request::new(request)).await,
            None => Err(Failure::unavailable("nobody is at this address", 1).into()),
        }
    }

    async fn travel(self, fate: Fate, request: v1::TakeSessionRequest) -> Option<Answer> {
        sleep(fate.before_ms).await;
        if fate.loses_request {
            return None;
        }
        let session = request.session_id.clone();
        let mut answer = self.ask(request.clone()).await;
        if fate.is_doubled {
            answer = self.ask(request).await;
        }
        if fate.before_ms > LATE_MS {
            // Whoever had it has perhaps given it away to nobody.
            self.links.marks.inexact(&session, "a request was late");
        }
        sleep(fate.after_ms).await;
        (!fate.loses_answer).then_some(answer)
    }
}

type Answer = Result<Response<v1::TakeSessionReply>, Status>;

#[tonic::async_trait]
impl Gateway for Way {
    async fn take_session(&self, request: Request<v1::TakeSessionRequest>) -> Answer {
        let request = request.into_inner();
        let fate = self.links.fate(self.place, &self.address);
        let is_harmless =
            fate.before_ms + fate.after_ms < LATE_MS && !fate.loses_request && !fate.loses_answer;
        if !is_harmless || fate.is_doubled {
            self.links.marks.inexact(&request.session_id, "a call has met a fault");
        }
        let (answer, answered) = oneshot::channel();
        let way = self.clone();
        self.links.tasks.spawner().spawn_passing("a call", async move {
            if let Some(outcome) = way.travel(fate, request).await {
                // Who has asked may have gone.
                let _ = answer.send(outcome);
            }
        });
        match answered.await {
            Ok(outcome) => outcome,
            // Nothing comes: the deadline of the call ends it.
            Err(_) => {
                sleep(60_000).await;
                Err(Failure::unavailable("lost", 1).into())
            }
        }
    }
}

async fn sleep(ms: u64) {
    if ms > 0 {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

/// A call that takes longer may be given up.
const LATE_MS: u64 = 100;
