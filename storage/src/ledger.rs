//! The process's ids, and the ledger of what is stored but perhaps not published yet.
//!
//! The watermark of the outbox says up to which time everything is published. It may pass a change only when that has
//! been published, so a change is entered here under one lock with taking its id, and leaves when its last event is
//! acknowledged. One that is never closed (its lease was lost, or nobody knows whether it is stored) holds the watermark
//! back, and the next owner publishes it.
//!
//! A slot that is to go is shut here first ([`Ledger::drain`]): no change begins in it any more, and those that have begun
//! are waited for.
//!
//! A change whose task panics is another matter: it is stored, nobody goes on with it, and what comes after it is
//! published all the same, so readers would lack it until some later start. [`Ledger::abandoned`] tells of that, and the
//! process should end: its next start publishes the change.

use crate::{
    leases::{Epoch, Lease, NotOwner},
    slots::SlotSet,
    worker::{Snowflakes, WorkerId},
};
use model::{Id, clock::SharedClock, snowflake};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tokio::sync::{Notify, watch};

/// The process's one generator: all services of a process share it. Two with the same worker would give one event id
/// twice, and the backplane would take the second event for a repeat of the first.
pub type SharedSnowflakes = Arc<Mutex<Snowflakes>>;

/// Ids, and the changes of one service that are on their way.
pub struct Ledger {
    ids: SharedSnowflakes,
    clock: SharedClock,
    pages: Mutex<BTreeMap<Lease, Page>>,
    /// Told when a change has come to an end.
    ended: Notify,
    abandoned: watch::Sender<bool>,
}

/// The changes under one lease.
#[derive(Default)]
struct Page {
    /// On their way.
    open: BTreeSet<u64>,
    /// Nobody goes on with these.
    left: BTreeSet<u64>,
    /// The first that has begun; 0 before it.
    first: u64,
    /// The newest.
    newest: u64,
    /// The watermark that was written last.
    written_ms: u64,
    /// Nothing begins any more.
    is_shut: bool,
}

/// A change that is on its way. Dropped without [`Open::close`] it stays in the ledger.
#[must_use]
pub struct Open {
    ledger: Arc<Ledger>,
    lease: Lease,
    id: u64,
    is_closed: bool,
}

// === impl Ledger ===

impl Ledger {
    /// An empty one.
    pub fn new(ids: SharedSnowflakes, clock: SharedClock) -> Arc<Self> {
        let abandoned = watch::Sender::new(false);
        Arc::new(Self { ids, clock, pages: Mutex::default(), ended: Notify::new(), abandoned })
    }

    /// The clock that ids are made by.
    pub fn clock(&self) -> &SharedClock {
        &self.clock
    }

    /// Unix time now.
    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// A new id of something that is not entered.
    pub fn next(&self) -> u64 {
        self.ids.lock().next(self.clock.now_ms())
    }

    /// The same as an id of something.
    pub fn next_id<T>(&self) -> Id<T> {
        Id::new(self.next()).expect("a snowflake is never 0 after 2015")
    }

    /// Makes all further ids lie above this one.
    pub fn raise_above(&self, id: u64) {
        self.ids.lock().raise_above(id);
    }

    /// The time of the newest id.
    pub fn newest_ms(&self) -> u64 {
        self.ids.lock().last_ms()
    }

    /// Takes a change's id and enters it, unless its slot is being drained.
    pub fn begin(self: &Arc<Self>, lease: &Lease) -> Result<Open, NotOwner> {
        let mut pages = self.pages.lock();
        let page = pages.entry(*lease).or_default();
        if page.is_shut {
            return Err(NotOwner { set: lease.set, slot: lease.slot, owner: None });
        }
        let id = self.next();
        page.open.insert(id);
        page.newest = id;
        if page.first == 0 {
            page.first = id;
        }
        Ok(Open { ledger: self.clone(), lease: *lease, id, is_closed: false })
    }

    /// Whether an id was made for a change under this lease, asked by whoever has found what it stands for.
    pub fn is_of(&self, lease: &Lease, id: u64) -> bool {
        let pages = self.pages.lock();
        let has_begun = |page: &Page| page.first != 0 && page.first <= id;
        pages.get(lease).is_some_and(has_begun) && WorkerId::of_snowflake(id) == self.ids.lock().worker()
    }

    /// The time below which every change of a set is published.
    pub fn published_ms(&self, set: SlotSet) -> u64 {
        let pages = self.pages.lock();
        let newest = self.newest_ms();
        let oldest =
            pages.iter().filter(|(lease, _)| lease.set == set).filter_map(|(_, page)| page.oldest()).min();
        oldest.map_or(newest, snowflake::timestamp_ms)
    }

