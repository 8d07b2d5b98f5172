//! Snowflakes: ids that order by time.
//!
//! An id is 42 bits of milliseconds since 2015, 10 bits of worker and 12 bits of increment. Two ids are never
//! equal because
//! - within a start the generator only goes up, whatever the clock does: while the clock stands or steps back
//!   it counts the increment on, and moves to the next millisecond when that is used up;
//! - adjacent starts have different workers: the worker is the epoch modulo 1,024;
//! - starts that share a worker lie 1,024 starts apart, and each begins above the time that the one before it
//!   recorded ([`IdFloor`], at most once a second).
//!
//! So it is embedded. In a cluster workers are leased ([`WorkerLease`]), and the next holder of one
//! begins above the time that the one before it had written down before it came there ([`WorkerLease::snowflakes`]).
//!
//! Ids also order: a start's ids lie above all that the floor covers. What the last second before a crash
//! handed out is covered as well unless the clock has stepped back meanwhile; then a channel still starts above
//! its own newest message, by [`Snowflakes::raise_above`].

#[cfg(doc)]
use crate::WorkerLease;
use crate::{
    engine::{Batch, Engine, Table},
    keys::{FloorKey, META_TABLE},
    leases::{Epoch, LeaseError},
};
use model::{
    limits::ID_FLOOR_MS,
    snowflake::{EPOCH_MS, TIMESTAMP_SHIFT},
};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};
use tokio::sync::Notify;

const WORKER_BITS: u32 = 10;
const INCREMENT_BITS: u32 = TIMESTAMP_SHIFT - WORKER_BITS;
const INCREMENT_MAX: u64 = (1 << INCREMENT_BITS) - 1;
const TIME_MAX: u64 = (1 << (64 - TIMESTAMP_SHIFT)) - 1;

/// The ten bits that tell generators apart (in the published layout: five of worker, five of process).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WorkerId(u16);

/// The generator. Pure: the caller brings the time.
#[derive(Clone, Debug)]
pub struct Snowflakes {
    worker: WorkerId,
    /// Milliseconds since [`EPOCH_MS`] of the last id.
    time: u64,
    /// The increment that the next id in that millisecond gets; one too many when it is used up.
    increment: u64,
    /// Milliseconds since [`EPOCH_MS`]: for a clock that is further the time stands still there.
    ceiling: u64,
    /// Told when the time has come to the ceiling.
    at_ceiling: Arc<Notify>,
}

/// The recorded time of the newest id.
#[derive(Debug)]
pub struct IdFloor {
    meta: Table,
    recorded_ms: AtomicU64,
}

// === impl WorkerId ===

impl WorkerId {
    /// The worker of a start.
    pub fn of_epoch(epoch: Epoch) -> Self {
        Self(u16::try_from(epoch.0 % (1 << WORKER_BITS)).expect("ten bits fit in sixteen"))
    }

    /// The worker that made a snowflake.
    pub fn of_snowflake(id: u64) -> Self {
        Self(
            u16::try_from(id >> INCREMENT_BITS & (u64::from(Self::COUNT) - 1))
                .expect("ten bits fit in sixteen"),
        )
    }

    /// How many there are.
    pub const COUNT: u16 = 1 << WORKER_BITS;

    /// The worker with that number; `None` from 1,024 on.
    pub const fn new(number: u16) -> Option<Self> {
        if number < Self::COUNT { Some(Self(number)) } else { None }
    }

    /// Its number, below 1,024.
    pub fn get(self) -> u16 {
        self.0
    }
}

// === impl Snowflakes ===

impl Snowflakes {
    /// A generator whose ids all have a later time than `floor_ms` (Unix time; 0 for none).
    pub fn new(worker: WorkerId, floor_ms: u64) -> Self {
        let time = floor_ms.saturating_sub(EPOCH_MS).min(TIME_MAX);
        // The floor's own millisecond counts as used up, except at the very beginning of time.
        let increment = if time == 0 { 0 } else { INCREMENT_MAX + 1 };
        Self { worker, time, increment, ceiling: TIME_MAX, at_ceiling: Arc::default() }
    }

    /// The same, whose ids follow the clock no further than this until the ceiling is raised.
    pub fn below(self, ceiling_ms: u64) -> Self {
        Self { ceiling: ceiling_ms.saturating_sub(EPOCH_MS), ..self }
    }

    /// The worker of its ids.
    pub fn worker(&self) -> WorkerId {
        self.worker
    }

    /// Raises the ceiling; it is never lowered.
    pub fn raise_ceiling(&mut self, ceiling_ms: u64) {
        self.ceiling = self.ceiling.max(ceiling_ms.saturating_sub(EPOCH_MS));
    }

    /// Told when ids have come to the ceiling: where the clock has jumped, or where they had to be raised above another's.
    /// They go on all the same, so the ceiling should be raised at once.
    pub fn at_ceiling(&self) -> Arc<Notify> {
        self.at_ceiling.clone()
    }

    /// The next id at Unix time `now_ms`: above every earlier one, with the time `now_ms` unless an earlier id
    /// has a later one.
    pub fn next(&mut self, now_ms: u64) -> u64 {
        let now = now_ms.saturating_sub(EPOCH_MS).min(TIME_MAX).min(self.ceiling);
        if now > self.time {
            self.time = now;
            self.increment = 0;
        } else if self.increment > INCREMENT_MAX {
            self.time += 1;
            self.increment = 0;
        }
        assert!(self.time <= TIME_MAX, "snowflakes end in the year 2154");
        let id = self.time << TIMESTAMP_SHIFT | u64::from(self.worker.0) << INCREMENT_BITS | self.increment;
        self.increment += 1;
        self.tell_at_ceiling();
        id
    }

