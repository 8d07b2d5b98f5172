//! Holders of one worker id after each other, in virtual time.

use super::*;
use model::{clock::Clock, snowflake::timestamp_ms};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

const NOW_MS: u64 = 1_700_000_000_000;

/// Goes with tokio's time, and is off by so much.
struct Watch {
    started: Instant,
    ahead_ms: u64,
}

impl Clock for Watch {
    fn now_ms(&self) -> u64 {
        NOW_MS + self.ahead_ms + u64::try_from(self.started.elapsed().as_millis()).unwrap()
    }
}

/// A register in which all ids are one, and which can be away.
#[derive(Default)]
struct One {
    inner: MemoryWorkers,
    is_away: AtomicBool,
}

const WORKER: WorkerId = match WorkerId::new(5) {
    Some(worker) => worker,
    None => unreachable!(),
};

#[async_trait]
impl WorkerRegister for One {
    async fn read(&self, _: WorkerId) -> Result<Option<WorkerRow>, RegisterError> {
        if self.is_away.load(SeqCst) {
            return Err(RegisterError("away".into()));
        }
        self.inner.read(WORKER).await
    }

    async fn write(
        &self,
        _: WorkerId,
        seen: Option<WorkerRow>,
        row: WorkerRow,
    ) -> Result<bool, RegisterError> {
        if self.is_away.load(SeqCst) {
            return Err(RegisterError("away".into()));
        }
        self.inner.write(WORKER, seen, row).await
    }
}

/// The same clock for all processes of a test.
struct World {
    register: Arc<One>,
    started: Instant,
}

impl World {
    fn new() -> Self {
        Self { register: Arc::default(), started: Instant::now() }
    }

    fn clock(&self, ahead_ms: u64) -> SharedClock {
        Arc::new(Watch { started: self.started, ahead_ms })
    }

    async fn take(&self, ahead_ms: u64) -> Result<WorkerLease, WorkerError> {
        WorkerLease::take(self.register.clone(), self.clock(ahead_ms)).await
    }

    async fn row(&self) -> WorkerRow {
        self.register.inner.read(WORKER).await.unwrap().unwrap()
    }
}

/// The generator of a holder.
fn ids(lease: &WorkerLease) -> SharedSnowflakes {
    Arc::new(Mutex::new(lease.snowflakes()))
}

async fn pass(ms: u64) {
    sleep(Duration::from_millis(ms)).await;
}

#[tokio::test(start_paused = true)]
async fn who_renews_keeps_the_id_and_who_falls_silent_is_followed_by_another() {
    let world = World::new();
    let first = world.take(0).await.unwrap();
    let ids_of_first = ids(&first);
    let stop = CancellationToken::new();
    {
        let mut keeping = std::pin::pin!(first.keep(&ids_of_first, &stop));
        let refused = tokio::select! {
            _ = &mut keeping => panic!("it is lost"),
            taken = world.take(0) => taken.err(),
        };
        assert!(matches!(refused, Some(WorkerError::NoneFree)), "{refused:?}");
    }
    // Silent from here on: what kept it is gone.
    let last = world.clock(0).now_ms();
    ids_of_first.lock().next(last + 10 * WORKER_AHEAD_MS);
    let newest_of_first = ids_of_first.lock().next(last + 10 * WORKER_AHEAD_MS);
    let second = world.take(0).await.unwrap();
    let waited_ms = world.clock(0).now_ms() - last;
    assert!(waited_ms >= WORKER_LEASE_MS, "after {waited_ms} ms");
    let first_of_second = ids(&second).lock().next(world.clock(0).now_ms());
    assert!(
        timestamp_ms(first_of_second) > timestamp_ms(newest_of_first),
        "however far the first one's clock was"
    );
}

#[tokio::test(start_paused = true)]
async fn an_id_that_is_given_up_is_free_once_the_last_snowflakes_time_has_passed() {
    const AHEAD_MS: u64 = 7_000;
    let world = World::new();
    let first = world.take(AHEAD_MS).await.unwrap();
    let (ids, stop) = (ids(&first), CancellationToken::new());
    let newest = ids.lock().next(world.clock(AHEAD_MS).now_ms());
    stop.cancel();
    first.keep(&ids, &stop).await.unwrap();
    assert_eq!(world.row().await.holder, None);
    let before = Instant::now();
    let second = world.take(0).await.unwrap();
    let waited = before.elapsed().as_millis();
    assert!((7_000..8_000).contains(&waited), "the other clock was 7 s ahead: {waited} ms");
    assert!(second.clock.now_ms() > timestamp_ms(newest));
}

