//! What a run found: a few lines for people, JSON for programs.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fmt::Write as _;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::Told;
use crate::target::Usage;

/// Where a distribution is looked at to draw it.
pub const QUANTILES: [f64; 17] =
    [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 1.0];

/// A distribution of microseconds at each of [`QUANTILES`], in milliseconds.
pub fn curve(histogram: &Histogram<u64>) -> Vec<f64> {
    if histogram.is_empty() {
        return Vec::new();
    }
    QUANTILES.iter().map(|quantile| histogram.value_at_quantile(*quantile) as f64 / 1000.0).collect()
}

/// Percentiles in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Latency {
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    pub max_ms: f64,
}

/// How what came differs from what was acknowledged, over all receivers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Faults {
    pub missing: usize,
    /// Those of the missing that came while their receiver had no session.
    pub missing_anew: usize,
    pub repeated: usize,
    pub out_of_order: usize,
    pub connections_lost: usize,
}

#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub kind: &'static str,
    pub receivers: usize,
    pub senders: usize,
    pub seconds: f64,
    pub acknowledged: usize,
    pub limited: usize,
    pub failed: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_failure: Option<String>,
    pub messages_per_sec: f64,
    pub deliveries: usize,
    pub deliveries_per_sec: f64,
    /// Length of an event as it was received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_bytes: Option<usize>,
    /// The same as a frame, compressed if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wire_bytes: Option<f64>,
    /// How busy this program was, in percent of a core: near 100 it is what was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generator_percent: Option<f64>,
    pub faults: Faults,
    /// From when a message was due until it was acknowledged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send: Option<Latency>,
    /// Until a receiver had it, of all receivers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Latency>,
    /// The same in milliseconds at each of [`QUANTILES`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub delivery_curve: Vec<f64>,
    /// Until the last receiver had it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_all: Option<Latency>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerUse>,
}

/// What the server's process used.
#[derive(Debug, Default, Serialize)]
pub struct ServerUse {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_us_per_delivery: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_us_per_delivery: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_us_per_message: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub syscalls_per_delivery: Option<f64>,
    /// Only those calls that can write to a socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writes_per_delivery: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_us_per_connect: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_percent_idle: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_connection: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_connection_after_traffic: Option<f64>,
    pub anonymous_bytes: u64,
}

impl Latency {
    pub fn of(histogram: &Histogram<u64>) -> Option<Self> {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
        (!histogram.is_empty()).then(|| Self {
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: histogram.max() as f64 / 1000.0,
        })
    }
}

impl Faults {
    /// Adds how the order of one receiver differs from what was acknowledged, in the order of ids. What comes again counts as
    /// that only: the order is that of first times. `is_anew`: it had to begin a new session.
    pub fn note(&mut self, expected: &[u32], order: &[u32], is_anew: bool) {
        let mut seen = HashSet::new();
        let firsts: Vec<u32> = order.iter().copied().filter(|index| seen.insert(*index)).collect();
        self.repeated += order.len() - firsts.len();
        let missing = expected.iter().filter(|index| !seen.contains(index)).count();
        self.missing += missing;
        if is_anew {
            self.missing_anew += missing;
        }
        let places: HashMap<u32, usize> = expected.iter().copied().zip(0..).collect();
        let known: Vec<usize> = firsts.iter().filter_map(|index| places.get(index).copied()).collect();
        self.out_of_order += known.windows(2).filter(|pair| pair[0] > pair[1]).count();
    }

    /// The two together.
    pub fn and(self, other: Self) -> Self {
        Self {
            missing: self.missing + other.missing,
            missing_anew: self.missing_anew + other.missing_anew,
            repeated: self.repeated + other.repeated,
            out_of_order: self.out_of_order + other.out_of_order,
            connections_lost: self.connections_lost + other.connections_lost,
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { missing, missing_anew, repeated, out_of_order, connections_lost } = self;
        write!(f, "{missing} missing")?;
        if *missing_anew > 0 {
            write!(f, " ({missing_anew} by those who had to identify again)")?;
        }
        write!(f, ", {repeated} twice, {out_of_order} out of order, {connections_lost} connections lost")
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50_ms, p90_ms, p99_ms, p999_ms, max_ms } = self;
        write!(f, "p50 {p50_ms:.2}  p90 {p90_ms:.2}  p99 {p99_ms:.2}  p99.9 {p999_ms:.2}  max {max_ms:.2} ms")
    }
}

