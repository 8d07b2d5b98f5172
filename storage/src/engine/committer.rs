//! The thread that writes: gathers waiting batches into groups, one atomic record and one fdatasync each.
//!
//! A group is one journal record of the engine underneath, which applies it to its memtables only after the
//! fdatasync: readers never see what is not durable, and a torn record is dropped whole at recovery.

use super::{Batch, EngineStats, SyncHook, stats::Counters};
use model::limits::{STORE_GROUP_BYTES_MAX, STORE_GROUP_LEN_MAX, STORE_QUEUE_BYTES_MAX, STORE_QUEUE_LEN_MAX};
use parking_lot::Mutex;
use std::{
    io::{self, Write},
    path::PathBuf,
    sync::Arc,
    thread::JoinHandle,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::Instant;

/// The committer's handle: the way in, and the thread to join.
pub(super) struct Committer {
    /// `None` only while the handle is dropped.
    sender: Option<mpsc::Sender<Request>>,
    /// Free bytes of the queue, in units of [`PERMIT_BYTES`].
    room: Arc<Semaphore>,
    thread: Mutex<Option<JoinHandle<()>>>,
    pub(super) stats: Arc<Counters>,
}

pub(super) enum Request {
    Commit(Commit),
    Close(oneshot::Sender<()>),
}

/// A batch on its way to the disk.
pub(super) struct Commit {
    batch: Batch,
    /// Answered after the fsync, and by nothing else.
    done: oneshot::Sender<()>,
    /// Its share of the queue's bytes, given back when it is written.
    _room: OwnedSemaphorePermit,
}

/// What the thread owns.
struct Worker {
    db: fjall::Database,
    dir: PathBuf,
    sync_hook: Option<SyncHook>,
    stats: Arc<Counters>,
    receiver: mpsc::Receiver<Request>,
}

const PERMIT_BYTES: usize = 1_024;

// === impl Committer ===

impl Committer {
    pub(super) fn start(db: fjall::Database, dir: PathBuf, sync_hook: Option<SyncHook>) -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel(STORE_QUEUE_LEN_MAX);
        let stats = Arc::new(Counters::default());
        let worker = Worker { db, dir, sync_hook, stats: stats.clone(), receiver };
        let thread = std::thread::Builder::new().name("storage-commit".to_owned()).spawn(|| worker.run())?;
        let room = Arc::new(Semaphore::new(STORE_QUEUE_BYTES_MAX / PERMIT_BYTES));
        Ok(Self { sender: Some(sender), room, thread: Mutex::new(Some(thread)), stats })
    }

    /// Waits for room for the batch. `None`: the committer is closed.
    pub(super) async fn admit(&self, batch: Batch) -> Option<(Commit, oneshot::Receiver<()>)> {
        let permits = u32::try_from(batch.bytes() / PERMIT_BYTES + 1).ok()?;
        let room = self.room.clone().acquire_many_owned(permits).await.ok()?;
        let (done, receiver) = oneshot::channel();
        Some((Commit { batch, done, _room: room }, receiver))
    }

    /// Puts a request into the queue. `false`: the committer is closed.
    pub(super) async fn send(&self, request: Request) -> bool {
        match &self.sender {
            Some(sender) => sender.send(request).await.is_ok(),
            None => false,
        }
    }

    /// Ends the thread after all that was sent before.
    pub(super) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.send(Request::Close(done)).await {
            // An error means that somebody else's close came first; the thread is on its way out.
            let _ = closed.await;
        }
        self.room.close();
        self.join();
    }

    fn join(&self) {
        if let Some(thread) = self.thread.lock().take() {
            // A panic in the thread ends the process, so there is no error to see here.
            let _ = thread.join();
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.sender = None;
        self.join();
    }
}

// === impl Worker ===

impl Worker {
    fn run(mut self) {
        let _guard = AbortOnPanic;
        let mut group = Vec::with_capacity(STORE_GROUP_LEN_MAX);
        let mut closers = Vec::new();
        while let Some(first) = self.receiver.blocking_recv() {
            self.take(first, &mut group, &mut closers);
            self.gather(&mut group, &mut closers);
            self.write(&mut group);
        }
        for closer in closers {
            let _ = closer.send(());
        }
    }

    /// Adds what waits already to the group, within the group's bounds. It never waits for more: while one
    /// group is being written the next one gathers by itself.
    fn gather(&mut self, group: &mut Vec<Commit>, closers: &mut Vec<oneshot::Sender<()>>) {
        let mut bytes: usize = group.iter().map(|commit| commit.batch.bytes()).sum();
        while group.len() < STORE_GROUP_LEN_MAX && bytes < STORE_GROUP_BYTES_MAX {
            let Ok(request) = self.receiver.try_recv() else { return };
            if let Request::Commit(commit) = &request {
                bytes += commit.batch.bytes();
            }
            self.take(request, group, closers);
        }
    }

    fn take(&mut self, request: Request, group: &mut Vec<Commit>, closers: &mut Vec<oneshot::Sender<()>>) {
        match request {
            Request::Commit(commit) => group.push(commit),
            Request::Close(done) => {
                // What is in the queue is still received; nothing new gets in.
                self.receiver.close();
                closers.push(done);
            }
        }
    }

    fn write(&self, group: &mut Vec<Commit>) {
        if group.is_empty() {
            return;
        }
        let started = Instant::now();
        let mut sum = EngineStats { groups: 1, ..EngineStats::default() };
        let count = group.iter().map(|commit| commit.batch.len()).sum();
        let mut record = fjall::OwnedWriteBatch::with_capacity(self.db.clone(), count)
            .durability(Some(fjall::PersistMode::SyncData));
        for commit in group.iter_mut() {
            sum.batches += 1;
            sum.bytes += commit.batch.bytes() as u64;
            for change in std::mem::take(&mut commit.batch).changes {
                sum.changes += 1;
                match change.value {
                    Some(value) => record.insert(&change.keyspace, change.key, value),
                    None => record.remove(&change.keyspace, change.key),
                }
            }
        }
        if let Err(error) = self.make_durable(record) {
            self.stop_process(&error);
        }
        sum.write_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.stats.add(sum);
        for commit in group.drain(..) {
            // The caller may have gone; the batch is written all the same.
            let _ = commit.done.send(());
        }
    }

    fn make_durable(&self, record: fjall::OwnedWriteBatch) -> Result<(), fjall::Error> {
        if let Some(hook) = &self.sync_hook {
            hook()?;
        }
        record.commit()
    }

    /// Ends the process at once: destructors must not run, as they would write with what cannot be trusted.
    fn stop_process(&self, error: &fjall::Error) -> ! {
        let _ = writeln!(
            io::stderr(),
            "error: the database in {} could not be written or synced: {error}. Stopping at once: after a failed \
             fsync neither memory nor page cache tell what is on the disk. Check the disk, then start again; \
             everything that was acknowledged is there",
            self.dir.display(),
        );
        std::process::abort()
    }
}

/// A committer that panicked leaves callers without an answer for ever, so the process ends.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = writeln!(io::stderr(), "error: the committer of the database panicked; stopping");
            std::process::abort();
        }
    }
}