#[tokio::test(start_paused = true)]
async fn who_cannot_renew_stops_before_anybody_may_follow() {
    let world = World::new();
    let lease = world.take(0).await.unwrap();
    let (ids, stop) = (ids(&lease), CancellationToken::new());
    let script = async {
        pass(WORKER_RENEW_MS + 1).await;
        world.register.is_away.store(true, SeqCst);
        Instant::now()
    };
    let (kept, renewed_at) = tokio::join!(lease.keep(&ids, &stop), script);
    assert!(kept.is_err());
    let stopped_after = renewed_at.elapsed().as_millis();
    let expected = u128::from(WORKER_STOP_MS);
    assert!((expected - 1_000..=expected).contains(&stopped_after), "{stopped_after} ms");
}

#[tokio::test(start_paused = true)]
async fn snowflakes_follow_the_clock_as_long_as_the_id_is_renewed() {
    let world = World::new();
    let lease = world.take(0).await.unwrap();
    let (ids, stop) = (ids(&lease), CancellationToken::new());
    let script = async {
        for _ in 0..10 {
            pass(WORKER_AHEAD_MS / 2).await;
            let now_ms = world.clock(0).now_ms();
            assert_eq!(timestamp_ms(ids.lock().next(now_ms)), now_ms);
            assert!(world.row().await.last_ms > now_ms);
        }
        stop.cancel();
    };
    let (kept, ()) = tokio::join!(lease.keep(&ids, &stop), script);
    kept.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_far_behind_is_said_to_be() {
    let world = World::new();
    let ahead = world.take(2 * WORKER_WAIT_MS).await.unwrap();
    let (ids, stop) = (ids(&ahead), CancellationToken::new());
    ids.lock().next(world.clock(2 * WORKER_WAIT_MS).now_ms());
    stop.cancel();
    ahead.keep(&ids, &stop).await.unwrap();
    let error = world.take(0).await.err().unwrap();
    assert!(matches!(error, WorkerError::Clock { ahead_ms, .. } if ahead_ms > WORKER_WAIT_MS), "{error}");
}

/// Between the wait for the earlier holder's time and the first snowflake the clock can be set back.
#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_afterwards_makes_no_snowflake_of_an_earlier_holders_time() {
    let world = World::new();
    let first = world.take(0).await.unwrap();
    let ids_of_first = ids(&first);
    let newest = ids_of_first.lock().next(world.clock(0).now_ms() + 10 * WORKER_AHEAD_MS);
    drop(first);
    let second = world.take(0).await.unwrap();
    let set_back_ms = world.clock(0).now_ms() - 2 * WORKER_LEASE_MS;
    let next = ids(&second).lock().next(set_back_ms);
    assert!(timestamp_ms(next) > timestamp_ms(newest));
}

/// Ids go on where they come to the ceiling; the register knows how far before many are made.
#[tokio::test(start_paused = true)]
async fn who_comes_to_the_ceiling_renews_at_once() {
    let world = World::new();
    let lease = world.take(0).await.unwrap();
    let (ids, stop) = (ids(&lease), CancellationToken::new());
    let before_ms = world.row().await.last_ms;
    let script = async {
        pass(1_000).await;
        // The clock has jumped.
        let ahead_ms = world.clock(0).now_ms() + 10 * WORKER_AHEAD_MS;
        let many = (0..10_000).fold(0, |_, _| ids.lock().next(ahead_ms));
        assert!(timestamp_ms(many) < before_ms, "they stay below what is written down");
        pass(1).await;
        assert!(world.row().await.last_ms > before_ms);
        // A channel's newest message was made by a clock that is far ahead.
        let others_ms = world.row().await.last_ms + WORKER_AHEAD_MS;
        ids.lock().raise_above(model::snowflake::lowest_at(others_ms));
        pass(1).await;
        assert!(world.row().await.last_ms > others_ms, "before the first id is made");
        stop.cancel();
    };
    let (kept, ()) = tokio::join!(lease.keep(&ids, &stop), script);
    kept.unwrap();
}