impl ServerUse {
    /// Microseconds of CPU between two moments: user time, and all of it.
    pub fn cpu_us(before: Usage, after: Usage) -> (f64, f64) {
        let user = after.user_ms.saturating_sub(before.user_ms) as f64 * 1000.0;
        (user, user + after.system_ms.saturating_sub(before.system_ms) as f64 * 1000.0)
    }
}

impl Told for Report {
    fn print(&self) {
        print!("{}", self.text());
    }
}

impl Report {
    /// Whether everything that was acknowledged came to everybody, once and in order, and nothing failed.
    pub fn is_complete(&self) -> bool {
        self.faults == Faults::default() && self.failed == 0 && self.limited == 0
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: String| {
            let _ = writeln!(text, "{name:>23}  {value}");
        };
        line(
            "run",
            format!(
                "{}: {} receivers, {} senders, {:.1} s",
                self.kind, self.receivers, self.senders, self.seconds
            ),
        );
        if self.acknowledged + self.failed + self.limited > 0 {
            let (limited, failed) = (self.limited, self.failed);
            line(
                "messages",
                format!(
                    "{} acknowledged ({:.1}/s), {limited} limited, {failed} failed",
                    self.acknowledged, self.messages_per_sec
                ),
            );
        }
        if let Some(failure) = &self.first_failure {
            line("first failure", failure.clone());
        }
        if self.deliveries > 0 {
            let (bytes, wire) = (self.event_bytes.unwrap_or_default(), self.wire_bytes.unwrap_or_default());
            line(
                "deliveries",
                format!(
                    "{} ({:.0}/s) of {bytes} bytes, {wire:.0} on the wire",
                    self.deliveries, self.deliveries_per_sec
                ),
            );
        }
        if let Some(percent) = self.generator_percent {
            line("this program", format!("{percent:.0} % of a core"));
        }
        line("faults", self.faults.to_string());
        for (name, latency) in [
            ("acknowledged after", self.send),
            ("delivered after", self.delivery),
            ("to the last one after", self.to_all),
        ] {
            if let Some(latency) = latency {
                line(name, latency.to_string());
            }
        }
        if let Some(server) = &self.server {
            let figures = [
                ("user CPU a delivery", server.user_us_per_delivery, "µs"),
                ("CPU a delivery", server.cpu_us_per_delivery, "µs"),
                ("CPU a message", server.cpu_us_per_message, "µs"),
                ("system calls a delivery", server.syscalls_per_delivery, "calls"),
                ("those that write", server.writes_per_delivery, "calls"),
                ("CPU a connect", server.cpu_us_per_connect, "µs"),
                ("CPU idle", server.cpu_percent_idle, "%"),
                ("memory a connection", server.bytes_per_connection, "bytes"),
                ("the same after traffic", server.bytes_per_connection_after_traffic, "bytes"),
            ];
            for (name, value, unit) in figures {
                if let Some(value) = value {
                    line(name, format!("{value:.2} {unit}"));
                }
            }
            line("memory of the server", format!("{:.1} MiB", server.anonymous_bytes as f64 / 1_048_576.0));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_counted() {
        let check = |order: &[u32], missing, repeated, out_of_order| {
            let mut found = Faults::default();
            found.note(&[2, 0, 1], order, false);
            assert_eq!(found, Faults { missing, repeated, out_of_order, ..Faults::default() }, "{order:?}");
        };
        check(&[2, 0, 1], 0, 0, 0);
        check(&[2, 1], 1, 0, 0);
        check(&[2, 0, 0, 1], 0, 1, 0);
        check(&[0, 2, 1], 0, 0, 1);
        // A replay after a crash brings again what came before it.
        check(&[2, 0, 2, 0, 1], 0, 2, 0);
        check(&[], 3, 0, 0);
        let mut found = Faults::default();
        found.note(&[2, 0, 1], &[2], true);
        assert_eq!((found.missing, found.missing_anew), (2, 2));
        let both = found.and(Faults { repeated: 1, ..found });
        assert_eq!((both.missing, both.repeated), (4, 1));
        assert!(both.to_string().starts_with("4 missing (4 by those who had to identify again), 1 twice"));
        // Stored, although the sender never heard of it: neither missing nor a repeat.
        check(&[2, 0, 7, 1], 0, 0, 0);
    }
}
