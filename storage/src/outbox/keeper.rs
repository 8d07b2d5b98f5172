//! Keeps the outbox of one set short: the watermark about once a second, and now and then what has expired.

use crate::{leases::Epoch, ledger::Ledger, slots::SlotSet};
use async_trait::async_trait;
use model::limits::{OUTBOX_PRUNE_MS, OUTBOX_WATERMARK_MS};
use std::{fmt, sync::Arc, time::Duration};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

/// What a keeper needs of a service's store.
#[async_trait]
pub trait OutboxStore: Send + Sync {
    /// Why the store did not do it.
    type Error: fmt::Display + Send;

    /// Stores that everything of this epoch with a time below `published_ms` is published.
    async fn put_watermark(&self, set: SlotSet, epoch: Epoch, published_ms: u64) -> Result<(), Self::Error>;

    /// Removes rows that have expired at this Unix time, a bounded number; whether there are more.
    async fn prune(&self, set: SlotSet, mine: Epoch, now_ms: u64) -> Result<bool, Self::Error>;
}

/// The keeper of one set's outbox.
pub struct OutboxKeeper<S: ?Sized> {
    store: Arc<S>,
    ledger: Arc<Ledger>,
    set: SlotSet,
    epoch: Epoch,
}

/// The end of the last watermark's wait: what it would have said is found out by the next sweep.
const FINISH_WAIT: Duration = Duration::from_secs(5);

// === impl OutboxKeeper ===

impl<S: OutboxStore + ?Sized> OutboxKeeper<S> {
    /// For what this process writes to the set in this epoch.
    pub fn new(store: Arc<S>, ledger: Arc<Ledger>, set: SlotSet, epoch: Epoch) -> Self {
        Self { store, ledger, set, epoch }
    }

    /// Runs until it is told to stop.
    pub async fn run(&self, stop: &CancellationToken) {
        let mut ticks = interval(Duration::from_millis(OUTBOX_WATERMARK_MS));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let prune_every = Duration::from_millis(OUTBOX_PRUNE_MS);
        let (mut written_ms, mut pruned_at) = (0, Instant::now());
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let published_ms = self.ledger.published_ms(self.set);
            if published_ms > written_ms {
                match self.store.put_watermark(self.set, self.epoch, published_ms).await {
                    Ok(()) => written_ms = published_ms,
                    Err(error) => tracing::warn!(%error, set = ?self.set, "watermark not written"),
                }
            }
            if pruned_at.elapsed() >= prune_every {
                match self.store.prune(self.set, self.epoch, self.ledger.now_ms()).await {
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

    /// Writes the last watermark, when no id follows. It may fail: then the next start looks for more than it has to.
    pub async fn finish(&self) {
        let published_ms = self.ledger.published_ms_at_end(self.set);
        match timeout(FINISH_WAIT, self.store.put_watermark(self.set, self.epoch, published_ms)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, set = ?self.set, "last watermark not written"),
            Err(_) => tracing::warn!(set = ?self.set, "last watermark not written in time"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Snowflakes, WorkerId};
    use model::clock::ManualClock;
    use parking_lot::Mutex;

    const NOW_MS: u64 = 1_700_000_000_000;

    /// Notes what it is told; has so many prunes to do, and can hang.
    #[derive(Default)]
    struct Notes {
        watermarks: Mutex<Vec<u64>>,
        prunes: Mutex<Vec<u64>>,
        hangs: bool,
    }

    #[async_trait]
    impl OutboxStore for Notes {
        type Error = String;

        async fn put_watermark(&self, _: SlotSet, _: Epoch, published_ms: u64) -> Result<(), String> {
            if self.hangs {
                std::future::pending::<()>().await;
            }
            self.watermarks.lock().push(published_ms - NOW_MS);
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
        let keeper = OutboxKeeper::new(notes.clone(), ledger.clone(), SlotSet::Guilds, Epoch(1));
        (clock, ledger, keeper)
    }

    #[tokio::test(start_paused = true)]
    async fn watermarks_are_written_when_they_move_and_repeated_when_they_failed() {
        let notes = Arc::new(Notes::default());
        let (clock, ledger, keeper) = keeper(&notes);
        let open = ledger.begin(SlotSet::Guilds);
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
        assert_eq!(*notes.watermarks.lock(), [0, 0, 4_000]);
        keeper.finish().await;
        assert_eq!(notes.watermarks.lock().last(), Some(&4_001));
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
        keeper.finish().await;
        assert_eq!(began.elapsed(), FINISH_WAIT);
    }
}
