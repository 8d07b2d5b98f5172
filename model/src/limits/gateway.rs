//! Connections and sessions of the gateway.

/// How long a chunk of members waits for a client that reads slowly.
pub const CHUNK_WAIT_MS: u64 = 30_000;
/// How long the registry may take for a checkpoint or a record. READY waits for no more than this.
pub const CHECKPOINT_MS: u64 = 500;
/// Checkpoints of a shard that are on their way at one time.
pub const CHECKPOINTS_AT_ONCE: usize = 64;
pub const CONNECTIONS_MAX: usize = 100_000;
/// How long a gateway that goes away waits to hear which others there are.
pub const DRAIN_ASK_MS: u64 = 500;
/// After the last client was told, the gateway ends at the latest.
pub const DRAIN_END_MS: u64 = 10_000;
/// How long a client may take to leave, once it is told to.
pub const DRAIN_LEAVE_MS: u64 = 3_000;
/// A session of a gateway that goes away waits so long for guilds that are being opened.
pub const DRAIN_OPENING_MS: u64 = 2_000;
/// Clients that each other gateway takes in a second: half of what one with a single shard lets in, so that there is room for
/// those who come by themselves, and for a second gateway that goes away.
pub const DRAIN_SESSIONS_PER_SEC: u64 = 500;
/// Clients are told in portions, this often.
pub const DRAIN_STEP_MS: u64 = 20;
/// How often it is said how far the drain is.
pub const DRAIN_TELL_MS: u64 = 5_000;
/// Users for whom one load of a guild is; who asks when there are so many has the next.
pub const GUILD_LOAD_USERS_MAX: usize = 500;
pub const HANDSHAKES_MAX: usize = 4096;
pub const IDENTIFY_KEYS_MAX: usize = 65_536;
pub const OPENING_EVENTS_MAX: usize = 4096;
pub const OPENINGS_PER_SESSION_MAX: usize = 16;
pub const PRESENCE_BATCH_MAX: usize = 1000;
/// Guilds of all sessions in a batch, where it has more than one.
pub const PRESENCE_BATCH_GUILDS_MAX: usize = 1_000_000;
pub const PRESENCE_BATCH_MS: u64 = 50;
/// Changes of presence that all shards of a pod keep for sessions that could not be given them.
pub const PRESENCES_KEPT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Users in guilds whose presences a pod keeps copies of.
pub const PRESENCE_COPIES_MAX: usize = 4_000_000;
/// How long a question about presences may take: then the answer comes from copies.
pub const PRESENCE_READ_MS: u64 = 1_000;
/// Pause before a comparison that failed is tried again.
pub const PRESENCE_RETRY_MS: u64 = 1_000;
/// How often the lease is renewed while presence does not know everything.
pub const PRESENCE_UNSETTLED_RENEW_MS: u64 = 1_000;
pub const PRESENCES_PER_GUILD_MAX: u32 = 1000;
pub const RETRY_MS_MAX: u64 = 10_000;
pub const RETRY_MS_MIN: u64 = 20;
pub const SHARD_QUEUE_MAX: usize = 16 * 1024;
/// What a shard keeps of one partition, so that sessions can be resumed; and all shards of a pod together, of everything.
pub const SHARED_RING_BYTES_MAX: usize = 32 * 1024 * 1024;
pub const SHARED_RING_EVENTS_MAX: usize = 32 * 1024;
pub const SHARED_RINGS_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Changes of one session's voice states that wait for the one before them.
pub const VOICE_CHANGES_WAITING_MAX: usize = 16;
/// Voice channels that were deleted and whose viewers a guild's table remembers, for those who were in them.
pub const VOICE_CHANNELS_DELETED_MAX: usize = 16;
/// Voice servers that wait for a session to be resumed.
pub const VOICE_SERVERS_WAITING_MAX: usize = 64;
pub const GATEWAY_PAYLOAD_BYTES_MAX: usize = 15 * 1024;
pub const GATEWAY_COMMANDS_MAX: u32 = 120;
pub const GATEWAY_COMMANDS_WINDOW_MS: u64 = 60_000;
pub const HEARTBEAT_INTERVAL_MS: u64 = 41_250;
/// The interval that a client is told lies up to this much below [`HEARTBEAT_INTERVAL_MS`].
pub const HEARTBEAT_JITTER_MS: u64 = 1_000;
pub const HANDSHAKE_BYTES_MAX: usize = 8 * 1024;
pub const HANDSHAKE_HEADERS_MAX: usize = 64;
pub const HANDSHAKE_TIMEOUT_MS: u64 = 10_000;
pub const IDENTIFY_TIMEOUT_MS: u64 = 30_000;
pub const IDENTIFY_WINDOW_MS: u64 = 5_000;
pub const IDENTIFIES_PER_DAY: u32 = 1000;
pub const IDENTIFY_DAY_MS: u64 = 86_400_000;
/// With so many guilds a bot needs many shards, and so has more of a day.
pub const LARGE_BOT_GUILDS: usize = 150_000;
pub const LARGE_BOT_IDENTIFIES_PER_DAY: u32 = 2000;
pub const LARGE_THRESHOLD_DEFAULT: u32 = 50;
pub const LARGE_THRESHOLD_MAX: u32 = 250;
pub const LARGE_THRESHOLD_MIN: u32 = 50;
pub const MAX_CONCURRENCY_DEFAULT: u32 = 16;
pub const MEMBERS_CHUNK_MAX: usize = 1000;
/// A session may ask for all members of a guild once in this time.
pub const MEMBERS_ALL_MS: u64 = 30_000;
pub const MEMBERS_NONCE_BYTES_MAX: usize = 32;
pub const MEMBERS_QUERY_MAX: usize = 100;
pub const OUTBOX_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Frames that wait for a client: half of what its session's ring holds, so that it can resume after it was sent away.
pub const OUTBOX_FRAMES_MAX: usize = RING_EVENTS_MAX / 2;
/// Records of a shard that are on their way at one time, and how long one is tried again.
pub const PARKINGS_MAX: u64 = 256;
pub const PARKING_MS: u64 = 3_000;
/// A refusal waits this long for the client's heartbeat, then op 9 comes without.
pub const REFUSAL_WAIT_MS: u64 = 1_000;
pub const RING_BYTES_MAX: usize = 8 * 1024 * 1024;
pub const RING_EVENTS_MAX: usize = 4096;
/// How often shards are told how far the pod is, and how much of that they keep: of the time that events are kept, and more.
pub const SEEN_TELL_MS: u64 = 1_000;
pub const SEEN_KEPT_MAX: usize = (super::RING_AGE_MS / SEEN_TELL_MS) as usize + 60;
pub const SEQUENCE_MAX: u64 = 2_000_000_000;
pub const SHARD_GUILDS_MAX: usize = 2500;
/// Frames that one `writev` of the gateway covers: up to three times as many slices, far below the 1,024 that the system takes.
pub const WRITE_FRAMES_MAX: usize = 64;

/// How often a bot with so many guilds may IDENTIFY in a day.
///
/// Source: Discord's gateway documentation, "Sharding for Large Bots": 2,000, or 5 for each 1,000 guilds, whichever is more.
pub const fn identifies_per_day(guilds: usize) -> u32 {
    if guilds < LARGE_BOT_GUILDS {
        return IDENTIFIES_PER_DAY;
    }
    let by_guilds = (guilds / 1000).saturating_mul(5);
    if by_guilds > LARGE_BOT_IDENTIFIES_PER_DAY as usize {
        if by_guilds > u32::MAX as usize { u32::MAX } else { by_guilds as u32 }
    } else {
        LARGE_BOT_IDENTIFIES_PER_DAY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_bots_have_more_of_a_day() {
        for (guilds, expected) in [
            (0, 1000),
            (149_999, 1000),
            (150_000, 2000),
            (400_999, 2000),
            (401_000, 2005),
            (usize::MAX, u32::MAX),
        ] {
            assert_eq!(identifies_per_day(guilds), expected, "{guilds}");
        }
    }
}