    /// The same when no id follows: then the last one's millisecond is over too.
    pub fn published_ms_at_end(&self, set: SlotSet) -> u64 {
        let is_done = |(lease, page): (&Lease, &Page)| lease.set != set || page.oldest().is_none();
        let is_empty = self.pages.lock().iter().all(is_done);
        self.published_ms(set) + u64::from(is_empty)
    }

    /// The same for each lease of a set in which something has changed since its watermark was written, those that have
    /// waited longest first.
    pub fn unwritten(&self, set: SlotSet) -> Vec<(Lease, u64)> {
        let pages = self.pages.lock();
        let newest = self.newest_ms();
        let of_set = pages.iter().filter(|(lease, _)| lease.set == set);
        let mut unwritten: Vec<_> = of_set
            .map(|(lease, page)| {
                (page.written_ms, *lease, page.oldest().map_or(newest, snowflake::timestamp_ms))
            })
            .filter(|(written_ms, lease, published_ms)| {
                // What has no change above its watermark needs no higher one.
                published_ms > written_ms && snowflake::timestamp_ms(pages[lease].newest) >= *written_ms
            })
            .collect();
        unwritten.sort_unstable();
        unwritten.into_iter().map(|(_, lease, published_ms)| (lease, published_ms)).collect()
    }

    /// A lease's watermark is written.
    pub fn note_written(&self, lease: &Lease, published_ms: u64) {
        if let Some(page) = self.pages.lock().get_mut(lease) {
            page.written_ms = published_ms.max(page.written_ms);
        }
    }

    /// Lets no change begin under these leases any more, and waits for those that have begun.
    pub async fn drain(&self, leases: &[Lease]) {
        {
            let mut pages = self.pages.lock();
            leases.iter().for_each(|lease| pages.entry(*lease).or_default().is_shut = true);
        }
        loop {
            let mut ended = std::pin::pin!(self.ended.notified());
            ended.as_mut().enable();
            let is_quiet = {
                let pages = self.pages.lock();
                leases.iter().all(|lease| pages.get(lease).is_none_or(|page| page.open.is_empty()))
            };
            if is_quiet {
                return;
            }
            ended.await;
        }
    }

    /// The last watermark of a lease that is drained, where there is something to say.
    pub fn published_ms_of(&self, lease: &Lease) -> Option<u64> {
        let pages = self.pages.lock();
        let page = pages.get(lease).filter(|page| page.newest > 0)?;
        Some(page.oldest().map_or(snowflake::timestamp_ms(page.newest) + 1, snowflake::timestamp_ms))
    }

    /// Forgets what was left under leases that have ended: it is the next owner's matter. They stay shut for as long as
    /// somebody may still hold one of them, that is, until the slot is had and drained once more.
    pub fn forget(&self, leases: &[Lease]) {
        let mut pages = self.pages.lock();
        for lease in leases {
            let earlier = Lease { epoch: Epoch(0), ..*lease }..*lease;
            let earlier: Vec<Lease> = pages.range(earlier).map(|(lease, _)| *lease).collect();
            earlier.iter().for_each(|lease| drop(pages.remove(lease)));
            pages.insert(*lease, Page { is_shut: true, ..Page::default() });
        }
    }

    /// Changes that are on their way, or left.
    pub fn open_len(&self) -> usize {
        self.pages.lock().values().map(|page| page.open.len() + page.left.len()).sum()
    }

    /// Waits until a task has panicked with a change on its way.
    pub async fn abandoned(&self) {
        // The sender lives as long as this.
        let _ = self.abandoned.subscribe().wait_for(|abandoned| *abandoned).await;
    }
}

impl Page {
    fn oldest(&self) -> Option<u64> {
        self.open.first().into_iter().chain(self.left.first()).min().copied()
    }
}

// === impl Open ===

impl Open {
    /// The change's id.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The change is published, or it was never stored.
    pub fn close(mut self) {
        self.is_closed = true;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(page) = self.ledger.pages.lock().get_mut(&self.lease) {
            page.open.remove(&self.id);
            if !self.is_closed {
                page.left.insert(self.id);
            }
        }
        self.ledger.ended.notify_waiters();
        if !self.is_closed && std::thread::panicking() {
            self.ledger.abandoned.send_replace(true);
        }
    }
}

#[cfg(test)]
mod tests;
