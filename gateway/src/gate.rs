//! The pod's [`Admission`], shared by its acceptor and its shards, and the task that looks after those who wait.
//!
//! Shards are threads of their own, and what they may take is the pod's. So this is one of the few things behind a lock:
//! it is taken once for a connection and once for a start, for as long as a few comparisons take.

use std::sync::Arc;
use std::time::Duration;

use model::limits;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::admission::{Admission, Cause, Decision, Outcome, Rates, Start, Ticket};
use crate::config::Settings;
use crate::services::Services;
use crate::shard::Input;
use crate::stats::Count;

/// See the module.
pub(crate) struct Gate {
    state: Mutex<State>,
    /// Somebody has begun to wait.
    began: Notify,
}

struct State {
    admission: Admission,
    turns: FxHashMap<Ticket, oneshot::Sender<bool>>,
}

/// What a start has to do.
pub(crate) enum Entry {
    Go,
    /// Its turn comes, or with `false` never; nothing at all when it is forgotten.
    Wait(Ticket, oneshot::Receiver<bool>),
    Refused,
}

impl Gate {
    pub(crate) fn new(settings: &Settings, shards: usize) -> Self {
        let admission = Admission::new(0, Rates::of(settings, shards), shards);
        Self { state: Mutex::new(State { admission, turns: FxHashMap::default() }), began: Notify::new() }
    }
}

impl Rates {
    /// What is not set depends on the number of shards, of which there is one for each core.
    fn of(settings: &Settings, shards: usize) -> Self {
        let shards = u32::try_from(shards).unwrap_or(u32::MAX);
        let or = |set: u32, per_shard: u32| if set > 0 { set } else { per_shard.saturating_mul(shards) };
        Self {
            connections_per_sec: or(settings.connections_per_sec, limits::CONNECTIONS_PER_SEC),
            starts_per_sec: or(settings.starts_per_sec, limits::STARTS_PER_SEC),
            burst_ms: settings.admission_burst_ms,
        }
    }
}

impl Services {
    /// Whether one more connection may come in; if not, the seconds after which it is to come again.
    pub(crate) fn admit_connection(&self) -> Result<(), u64> {
        let now_ms = self.now_ms();
        let mut state = self.gate.state.lock();
        let is_full = self.stats.connections.load(std::sync::atomic::Ordering::Relaxed)
            >= self.settings.connections_max as u64;
        let refused = match is_full {
            true => state.admission.send_away(now_ms),
            false => match state.admission.connect(now_ms) {
                Ok(()) => return Ok(()),
                Err(refused) => refused,
            },
        };
        drop(state);
        match (is_full, refused.cause) {
            (true, _) => &self.stats.connections_refused_full,
            (_, Cause::Rate) => &self.stats.connections_refused_by_rate,
            (_, Cause::Load) => &self.stats.connections_refused_by_load,
        }
        .add(1);
        Err(limits::RETRY_AFTER_S_MIN + self.chance.below(refused.spread_s + 1))
    }

    /// Whether a session may be begun or resumed now.
    pub(crate) fn admit_start(&self, start: Start) -> Entry {
        let mut state = self.gate.state.lock();
        match state.admission.ask(self.now_ms(), start) {
            Decision::Go => {
                self.stats.starts_admitted.add(1);
                Entry::Go
            }
            Decision::Refused(cause) => {
                self.count_refused_start(cause);
                Entry::Refused
            }
            Decision::Wait(ticket) => {
                let (turn, receiver) = oneshot::channel();
                state.turns.insert(ticket, turn);
                self.stats.starts_waiting.add(1);
                self.gate.began.notify_one();
                Entry::Wait(ticket, receiver)
            }
        }
    }

    /// The connection that waited is no more.
    pub(crate) fn forget_start(&self, ticket: Ticket) {
        let mut state = self.gate.state.lock();
        state.admission.forget(ticket);
        if state.turns.remove(&ticket).is_some() {
            self.stats.starts_waiting.sub(1);
        }
    }

    /// A shard has come to the question that it was sent.
    pub(crate) fn shard_answered(&self, shard: usize) {
        self.gate.state.lock().admission.answered(self.now_ms(), shard);
    }

    /// Tells those who wait what has become of them.
    fn give_turns(&self) {
        let now_ms = self.now_ms();
        let mut state = self.gate.state.lock();
        while let Some((ticket, outcome)) = state.admission.next(now_ms) {
            let Some(turn) = state.turns.remove(&ticket) else { continue };
            self.stats.starts_waiting.sub(1);
            let may_go = match outcome {
                Outcome::Go { waited_ms } => {
                    self.stats.starts_admitted.add(1);
                    self.stats.starts_delayed.add(1);
                    self.stats.starts_delayed_ms.add(waited_ms);
                    true
                }
                Outcome::TooLate(cause) => {
                    self.count_refused_start(cause);
                    false
                }
            };
            // Whose task is gone was forgotten at the same moment.
            let _ = turn.send(may_go);
        }
    }

    fn count_refused_start(&self, cause: Cause) {
        match cause {
            Cause::Rate => self.stats.starts_refused_by_rate.add(1),
            Cause::Load => self.stats.starts_refused_by_load.add(1),
        }
    }

    /// Asks the shards how late they are.
    fn probe(&self, shards: &[mpsc::Sender<Input>]) {
        let now_ms = self.now_ms();
        for (index, shard) in shards.iter().enumerate() {
            let is_due = self.gate.state.lock().admission.probe(now_ms, index);
            if is_due && shard.try_send(Input::Probe).is_err() {
                // It has no room for the question, so it will be late in answering the next one.
                continue;
            }
        }
        let late_ms = self.gate.state.lock().admission.late_ms(now_ms);
        self.stats.turn_late_ms.store(late_ms, std::sync::atomic::Ordering::Relaxed);
    }

    /// When those who wait are to be looked at.
    fn next_turn(&self) -> Option<Duration> {
        let now_ms = self.now_ms();
        let at_ms = self.gate.state.lock().admission.next_at_ms(now_ms)?;
        Some(Duration::from_millis(at_ms.saturating_sub(now_ms).max(limits::START_STEP_MS)))
    }
}

/// Looks after those who wait, and after how late the shards are, until it is stopped.
pub(crate) async fn keep(
    services: Arc<Services>,
    shards: Arc<[mpsc::Sender<Input>]>,
    stop: CancellationToken,
) {
    let mut probes = tokio::time::interval(Duration::from_millis(limits::PROBE_MS));
    probes.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        let turn = async {
            match services.next_turn() {
                Some(wait) => tokio::time::sleep(wait).await,
                None => services.gate.began.notified().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            _ = probes.tick() => services.probe(&shards),
            () = turn => {}
        }
        services.give_turns();
    }
}
