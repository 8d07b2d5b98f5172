//! A register in memory whose answers can be late or lost, replicas that can stand still, and somebody who watches.

use super::super::*;
use crate::leases::{Epoch, Pass, ServiceError};
use model::clock::ManualClock;
use parking_lot::Mutex;
use std::{
    collections::BTreeSet,
    future::poll_fn,
    pin::Pin,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    task::{Poll, Waker},
};
use tokio::task::{AbortHandle, JoinSet};

pub(super) const SET: SlotSet = SlotSet::Channels;

/// How the register behaves.
#[derive(Clone, Copy, Default)]
pub(super) struct Faults {
    /// An answer takes up to this long.
    delay_ms: u64,
    /// Of a hundred questions so many get no answer, whether or not they were heard.
    lost_percent: u64,
}

#[derive(Clone)]
pub(super) struct World {
    register: Arc<Shared>,
    watched: Arc<Mutex<Vec<Arc<Replica>>>>,
    doubles: Arc<Mutex<Vec<String>>>,
    tasks: Arc<Mutex<JoinSet<()>>>,
}

struct Shared {
    inner: MemoryRegister,
    faults: Mutex<Faults>,
    dice: AtomicU64,
}

/// A replica that runs.
pub(super) struct Running {
    pub(super) replica: Arc<Replica>,
    pub(super) service: Arc<Notes>,
    place: Arc<Place>,
    stop: CancellationToken,
    brake: Arc<Brake>,
    task: AbortHandle,
}

/// Where replicas follow each other, each of which knows all that were there before.
struct Place {
    ended: Vec<ReplicaId>,
    ended_by: Instant,
    noted: Mutex<Vec<ReplicaId>>,
}

/// Holds a task where it is.
#[derive(Default)]
struct Brake {
    is_on: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

/// A service that takes its time and notes what it was asked to do.
#[derive(Default)]
pub(super) struct Notes {
    sweeps: Mutex<Vec<(Lease, Pass)>>,
    drained: Mutex<BTreeSet<Lease>>,
    failing: Mutex<Option<Slot>>,
    hangs: AtomicBool,
    late_hangs: AtomicBool,
    /// Sweeps that hang.
    hanging: Mutex<BTreeSet<Lease>>,
    replica: Mutex<Option<Arc<Replica>>>,
}

// === impl Faults ===

impl Faults {
    pub(super) fn rough() -> Self {
        Self { delay_ms: 400, lost_percent: 10 }
    }

    pub(super) fn slow() -> Self {
        Self { delay_ms: 400, lost_percent: 0 }
    }
}

// === impl World ===

impl World {
    pub(super) fn new(seed: u64, faults: Faults) -> Self {
        let register = Shared {
            inner: MemoryRegister::default(),
            faults: Mutex::new(faults),
            dice: AtomicU64::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
        };
        let world = Self {
            register: Arc::new(register),
            watched: Arc::default(),
            doubles: Arc::default(),
            tasks: Arc::default(),
        };
        let watching = world.clone();
        world.tasks.lock().spawn(async move {
            loop {
                sleep(Duration::from_millis(100)).await;
                watching.watch();
            }
        });
        world
    }

    /// A replica of this address, which runs. It knows of nobody before it.
    pub(super) fn start(&self, address: &str) -> Running {
        self.start_knowing(address, Vec::new())
    }

    /// One in the place of another that was killed, and knows it.
    pub(super) fn start_after(&self, ended: &Running) -> Running {
        assert!(ended.is_dead());
        // What is left of it believes in its leases; nobody acts on that any more.
        self.watched.lock().retain(|watched| !Arc::ptr_eq(watched, &ended.replica));
        self.start_knowing(&ended.replica.address, ended.ids())
    }

    fn start_knowing(&self, address: &str, ended: Vec<ReplicaId>) -> Running {
        let clock = Arc::new(ManualClock::at(1_700_000_000_000));
        let place = Arc::new(Place { ended, ended_by: Instant::now(), noted: Mutex::default() });
        let register = self.register.clone();
        let replica = Replica::in_place(place.clone(), register, address, clock, Timing::default());
        let (service, stop, brake) =
            (Arc::new(Notes::default()), CancellationToken::new(), Arc::<Brake>::default());
        *service.replica.lock() = Some(replica.clone());
        self.watched.lock().push(replica.clone());
        let (ran, notes, stopped, held) = (replica.clone(), service.clone(), stop.clone(), brake.clone());
        let mut run = Box::pin(async move { ran.run(&[SET], &*notes, &stopped).await.unwrap() });
        let braked = poll_fn(move |context| {
            *held.waker.lock() = Some(context.waker().clone());
            if held.is_on.load(SeqCst) { Poll::Pending } else { Pin::new(&mut run).poll(context) }
        });
        let task = self.tasks.lock().spawn(braked);
        Running { replica, service, place, stop, brake, task }
    }

