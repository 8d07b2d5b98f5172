//! Counters of a gateway, for `/metrics`. Never an id as a label.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! stats {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters since the start, and gauges of what is there now.
        #[derive(Debug, Default)]
        pub struct GatewayStats { $( $(#[$doc])* pub $name: AtomicU64, )* }

        impl GatewayStats {
            /// Every counter by name.
            pub fn all(&self) -> Vec<(&'static str, u64)> {
                vec![ $( (stringify!($name), self.$name.load(Ordering::Relaxed)), )* ]
            }
        }
    };
}

stats! {
    /// Open sockets.
    connections,
    /// For want of a place: of connections, of handshakes, of compressors.
    connections_refused_full,
    connections_refused_by_rate,
    connections_refused_by_load,
    /// Of all that were refused: closed without an answer, as too many were being answered.
    connections_dropped,
    handshakes_rejected,
    /// By how TLS was agreed on: from nothing, or by the ticket of an earlier connection.
    tls_handshakes_full,
    tls_handshakes_resumed,
    /// Garbage, silence, nothing in common.
    tls_handshakes_failed,
    /// Sessions, with and without a socket.
    sessions,
    /// IDENTIFYs and RESUMEs that were let in, before anything else was looked at.
    starts_admitted,
    /// Of these, those that had to wait, and how long all of them together.
    starts_delayed,
    starts_delayed_ms,
    /// Those that waited too long, or found no place to wait.
    starts_refused_by_rate,
    starts_refused_by_load,
    /// Those that wait now.
    starts_waiting,
    /// How late the latest shard is with what it is sent.
    turn_late_ms,
    identifies,
    identifies_refused,
    /// Of these, of bots that had all of their day.
    identifies_beyond_day,
    resumes,
    resumes_refused,
    /// Of these, for what was to be replayed and is gone from the rings.
    resumes_too_old,
    /// Sessions that came from other pods, and those that went there.
    sessions_taken,
    sessions_given,
    /// Sessions that were in a later epoch elsewhere, and ended here.
    sessions_overtaken,
    /// Sessions that another pod asked for and was not given: not here, or its client could not resume them here either.
    givings_refused,
    /// Resumes of sessions of other pods that were refused: nobody knew of it, its pod refused, somebody else was first, its
    /// pod was silent and had left nothing of use, what it was given is gone from the streams, or there was too much to do.
    takings_unknown,
    takings_refused,
    takings_lost,
    takings_silent,
    takings_gone,
    takings_crowded,
    /// Sessions that came and ended, because events of their guilds are gone from the streams.
    arrivals_gone,
    /// Sessions ended because they missed more than could be replayed.
    sessions_overrun,
    replayed_events,
    zombies,
    slow_consumers,
    closes,
    payloads,
    events_taken,
    events_malformed,
    events_lost,
    /// Kept for resumes, once per shard.
    ring_events,
    ring_bytes,
    dispatches,
    ephemeral_dropped,
    writes,
    written_bytes,
    /// Guilds with a session on this pod, counted once per shard.
    guilds_open,
    /// Loads of guilds, each for all who waited for it.
    guild_loads,
    openings_repeated,
    user_events,
    /// Users whose entry in the session registry was gone when it was to be renewed.
    registrations_missing,
    /// Calls of presence that were not answered.
    presence_failures,
    /// Answers about presences that came from copies, in whole or in part.
    presences_stale,
    /// Users in guilds whose presences are copied here.
    presence_copies,
    /// Presences that sessions were told late, because an event was lost or presence could not be reached.
    presences_corrected,
    /// Requests for all members of a guild that came too soon after another.
    members_refused,
    /// When the gateway began to tell its clients to leave, in seconds since 1970; 0 before.
    drain_started_at,
    /// Clients that are still to be told.
    drain_waiting,
    /// Clients that were told.
    drained,
    /// Sessions that were left in the registry for whoever takes them.
    sessions_parked,
    /// Sessions of which nothing newer than their checkpoint could be left: the registry was away, or what was to be replayed is
    /// gone.
    drained_without_record,
    /// Sessions that were more than a record takes, and left a checkpoint.
    records_too_large,
    /// Checkpoints that were written, and those that were not, as the registry was away.
    checkpoints,
    checkpoints_failed,
}

pub(crate) trait Count {
    fn add(&self, count: u64);
    fn sub(&self, count: u64);
}

impl Count for AtomicU64 {
    fn add(&self, count: u64) {
        self.fetch_add(count, Ordering::Relaxed);
    }

    fn sub(&self, count: u64) {
        self.fetch_sub(count, Ordering::Relaxed);
    }
}
