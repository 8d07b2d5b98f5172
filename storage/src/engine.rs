//! One database in a directory, and one thread that writes to it.
//!
//! **Group commit.** An fsync costs a millisecond or more, however little it covers. So callers hand their
//! batches to a single committer thread. It takes everything that waits, writes it as one atomic journal
//! record, calls fdatasync once and wakes all callers; what arrives meanwhile is the next group. One caller
//! waits one fsync, a thousand callers wait one or two.
//!
//! **A failed write or fsync stops the process.** After a failed fsync the kernel may have marked the dirty
//! pages clean and dropped the error: a second fsync then succeeds although the data never reached the disk,
//! and a read is answered from a page cache that no longer says what the disk holds. Nothing in this process
//! can be trusted after that. It ends without answering any of the waiting callers; the next start reads what
//! is really there. The same holds when the committer panics.
//!
//! **Reads** ([`Table`]) are synchronous: memtable and block cache answer in microseconds, and a miss is one
//! read of a 4 KiB block. They may be called from async code for pages of rows; long scans belong on a
//! blocking thread.
//!
//! Memory is bounded by the options: the block cache, five memtables per table, and the commit queue.

mod batch;
mod committer;
mod error;
mod stats;
mod table;

pub use batch::{Batch, BatchError};
pub use error::{CloseError, CommitError, OpenError};
pub use stats::EngineStats;
pub use table::{ReadError, Row, Rows, Table};

use crate::keys::{FormatKey, META_TABLE};
use committer::{Committer, Request};
use model::limits;
use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// The layout of what this crate persists. A newer one on the disk is refused at open.
const FORMAT: u32 = 1;

/// A handle to the database. Clones share it; the last one to go ends the committer.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    dir: PathBuf,
    db: fjall::Database,
    memtable_bytes_max: u64,
    committer: Committer,
}

/// Decides whether a group's fsync may go ahead; an error counts as a failed fsync. For fault injection.
pub type SyncHook = Arc<dyn Fn() -> io::Result<()> + Send + Sync>;

/// How an [`Engine`] is opened.
#[derive(Clone)]
pub struct EngineOptions {
    /// Block cache shared by all tables.
    pub cache_bytes: u64,
    /// Disk space of sealed journals, at least 64 MiB. Start-up reads the journals, so it also bounds that.
    pub journal_bytes_max: u64,
    /// Memtable of one table; fixed when the table is first made.
    pub memtable_bytes_max: u64,
    /// Threads for flush and compaction. One by default: with more, an engine thread that is reserved for
    /// flushes passes compaction tasks around without pause while another compacts.
    pub background_threads: usize,
    /// Called before each group's fsync. `None` outside tests.
    pub sync_hook: Option<SyncHook>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            cache_bytes: limits::STORE_CACHE_BYTES,
            journal_bytes_max: limits::STORE_JOURNAL_BYTES_MAX,
            memtable_bytes_max: limits::STORE_MEMTABLE_BYTES_MAX,
            background_threads: 1,
            sync_hook: None,
        }
    }
}

// === impl Engine ===

impl Engine {
    /// Opens the database in `dir`, making both when they are not there (the directory for its owner only).
    ///
    /// Blocks while the journals are read, typically some milliseconds. The directory stays locked until
    /// every clone of the engine and every [`Table`] is gone.
    pub fn open(dir: &Path, options: EngineOptions) -> Result<Self, OpenError> {
        make_directory(dir)?;
        let wrap = |source| engine_error(dir, source);
        let db = fjall::Database::builder(dir)
            .cache_size(options.cache_bytes)
            .max_journaling_size(options.journal_bytes_max.max(limits::STORE_JOURNAL_BYTES_MAX))
            .worker_threads(options.background_threads.max(1))
            .manual_journal_persist(true)
            .open()
            .map_err(wrap)?;
        check_format(&db, dir, options.memtable_bytes_max)?;
        let committer =
            Committer::start(db.clone(), dir.to_owned(), options.sync_hook).map_err(OpenError::Thread)?;
        let memtable_bytes_max = options.memtable_bytes_max;
        Ok(Self { inner: Arc::new(Inner { dir: dir.to_owned(), db, memtable_bytes_max, committer }) })
    }

