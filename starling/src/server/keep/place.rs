//! The place of a replica: its data directory, by which the process that is started in it knows that those before it have
//! ended, and need not wait for the ends of their leases.
//!
//! A process locks the directory for as long as it lives, and writes down with which ids it joins the register. The system
//! takes the lock away when the process has ended, with all its threads, and not before: who gets the lock knows that
//! nothing more is sent under these ids.
//!
//! That is so only where the lock is the one that was held. So beside the ids stands what tells it from any other: the
//! start of the system's kernel, and the lock's file. A directory that is a copy, or that another machine has mounted
//! while the one before it may still run, proves nothing; then the ids are not known, and the leases end by themselves.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use model::limits::PLACE_IDS_MAX;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use storage::{Lineage, ReplicaId};
use tokio::time::Instant;

use crate::files;
use crate::role::Role;

/// See the module. Dropped, it is free for others.
pub(super) struct Place {
    path: PathBuf,
    lock: Lock,
    ended: Vec<ReplicaId>,
    ended_by: Instant,
    /// Those of this process.
    ids: Mutex<Vec<ReplicaId>>,
    _held: File,
}

/// What is written down.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    lock: Lock,
    ids: Vec<u64>,
}

/// A lock that only one process holds at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Lock {
    /// Which start of the kernel; unknown where it does not tell.
    boot: Option<String>,
    device: u64,
    inode: u64,
}

// === impl Place ===

impl Place {
    /// Makes the directory where it is not there, and takes the lock of a role in it.
    pub(super) fn take(dir: &Path, role: Role) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        let held = lock(&dir.join(format!("{}.lock", role.name())))?;
        let ended_by = Instant::now();
        let path = dir.join(format!("{}.replicas.json", role.name()));
        let lock = Lock::of(&held).with_context(|| format!("look at the lock in {}", dir.display()))?;
        let ended = written(&path, &lock);
        Ok(Self { path, lock, ended, ended_by, ids: Mutex::default(), _held: held })
    }

    /// All that whoever comes next has to know.
    fn to_write(&self, id: ReplicaId) -> Written {
        let mut ids = self.ids.lock();
        ids.push(id);
        let all: Vec<u64> = self.ended.iter().chain(&*ids).map(|id| id.0).collect();
        let newest = all[all.len().saturating_sub(PLACE_IDS_MAX)..].to_vec();
        Written { lock: self.lock.clone(), ids: newest }
    }
}

#[async_trait]
impl Lineage for Place {
    fn ended(&self) -> &[ReplicaId] {
        &self.ended
    }

    fn ended_by(&self) -> Instant {
        self.ended_by
    }

    async fn note(&self, id: ReplicaId) {
        let (path, written) = (self.path.clone(), self.to_write(id));
        let done = tokio::task::spawn_blocking(move || files::write_private(&path, &written)).await;
        if let Err(error) = done.map_err(io::Error::other).flatten() {
            let path = self.path.display();
            tracing::warn!(%error, %path, "whoever is started here next will wait for this replica's lease");
        }
    }
}

fn lock(path: &Path) -> anyhow::Result<File> {
    let shown = || path.display().to_string();
    let open = File::options().write(true).create(true).truncate(false).mode(0o600).open(path);
    let file = open.with_context(|| format!("open {}", shown()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!(
                "{} is locked by another process: end it, or give each replica a data_dir of its own",
                shown()
            )
        }
        Err(TryLockError::Error(error)) => Err(error)
            .with_context(|| format!("lock {}: put data_dir on a file system that has locks", shown())),
    }
}

/// The ids of those who have held this lock before.
fn written(path: &Path, lock: &Lock) -> Vec<ReplicaId> {
    match files::read::<Written>(path) {
        Ok(Some(written)) if written.lock.is_surely(lock) => written.ids.into_iter().map(ReplicaId).collect(),
        Ok(_) => Vec::new(),
        Err(error) => {
            let path = path.display();
            tracing::warn!(%error, %path, "nobody knows who was here before; their leases end in time");
            Vec::new()
        }
    }
}

// === impl Lock ===

impl Lock {
    fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let boot = std::fs::read_to_string(BOOT_ID).ok().map(|id| id.trim().to_owned());
        Ok(Self { boot, device: metadata.dev(), inode: metadata.ino() })
    }

    /// Whether who holds the one holds the other, so that both are never held at one time.
    fn is_surely(&self, other: &Self) -> bool {
        self.boot.is_some() && self == other
    }
}

/// Another at each start of the kernel.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: Role = Role::Messages;

    #[tokio::test]
    async fn who_takes_a_place_knows_the_ids_of_all_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("data");
        let first = Place::take(&dir, ROLE).unwrap();
        assert_eq!(first.ended(), []);
        first.note(ReplicaId(1)).await;
        first.note(ReplicaId(u64::MAX)).await;
        let refused = Place::take(&dir, ROLE).err().unwrap().to_string();
        assert!(refused.contains("messages.lock is locked by another process"), "{refused}");
        assert_eq!(Place::take(&dir, Role::Guilds).unwrap().ended(), [], "another role's place");

        drop(first);
        let before = Instant::now();
        let second = Place::take(&dir, ROLE).unwrap();
        assert_eq!(second.ended(), [ReplicaId(1), ReplicaId(u64::MAX)]);
        assert!(second.ended_by() >= before);
        second.note(ReplicaId(3)).await;
        drop(second);
        assert_eq!(Place::take(&dir, ROLE).unwrap().ended(), [1, u64::MAX, 3].map(ReplicaId));
    }

    #[tokio::test]
    async fn the_newest_ids_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let most = PLACE_IDS_MAX as u64;
        for half in [0..most / 2, most / 2..most + 1] {
            let place = Place::take(dir.path(), ROLE).unwrap();
            for id in half {
                place.note(ReplicaId(id)).await;
            }
        }
        let all: Vec<ReplicaId> = (1..=most).map(ReplicaId).collect();
        assert_eq!(Place::take(dir.path(), ROLE).unwrap().ended(), all);
    }

    /// A copy of the directory, another machine's mount, a file that says nothing.
    #[tokio::test]
    async fn another_lock_proves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (one, copy) = (dir.path().join("one"), dir.path().join("copy"));
        let place = Place::take(&one, ROLE).unwrap();
        place.note(ReplicaId(1)).await;
        std::fs::create_dir(&copy).unwrap();
        let file = "messages.replicas.json";
        std::fs::copy(one.join(file), copy.join(file)).unwrap();
        assert_eq!(Place::take(&copy, ROLE).unwrap().ended(), [], "a copy is locked apart");

        let lock = place.lock.clone();
        drop(place);
        let elsewhere = Lock { boot: Some("another".to_owned()), ..lock.clone() };
        let unknown = Lock { boot: None, ..lock.clone() };
        assert!(!elsewhere.is_surely(&lock) && !lock.is_surely(&elsewhere) && !unknown.is_surely(&unknown));
        std::fs::write(one.join(file), "{").unwrap();
        assert_eq!(Place::take(&one, ROLE).unwrap().ended(), []);
    }
}
