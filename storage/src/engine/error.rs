//! What can go wrong, by operation. A failure of the disk during a commit is not here: it ends the process.

use super::BatchError;
use model::limits::{STORE_CLOSE_MS, STORE_COMMIT_MS};
use std::{io, path::PathBuf};

/// Why a database or a table of it could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error(
        "open the database in {dir}: another process is using it; stop that one or choose another data directory"
    )]
    Locked {
        /// The directory.
        dir: PathBuf,
    },
    /// The directory cannot be made.
    #[error("make the database directory {dir}: {source}; check that its parent exists and is writable")]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Written by a newer version.
    #[error(
        "open the database in {dir}: it has format {found}, this version knows up to {known}; use a newer version"
    )]
    TooNew {
        /// The directory.
        dir: PathBuf,
        /// The format on the disk.
        found: u32,
        /// The newest format that this code reads.
        known: u32,
    },
    /// A name that is no table name.
    #[error("open table {name:?}: a table name has 1 to 64 characters of a-z, 0-9 and _")]
    TableName {
        /// The name.
        name: String,
    },
    /// The thread could not be started.
    #[error("start the committer thread: {0}; check the limit on threads")]
    Thread(#[source] io::Error),
    /// Anything else.
    #[error("open the database in {dir}: {source}; check the disk, or restore the directory from a backup")]
    Engine {
        /// The directory.
        dir: PathBuf,
        /// What the engine said.
        source: fjall::Error,
    },
}

/// Why a commit did not return success.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Refused as it is: nothing was written.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The engine was closed before it took the batch: nothing was written.
    #[error("commit: the engine is closed, nothing was written; the process is shutting down")]
    Closed,
    /// No place in the queue in time: nothing was written.
    #[error(
        "commit: no place in the queue within {} ms, nothing was written; the disk is too slow for this load, try later",
        STORE_COMMIT_MS
    )]
    Overloaded,
    /// Taken, but not confirmed: in time, or before the committer ended.
    #[error(
        "commit: not confirmed within {} ms, outcome unknown; read back or retry idempotently",
        STORE_COMMIT_MS
    )]
    Unknown,
}

/// Why a close did not end cleanly.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// The disk did not take what was waiting.
    #[error("close the database: still writing after {} ms; what was acknowledged is safe", STORE_CLOSE_MS)]
    Timeout,
}