    /// The table of that name, made when it is not there.
    pub fn table(&self, name: &str) -> Result<Table, OpenError> {
        let legal = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(legal) {
            return Err(OpenError::TableName { name: name.to_owned() });
        }
        open_table(&self.inner.db, name, self.inner.memtable_bytes_max)
            .map_err(|source| engine_error(&self.inner.dir, source))
    }

    /// Makes the batch durable, all of it or nothing, and then visible to readers.
    ///
    /// Dropping the future after its first poll does not take the batch back. A failure of the disk has no
    /// error value: it ends the process.
    pub async fn commit(&self, batch: Batch) -> Result<(), CommitError> {
        batch.check()?;
        if batch.is_empty() {
            return Ok(());
        }
        let deadline = tokio::time::Instant::now() + Duration::from_millis(limits::STORE_COMMIT_MS);
        let committer = &self.inner.committer;
        let (request, done) = match tokio::time::timeout_at(deadline, committer.admit(batch)).await {
            Err(_) => return Err(CommitError::Overloaded),
            Ok(None) => return Err(CommitError::Closed),
            Ok(Some(admitted)) => admitted,
        };
        match tokio::time::timeout_at(deadline, committer.send(Request::Commit(request))).await {
            Err(_) => return Err(CommitError::Overloaded),
            Ok(false) => return Err(CommitError::Closed),
            Ok(true) => {}
        }
        confirmed(done, deadline).await
    }

    /// What was committed since the start.
    pub fn stats(&self) -> EngineStats {
        self.inner.committer.stats.read()
    }

    /// The directory of the database.
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    /// Writes what waits, ends the committer and refuses later commits. Reads still work; the lock on the
    /// directory goes with the last clone and table.
    pub async fn close(&self) -> Result<(), CloseError> {
        tokio::time::timeout(Duration::from_millis(limits::STORE_CLOSE_MS), self.inner.committer.close())
            .await
            .map_err(|_| CloseError::Timeout)
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("dir", &self.inner.dir).finish_non_exhaustive()
    }
}

/// Waits for a batch that was taken. Whatever becomes of the committer then, nobody knows whether it is written.
async fn confirmed(
    done: tokio::sync::oneshot::Receiver<()>,
    deadline: tokio::time::Instant,
) -> Result<(), CommitError> {
    match tokio::time::timeout_at(deadline, done).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(CommitError::Unknown),
    }
}

fn make_directory(dir: &Path) -> Result<(), OpenError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(|source| OpenError::Directory { dir: dir.to_owned(), source })
}

fn engine_error(dir: &Path, source: fjall::Error) -> OpenError {
    match source {
        fjall::Error::Locked => OpenError::Locked { dir: dir.to_owned() },
        source => OpenError::Engine { dir: dir.to_owned(), source },
    }
}

fn open_table(db: &fjall::Database, name: &str, memtable_bytes_max: u64) -> Result<Table, fjall::Error> {
    let options = || fjall::KeyspaceCreateOptions::default().max_memtable_size(memtable_bytes_max);
    Ok(Table::new(db.keyspace(name, options)?))
}

fn check_format(db: &fjall::Database, dir: &Path, memtable_bytes_max: u64) -> Result<(), OpenError> {
    let wrap = |source| engine_error(dir, source);
    let meta = open_table(db, META_TABLE, memtable_bytes_max).map_err(wrap)?;
    let stored = meta.keyspace().get(FormatKey::encode()).map_err(wrap)?;
    let Some(stored) = stored else {
        let mut batch = db.batch().durability(Some(fjall::PersistMode::SyncAll));
        batch.insert(meta.keyspace(), &FormatKey::encode()[..], &FORMAT.to_be_bytes()[..]);
        return batch.commit().map_err(wrap);
    };
    let found = <[u8; 4]>::try_from(&stored[..]).map_or(u32::MAX, u32::from_be_bytes);
    if found > FORMAT {
        return Err(OpenError::TooNew { dir: dir.to_owned(), found, known: FORMAT });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
