//! Sessions that go from pod to pod.

use super::{RPC_MESSAGE_BYTES_MAX, SHARD_GUILDS_MAX};

/// What a session takes as a value: well below what a call takes.
pub const PARCEL_BYTES_MAX: usize = RPC_MESSAGE_BYTES_MAX / 4;
/// Guilds that a session has or is still to be given, with room for some that are joined later.
pub const PARCEL_GUILDS_MAX: usize = 2 * SHARD_GUILDS_MAX;
/// Partitions that a layout has at most.
pub const PARCEL_FLOORS_MAX: usize = 4096;
/// The name of an event.
pub const EVENT_NAME_BYTES_MAX: usize = 64;
/// Ranges of events that a pod reads at one time for sessions that have come.
pub const HISTORY_READS_MAX: usize = 64;
/// Sessions that one shard has given away and remembers, for the time in which they could be resumed.
pub const DEPARTED_MAX: usize = 65_536;
/// Sessions that a pod takes from others at one time.
pub const TAKINGS_MAX: usize = 256;
/// How long the pod that has a session may take to give it away.
pub const TAKE_MS: u64 = 500;
/// How long a RESUME may wait for everything that it needs from elsewhere: then the client begins again.
pub const TAKING_MS: u64 = 5_000;
/// How far a client can be ahead of the checkpoint of its session: what a busy one is given between two heartbeats, and far
/// less than numbers last.
pub const CHECKPOINT_LAG_MAX: u64 = 1_000_000;
