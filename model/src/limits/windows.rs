//! Windows in time, and whether they fit together: a lease ends later than its holder stops, a ring outlives a resume.

use super::*;

/// Over how long the clients of a gateway that goes away are told to leave, at most.
pub const DRAIN_MS: u64 = 60_000;
/// A publish with the same event id within it is a repeat.
pub const DUPLICATE_WINDOW_MS: u64 = 120_000;
pub const NONCE_MS: u64 = 300_000;
pub const OUTBOX_ROW_MS: u64 = 900_000;
/// How long a pod has to take a batch of user events.
pub const POD_TAKE_MS: u64 = 2_000;
pub const PRESENCE_LEASE_MS: u64 = 60_000;
pub const PRESENCE_RENEW_MS: u64 = 15_000;
/// So long after its start a replica of presence can trust the roster to name every pod, even if that was emptied.
pub const PRESENCE_SETTLE_MS: u64 = 20_000;
/// While the session registry is away pods read the events of their users themselves, this often.
pub const REGISTRY_AWAY_READ_MS: u64 = 2_000;
pub const REGISTRY_BATCH_MAX: usize = 1000;
pub const REGISTRY_ENTRY_MS: u64 = 90_000;
pub const REGISTRY_RENEW_MS: u64 = 30_000;
/// Who begins to follow a partition asks again for this long before the backplane counts as away.
pub const FOLLOW_START_MS: u64 = 10_000;
/// A repair that failed is tried again after this long, then twice as long, up to [`REPAIR_BACKOFF_MAX_MS`].
pub const REPAIR_BACKOFF_MIN_MS: u64 = 20;
pub const REPAIR_BACKOFF_MAX_MS: u64 = 2_000;
/// How long one question of a repair may take.
pub const REPAIR_TIMEOUT_MS: u64 = 2_000;
pub const RESUME_MS: u64 = 180_000;
pub const RING_AGE_MS: u64 = 300_000;
pub const STREAM_AGE_MS: u64 = 600_000;
/// A reader that is behind the tail for this long has missed something.
pub const TAIL_BEHIND_MS: u64 = 500;
/// Without a heartbeat for this long a connection is dead: one and a half intervals.
pub const ZOMBIE_MS: u64 = 62_000;
/// A name that nobody bears is free again after this long.
pub const USERNAME_CLAIM_MS: u64 = 60_000;

/// [`ZOMBIE_MS`] for any heartbeat interval.
pub const fn zombie_ms(heartbeat_interval_ms: u64) -> u64 {
    heartbeat_interval_ms.saturating_mul(ZOMBIE_MS).div_ceil(HEARTBEAT_INTERVAL_MS)
}

/// Whether the windows fit together, for this heartbeat interval and this time in which a session can be resumed; the text
/// names the first pair that does not.
pub const fn windows_fit(heartbeat_interval_ms: u64, resume_ms: u64) -> Result<(), &'static str> {
    let silence_ms = zombie_ms(heartbeat_interval_ms).saturating_add(resume_ms);
    if zombie_ms(heartbeat_interval_ms) < heartbeat_interval_ms.saturating_mul(3) / 2 {
        return Err("ZOMBIE_MS must be at least one and a half heartbeat intervals");
    }
    if STREAM_AGE_MS < silence_ms.saturating_add(heartbeat_interval_ms).saturating_add(DRAIN_MS) {
        return Err("STREAM_AGE_MS must cover heartbeat, zombie, resume and drain windows");
    }
    if RING_AGE_MS < silence_ms.saturating_add(heartbeat_interval_ms) {
        return Err("RING_AGE_MS must cover heartbeat, zombie and resume windows");
    }
    if OUTBOX_ROW_MS < STREAM_AGE_MS {
        return Err("OUTBOX_ROW_MS must outlive STREAM_AGE_MS");
    }
    if WORKER_STOP_MS >= WORKER_LEASE_MS
        || WORKER_RENEW_MS * 3 > WORKER_STOP_MS
        || WORKER_AHEAD_MS - WORKER_SPARE_MS < WORKER_STOP_MS
    {
        return Err("a worker id must be stopped before it passes on, and its ceiling must last as long");
    }
    if SLOT_LEASE_RENEW_MS + SLOT_WRITE_MARGIN_MS + CASSANDRA_WRITE_MS > SLOT_LEASE_STOP_MS {
        return Err(
            "a lease must leave time to write between two renewals, the second of which may fail once",
        );
    }
    if SLOT_SETTLE_MS < CASSANDRA_WRITE_MS || SLOT_SETTLE_MS < CASSANDRA_GIVE_UP_MS {
        return Err("SLOT_SETTLE_MS must outlive an attempt to write");
    }
    let held_back_ms = CASSANDRA_IDLE_MS + CASSANDRA_GIVE_UP_MS;
    if SLOT_RESWEEP_MS < SLOT_LEASE_MS + CASSANDRA_WRITE_MS
        || SLOT_LEASE_MS + SLOT_RESWEEP_MS <= SLOT_LEASE_STOP_MS + held_back_ms
        || SLOT_SETTLE_MS + SLOT_RESWEEP_MS <= held_back_ms
    {
        return Err("SLOT_RESWEEP_MS must outlive every write of an owner that was replaced, or has died");
    }
    if SLOT_LEASE_STOP_MS >= SLOT_LEASE_MS || PRESENCE_RENEW_MS * 3 > PRESENCE_LEASE_MS {
        return Err("a lease must end later than its holder stops or renews");
    }
    if RPC_KEEPALIVE_MS + RPC_KEEPALIVE_TIMEOUT_MS > SLOT_LEASE_MS {
        return Err("callers must leave who stands still no later than others take its slots");
    }
    if PRESENCE_SETTLE_MS < PRESENCE_RENEW_MS + RPC_DEADLINE_MS {
        return Err("PRESENCE_SETTLE_MS must cover a renewal of every pod");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_fit_together() {
        for heartbeat_interval_ms in [0, 1, 1_000, 5_000, HEARTBEAT_INTERVAL_MS] {
            assert_eq!(windows_fit(heartbeat_interval_ms, RESUME_MS), Ok(()), "{heartbeat_interval_ms}");
        }
        assert!(windows_fit(2 * HEARTBEAT_INTERVAL_MS, RESUME_MS).is_err());
        assert!(windows_fit(HEARTBEAT_INTERVAL_MS, RING_AGE_MS).is_err());
        assert!(windows_fit(u64::MAX, u64::MAX).is_err());
    }
}
