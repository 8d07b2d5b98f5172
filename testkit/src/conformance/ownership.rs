//! What everybody has to do by whom slots come and go.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use model::limits::SLOT_SWEEPS_AT_ONCE;
use parking_lot::Mutex;
use storage::{Lease, Ownership, Pass, ServiceError, Slot, SlotService, SlotSet};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Makes one test of each property; the maker is an `async fn() -> Option<Owners>`.
#[macro_export]
macro_rules! ownership_conformance {
    ($maker:path) => {
        $crate::conformance_tests_where_possible! { $maker, [$crate::conformance::ownership]
            what_is_swept_is_served_until_it_is_drained
            what_cannot_be_swept_is_not_served
        }
    };
}

/// Makes processes, one after the other, of a service that nobody else serves.
pub type Owners = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Arc<dyn Ownership>> + Send>> + Send + Sync>;

const SETS: [SlotSet; 2] = [SlotSet::Guilds, SlotSet::Users];
const PATIENCE: Duration = Duration::from_secs(60);

/// Notes what it is asked to do; can be unable to sweep.
struct Notes {
    owner: Arc<dyn Ownership>,
    tried: watch::Sender<BTreeSet<Lease>>,
    swept: Mutex<BTreeSet<Lease>>,
    drained: Mutex<BTreeSet<Lease>>,
    fails: bool,
}

impl Notes {
    fn new(owner: &Arc<dyn Ownership>, fails: bool) -> Self {
        Self {
            owner: owner.clone(),
            tried: watch::Sender::default(),
            swept: Mutex::default(),
            drained: Mutex::default(),
            fails,
        }
    }
}

#[async_trait]
impl SlotService for Notes {
    async fn sweep(&self, leases: &[Lease], pass: Pass) -> Result<(), ServiceError> {
        assert!(leases.windows(2).all(|two| two[0].set == two[1].set), "one set at a time");
        for lease in leases {
            assert_eq!(self.owner.check(lease), Ok(()), "what is published carries it");
            let is_served = self.owner.lease(lease.set, lease.slot).is_ok();
            assert!(pass == Pass::Late || !is_served, "{lease:?} is served before it is swept");
        }
        self.tried.send_modify(|tried| tried.extend(leases));
        if self.fails {
            return Err("the stream is away".into());
        }
        self.swept.lock().extend(leases);
        Ok(())
    }

    async fn drain(&self, leases: &[Lease]) {
        for lease in leases {
            assert!(self.owner.lease(lease.set, lease.slot).is_err(), "nothing begins");
            assert_eq!(self.owner.check(lease), Ok(()), "what has begun may be finished");
            assert!(self.owner.end_of(lease).is_cancelled());
        }
        self.drained.lock().extend(leases);
    }
}

fn slots() -> impl Iterator<Item = (SlotSet, Slot)> {
    SETS.into_iter().flat_map(|set| Slot::all().map(move |slot| (set, slot)))
}

pub async fn what_is_swept_is_served_until_it_is_drained(owners: Owners) {
    let mut before: Option<Vec<Lease>> = None;
    for _ in 0..2 {
        let owner = owners().await;
        assert!(slots().all(|(set, slot)| owner.lease(set, slot).is_err()));
        let (notes, stop) = (Notes::new(&owner, false), CancellationToken::new());
        let script = async {
            timeout(PATIENCE, owner.settled(&SETS)).await.expect("it has all slots");
            let leases: Vec<Lease> =
                slots().map(|(set, slot)| owner.lease(set, slot).expect("it is served")).collect();
            assert!(
                leases.iter().all(|lease| owner.check(lease).is_ok() && !owner.end_of(lease).is_cancelled())
            );
            assert!(owner.lease(SlotSet::Channels, leases[0].slot).is_err(), "another service's");
            assert_eq!(*notes.swept.lock(), leases.iter().copied().collect());
            stop.cancel();
            leases
        };
        let (ran, leases) = tokio::join!(owner.run(&SETS, &notes, &stop), script);
        ran.expect("it was stopped");
        assert_eq!(*notes.drained.lock(), leases.iter().copied().collect());
        assert!(leases.iter().all(|lease| owner.check(lease).is_err() && owner.end_of(lease).is_cancelled()));
        if let Some(before) = before {
            let is_later = |(earlier, later): (&Lease, &Lease)| earlier.epoch < later.epoch;
            assert!(before.iter().zip(&leases).all(is_later), "who comes later has later epochs");
        }
        before = Some(leases);
    }
}

pub async fn what_cannot_be_swept_is_not_served(owners: Owners) {
    let owner = owners().await;
    let (notes, stop) = (Notes::new(&owner, true), CancellationToken::new());
    let script = async {
        let mut tried = notes.tried.subscribe();
        let many = tried.wait_for(|tried| tried.len() >= TRIED_MIN);
        drop(timeout(PATIENCE, many).await.expect("it is asked to sweep").expect("the sender lives"));
        assert!(slots().all(|(set, slot)| owner.lease(set, slot).is_err()));
        stop.cancel();
    };
    // One that owns everything or nothing gives up.
    let _ = tokio::join!(owner.run(&SETS, &notes, &stop), script);
    assert!(slots().all(|(set, slot)| owner.lease(set, slot).is_err()));
    assert!(notes.tried.borrow().iter().all(|lease| owner.check(lease).is_err()), "they are given up");
}

/// More than are swept at one time: some have been tried and have failed by then.
const TRIED_MIN: usize = 2 * SLOT_SWEEPS_AT_ONCE;
