//! Keeps the outbox of one set short: watermarks about once a second, and now and then what has expired.
//!
//! A store keeps one watermark for a set whose slots all have one epoch, or one for each slot. Of many slots only those
//! get a new one in which something has happened, and of them so many a second: a busy service would spend a good part of
//! its writes on watermarks otherwise. What is above the watermark is published again by the next owner, no more.

use crate::{
    leases::{Epoch, Lease, Leases},
    ledger::Ledger,
    slots::{Slot, SlotSet},
};
use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use model::limits::{OUTBOX_PRUNE_MS, OUTBOX_WATERMARK_MS, WATERMARKS_AT_ONCE, WATERMARKS_PER_TICK};
use std::{fmt, sync::Arc, time::Duration};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

/// Everything of this epoch with a time below `published_ms` is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermark {
    /// The set.
    pub set: SlotSet,
    /// The slot; `None` for all of the set.
    pub slot: Option<Slot>,
    /// The owner's epoch.
    pub epoch: Epoch,
    /// Unix time in milliseconds, of ids.
    pub published_ms: u64,
}

/// For what a store keeps watermarks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One for a whole set.
    Set,
    /// One for each slot.
    Slot,
}

/// What a keeper needs of a service's store.
#[async_trait]
pub trait OutboxStore: Send + Sync {
    /// Why the store did not do it.
    type Error: fmt::Display + Send;

    /// For what it keeps watermarks.
    fn scope(&self) -> Scope;

    /// Stores a watermark of that scope.
    async fn put_watermark(&self, watermark: Watermark) -> Result<(), Self::Error>;

    /// Removes rows that have expired at this Unix time, a bounded number; whether there are more. A store whose rows
    /// expire by themselves has nothing to do.
    async fn prune(&self, set: SlotSet, mine: Epoch, now_ms: u64) -> Result<bool, Self::Error>;
}

/// The keeper of one set's outbox.
pub struct OutboxKeeper<S: ?Sized> {
    store: Arc<S>,
    ledger: Arc<Ledger>,
    leases: Arc<dyn Leases>,
    set: SlotSet,
}

/// The end of the last watermarks' wait: what they would have said is found out by the next sweep.
const FINISH_WAIT: Duration = Duration::from_secs(5);

// === impl OutboxKeeper ===

impl<S: OutboxStore + ?Sized> OutboxKeeper<S> {
    /// For what this process writes to the set.
    pub fn new(store: Arc<S>, ledger: Arc<Ledger>, leases: Arc<dyn Leases>, set: SlotSet) -> Self {
        Self { store, ledger, leases, set }
    }

    /// The set.
    pub fn set(&self) -> SlotSet {
        self.set
    }

