//! From one mode to the other, with nothing lost and nothing given twice.
//!
//! First the new subscription stands, then the stream's last sequence V is asked: what lies above V comes to the new
//! subscription, or is found missing there. The old reader goes on until it lacks nothing up to V. At that moment the
//! new one takes its place. What the old one lacks above V doesn't hold it up: where subscriptions are overrun all the
//! time there is always something.
//!
//! *To guild mode:* each guild goes on where the partition stood. No guild may be wanted then that is not subscribed to;
//! if one is, that is made up for first, with another V.
//!
//! *To partition mode:* the partition goes on at `seen` of guild mode, above which some guilds have had events already:
//! these are remembered for each guild, and dropped when they come again.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::GuildId;
use rustc_hash::FxHashMap;
use tokio::sync::watch;
use tokio::time::Instant;

use super::each::{Each, HELD_MAX};
use super::repair::{self, InFlight};
use super::whole::Whole;
use super::{Reader, Site};
use crate::chains::Chains;
use crate::open_guilds::{Choice, Mode, OpenGuilds};
use crate::port::{GuildSubscriptions, Listener, StreamState, Unavailable};
use crate::subject::Partition;

pub(super) struct Turnover {
    open: Arc<OpenGuilds>,
    changes: watch::Receiver<()>,
    choice: Choice,
    preparing: Option<InFlight<Prepared>>,
    failures: u32,
    prepared: Option<Prepared>,
}

/// What takes the present reader's place once that has come to the state's last sequence.
enum Prepared {
    Partition(Listener, StreamState),
    Guilds(Guilds),
}

struct Guilds {
    subscriptions: Arc<dyn GuildSubscriptions>,
    listener: Listener,
    guilds: BTreeSet<GuildId>,
    state: StreamState,
}

/// Waits until the mode may change; for ever where it can't.
pub(super) async fn wait(turnover: &mut Option<Turnover>) {
    match turnover {
        Some(turnover) => turnover.wait().await,
        None => std::future::pending().await,
    }
}

impl Turnover {
    pub(super) fn new(open: Arc<OpenGuilds>, partition: Partition) -> Option<Self> {
        let changes = open.changes(partition)?;
        let choice = Choice::default();
        Some(Self { open, changes, choice, preparing: None, failures: 0, prepared: None })
    }

    /// The stream is another one, and is followed as a whole.
    pub(super) fn begin_anew(&mut self, site: &Site) {
        (self.preparing, self.prepared) = (None, None);
        self.open.hears_all(site.partition);
    }

    /// Goes one step towards the mode that is right now, if it is not the present one. Nothing may wait in the reader.
    pub(super) fn turn(&mut self, site: &Site, reader: &mut Reader, given: &mut FxHashMap<GuildId, u64>) {
        let (present, guilds) = (reader.mode(), self.open.wanted_count(site.partition));
        let right = self.choice.choose(Instant::now(), self.open.mode(), present, guilds);
        if right == present {
            (self.preparing, self.prepared) = (None, None);
            return;
        }
        let changed = match (self.prepared.take(), &mut *reader) {
            (Some(Prepared::Guilds(guilds)), Reader::Whole(whole)) => {
                self.change_to_guilds(site, whole, guilds)
            }
            (Some(Prepared::Partition(listener, state)), Reader::Each(each)) => {
                self.change_to_partition(site, each, listener, state)
            }
            _ => {
                self.prepare(site, right);
                None
            }
        };
        let Some(changed) = changed else { return };
        given.clear();
        if let Reader::Each(each) = reader {
            let seen = each.chains().seen();
            given.extend(each.chains().guilds().filter(|(_, mine)| *mine > seen));
        }
        *reader = changed;
        site.stats.mode_changes.add(1);
        tracing::info!(partition = site.partition.0, mode = ?right, guilds, "mode changed");
    }

    fn prepare(&mut self, site: &Site, mode: Mode) {
        if self.preparing.is_some() {
            return;
        }
        let (site, guilds) = (site.clone(), self.open.wanted(site.partition));
        let prepared = async move {
            if mode == Mode::Partition {
                let (listener, state) = repair::subscribe(&*site.backplane, site.partition).await?;
                return Ok(Prepared::Partition(listener, state));
            }
            let (subscriptions, listener) = site.backplane.listen_guilds(site.partition).await?;
            subscribe(site, subscriptions.into(), listener, guilds).await
        };
        self.preparing = Some(repair::begin(self.failures, prepared));
    }

    fn change_to_guilds(&mut self, site: &Site, whole: &mut Whole, new: Guilds) -> Option<Reader> {
        if new.state.incarnation != whole.incarnation() {
            return None;
        }
        if !whole.has_come_to(new.state.last) {
            whole.reach(new.state.last);
            self.prepared = Some(Prepared::Guilds(new));
            return None;
        }
        let Guilds { subscriptions, listener, guilds, .. } = new;
        if !self.open.hears_only(site.partition, &guilds) {
            let wanted = self.open.wanted(site.partition);
            let subscribed = subscribe(site.clone(), subscriptions, listener, wanted);
            self.preparing = Some(repair::begin(0, subscribed));
            return None;
        }
        let mut chains = Chains::new(whole.incarnation(), whole.seen(), HELD_MAX);
        guilds.into_iter().for_each(|guild| chains.open(guild, whole.seen()));
        let wishes = self.changes.clone();
        Some(Reader::Each(Each::new(Arc::clone(&self.open), wishes, subscriptions, listener, chains)))
    }

    fn change_to_partition(
        &mut self,
        site: &Site,
        each: &mut Each,
        listener: Listener,
        state: StreamState,
    ) -> Option<Reader> {
        let (incarnation, seen) = (each.chains().incarnation(), each.chains().seen());
        if state.incarnation != incarnation {
            return None;
        }
        if seen < state.last {
            each.check_now();
            self.prepared = Some(Prepared::Partition(listener, state));
            return None;
        }
        self.open.hears_all(site.partition);
        Some(Reader::Whole(Whole::new(listener, StreamState { last: seen, ..state })))
    }

    /// Cancel-safe.
    async fn wait(&mut self) {
        tokio::select! {
            biased;
            prepared = repair::answer_of(&mut self.preparing) => match prepared {
                Ok(prepared) => {
                    self.failures = 0;
                    self.prepared = Some(prepared);
                }
                Err(error) => {
                    self.failures = self.failures.saturating_add(1);
                    tracing::debug!(failures = self.failures, %error, "the other mode can't be prepared");
                }
            },
            // Its sender lives as long as the guilds that are held here.
            _ = self.changes.changed() => {}
        }
    }
}

/// Subscribes to those guilds that are not yet, and asks for a state that is younger.
async fn subscribe(
    site: Site,
    subscriptions: Arc<dyn GuildSubscriptions>,
    listener: Listener,
    guilds: BTreeSet<GuildId>,
) -> Result<Prepared, Unavailable> {
    let list: Vec<GuildId> = guilds.iter().copied().collect();
    subscriptions.add(&list).await?;
    let state = site.backplane.state(site.stream()).await?;
    Ok(Prepared::Guilds(Guilds { subscriptions, listener, guilds, state }))
}
