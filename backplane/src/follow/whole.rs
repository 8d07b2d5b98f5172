//! Partition mode: everything that the partition brings, driven through one [`Chain`].

use std::sync::Arc;

use bytes::Bytes;
use model::{GuildId, limits};

use super::repair::{self, Answer, InFlight};
use super::{Site, Step, Waited};
use crate::chain::{Chain, Output, Taken};
use crate::port::{Delivery, Listener, StreamState, Unavailable};

pub(super) struct Whole {
    listener: Listener,
    chain: Chain<(GuildId, Bytes)>,
    repair: Option<InFlight<Answer>>,
    /// Repairs that failed since the last that did not.
    failures: u32,
    /// The tail at the last look: whoever is still below it at the next has missed something.
    tail_before: u64,
    /// Whether repeats came since the last look: they may be the first events of another incarnation.
    has_repeats: bool,
}

impl Whole {
    /// Nothing is missing up to the state's last sequence, and the subscription is older than what lies above it.
    pub(super) fn new(listener: Listener, state: StreamState) -> Self {
        Self {
            listener,
            chain: Chain::new(state, limits::GAP_BUFFER_EVENTS_MAX),
            repair: None,
            failures: 0,
            tail_before: 0,
            has_repeats: false,
        }
    }

    /// The same on another stream than before, which is told.
    pub(super) fn anew(listener: Listener, state: StreamState) -> Self {
        let mut whole = Self::new(listener, state);
        whole.chain.restart(state);
        whole
    }

    pub(super) fn incarnation(&self) -> u64 {
        self.chain.incarnation()
    }

    pub(super) fn seen(&self) -> u64 {
        self.chain.seen()
    }

    pub(super) fn is_gap_open(&self) -> bool {
        self.chain.is_gap_open()
    }

    pub(super) fn has_come_to(&self, sequence: u64) -> bool {
        self.chain.has_come_to(sequence)
    }

    /// The partition is published up to here: what is missing is read.
    pub(super) fn reach(&mut self, sequence: u64) {
        self.chain.tail(sequence);
    }

    pub(super) fn pop(&mut self) -> Option<Step> {
        Some(match self.chain.pop()? {
            Output::Deliver { sequence, event: (guild, bytes) } => Step::Event { guild, sequence, bytes },
            Output::Lost { cause, after, count } => Step::Lost { guild: None, cause, after, count },
            Output::NewIncarnation { incarnation, seen } => {
                self.tail_before = 0;
                Step::NewIncarnation { incarnation, seen }
            }
        })
    }

    /// Cancel-safe.
    pub(super) async fn wait(&mut self, site: &Site) -> Waited {
        self.begin_repair(site);
        tokio::select! {
            biased;
            answer = repair::answer_of(&mut self.repair) => self.answered(site, answer),
            delivery = self.listener.next() => match delivery {
                Some(delivery) => self.delivered(site, delivery),
                None => return Waited::Closed,
            },
        }
        Waited::GoesOn
    }

    pub(super) fn look(&mut self, site: &Site) {
        if self.tail_before > self.chain.seen() && !self.chain.is_gap_open() {
            site.stats.gaps.add(1);
            self.chain.tail(self.tail_before);
        }
        self.tail_before = site.backplane.tail(site.partition);
        if std::mem::take(&mut self.has_repeats) {
            self.chain.gap();
        }
    }

    fn delivered(&mut self, site: &Site, delivery: Delivery) {
        let stats = &site.stats;
        match delivery {
            Delivery::Event { guild, sequence, envelope, .. } => {
                let was_open = self.chain.is_gap_open();
                match self.chain.delivered(sequence, (guild, envelope)) {
                    Taken::Repeat => {
                        self.has_repeats = true;
                        stats.duplicates.add(1);
                    }
                    Taken::Overflow => stats.overflows.add(1),
                    Taken::Buffered if !was_open => stats.gaps.add(1),
                    Taken::InOrder | Taken::Buffered => {}
                }
            }
            Delivery::Gap => {
                stats.gaps.add(1);
                self.chain.gap();
            }
            Delivery::Reconnected => {
                stats.reconnects.add(1);
                self.chain.reconnected();
            }
            Delivery::Ephemeral(_) => {}
        }
    }

    fn begin_repair(&mut self, site: &Site) {
        if self.repair.is_none()
            && let Some(repair) = self.chain.repair()
        {
            let asked = repair::ask(Arc::clone(&site.backplane), site.partition, repair);
            self.repair = Some(repair::begin(self.failures, asked));
        }
    }

    fn answered(&mut self, site: &Site, answer: Result<Answer, Unavailable>) {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                site.stats.repairs_failed.add(1);
                let (partition, failures) = (site.partition.0, self.failures);
                return tracing::debug!(partition, failures, %error, "repair failed");
            }
        };
        self.failures = 0;
        site.stats.repairs.add(1);
        if let Some(listener) = answer.listener {
            self.listener = listener;
        }
        self.chain.answered(&answer.repair, answer.read, answer.is_full, answer.state);
    }
}
