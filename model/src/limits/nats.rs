//! How NATS is spoken to.

/// More than one event takes in a stream, for servers with the default bound of a megabyte.
pub const NATS_EVENT_BYTES_MAX: u64 = 2 * 1024 * 1024;
/// Stored events that one look for an event id reads at a time.
pub const NATS_CONTAINS_PAGE: usize = 256;
/// Commands that wait for the connection, beyond which callers wait.
pub const NATS_COMMANDS_MAX: usize = 2048;
/// For the handshake with one server.
pub const NATS_CONNECT_MS: u64 = 5_000;
/// Ephemeral events that wait to be sent; what does not fit is dropped.
pub const NATS_EPHEMERAL_QUEUE_MAX: usize = 4096;
/// What all guild streams together, and likewise all user streams, reserve by default is 64 and 16 times this.
pub const NATS_GUILD_STREAM_BYTES: u64 = 256 * 1024 * 1024;
pub const NATS_USER_STREAM_BYTES: u64 = 256 * 1024 * 1024;
/// Events that a replica did not have, and that one read asks the stream's leader for.
pub const NATS_LAGGING_READS_MAX: usize = 64;
/// Without an answer for three times this long a connection is dead.
pub const NATS_PING_MS: u64 = 5_000;
/// User events that are fetched ahead of what is acknowledged.
pub const NATS_PULL_EVENTS_MAX: usize = 512;
pub const NATS_PULL_HEARTBEAT_MS: u64 = 2_000;
pub const NATS_PULL_MS: u64 = 30_000;
/// How long one question to NATS may take.
pub const NATS_QUESTION_MS: u64 = 2_000;
pub const NATS_RECONNECT_MS_MAX: u64 = 2_000;
pub const NATS_RECONNECT_MS_MIN: u64 = 20;
/// How often a publisher tells what it has published lately, and what "lately" is.
pub const TAIL_TELL_MS: u64 = 250;
pub const TAIL_TOLD_MS: u64 = 2_000;
/// Events of one partition that a publisher tells of at one time, the newest.
pub const TAIL_EVENTS_MAX: usize = 1024;

// --- Guilds one by one, or whole partitions ----------------------------------------------------------------------------
/// Guilds of one partition that a pod in guild mode subscribes to one by one; with more it takes the whole partition.
pub const GUILD_SUBJECTS_MAX: usize = 128;
/// What [`GUILD_SUBJECTS_MAX`] can be set to: NATS tells where so many subjects end at one moment, and one more.
pub const GUILD_SUBJECTS_CEILING: usize = 1000;
/// How often a reader of single guilds asks whether it has everything.
pub const GUILD_CHECK_MS: u64 = 10_000;
/// A pod that has had few guilds of a partition open for this long subscribes to them one by one.
pub const GUILD_MODE_SETTLE_MS: u64 = 30_000;
/// Guilds of one partition whose tails are remembered; of others only the partition's tail is.
pub const TAIL_GUILDS_MAX: usize = 4096;
