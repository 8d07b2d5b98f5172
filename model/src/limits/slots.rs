//! Leases of slots and of worker ids.

/// Ids of a replica and of those before it in its place that are written down, the newest: who was killed again and again has
/// lost the leases of older ones.
pub const PLACE_IDS_MAX: usize = 32;
/// Slots that one conditional write takes or releases.
pub const SLOT_BATCH_LEN: usize = 64;
/// What a service gets to drain slots that go to another replica.
pub const SLOT_DRAIN_MS: u64 = 4_000;
/// Slots that a replica has drained for others and that are not taken yet, at most.
pub const SLOT_GIVES_AT_ONCE: usize = 64;
/// Who has seen no sign of life of an owner for this long takes over.
pub const SLOT_LEASE_MS: u64 = 10_000;
pub const SLOT_LEASE_RENEW_MS: u64 = 3_000;
/// An owner stops this long after it sent its last renewal that succeeded.
pub const SLOT_LEASE_STOP_MS: u64 = 8_000;
/// Replicas look at the register of slots this often, and while a slot of theirs is on its way.
pub const SLOT_LOOK_MS: u64 = 1_000;
pub const SLOT_LOOK_SOON_MS: u64 = 250;
/// A replica is given slots that others serve once it has lived for this long.
pub const SLOT_NEWCOMER_MS: u64 = 4_000;
/// A slot is swept again this long after it is served, for what came late.
pub const SLOT_RESWEEP_MS: u64 = 30_000;
/// What was sent under a lease has been written this long after nothing more is sent, or never will be: Cassandra itself
/// gives a write up after two seconds.
pub const SLOT_SETTLE_MS: u64 = 2_500;
pub const SLOT_SWEEPS_AT_ONCE: usize = 32;
/// What is written under a lease has to be done this much before the lease's end.
pub const SLOT_WRITE_MARGIN_MS: u64 = 1_000;
/// The snowflakes of a worker stay below a time that is this far beyond the last renewal of its id.
pub const WORKER_AHEAD_MS: u64 = 60_000;
/// What giving up a worker id may take at the end of a process.
pub const WORKER_GIVE_UP_MS: u64 = 3_000;
/// Who has seen no sign of life of a worker id's holder for this long takes it over.
pub const WORKER_LEASE_MS: u64 = 60_000;
/// Ids that a new process looks at.
pub const WORKER_LOOKS: u16 = 64;
pub const WORKER_RENEW_MS: u64 = 15_000;
pub const WORKER_RETRY_MS: u64 = 500;
/// Before that time by this they follow the clock no further; what is left is for a thousand times as many as one
/// millisecond has.
pub const WORKER_SPARE_MS: u64 = 1_000;
/// A holder stops this long after it sent its last renewal that succeeded.
pub const WORKER_STOP_MS: u64 = 45_000;
/// A new process waits at most this long for an id, and for its clock to pass the time of the holder before.
pub const WORKER_WAIT_MS: u64 = 120_000;
