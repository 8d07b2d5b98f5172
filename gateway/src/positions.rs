//! Up to where this pod lacks nothing, as a session that leaves it is told.
//!
//! What is read here before a shard is told to give a session away holds for that session: whatever lies below has been put
//! into the shard's queue before.

use std::sync::atomic::{AtomicU64, Ordering};

use backplane::{FollowStatus, Layout, Partition};
use parking_lot::RwLock;
use tokio::sync::watch;

/// See the module.
#[derive(Debug)]
pub(crate) struct Positions {
    /// Of each guild partition.
    guilds: RwLock<Vec<watch::Receiver<FollowStatus>>>,
    /// Of each user partition: the highest sequence that was taken for anybody here.
    users: Box<[AtomicU64]>,
}

/// The same at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// Of all streams.
    pub(crate) incarnation: u64,
    guilds: Vec<u64>,
    users: Vec<u64>,
}

impl Positions {
    pub(crate) fn new(layout: Layout) -> Self {
        let users = (0..layout.user_partitions).map(|_| AtomicU64::new(0)).collect();
        Self { guilds: RwLock::default(), users }
    }

    /// Adds the next guild partition; they are added in order.
    pub(crate) fn follow(&self, status: watch::Receiver<FollowStatus>) {
        self.guilds.write().push(status);
    }

    /// The shards have been given the event of this user partition with this sequence.
    pub(crate) fn took_of_user(&self, partition: Partition, sequence: u64) {
        if let Some(taken) = self.users.get(usize::from(partition.0)) {
            taken.fetch_max(sequence, Ordering::AcqRel);
        }
    }

    pub(crate) fn now(&self) -> Seen {
        let guilds = self.guilds.read();
        Seen {
            incarnation: guilds.first().map_or(0, |status| status.borrow().incarnation),
            guilds: guilds.iter().map(|status| status.borrow().seen).collect(),
            users: self.users.iter().map(|taken| taken.load(Ordering::Acquire)).collect(),
        }
    }
}

impl Seen {
    pub(crate) fn guilds(&self, partition: Partition) -> u64 {
        self.guilds.get(usize::from(partition.0)).copied().unwrap_or_default()
    }

    pub(crate) fn users(&self, partition: Partition) -> u64 {
        self.users.get(usize::from(partition.0)).copied().unwrap_or_default()
    }
}
