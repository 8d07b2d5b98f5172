//! Pods that start, drain and die, on one thread: each with a set of tasks of its own, which vanishes with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use backplane::{
    InMemoryRegistry, InMemoryRoster, InMemorySessions, InMemoryStarts, InProcess, Options, Registry,
};
use doubles::{Away, Speech};
use model::clock::{Clock, SharedClock};
use parking_lot::{Mutex, MutexGuard};
use tasks::Tasks;
use tokio::task::{AbortHandle, JoinHandle, JoinSet, LocalSet};
use tokio::time::Instant;

use super::super::client::Client;
use super::super::fakes::{Fakes, Gates, mix};
use super::super::gated::Gated;
use super::super::rig::{Ground, PARTITIONS, Pod, Setup, VirtualClock, connect};
use super::super::world::World;
use super::links::{From, Links};
use super::marks::Marks;
use super::owners::Owners;
use super::router::Router;
use crate::config::Settings;
use crate::drain;
use crate::shard::Input;

/// See the module.
pub struct Cluster {
    seed: u64,
    clock: SharedClock,
    pub inner: Arc<InProcess>,
    world: Arc<Mutex<World>>,
    pub gates: Arc<Gates>,
    registry: Arc<dyn Registry>,
    roster: Arc<InMemoryRoster>,
    starts: Arc<InMemoryStarts>,
    owners: Arc<InMemorySessions>,
    pub links: Arc<Links>,
    pub marks: Arc<Marks>,
    /// By their places; a place may be empty.
    pub pods: Vec<Option<Running>>,
    started: u64,
    sets: JoinSet<()>,
    router: Tasks,
}

/// A pod that lives.
pub struct Running {
    pub pod: Pod,
    /// No other has it.
    pub number: u64,
    pub address: String,
    pub backplane: Arc<Gated>,
    pub registry: Arc<Away>,
    pub owners: Arc<Owners>,
    clock: Arc<Stepped>,
    tasks: Tasks,
    set: AbortHandle,
    _runs: JoinSet<()>,
    drain: Option<JoinHandle<Option<()>>>,
}

/// A wall clock that is set now and then.
struct Stepped {
    clock: SharedClock,
    offset_ms: AtomicI64,
}

impl Clock for Stepped {
    fn now_ms(&self) -> u64 {
        self.clock.now_ms().saturating_add_signed(self.offset_ms.load(Ordering::SeqCst))
    }
}

// === impl Cluster ===

impl Cluster {
    pub async fn start(seed: u64, world: World, pods: usize) -> Self {
        let clock: SharedClock = Arc::new(VirtualClock(Instant::now()));
        let marks = Arc::new(Marks::default());
        let mut cluster = Self {
            seed,
            inner: InProcess::new(PARTITIONS, clock.clone(), Options::default()),
            world: Arc::new(Mutex::new(world)),
            gates: Arc::new(Gates::default()),
            registry: Arc::new(InMemoryRegistry::new(clock.clone())),
            roster: Arc::new(InMemoryRoster::new(clock.clone())),
            starts: Arc::new(InMemoryStarts::new(clock.clone())),
            owners: Arc::new(InMemorySessions::new(clock.clone())),
            clock,
            links: Links::new(mix(seed ^ 1), marks.clone()),
            marks,
            pods: (0..pods).map(|_| None).collect(),
            started: 0,
            sets: JoinSet::new(),
            router: Tasks::new("router"),
        };
        let (backplane, registry) = (cluster.inner.clone(), cluster.registry.clone());
        let routing = Router { backplane, registry, seed: mix(seed ^ 2), drawn: 0 };
        cluster.router.spawner().spawn_lasting("the router", routing.run());
        for place in 0..pods {
            cluster.replace(place, true).await;
        }
        cluster
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock()
    }

    /// A new pod in an empty place, at the address of the one before or at another.
    pub async fn replace(&mut self, place: usize, is_at_address: bool) {
        self.started += 1;
        let (number, seed) = (self.started, mix(self.seed ^ mix(self.started)));
        let name = format!("pod-{number}");
        let address = if is_at_address { format!("place-{place}:1") } else { format!("{name}:1") };
        let backplane = Gated::new(self.inner.clone(), self.gates.clone());
        let registry = Away::new(self.registry.clone());
        let owners = Owners::new(self.owners.clone(), self.marks.clone(), seed);
        let clock = Arc::new(Stepped { clock: self.clock.clone(), offset_ms: AtomicI64::new(0) });
        let settings = Settings { resume_ms: RESUME_MS, ..Settings::default() };
        let fakes = Fakes {
            world: self.world.clone(),
            gates: self.gates.clone(),
            backplane: backplane.clone(),
            publishing: Arc::default(),
        };
        let ground = Ground {
            setup: Setup { seed, settings, pods: self.pods.len(), ..Setup::default() },
            clock: clock.clone(),
            backplane: backplane.clone(),
            registry: registry.clone(),
            roster: self.roster.clone(),
            starts: self.starts.clone(),
            sessions: owners.clone(),
            fakes,
            ways: Arc::new(From { place, links: self.links.clone() }),
        };
        let (set, tasks, mut runs) = (LocalSet::new(), Tasks::new("gateway"), JoinSet::new());
        let pod = set.run_until(ground.start(&name, &address, &tasks, &mut runs)).await;
        self.links.open(address.clone(), pod.giver());
        let set = self.sets.spawn_local(set);
        let drain = None;
        self.pods[place] = Some(Running {
            pod,
            number,
            address,
            backplane,
            registry,
            owners,
            clock,
            tasks,
            set,
            _runs: runs,
            drain,
        });
    }

