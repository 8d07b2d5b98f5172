//! Guild mode: the guilds that the pod has open, driven through their [`Chains`].

use std::sync::Arc;

use bytes::Bytes;
use model::limits;
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval_at};

use super::questions::{self, Answer, Opened};
use super::repair::{self, InFlight};
use super::{Site, Step, Waited};
use crate::chain::Taken;
use crate::chains::{Chains, Output};
use crate::open_guilds::OpenGuilds;
use crate::port::{Delivery, GuildSubscriptions, Listener, Unavailable};

pub(super) struct Each {
    open: Arc<OpenGuilds>,
    /// What is wanted may have changed.
    wishes: watch::Receiver<()>,
    is_wish_open: bool,
    subscriptions: Arc<dyn GuildSubscriptions>,
    listener: Listener,
    chains: Chains<Bytes>,
    question: Option<InFlight<Answer>>,
    /// Questions that failed since the last that did not.
    failures: u32,
    /// Guilds that are being subscribed to.
    opening: Option<InFlight<Opened>>,
    opening_failures: u32,
    check: Interval,
    is_due: bool,
    /// Whether repeats came since the last look: they may be the first events of another incarnation.
    has_repeats: bool,
}

impl Each {
    /// The guilds of the chains are subscribed to.
    pub(super) fn new(
        open: Arc<OpenGuilds>,
        wishes: watch::Receiver<()>,
        subscriptions: Arc<dyn GuildSubscriptions>,
        listener: Listener,
        chains: Chains<Bytes>,
    ) -> Self {
        let pause = open.mode().check;
        let mut check = interval_at(tokio::time::Instant::now() + pause, pause);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            open,
            wishes,
            is_wish_open: true,
            subscriptions,
            listener,
            chains,
            question: None,
            failures: 0,
            opening: None,
            opening_failures: 0,
            check,
            is_due: false,
            has_repeats: false,
        }
    }

    pub(super) fn chains(&self) -> &Chains<Bytes> {
        &self.chains
    }

    pub(super) fn is_gap_open(&self) -> bool {
        self.chains.is_gap_open()
    }

    /// Asks for a check now.
    pub(super) fn check_now(&mut self) {
        self.is_due = true;
    }

    pub(super) fn pop(&mut self) -> Option<Step> {
        Some(match self.chains.pop()? {
            Output::Deliver { guild, sequence, event } => Step::Event { guild, sequence, bytes: event },
            Output::Lost { guild, cause, after } => Step::Lost { guild: Some(guild), cause, after, count: 1 },
            Output::Seen(seen) => Step::Seen(seen),
        })
    }

    /// Cancel-safe.
    pub(super) async fn wait(&mut self, site: &Site) -> Waited {
        self.follow_wishes(site);
        self.begin_question(site);
        tokio::select! {
            biased;
            answer = repair::answer_of(&mut self.question) => return self.answered(site, answer),
            opened = repair::answer_of(&mut self.opening) => self.opened(site, opened),
            _ = self.check.tick() => self.is_due = true,
            delivery = self.listener.next() => match delivery {
                Some(delivery) => self.delivered(site, delivery),
                None => return Waited::Closed,
            },
        }
        Waited::GoesOn
    }

    pub(super) fn look(&mut self, site: &Site) {
        let behind = self.chains.look(|guild| site.backplane.tail_of(guild));
        site.stats.gaps.add(behind as u64);
        if std::mem::take(&mut self.has_repeats) {
            self.chains.gap();
        }
    }

    /// Leaves guilds that are wanted no longer, and begins to subscribe to those that are wanted now.
    fn follow_wishes(&mut self, site: &Site) {
        let has_changed = self.wishes.has_changed().unwrap_or(false);
        if !has_changed && !self.is_wish_open || self.opening.is_some() {
            return;
        }
        self.wishes.mark_unchanged();
        self.is_wish_open = false;
        for guild in self.open.take_unwanted(site.partition) {
            self.subscriptions.remove(guild);
            self.chains.close(guild);
        }
        let wanted = self.open.wanted(site.partition).into_iter();
        let room = self.open.mode().subjects_max.saturating_sub(self.chains.guilds().count());
        let missing: Vec<_> = wanted.filter(|guild| !self.chains.is_open(*guild)).take(room).collect();
        if !missing.is_empty() {
            let backplane = Arc::clone(&site.backplane);
            let opened = questions::open(backplane, site.partition, Arc::clone(&self.subscriptions), missing);
            self.opening = Some(repair::begin(self.opening_failures, opened));
        }
    }

    fn opened(&mut self, site: &Site, opened: Result<Opened, Unavailable>) {
        // More may be wanted by now, or it has to be tried again.
        self.is_wish_open = true;
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.opening_failures = self.opening_failures.saturating_add(1);
                return tracing::debug!(partition = site.partition.0, %error, "guilds not subscribed to yet");
            }
        };
        self.opening_failures = 0;
        if opened.state.incarnation != self.chains.incarnation() {
            return self.chains.reconnected();
        }
        for (guild, last) in opened.guilds {
            self.chains.open(guild, last);
            self.open.hears(site.partition, guild);
        }
    }

    fn delivered(&mut self, site: &Site, delivery: Delivery) {
        let stats = &site.stats;
        match delivery {
            Delivery::Event { guild, sequence, previous, envelope } => {
                match self.chains.delivered(guild, sequence, previous, envelope) {
                    Some(Taken::Repeat) => {
                        self.has_repeats = true;
                        stats.duplicates.add(1);
                    }
                    Some(Taken::Overflow) => stats.overflows.add(1),
                    Some(Taken::Buffered) => stats.gaps.add(1),
                    Some(Taken::InOrder) | None => {}
                }
            }
            Delivery::Gap => {
                stats.gaps.add(1);
                self.chains.gap();
            }
            Delivery::Reconnected => {
                stats.reconnects.add(1);
                self.chains.reconnected();
            }
            Delivery::Ephemeral(_) => {}
        }
    }

    fn begin_question(&mut self, site: &Site) {
        if self.question.is_some() {
            return;
        }
        let Some(question) = self.chains.question(self.is_due) else { return };
        let asked = questions::ask(Arc::clone(&site.backplane), site.partition, question);
        self.question = Some(repair::begin(self.failures, asked));
    }

    fn answered(&mut self, site: &Site, answer: Result<Answer, Unavailable>) -> Waited {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                site.stats.repairs_failed.add(1);
                tracing::debug!(partition = site.partition.0, failures = self.failures, %error, "question failed");
                return Waited::GoesOn;
            }
        };
        self.failures = 0;
        match answer {
            Answer::Quiet => self.is_due = false,
            Answer::Ends { question, state, ends, first } => {
                self.is_due = false;
                site.stats.repairs.add(1);
                self.chains.answered_ends(&question, state, &ends, first);
            }
            Answer::Range { question, read, is_full, state } => {
                site.stats.repairs.add(1);
                self.chains.answered_range(&question, read, is_full, state);
            }
            Answer::Anew(listener, state) => return Waited::Anew(listener, state),
        }
        Waited::GoesOn
    }
}

/// Events that wait behind holes, of all guilds together.
pub(super) const HELD_MAX: usize = limits::GAP_BUFFER_EVENTS_MAX;
