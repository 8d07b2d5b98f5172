//! Leases of the only process there is.
//!
//! It owns all slots for as long as it holds the lock on the database directory. Its epoch is the number of the start,
//! durable before the first use. The slots of a set are swept all at once, and once: the lock rules out that an earlier
//! owner still writes.

use super::{
    Epoch, Lease, LeaseError, Leases, NotOwner, Ownership, OwnershipError, Pass, Phase, SlotService,
    SlotTable,
};
use crate::{
    engine::{Batch, Engine},
    keys::{EpochKey, META_TABLE},
    slots::{Slot, SlotSet},
};
use async_trait::async_trait;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// One for all services of the process.
#[derive(Clone, Debug)]
pub struct EmbeddedLeases {
    epoch: Epoch,
    table: Arc<SlotTable>,
}

impl EmbeddedLeases {
    /// Takes the next epoch and makes it durable. Once per start of the process, not once per service.
    pub async fn start(engine: &Engine) -> Result<Self, LeaseError> {
        let meta = engine.table(META_TABLE)?;
        let last = match meta.get(EpochKey::encode())? {
            Some(value) => EpochKey::decode_value(&value)?,
            None => Epoch(0),
        };
        let epoch = last.next();
        let mut batch = Batch::new();
        batch.put(&meta, EpochKey::encode(), EpochKey::encode_value(epoch));
        engine.commit(batch).await?;
        Ok(Self { epoch, table: Arc::new(SlotTable::new()) })
    }

    /// The epoch of all leases of this process.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }
}

impl Leases for EmbeddedLeases {
    fn lease(&self, set: SlotSet, slot: Slot) -> Result<Lease, NotOwner> {
        self.table.lease(set, slot)
    }

    fn check(&self, lease: &Lease) -> Result<(), NotOwner> {
        self.table.check(lease)
    }

    fn end_of(&self, lease: &Lease) -> CancellationToken {
        self.table.end_of(lease)
    }

    fn write_until(&self) -> Option<Instant> {
        self.table.write_until(Duration::ZERO)
    }
}

#[async_trait]
impl Ownership for EmbeddedLeases {
    async fn run(
        &self,
        sets: &[SlotSet],
        service: &dyn SlotService,
        stop: &CancellationToken,
    ) -> Result<(), OwnershipError> {
        let epoch = self.epoch;
        let leases = |set: &SlotSet| Slot::all().map(move |slot| Lease { set: *set, slot, epoch }).collect();
        let all: Vec<Vec<Lease>> = sets.iter().map(leases).collect();
        let enter = |phase| all.iter().flatten().for_each(|lease| self.table.set(lease, phase));
        let give_up = || all.iter().flatten().for_each(|lease| self.table.clear(lease));
        enter(Phase::Sweeping);
        for leases in &all {
            if let Err(error) = service.sweep(leases, Pass::First).await {
                give_up();
                return Err(OwnershipError::Sweep(error));
            }
        }
        enter(Phase::Owned);
        self.table.note_settled(sets);
        stop.cancelled().await;
        enter(Phase::Draining);
        for leases in &all {
            service.drain(leases).await;
        }
        give_up();
        Ok(())
    }

    async fn settled(&self, sets: &[SlotSet]) {
        self.table.settled(sets).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EngineOptions;
    use parking_lot::Mutex;

    const SETS: [SlotSet; 2] = [SlotSet::Guilds, SlotSet::Users];

    /// Notes what it is asked to do, and with how many slots; can fail.
    #[derive(Default)]
    struct Notes {
        calls: Mutex<Vec<String>>,
        fails: bool,
    }

    #[async_trait]
    impl SlotService for Notes {
        async fn sweep(&self, leases: &[Lease], pass: Pass) -> Result<(), super::super::ServiceError> {
            self.calls.lock().push(format!("{pass:?} sweep of {} {:?}", leases.len(), leases[0].set));
            if self.fails { Err("the stream is away".into()) } else { Ok(()) }
        }

        async fn drain(&self, leases: &[Lease]) {
            self.calls.lock().push(format!("drain of {} {:?}", leases.len(), leases[0].set));
        }
    }

    #[tokio::test]
    async fn each_start_has_the_next_epoch_and_serves_what_is_swept_until_it_stops() {
        let dir = tempfile::tempdir().unwrap();
        for expected in 1..=3 {
            let engine = Engine::open(dir.path(), EngineOptions::default()).unwrap();
            let leases = EmbeddedLeases::start(&engine).await.unwrap();
            assert_eq!(leases.epoch(), Epoch(expected));
            assert!(leases.lease(SlotSet::Guilds, Slot::of(5)).is_err(), "nothing is swept yet");
            let (notes, stop) = (Notes::default(), CancellationToken::new());
            let script = async {
                leases.settled(&SETS).await;
                let lease = leases.lease(SlotSet::Guilds, Slot::of(5)).unwrap();
                assert_eq!((lease.epoch, leases.check(&lease)), (Epoch(expected), Ok(())));
                assert!(leases.check(&Lease { epoch: Epoch(expected - 1), ..lease }).is_err());
                assert!(leases.lease(SlotSet::Channels, Slot::of(5)).is_err(), "another service's");
                stop.cancel();
                lease
            };
            let (ran, lease) = tokio::join!(leases.run(&SETS, &notes, &stop), script);
            ran.unwrap();
            assert!(leases.check(&lease).is_err());
            let sweeps = ["First sweep of 1024 Guilds", "First sweep of 1024 Users"];
            assert_eq!(
                notes.calls.into_inner(),
                [&sweeps[..], &["drain of 1024 Guilds", "drain of 1024 Users"]].concat()
            );
            engine.close().await.unwrap();
        }
    }

    #[tokio::test]
    async fn what_is_not_swept_is_not_served() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::open(dir.path(), EngineOptions::default()).unwrap();
        let leases = EmbeddedLeases::start(&engine).await.unwrap();
        let notes = Notes { fails: true, ..Notes::default() };
        let error = leases.run(&SETS, &notes, &CancellationToken::new()).await.unwrap_err();
        assert!(error.to_string().contains("the stream is away"), "{error}");
        assert!(leases.lease(SlotSet::Guilds, Slot::of(5)).is_err());
    }

    #[tokio::test]
    async fn a_damaged_epoch_is_an_error_and_not_epoch_one() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::open(dir.path(), EngineOptions::default()).unwrap();
        let mut batch = Batch::new();
        batch.put(&engine.table(META_TABLE).unwrap(), EpochKey::encode(), [1, 2, 3]);
        engine.commit(batch).await.unwrap();
        assert!(matches!(EmbeddedLeases::start(&engine).await, Err(LeaseError::Corrupt(_))));
    }
}