    pub fn living(&self) -> impl Iterator<Item = (usize, &Running)> {
        self.pods.iter().enumerate().filter_map(|(place, pod)| Some((place, pod.as_ref()?)))
    }

    /// The pods that take clients.
    pub fn open(&self) -> Vec<usize> {
        self.living().filter(|(_, pod)| !pod.is_draining()).map(|(place, _)| place).collect()
    }

    /// A socket at a pod whose handshake is done.
    pub fn connect(&self, place: usize, shard: usize, user: u64) -> Client {
        let running = self.pods[place].as_ref().expect("clients connect to pods that live");
        connect(&running.pod.services, &running.pod.senders[shard], user, Speech::JSON, false)
    }

    /// The pod is there no more from one moment to the next, with everything that it has not told anybody. What it has not
    /// left in a record can't be taken exactly.
    pub async fn crash(&mut self, place: usize) {
        let Some(running) = self.pods[place].take() else { return };
        for session in running.sessions() {
            self.marks.inexact(&session, "its pod has died");
        }
        for session in running.parked().filter(|session| !self.marks.is_recorded(session)) {
            self.marks.inexact(&session, "its pod has died with what it had packed up");
        }
        running.owners.set_away(true);
        running.registry.set(true);
        self.links.close(&running.address);
        running.set.abort();
        drop(running);
        tokio::task::yield_now().await;
    }

    /// The pods whose drain is over end.
    pub async fn end_drained(&mut self) -> Vec<u64> {
        let mut ended = Vec::new();
        for place in 0..self.pods.len() {
            let is_over = |pod: &Running| pod.drain.as_ref().is_some_and(JoinHandle::is_finished);
            if let Some(number) = self.pods[place].as_ref().filter(|pod| is_over(pod)).map(|pod| pod.number) {
                self.crash(place).await;
                ended.push(number);
            }
        }
        ended
    }

    /// Ends everything, with nothing left of any session.
    pub async fn end(mut self) {
        let living: Vec<Running> = self.pods.iter_mut().filter_map(Option::take).collect();
        for running in &living {
            running.pod.expect_nothing_left(&self.world.lock());
            running.tasks.stop();
            for sender in running.pod.senders.iter() {
                let _ = sender.send(Input::Stop).await;
            }
        }
        while self.sets.join_next().await.is_some() {}
    }
}

// === impl Running ===

impl Running {
    pub fn drain(&mut self) {
        if self.drain.is_some() {
            return;
        }
        let (services, senders) = (self.pod.services.clone(), self.pod.senders.clone());
        let drain = async move { drain::run(&services, &senders).await };
        self.drain = Some(self.tasks.spawner().spawn(drain));
    }

    pub fn is_draining(&self) -> bool {
        self.drain.is_some()
    }

    pub fn step_clock(&self, ms: i64) {
        self.clock.offset_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// The sessions that it serves, or is about to.
    pub fn sessions(&self) -> Vec<String> {
        let mut ids: Vec<String> = Vec::new();
        for shard in &self.pod.shards {
            let shard = shard.borrow();
            ids.extend(shard.by_id.keys().chain(shard.taking.keys()).map(ToString::to_string));
        }
        ids.sort();
        ids
    }

    /// The sessions that it serves.
    pub fn served(&self) -> Vec<String> {
        let shards = self.pod.shards.iter();
        shards
            .flat_map(|shard| shard.borrow().by_id.keys().map(ToString::to_string).collect::<Vec<_>>())
            .collect()
    }

    /// The sessions that it has packed up.
    fn parked(&self) -> impl Iterator<Item = String> {
        let shards = self.pod.shards.iter();
        shards.flat_map(|shard| shard.borrow().parked.keys().map(ToString::to_string).collect::<Vec<_>>())
    }
}

/// Clients of a run are back sooner.
pub const RESUME_MS: u64 = 60_000;
