//! The members that are connected: threads with a runtime each, a small task for each connection.
//!
//! Receiving must be cheap, or the generator is what gets measured: all connections of a thread read into one buffer, a
//! frame is searched for its marker and not parsed, and what is noted is one number and one count in a histogram.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, bail};
use hdrhistogram::Histogram;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{self, Instant};

use crate::progress;
use crate::report::Faults;
use crate::target::Target;

mod connection;
mod journeys;
mod link;
mod notes;

pub use journeys::Journeys;
use notes::Notes;

/// Receivers that connect at one time, unless the run is about that.
const CONNECTING_MAX: usize = 64;
const STACK_BYTES: usize = 4 * 1024 * 1024;
const POLL: Duration = Duration::from_millis(5);

/// Who connects, and how.
#[derive(Debug, Clone)]
pub struct Crowd {
    /// The first of the members, and how many.
    pub first: usize,
    pub count: usize,
    /// How many runs of messages are noted.
    pub runs: usize,
    pub connecting_max: usize,
    /// Whether they come back when their connection ends; otherwise it is lost.
    pub returning: Option<Returning>,
    /// What `due` counts from.
    pub began: Instant,
}

/// How receivers come back.
#[derive(Debug, Clone, Copy)]
pub struct Returning {
    /// Whether they wait as long as a 503 tells them; discord.js does not.
    pub heeds_retry_after: bool,
}

/// What all receivers are told.
#[derive(Debug, Clone, Copy, Default)]
struct Orders {
    /// How often they were told to drop their connections.
    drops: u32,
    is_over: bool,
}

/// What the threads tell while they run.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections that are open now.
    pub open: AtomicUsize,
    /// Connections that took the place of others.
    pub returned: AtomicUsize,
    pub delivered: AtomicUsize,
    pub lost_connections: AtomicUsize,
    failed: std::sync::Mutex<Option<String>>,
}

/// What was received.
#[derive(Debug)]
pub struct Received {
    /// Whose the orders are, by their numbers.
    members: Vec<usize>,
    /// Of each receiver the indexes of messages, in the order in which they came.
    pub orders: Vec<Vec<u32>>,
    /// Microseconds from when a message was due until a receiver had it.
    pub latency_us: Histogram<u64>,
    /// Of each message the time until the last receiver had it.
    pub last_us: Vec<u64>,
    /// Of all events that were received, as payloads and as frames.
    pub bytes: usize,
    pub wire_bytes: usize,
}

/// Connected members.
pub struct Receivers {
    pub counters: Arc<Counters>,
    pub crowd: Crowd,
    threads: Vec<JoinHandle<anyhow::Result<(Vec<Received>, Journeys)>>>,
    orders: watch::Sender<Orders>,
}

impl Crowd {
    /// The first members, who do not come back; it begins now.
    pub fn of(count: usize, runs: usize) -> Self {
        let began = Instant::now();
        Self { first: 0, count, runs, connecting_max: CONNECTING_MAX, returning: None, began }
    }
}

impl Counters {
    fn fail(&self, error: &anyhow::Error) {
        let mut failed = self.failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        failed.get_or_insert_with(|| format!("{error:#}"));
    }

    pub fn failure(&self) -> Option<String> {
        self.failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

/// An empty histogram of microseconds up to ten minutes, of three digits.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000, 3).expect("the bounds are valid")
}

impl Received {
    fn empty(first: usize, members: &[usize]) -> Self {
        Self {
            members: members.iter().map(|member| first + member).collect(),
            orders: vec![Vec::new(); members.len()],
            latency_us: histogram(),
            last_us: Vec::new(),
            bytes: 0,
            wire_bytes: 0,
        }
    }

    fn add(&mut self, other: Self) -> anyhow::Result<()> {
        self.members.extend(other.members);
        self.orders.extend(other.orders);
        self.bytes += other.bytes;
        self.wire_bytes += other.wire_bytes;
        self.latency_us.add(other.latency_us).context("add up the histograms")?;
        if self.last_us.len() < other.last_us.len() {
            self.last_us.resize(other.last_us.len(), 0);
        }
        for (last, other) in self.last_us.iter_mut().zip(other.last_us) {
            *last = other.max(*last);
        }
        Ok(())
    }

    /// Compares with what was acknowledged in each receiver's guild, in the order of ids.
    pub fn faults(&self, target: &Target, orders: &[Vec<u32>], journeys: &Journeys) -> Faults {
        let mut faults = Faults::default();
        for (member, order) in self.members.iter().zip(&self.orders) {
            let Some(expected) = orders.get(target.guild_of(*member)) else { continue };
            if expected != order {
                faults.note(expected, order, journeys.anew.contains(member));
            }
        }
        faults
    }
}

impl Receivers {
    /// Connects the crowd and waits until each has seen its guilds.
    pub async fn connect(target: &Arc<Target>, crowd: Crowd) -> anyhow::Result<Self> {
        let receivers = Self::start(target, crowd)?;
        if let Some(failure) = receivers.all_open(None).await {
            let open = receivers.counters.open.load(Ordering::Relaxed);
            bail!("connect the receivers, {open} of {} were: {failure}", receivers.crowd.count);
        }
        Ok(receivers)
    }

