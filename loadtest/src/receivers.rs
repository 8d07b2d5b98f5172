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
use crate::target::Target;

mod connection;
mod notes;

use notes::Notes;

const CONNECTING_MAX: usize = 64;
const STACK_BYTES: usize = 4 * 1024 * 1024;

/// What the threads tell while they run.
#[derive(Debug, Default)]
pub struct Counters {
    pub connected: AtomicUsize,
    pub delivered: AtomicUsize,
    pub lost_connections: AtomicUsize,
    failed: std::sync::Mutex<Option<String>>,
}

/// What was received.
#[derive(Debug)]
pub struct Received {
    /// Of each receiver the indexes of messages, in the order in which they came.
    pub orders: Vec<Vec<u32>>,
    /// Microseconds from when a message was due until a receiver had it.
    pub latency_us: Histogram<u64>,
    /// Of each message the time until the last receiver had it.
    pub last_us: Vec<u64>,
    /// Of all events that were received.
    pub bytes: usize,
}

/// Connected members.
pub struct Receivers {
    pub counters: Arc<Counters>,
    /// What `due` counts from.
    pub began: Instant,
    threads: Vec<JoinHandle<anyhow::Result<Vec<Received>>>>,
    runs: usize,
    stop: watch::Sender<bool>,
}

impl Counters {
    fn fail(&self, error: &anyhow::Error) {
        let mut failed = self.failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        failed.get_or_insert_with(|| format!("{error:#}"));
    }

    fn failure(&self) -> Option<String> {
        self.failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

/// An empty histogram of microseconds up to a minute, of three digits.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are valid")
}

impl Received {
    fn empty(receivers: usize) -> Self {
        Self { orders: vec![Vec::new(); receivers], latency_us: histogram(), last_us: Vec::new(), bytes: 0 }
    }

    fn add(&mut self, other: Self) -> anyhow::Result<()> {
        self.orders.extend(other.orders);
        self.bytes += other.bytes;
        self.latency_us.add(other.latency_us).context("add up the histograms")?;
        if self.last_us.len() < other.last_us.len() {
            self.last_us.resize(other.last_us.len(), 0);
        }
        for (last, other) in self.last_us.iter_mut().zip(other.last_us) {
            *last = other.max(*last);
        }
        Ok(())
    }
}

impl Receivers {
    /// Connects the first `count` members and waits until each has seen the guild. They note what comes of so many runs.
    pub async fn connect(target: &Arc<Target>, count: usize, runs: usize) -> anyhow::Result<Self> {
        let counters = Arc::new(Counters::default());
        let (stop, stopped) = watch::channel(false);
        let began = Instant::now();
        let mut threads = Vec::new();
        for thread in 0..target.threads {
            let (target, counters, stopped) = (Arc::clone(target), Arc::clone(&counters), stopped.clone());
            let members: Vec<usize> = (thread..count).step_by(target.threads).collect();
            let builder =
                std::thread::Builder::new().name(format!("receive-{thread}")).stack_size(STACK_BYTES);
            threads.push(builder.spawn(move || run(target, members, runs, began, counters, stopped))?);
        }
        let receivers = Self { counters, began, threads, runs, stop };
        let bar = progress::bar("connected", count as u64);
        loop {
            let connected = receivers.counters.connected.load(Ordering::Relaxed);
            bar.set_position(connected as u64);
            if let Some(failure) = receivers.counters.failure() {
                bail!("connect the receivers, {connected} of {count} were: {failure}");
            }
            if connected >= count {
                bar.finish();
                return Ok(receivers);
            }
            time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until so many deliveries were counted, or for `patience`.
    pub async fn wait_for(&self, deliveries: usize, patience: Duration) {
        let deadline = Instant::now() + patience;
        while self.counters.delivered.load(Ordering::Relaxed) < deliveries && Instant::now() < deadline {
            time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Disconnects everybody. Answers what was received of each run.
    pub fn finish(self) -> anyhow::Result<Vec<Received>> {
        // The threads may have ended already.
        let _ = self.stop.send(true);
        let mut received: Vec<Received> = (0..self.runs).map(|_| Received::empty(0)).collect();
        for thread in self.threads {
            let parts = thread.join().map_err(|_| anyhow::anyhow!("a receiving thread panicked"))?;
            for (run, part) in received.iter_mut().zip(parts?) {
                run.add(part)?;
            }
        }
        Ok(received)
    }
}

/// One thread, from the first connection to the end.
fn run(
    target: Arc<Target>,
    members: Vec<usize>,
    runs: usize,
    began: Instant,
    counters: Arc<Counters>,
    stopped: watch::Receiver<bool>,
) -> anyhow::Result<Vec<Received>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let notes = Rc::new(Notes::new(members.len(), (target.run, runs), began, Arc::clone(&counters)));
    let in_thread = Rc::clone(&notes);
    LocalSet::new().block_on(&runtime, async move {
        let gate = Rc::new(Semaphore::new(CONNECTING_MAX));
        let mut connections = JoinSet::new();
        for (place, member) in members.into_iter().enumerate() {
            let (notes, target, gate) = (Rc::clone(&in_thread), Arc::clone(&target), Rc::clone(&gate));
            let stopped = stopped.clone();
            connections.spawn_local(async move {
                connection::run(&notes, place, &target, member, &gate, stopped).await;
            });
        }
        // Each ends by itself, when it is stopped or when it fails.
        while connections.join_next().await.is_some() {}
    });
    let notes = Rc::into_inner(notes).context("the connections have ended")?;
    Ok(notes.into_received())
}
