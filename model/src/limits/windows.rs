//! Whether the windows in time fit together: a lease ends later than its holder stops, a ring outlives a resume.

use super::*;

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
        || WORKER_AHEAD_MS < WORKER_STOP_MS
    {
        return Err("a worker id must be stopped before it passes on, and its ceiling must last as long");
    }
    if SLOT_LEASE_RENEW_MS + SLOT_WRITE_MARGIN_MS + CASSANDRA_WRITE_MS > SLOT_LEASE_STOP_MS {
        return Err(
            "a lease must leave time to write between two renewals, the second of which may fail once",
        );
    }
    if SLOT_RESWEEP_MS < SLOT_LEASE_MS + CASSANDRA_WRITE_MS {
        return Err("SLOT_RESWEEP_MS must outlive every write of an owner that was replaced");
    }
    if SLOT_LEASE_STOP_MS >= SLOT_LEASE_MS || PRESENCE_RENEW_MS * 3 > PRESENCE_LEASE_MS {
        return Err("a lease must end later than its holder stops or renews");
    }
    if PRESENCE_SETTLE_MS < PRESENCE_RENEW_MS + RPC_DEADLINE_MS {
        return Err("PRESENCE_SETTLE_MS must cover a renewal of every pod");
    }
    Ok(())
}