    /// Begins to connect the crowd.
    pub fn start(target: &Arc<Target>, crowd: Crowd) -> anyhow::Result<Self> {
        let counters = Arc::new(Counters::default());
        let (orders, heard) = watch::channel(Orders::default());
        let mut threads = Vec::new();
        for thread in 0..target.threads {
            let (target, counters, heard) = (Arc::clone(target), Arc::clone(&counters), heard.clone());
            let members: Vec<usize> = (thread..crowd.count).step_by(target.threads).collect();
            let crowd = crowd.clone();
            let builder =
                std::thread::Builder::new().name(format!("receive-{thread}")).stack_size(STACK_BYTES);
            threads.push(builder.spawn(move || run(target, members, crowd, counters, heard))?);
        }
        Ok(Self { counters, crowd, threads, orders })
    }

    /// Waits until all are open, or until the deadline; why they cannot be when that is known.
    pub async fn all_open(&self, deadline: Option<Instant>) -> Option<String> {
        let bar = progress::bar("connected", self.crowd.count as u64);
        loop {
            let open = self.counters.open.load(Ordering::Relaxed);
            let lost = self.counters.lost_connections.load(Ordering::Relaxed);
            bar.set_position(open as u64);
            if let Some(failure) = self.counters.failure() {
                return Some(failure);
            }
            if open + lost >= self.crowd.count {
                bar.finish();
                return None;
            }
            if deadline.is_some_and(|deadline| Instant::now() > deadline) {
                return Some("the time is up".to_owned());
            }
            time::sleep(POLL).await;
        }
    }

    /// Waits until so many deliveries were counted, or for `patience`.
    pub async fn wait_for(&self, deliveries: usize, patience: Duration) {
        let deadline = Instant::now() + patience;
        while self.counters.delivered.load(Ordering::Relaxed) < deliveries && Instant::now() < deadline {
            time::sleep(POLL).await;
        }
    }

    /// All drop their connections by a reset.
    pub fn drop_all(&self) {
        self.orders.send_modify(|orders| orders.drops += 1);
    }

    /// Waits until so many have come back, or until the deadline; whether they have.
    pub async fn all_back(&self, returned: usize, deadline: Instant) -> bool {
        let bar = progress::bar("back", self.crowd.count as u64);
        let target = returned + self.crowd.count;
        loop {
            let now = self.counters.returned.load(Ordering::Relaxed);
            bar.set_position((now - returned) as u64);
            if now >= target {
                bar.finish();
                return true;
            }
            if Instant::now() > deadline || self.counters.failure().is_some() {
                return false;
            }
            time::sleep(POLL).await;
        }
    }

    /// Disconnects everybody. Answers what was received of each run, and what it took to be connected.
    pub fn finish(self) -> anyhow::Result<(Vec<Received>, Journeys)> {
        // The threads may have ended already.
        self.orders.send_modify(|orders| orders.is_over = true);
        let mut received: Vec<Received> = (0..self.crowd.runs).map(|_| Received::empty(0, &[])).collect();
        let mut journeys = Journeys::new();
        for thread in self.threads {
            let (parts, of_thread) =
                thread.join().map_err(|_| anyhow::anyhow!("a receiving thread panicked"))??;
            for (run, part) in received.iter_mut().zip(parts) {
                run.add(part)?;
            }
            journeys.add(of_thread)?;
        }
        Ok((received, journeys))
    }
}

/// One thread, from the first connection to the end.
fn run(
    target: Arc<Target>,
    members: Vec<usize>,
    crowd: Crowd,
    counters: Arc<Counters>,
    heard: watch::Receiver<Orders>,
) -> anyhow::Result<(Vec<Received>, Journeys)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let places = members.len();
    let notes = Rc::new(Notes::new(members, target.run, &crowd, counters));
    let in_thread = Rc::clone(&notes);
    LocalSet::new().block_on(&runtime, async move {
        let gate = Rc::new(Semaphore::new(crowd.connecting_max));
        let crowd = Rc::new(crowd);
        let mut connections = JoinSet::new();
        for place in 0..places {
            let (notes, target, gate) = (Rc::clone(&in_thread), Arc::clone(&target), Rc::clone(&gate));
            let (crowd, heard) = (Rc::clone(&crowd), heard.clone());
            connections.spawn_local(async move {
                connection::run(&notes, place, &target, &crowd, &gate, heard).await;
            });
        }
        // Each ends by itself, when it is stopped or when it fails.
        while connections.join_next().await.is_some() {}
    });
    let notes = Rc::into_inner(notes).context("the connections have ended")?;
    Ok(notes.into_parts())
}
