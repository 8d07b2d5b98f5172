//! What a gateway is started with.

use std::path::PathBuf;
use std::sync::Arc;

use backplane::{Backplane, PodName, Registry, Roster, Sessions, Starts};
use model::clock::SharedClock;
use model::limits;
use proto::clients::{AccountsClient, GuildsClient, MessagesClient, PresenceClient};
use tokio::net::TcpListener;

use crate::neighbours::Neighbours;

/// Everything that a gateway needs.
pub struct Config {
    pub listener: TcpListener,
    /// With these clients speak TLS to the listener.
    pub tls: Option<TlsFiles>,
    /// What clients are told to resume at: `ws://host[:port][/path]`, without a trailing slash.
    pub public_url: String,
    pub pod: PodName,
    /// How many shards (threads); at most 64.
    pub shards: usize,
    pub backplane: Arc<dyn Backplane>,
    pub registry: Arc<dyn Registry>,
    pub roster: Arc<dyn Roster>,
    pub sessions: Arc<dyn Sessions>,
    /// The way to other gateways, where there are any: sessions are resumed across them.
    pub neighbours: Option<Neighbours>,
    pub starts: Arc<dyn Starts>,
    pub accounts: AccountsClient,
    pub guilds: GuildsClient,
    pub messages: MessagesClient,
    /// The replicas of presence, in an order that is the same for all pods; at least one.
    pub presence: Vec<PresenceClient>,
    pub clock: SharedClock,
    pub settings: Settings,
}

/// The files (PEM) of a certificate with those who signed it, and of its key. They may be replaced at any time.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// What an operator may change.
#[derive(Debug, Clone)]
pub struct Settings {
    pub heartbeat_interval_ms: u64,
    /// IDENTIFYs of one bot that may come at once, per 5 seconds.
    pub max_concurrency: u32,
    pub connections_max: usize,
    /// New connections in a second; 0: by the number of shards.
    pub connections_per_sec: u32,
    /// IDENTIFYs and RESUMEs in a second; 0: by the number of shards.
    pub starts_per_sec: u32,
    /// What of a quiet time may be made up for at once, of both.
    pub admission_burst_ms: u64,
    pub outbox_bytes_max: usize,
    /// How long a session without a socket can be resumed.
    pub resume_ms: u64,
    /// Guilds of one partition that are listened to one by one, rather than the whole partition; 0: none ever is.
    pub guild_subjects_max: usize,
    pub compressing: Compressing,
    /// When the gateway goes away: over how long its clients are told at most.
    pub drain_window_ms: u64,
    /// And how many of them each other gateway takes in a second.
    pub drain_sessions_per_sec: u64,
}

/// How `zlib-stream` and `zstd-stream` are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compressing {
    /// An event is compressed once for all connections. They keep nothing.
    Shared,
    /// Each connection has a compressor of its own: less is sent, for more memory and time.
    Stream,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            heartbeat_interval_ms: limits::HEARTBEAT_INTERVAL_MS,
            max_concurrency: limits::MAX_CONCURRENCY_DEFAULT,
            connections_max: limits::CONNECTIONS_MAX,
            connections_per_sec: 0,
            starts_per_sec: 0,
            admission_burst_ms: limits::ADMISSION_BURST_MS,
            outbox_bytes_max: limits::OUTBOX_BYTES_MAX,
            resume_ms: limits::RESUME_MS,
            guild_subjects_max: 0,
            compressing: Compressing::Shared,
            drain_window_ms: limits::DRAIN_MS,
            drain_sessions_per_sec: limits::DRAIN_SESSIONS_PER_SEC,
        }
    }
}
