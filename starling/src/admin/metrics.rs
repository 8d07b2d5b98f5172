//! `/metrics`, in the text format of OpenMetrics. Nothing is counted here: each scrape reads the counters of the crates.
//! Never an id as a label.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use backplane::Nats;
use messages::Messages;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use storage::EngineStats;

use super::process_metrics;
use crate::process::PANICS;

/// One number at one moment.
#[derive(Debug, Clone)]
pub struct Reading {
    pub name: String,
    pub help: &'static str,
    pub value: Value,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// Only rises.
    Counter(f64),
    Gauge(f64),
}

/// Reads some numbers.
pub type Readings = Arc<dyn Fn() -> Vec<Reading> + Send + Sync>;

/// Those of the gateway's numbers that say what is there now.
const GATEWAY_GAUGES: [&str; 7] = [
    "connections",
    "sessions",
    "guilds_open",
    "drain_started_at",
    "drain_waiting",
    "starts_waiting",
    "turn_late_ms",
];

/// The text of one scrape.
pub fn render(readings: &[Readings]) -> String {
    let mut registry = Registry::default();
    let version = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("starling_build", "What is running", version);
    let mut all = process_metrics::readings();
    let panics = PANICS.load(Ordering::Relaxed);
    all.push(counter("starling_panics", "Panics, contained or not", panics));
    all.extend(readings.iter().flat_map(|readings| readings()));
    registry.register_collector(Box::new(Snapshot(all)));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)
        .expect("a text takes whatever is written");
    text
}

#[derive(Debug)]
struct Snapshot(Vec<Reading>);

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        for Reading { name, help, value } in &self.0 {
            match value {
                Value::Counter(value) => {
                    let metric = ConstCounter::new(*value);
                    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)?;
                }
                Value::Gauge(value) => {
                    let metric = ConstGauge::new(*value);
                    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)?;
                }
            }
        }
        Ok(())
    }
}

/// A number that only rises.
pub fn counter(name: impl Into<String>, help: &'static str, value: u64) -> Reading {
    Reading { name: name.into(), help, value: Value::Counter(value as f64) }
}

/// A number that says what is there now.
pub fn gauge(name: impl Into<String>, help: &'static str, value: u64) -> Reading {
    Reading { name: name.into(), help, value: Value::Gauge(value as f64) }
}

/// The gateway's numbers, by their own names.
pub fn gateway(
    read: impl Fn() -> Vec<(&'static str, u64)> + Send + Sync + 'static,
) -> impl Fn() -> Vec<Reading> + Send + Sync + 'static {
    move || {
        let reading = |(name, value): (&'static str, u64)| {
            let full = format!("starling_gateway_{name}");
            match GATEWAY_GAUGES.contains(&name) {
                true => gauge(full, "Of the gateway, now", value),
                false => counter(full, "Of the gateway, since the start", value),
            }
        };
        read().into_iter().map(reading).collect()
    }
}

pub fn engine(stats: &EngineStats) -> Vec<Reading> {
    let EngineStats { groups, batches, changes, bytes, write_us } = *stats;
    let seconds = Reading {
        name: "starling_store_write_seconds".to_owned(),
        help: "Time spent in writing and fsync",
        value: Value::Counter(write_us as f64 / 1e6),
    };
    vec![
        counter("starling_store_groups", "Groups of batches made durable: fsyncs", groups),
        counter("starling_store_batches", "Batches made durable", batches),
        counter("starling_store_changes", "Puts and deletes made durable", changes),
        counter("starling_store_written_bytes", "Keys and values made durable", bytes),
        seconds,
    ]
}