    /// Makes all further ids lie above `id`, for example a channel's newest message.
    pub fn raise_above(&mut self, id: u64) {
        let time = id >> TIMESTAMP_SHIFT;
        if time >= self.time {
            self.time = time;
            self.increment = INCREMENT_MAX + 1;
            self.tell_at_ceiling();
        }
    }

    /// Unix time in milliseconds of the last id, or of the floor.
    pub fn last_ms(&self) -> u64 {
        self.time + EPOCH_MS
    }

    fn tell_at_ceiling(&self) {
        if self.time >= self.ceiling {
            self.at_ceiling.notify_one();
        }
    }
}

// === impl IdFloor ===

impl IdFloor {
    /// Reads the recorded time.
    pub fn open(engine: &Engine) -> Result<Self, LeaseError> {
        let meta = engine.table(META_TABLE)?;
        let recorded_ms = match meta.get(FloorKey::encode())? {
            Some(value) => FloorKey::decode_value(&value)?,
            None => 0,
        };
        Ok(Self { meta, recorded_ms: AtomicU64::new(recorded_ms) })
    }

    /// Unix time in milliseconds as last recorded, 0 before the first time.
    pub fn recorded_ms(&self) -> u64 {
        self.recorded_ms.load(Relaxed)
    }

    /// Adds the record to a batch that is going to be committed, when a second has passed since the last.
    /// Whether it did. Put it into the batch that holds the id.
    pub fn record_if_due(&self, batch: &mut Batch, last_ms: u64) -> bool {
        let due = |recorded| (last_ms >= recorded + ID_FLOOR_MS).then_some(last_ms);
        if self.recorded_ms.fetch_update(Relaxed, Relaxed, due).is_err() {
            return false;
        }
        batch.put(&self.meta, FloorKey::encode(), FloorKey::encode_value(last_ms));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EngineOptions;
    use model::snowflake::timestamp_ms;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ids_rise_whatever_the_clock_does(
            epoch: u64,
            floor in 0..2_000_000_000_000_u64,
            steps in proptest::collection::vec((-5_000_i64..5_000, 1..6_000_u32), 1..20),
        ) {
            let worker = WorkerId::of_epoch(Epoch(epoch));
            let mut ids = Snowflakes::new(worker, floor);
            let mut now = 1_700_000_000_000_u64;
            let mut last = 0;
            for (step, count) in steps {
                now = now.saturating_add_signed(step);
                for _ in 0..count {
                    let id = ids.next(now);
                    prop_assert!(id > last);
                    prop_assert!(timestamp_ms(id) > floor || floor <= EPOCH_MS);
                    prop_assert!(timestamp_ms(id) >= now);
                    prop_assert_eq!(id >> 12 & 0x3ff, epoch % 1_024);
                    prop_assert_eq!(WorkerId::of_snowflake(id), worker);
                    prop_assert_eq!(ids.last_ms(), timestamp_ms(id));
                    last = id;
                }
            }
        }

        #[test]
        fn ids_lie_above_what_they_are_raised_above(id in 0..(1_u64 << 63), now in 0..2_000_000_000_000_u64) {
            let mut ids = Snowflakes::new(WorkerId::of_epoch(Epoch(1)), 0);
            ids.next(now);
            ids.raise_above(id);
            prop_assert!(ids.next(now) > id);
        }
    }

    #[test]
    fn layout_is_the_published_one() {
        let mut ids = Snowflakes::new(WorkerId::of_epoch(Epoch(32)), 0);
        // The example of the published documentation: 2016-04-30 11:18:25.796 UTC, worker 1, process 0,
        // increment 7.
        let first_eight: Vec<u64> = (0..8).map(|_| ids.next(1_462_015_105_796)).collect();
        assert_eq!(first_eight[7], 175_928_847_299_117_063);
    }

    #[test]
    fn the_clock_is_followed_up_to_the_ceiling() {
        let now = 1_700_000_000_000;
        let mut ids = Snowflakes::new(WorkerId::of_epoch(Epoch(1)), 0).below(now + 60_000);
        assert_eq!(timestamp_ms(ids.next(now)), now);
        assert_eq!(timestamp_ms(ids.next(now + 3_600_000)), now + 60_000, "the clock has jumped");
        assert_eq!(timestamp_ms(ids.next(now + 3_600_001)), now + 60_000);
        ids.raise_ceiling(now + 3_700_000);
        ids.raise_ceiling(now);
        assert_eq!(timestamp_ms(ids.next(now + 3_600_002)), now + 3_600_002);
    }

    #[test]
    fn a_full_millisecond_moves_to_the_next() {
        let mut ids = Snowflakes::new(WorkerId::of_epoch(Epoch(0)), 0);
        let now = 1_700_000_000_000;
        let all: Vec<u64> = (0..4_097).map(|_| ids.next(now)).collect();
        assert_eq!(timestamp_ms(all[4_095]), now);
        assert_eq!(timestamp_ms(all[4_096]), now + 1);
        assert_eq!(all[4_096] & 0xfff, 0);
    }

    #[tokio::test]
    async fn the_floor_is_recorded_once_a_second_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let now = 1_700_000_000_000;
        {
            let engine = Engine::open(dir.path(), EngineOptions::default()).unwrap();
            let floor = IdFloor::open(&engine).unwrap();
            assert_eq!(floor.recorded_ms(), 0);
            let mut batch = Batch::new();
            let due = [0, 999, 1_000, 1_500, 900, 2_000].map(|ms| floor.record_if_due(&mut batch, now + ms));
            assert_eq!(due, [true, false, true, false, false, true]);
            engine.commit(batch).await.unwrap();
        }
        let engine = Engine::open(dir.path(), EngineOptions::default()).unwrap();
        assert_eq!(IdFloor::open(&engine).unwrap().recorded_ms(), now + 2_000);
    }
}