    /// Runs until it is told to stop.
    pub async fn run(&self, stop: &CancellationToken) {
        let mut ticks = interval(Duration::from_millis(OUTBOX_WATERMARK_MS));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let prune_every = Duration::from_millis(OUTBOX_PRUNE_MS);
        let (mut written_ms, mut pruned_at) = (0, Instant::now());
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            // Before the slots are swept, and while they are drained, nobody is asked for more.
            let whole = self.whole();
            match self.store.scope() {
                Scope::Set => written_ms = self.keep_set(whole, written_ms).await,
                Scope::Slot => self.keep_slots().await,
            }
            if pruned_at.elapsed() >= prune_every
                && let Some(lease) = whole
            {
                match self.store.prune(self.set, lease.epoch, self.ledger.now_ms()).await {
                    // What is left goes at the next tick.
                    Ok(true) => {}
                    Ok(false) => pruned_at = Instant::now(),
                    Err(error) => {
                        pruned_at = Instant::now();
                        tracing::warn!(%error, set = ?self.set, "outbox not pruned");
                    }
                }
            }
        }
    }

    /// Writes the first watermarks of leases under which nothing has begun, where a store keeps them by slot: in which time
    /// the next owner has to look. Every id that follows is later than the one that is made for it, whatever the clock does.
    pub async fn begin(&self, leases: &[Lease]) -> Result<(), S::Error> {
        if self.store.scope() == Scope::Set || leases.is_empty() {
            return Ok(());
        }
        self.ledger.next();
        let published_ms = self.ledger.newest_ms();
        let mark = |lease: &Lease| self.mark(lease, Some(lease.slot), published_ms);
        let marks: Vec<Watermark> = leases.iter().map(mark).collect();
        let put = |mark| async move { self.store.put_watermark(mark).await };
        stream::iter(marks).map(put).buffer_unordered(WATERMARKS_AT_ONCE).try_collect().await
    }

    /// Writes the last watermarks of leases under which no id follows. That may fail: then the next owner looks for more
    /// than it has to.
    pub async fn finish(&self, leases: &[Lease]) {
        let marks = match self.store.scope() {
            Scope::Set => {
                let published_ms = self.ledger.published_ms_at_end(self.set);
                leases.first().map(|lease| self.mark(lease, None, published_ms)).into_iter().collect()
            }
            Scope::Slot => {
                let mark =
                    |lease| Some(self.mark(lease, Some(lease.slot), self.ledger.published_ms_of(lease)?));
                leases.iter().filter_map(mark).collect()
            }
        };
        if timeout(FINISH_WAIT, self.put_all(marks)).await.is_err() {
            tracing::warn!(set = ?self.set, "last watermarks not written in time");
        }
    }

    /// The lease of a set whose slots all have one epoch.
    fn whole(&self) -> Option<Lease> {
        let first = Slot::all().next().expect("a set has slots");
        let is_whole = self.store.scope() == Scope::Set;
        is_whole.then(|| self.leases.lease(self.set, first).ok()).flatten()
    }

    /// Writes the set's watermark if it has moved; the one that is written then.
    async fn keep_set(&self, whole: Option<Lease>, written_ms: u64) -> u64 {
        let published_ms = self.ledger.published_ms(self.set);
        match whole {
            Some(lease) if published_ms > written_ms => {
                let is_written = self.put(self.mark(&lease, None, published_ms)).await;
                if is_written { published_ms } else { written_ms }
            }
            _ => written_ms,
        }
    }

    async fn keep_slots(&self) {
        let unwritten = self.ledger.unwritten(self.set).into_iter();
        let ours = unwritten.filter(|(lease, _)| self.leases.check(lease).is_ok()).take(WATERMARKS_PER_TICK);
        let marks =
            ours.map(|(lease, published_ms)| self.mark(&lease, Some(lease.slot), published_ms)).collect();
        self.put_all(marks).await;
    }

    fn mark(&self, lease: &Lease, slot: Option<Slot>, published_ms: u64) -> Watermark {
        Watermark { set: self.set, slot, epoch: lease.epoch, published_ms }
    }

    async fn put_all(&self, marks: Vec<Watermark>) {
        let put = |mark| async move { self.put(mark).await };
        stream::iter(marks).map(put).buffer_unordered(WATERMARKS_AT_ONCE).collect::<Vec<_>>().await;
    }

    async fn put(&self, mark: Watermark) -> bool {
        if let Err(error) = self.store.put_watermark(mark).await {
            tracing::warn!(%error, ?mark, "watermark not written");
            return false;
        }
        if let Watermark { set, slot: Some(slot), epoch, published_ms } = mark {
            self.ledger.note_written(&Lease { set, slot, epoch }, published_ms);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NotOwner, Snowflakes, WorkerId};
    use model::{clock::ManualClock, snowflake};
    use parking_lot::Mutex;

    const NOW_MS: u64 = 1_700_000_000_000;

    /// Notes what it is told; has so many prunes to do, and can hang.
    #[derive(Default)]
    struct Notes {
        watermarks: Mutex<Vec<(Option<Slot>, u64)>>,
        prunes: Mutex<Vec<u64>>,
        hangs: bool,
        by_slot: bool,
    }

    /// Every slot, by one epoch.
    struct All;

    impl Leases for All {
        fn lease(&self, set: SlotSet, slot: Slot) -> Result<Lease, NotOwner> {
            Ok(Lease { set, slot, epoch: Epoch(1) })
        }

        fn check(&self, _: &Lease) -> Result<(), NotOwner> {
            Ok(())
        }

        fn end_of(&self, _: &Lease) -> CancellationToken {
            CancellationToken::new()
        }

        fn write_until(&self) -> Option<Instant> {
            None
        }
    }

    #[async_trait]
    impl OutboxStore for Notes {
        type Error = String;

        fn scope(&self) -> Scope {
            if self.by_slot { Scope::Slot } else { Scope::Set }
        }

        async fn put_watermark(&self, mark: Watermark) -> Result<(), String> {
            if self.hangs {
                std::future::pending::<()>().await;
            }
            self.watermarks.lock().push((mark.slot, mark.published_ms - NOW_MS));
            if self.watermarks.lock().len() == 1 { Err("the first fails".into()) } else { Ok(()) }
        }

        async fn prune(&self, _: SlotSet, _: Epoch, now_ms: u64) -> Result<bool, String> {
            let mut prunes = self.prunes.lock();
            prunes.push(now_ms - NOW_MS);
            Ok(prunes.len() < 3)
        }
    }

    fn keeper(notes: &Arc<Notes>) -> (ManualClock, Arc<Ledger>, OutboxKeeper<Notes>) {
        let clock = ManualClock::at(NOW_MS);
        let ids = Arc::new(Mutex::new(Snowflakes::new(WorkerId::of_epoch(Epoch(1)), 0)));
        let ledger = Ledger::new(ids, Arc::new(clock.clone()));
        ledger.next();
        let keeper = OutboxKeeper::new(notes.clone(), ledger.clone(), Arc::new(All), SlotSet::Guilds);
        (clock, ledger, keeper)
    }

    fn lease(slot: u16) -> Lease {
        Lease { set: SlotSet::Guilds, slot: Slot::new(slot).unwrap(), epoch: Epoch(1) }
    }

    #[tokio::test(start_paused = true)]
    async fn slots_in_which_something_happens_get_their_turn() {
        let notes = Arc::new(Notes { by_slot: true, ..Notes::default() });
        let (clock, ledger, keeper) = keeper(&notes);
        let stop = CancellationToken::new();
        let busy = u16::try_from(WATERMARKS_PER_TICK).unwrap() + 20;
        let script = async {
            for _ in 0..3 {
                (0..busy).for_each(|slot| ledger.begin(&lease(slot)).unwrap().close());
                clock.advance(1_000);
                ledger.next();
                tokio::time::sleep(Duration::from_millis(OUTBOX_WATERMARK_MS)).await;
            }
            stop.cancel();
        };
        tokio::join!(keeper.run(&stop), script);
        let written: Vec<_> = notes.watermarks.lock().iter().filter_map(|(slot, _)| *slot).collect();
        assert!(written.len() <= 4 * WATERMARKS_PER_TICK);
        assert!((0..busy).all(|slot| written.contains(&Slot::new(slot).unwrap())));
        keeper.finish(&[lease(0), lease(busy)]).await;
        let last = notes.watermarks.lock().last().copied();
        assert_eq!(last, Some((Slot::new(0), 2_001)), "in the other nothing has happened");
    }

    /// The next owner looks from there on: in the time of the ids that follow, and below none of them.
    #[tokio::test]
    async fn the_first_watermark_is_the_time_in_which_ids_begin() {
        let notes = Arc::new(Notes { by_slot: true, ..Notes::default() });
        let (clock, ledger, keeper) = keeper(&notes);
        clock.advance(500_000);
        assert!(keeper.begin(&[lease(1)]).await.is_err(), "it is tried again");
        keeper.begin(&[lease(1)]).await.unwrap();
        assert_eq!(*notes.watermarks.lock(), [(Slot::new(1), 500_000); 2]);
        clock.set(NOW_MS);
        let id = ledger.begin(&lease(1)).unwrap().id();
        assert!(snowflake::timestamp_ms(id) >= NOW_MS + 500_000);
    }

    #[tokio::test(start_paused = true)]
    async fn watermarks_are_written_when_they_move_and_repeated_when_they_failed() {
        let notes = Arc::new(Notes::default());
        let (clock, ledger, keeper) = keeper(&notes);
        let open = ledger.begin(&lease(0)).unwrap();
        let stop = CancellationToken::new();
        let script = async {
            tokio::time::sleep(Duration::from_millis(3_500)).await;
            clock.advance(4_000);
            ledger.next();
            open.close();
            tokio::time::sleep(Duration::from_millis(3_000)).await;
            stop.cancel();
        };
        tokio::join!(keeper.run(&stop), script);
        assert_eq!(*notes.watermarks.lock(), [(None, 0), (None, 0), (None, 4_000)]);
        keeper.finish(&[lease(0), lease(1)]).await;
        assert_eq!(notes.watermarks.lock().last(), Some(&(None, 4_001)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_prune_that_left_rows_goes_on_at_the_next_tick() {
        let notes = Arc::new(Notes::default());
        let (clock, _, keeper) = keeper(&notes);
        let (stop, began) = (CancellationToken::new(), Instant::now());
        let script = async {
            while began.elapsed() < Duration::from_millis(45_500) {
                tokio::time::sleep(Duration::from_millis(500)).await;
                clock.set(NOW_MS + began.elapsed().as_millis() as u64);
            }
            stop.cancel();
        };
        tokio::join!(keeper.run(&stop), script);
        let secs: Vec<_> = notes.prunes.lock().iter().map(|ms| ms.div_ceil(1_000)).collect();
        assert_eq!(secs, [30, 31, 32], "then thirty seconds pass");
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_watermark_has_its_time() {
        let notes = Arc::new(Notes { hangs: true, ..Notes::default() });
        let (_, _, keeper) = keeper(&notes);
        let began = Instant::now();
        keeper.finish(&[lease(0)]).await;
        assert_eq!(began.elapsed(), FINISH_WAIT);
    }
}