pub fn messages(messages: &Messages) -> Vec<Reading> {
    let stats = messages.stats();
    let counters = [
        ("created", "Messages stored and published", &stats.created),
        ("repeated", "Sends answered with an earlier message, by nonce", &stats.repeated),
        ("edited", "Messages edited", &stats.edited),
        ("deleted", "Messages deleted", &stats.deleted),
        ("reactions", "Reactions added or removed", &stats.reactions),
        ("typings", "Typing indicators", &stats.typings),
        ("rate_limited", "Sends refused by the limit of a channel", &stats.rate_limited),
        ("filtered", "Messages refused by the content filter", &stats.filtered),
        ("publish_retries", "Publishes that failed and were repeated", &stats.publish_retries),
        ("stalls", "Times a channel's publishes stood still", &stats.stalls),
        ("overloaded", "Requests refused because a channel's queue was full", &stats.overloaded),
        ("guilds_loaded", "Views of guilds loaded", &stats.guilds_loaded),
        ("direct_checks", "Permission checks that asked the directory", &stats.direct_checks),
        ("swept", "Events published again at the start", &stats.swept),
        ("late", "Messages stored by who had lost the slot, and deleted", &stats.late),
        ("unsure", "Messages that may be such, and stayed", &stats.unsure),
    ];
    let mut all: Vec<_> = counters
        .into_iter()
        .map(|(name, help, value)| counter(format!("starling_messages_{name}"), help, value.get()))
        .collect();
    let running = messages.channels_running() as u64;
    all.push(gauge("starling_messages_channels_running", "Channels in use", running));
    let in_flight = messages.ids_in_flight() as u64;
    all.push(gauge("starling_messages_in_flight", "Messages given an id and not yet published", in_flight));
    all
}

pub fn presence(stats: &presence::Stats) -> Vec<Reading> {
    let counts = &stats.counts;
    vec![
        gauge("starling_presence_pods", "Gateways with a lease", counts.pods as u64),
        gauge("starling_presence_sessions", "Sessions known", counts.sessions as u64),
        gauge("starling_presence_users", "Users with a session", counts.users as u64),
        gauge("starling_presence_voice_states", "Users in voice channels", counts.voice_states as u64),
        gauge("starling_presence_stale", "1 while answers may be incomplete", u64::from(stats.is_stale)),
        gauge(
            "starling_presence_pods_held",
            "Gateways that do not call and may live",
            counts.pods_held as u64,
        ),
        gauge(
            "starling_presence_pods_unheard",
            "Gateways whose sessions are unknown",
            counts.pods_unheard as u64,
        ),
        counter(
            "starling_presence_roster_failures",
            "Times that the roster could not be read",
            stats.roster_failures,
        ),
        gauge("starling_presence_releases_pending", "Sessions to go offline", counts.releases_pending as u64),
        gauge(
            "starling_presence_voices_queued",
            "Voice events to be acknowledged",
            stats.voices_queued as u64,
        ),
        counter("starling_presence_published", "PRESENCE_UPDATE by guild", stats.presences_published),
        counter("starling_presence_voices_published", "VOICE_STATE_UPDATE", stats.voices_published),
        counter(
            "starling_presence_sessions_refused",
            "Entries of an epoch that was over",
            stats.sessions_refused,
        ),
        counter("starling_presence_resyncs", "Times a gateway sent all of its sessions", stats.resyncs),
    ]
}

pub fn fanout(stats: &fanout::Stats) -> Vec<Reading> {
    let fanout::Stats { events, delivered, without_session, to_gone_pods, abandoned, retries } = *stats;
    vec![
        counter("starling_fanout_events", "User events taken", events),
        counter("starling_fanout_delivered", "User events given to gateways", delivered),
        counter("starling_fanout_without_session", "User events of users without a session", without_session),
        counter("starling_fanout_to_gone_pods", "User events for gateways that were gone", to_gone_pods),
        counter("starling_fanout_abandoned", "User events given up", abandoned),
        counter("starling_fanout_retries", "Deliveries that failed and were made again", retries),
    ]
}

pub fn nats(nats: &Nats) -> Vec<Reading> {
    vec![
        gauge(
            "starling_nats_connected",
            "1 while there is a connection to NATS",
            u64::from(nats.is_connected()),
        ),
        counter("starling_nats_connects", "Connections made to NATS", nats.connects()),
        counter(
            "starling_nats_ephemeral_dropped",
            "Ephemeral events dropped before they were sent",
            nats.ephemeral_dropped(),
        ),
        counter(
            "starling_nats_subscription_dropped",
            "Messages that a full subscription dropped, to be repaired",
            nats.subscription_dropped(),
        ),
    ]
}

pub fn redis(stats: &redis_link::Stats) -> Vec<Reading> {
    let redis_link::Stats { is_up, calls, failures, outages } = *stats;
    vec![
        gauge("starling_redis_up", "1 while Redis answers", u64::from(is_up)),
        counter("starling_redis_calls", "Scripts that Redis answered", calls),
        counter("starling_redis_failures", "Scripts without an answer", failures),
        counter("starling_redis_outages", "Times that Redis went away", outages),
    ]
}