    /// From now on answers come, and at once.
    pub(super) fn calm(&self) {
        *self.register.faults.lock() = Faults::default();
    }

    pub(super) fn below(&self, bound: u64) -> u64 {
        self.register.below(bound)
    }

    /// Slots that somebody has, by the register.
    pub(super) async fn had(&self) -> usize {
        let view = self.register.inner.look(&[SET]).await.unwrap();
        view.holdings.iter().filter(|row| row.owner.is_some()).count()
    }

    /// Whether a replica has a row.
    pub(super) async fn has(&self, id: ReplicaId) -> bool {
        let view = self.register.inner.look(&[SET]).await.unwrap();
        view.members.iter().any(|member| member.id == id)
    }

    /// A joining that was on its way when the process ended.
    pub(super) async fn join_late(&self, id: ReplicaId) {
        let member = Member { id, address: "10.0.0.1:9091".into(), version: 1, is_leaving: false };
        self.register.inner.join(&member).await.unwrap();
    }

    /// Each of them serves exactly what it is preferred for.
    pub(super) fn check_shares(&self, replicas: &[&Running]) {
        for slot in Slot::all() {
            let weight =
                |running: &&&Running| model::slots::replica_weight(&running.replica.address, SET, slot);
            let preferred = replicas.iter().max_by_key(weight).unwrap();
            let owners: Vec<_> = replicas.iter().filter(|one| one.replica.lease(SET, slot).is_ok()).collect();
            let names = owners.iter().map(|one| &*one.replica.address).collect::<Vec<_>>();
            assert_eq!(names, [&*preferred.replica.address], "slot {}", slot.get());
        }
    }

    pub(super) fn check_never_two(&self) {
        assert_eq!(*self.doubles.lock(), [""; 0]);
    }

    /// Notes every slot that two replicas believe to own at this moment, also ones that stand still.
    fn watch(&self) {
        let replicas = self.watched.lock().clone();
        // Some at each look, others at the next: to look at all of them takes longer than all the rest.
        let offset = usize::try_from(self.below(4)).expect("below 4");
        for slot in Slot::all().skip(offset).step_by(4) {
            let believing = replicas.iter().filter(|one| one.table.check_slot(SET, slot));
            let names: Vec<_> = believing.map(|one| &*one.address).collect();
            if names.len() > 1 {
                self.doubles.lock().push(format!("slot {} of {names:?}", slot.get()));
            }
        }
    }
}

// === impl Running ===

impl Running {
    pub(super) fn leases(&self) -> Vec<Lease> {
        Slot::all().filter_map(|slot| self.replica.lease(SET, slot).ok()).collect()
    }

    pub(super) fn owned(&self) -> usize {
        self.leases().len()
    }

    /// The ids with which it, and all before it in its place, have joined.
    pub(super) fn ids(&self) -> Vec<ReplicaId> {
        [&self.place.ended[..], &self.place.noted.lock()].concat()
    }

    /// SIGSTOP.
    pub(super) fn freeze(&self) {
        self.brake.is_on.store(true, SeqCst);
    }

    /// SIGCONT.
    pub(super) fn thaw(&self) {
        self.brake.is_on.store(false, SeqCst);
        if let Some(waker) = self.brake.waker.lock().take() {
            waker.wake();
        }
    }

    /// SIGKILL: its table stays as it is, so that it can be seen whether its leases end.
    pub(super) fn kill(&self) {
        self.task.abort();
    }

    pub(super) fn is_dead(&self) -> bool {
        self.task.is_finished()
    }

    /// SIGTERM, and waits for the end.
    pub(super) async fn stop(&self) {
        self.stop.cancel();
        while !self.task.is_finished() {
            sleep(Duration::from_millis(10)).await;
        }
    }
}

// === impl Place ===

#[async_trait]
impl Lineage for Place {
    fn ended(&self) -> &[ReplicaId] {
        &self.ended
    }

    fn ended_by(&self) -> Instant {
        self.ended_by
    }

    async fn note(&self, id: ReplicaId) {
        self.noted.lock().push(id);
    }
}

// === impl Notes ===

impl Notes {
    pub(super) fn sweeps(&self, pass: Pass) -> usize {
        self.sweeps.lock().iter().filter(|(_, found)| *found == pass).count()
    }

