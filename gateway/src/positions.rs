//! Up to where this pod lacks nothing, as a session that leaves it is told.
//!
//! What is read here before a shard is told to give a session away holds for that session: whatever lies below has been put
//! into the shard's queue before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backplane::{FollowStatus, Layout, Partition};
use model::limits;
use parking_lot::RwLock;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::services::Services;
use crate::shard::Input;

/// See the module.
#[derive(Debug)]
pub(crate) struct Positions {
    /// Of each guild partition.
    guilds: RwLock<Vec<watch::Receiver<FollowStatus>>>,
    /// Of each user partition: the highest sequence that was taken for anybody here.
    users: Box<[AtomicU64]>,
}

/// The same at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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

/// Tells the shards once a second, each behind everything that it was given before.
pub(crate) async fn tell(
    services: Arc<Services>,
    shards: Arc<[mpsc::Sender<Input>]>,
    stop: CancellationToken,
) {
    let mut tick = interval(Duration::from_millis(limits::SEEN_TELL_MS));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let tell = async {
        loop {
            tick.tick().await;
            let seen = Arc::new(services.positions.now());
            for shard in shards.iter() {
                // A shard that has ended has no sessions.
                let _ = shard.send(Input::Seen(seen.clone())).await;
            }
        }
    };
    stop.run_until_cancelled(tell).await;
}

impl Seen {
    pub(crate) fn guilds(&self, partition: Partition) -> u64 {
        self.guilds.get(usize::from(partition.0)).copied().unwrap_or_default()
    }

    pub(crate) fn users(&self, partition: Partition) -> u64 {
        self.users.get(usize::from(partition.0)).copied().unwrap_or_default()
    }
}