    pub(super) fn fail_sweeps_of(&self, slot: Option<Slot>) {
        *self.failing.lock() = slot;
    }

    /// From now on nothing is ever drained.
    pub(super) fn hang(&self) {
        self.hangs.store(true, SeqCst);
    }

    /// From now on late sweeps never end by themselves.
    pub(super) fn hang_late(&self) {
        self.late_hangs.store(true, SeqCst);
    }

    pub(super) fn hanging(&self) -> BTreeSet<Lease> {
        self.hanging.lock().clone()
    }

    pub(super) fn drained(&self, leases: &[Lease]) -> bool {
        let drained = self.drained.lock();
        leases.iter().all(|lease| drained.contains(lease))
    }
}

/// Until it is dropped.
struct Hanging<'a>(&'a Notes, &'a [Lease]);

impl Drop for Hanging<'_> {
    fn drop(&mut self) {
        self.0.hanging.lock().retain(|lease| !self.1.contains(lease));
    }
}

#[async_trait]
impl SlotService for Notes {
    async fn sweep(&self, leases: &[Lease], pass: Pass) -> Result<(), ServiceError> {
        let replica = self.replica.lock().clone().unwrap();
        for lease in leases {
            let is_served = replica.lease(lease.set, lease.slot).is_ok();
            assert!(!is_served || pass == Pass::Late, "{lease:?} is served before it is swept");
        }
        if pass == Pass::Late && self.late_hangs.load(SeqCst) {
            self.hanging.lock().extend(leases);
            let _hanging = Hanging(self, leases);
            std::future::pending::<()>().await;
        }
        sleep(Duration::from_millis(5)).await;
        if leases.iter().any(|lease| Some(lease.slot) == *self.failing.lock()) {
            return Err("the test's".into());
        }
        self.sweeps.lock().extend(leases.iter().map(|lease| (*lease, pass)));
        Ok(())
    }

    async fn drain(&self, leases: &[Lease]) {
        if self.hangs.load(SeqCst) {
            std::future::pending::<()>().await;
        }
        sleep(Duration::from_millis(20)).await;
        self.drained.lock().extend(leases);
    }
}

// === impl Shared ===

impl Shared {
    fn below(&self, bound: u64) -> u64 {
        let step = |state: u64| {
            let state = state ^ state << 13;
            let state = state ^ state >> 7;
            Some(state ^ state << 17)
        };
        let state = self.dice.fetch_update(SeqCst, SeqCst, step).unwrap();
        if bound == 0 { 0 } else { (state >> 11) % bound }
    }

    async fn delay(&self) {
        let delay_ms = self.faults.lock().delay_ms;
        if delay_ms > 0 {
            sleep(Duration::from_millis(self.below(delay_ms))).await;
        }
    }

    /// Does it somewhere between question and answer, if the question is heard and the answer is not lost.
    async fn ask<T>(
        &self,
        work: impl Future<Output = Result<T, RegisterError>> + Send,
    ) -> Result<T, RegisterError> {
        let lost = || self.below(100) < self.faults.lock().lost_percent;
        let error = || RegisterError("the test's".into());
        self.delay().await;
        if lost() {
            sleep(Duration::from_secs(1)).await;
            return Err(error());
        }
        let answer = work.await;
        self.delay().await;
        if lost() {
            sleep(Duration::from_secs(1)).await;
            return Err(error());
        }
        answer
    }
}

#[async_trait]
impl Register for Shared {
    async fn join(&self, member: &Member) -> Result<(), RegisterError> {
        self.ask(self.inner.join(member)).await
    }

    async fn raise(&self, id: ReplicaId, from: u64, is_leaving: bool) -> Result<Option<u64>, RegisterError> {
        self.ask(self.inner.raise(id, from, is_leaving)).await
    }

    async fn remove(&self, id: ReplicaId, version: u64) -> Result<bool, RegisterError> {
        self.ask(self.inner.remove(id, version)).await
    }

    async fn look(&self, sets: &[SlotSet]) -> Result<View, RegisterError> {
        let holdings = self.ask(self.inner.look(sets)).await?.holdings;
        let members = self.ask(self.inner.look(sets)).await?.members;
        Ok(View { holdings, members })
    }

    async fn take(&self, owner: ReplicaId, slots: &[(Holding, Epoch)]) -> Result<bool, RegisterError> {
        self.ask(self.inner.take(owner, slots)).await
    }

    async fn release(&self, owner: ReplicaId, leases: &[Lease]) -> Result<bool, RegisterError> {
        self.ask(self.inner.release(owner, leases)).await
    }
}
