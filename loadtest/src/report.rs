//! What a run found: a few lines for people, JSON for programs.

use std::fmt::Write as _;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::Told;
use crate::target::Usage;

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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Faults {
    pub missing: usize,
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
    /// Compares what every receiver got with what was acknowledged, in the order of ids.
    pub fn find(expected: &[u32], orders: &[Vec<u32>]) -> Self {
        let mut faults = Self::default();
        for order in orders.iter().filter(|order| *order != expected) {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            sorted.dedup();
            faults.repeated += order.len() - sorted.len();
            faults.missing += expected.iter().filter(|index| sorted.binary_search(index).is_err()).count();
            let mut places: Vec<Option<usize>> = Vec::new();
            for (place, index) in expected.iter().enumerate() {
                let index = *index as usize;
                if places.len() <= index {
                    places.resize(index + 1, None);
                }
                places[index] = Some(place);
            }
            let known = order.iter().filter_map(|index| places.get(*index as usize).copied().flatten());
            let known: Vec<usize> = known.collect();
            faults.out_of_order += known.windows(2).filter(|pair| pair[0] > pair[1]).count();
        }
        faults
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
            let bytes = self.event_bytes.unwrap_or_default();
            line(
                "deliveries",
                format!("{} ({:.0}/s) of {bytes} bytes", self.deliveries, self.deliveries_per_sec),
            );
        }
        if let Some(percent) = self.generator_percent {
            line("this program", format!("{percent:.0} % of a core"));
        }
        let Faults { missing, repeated, out_of_order, connections_lost } = self.faults;
        line(
            "faults",
            format!(
                "{missing} missing, {repeated} twice, {out_of_order} out of order, {connections_lost} connections lost"
            ),
        );
        for (name, latency) in [
            ("acknowledged after", self.send),
            ("delivered after", self.delivery),
            ("to the last one after", self.to_all),
        ] {
            if let Some(Latency { p50_ms, p90_ms, p99_ms, p999_ms, max_ms }) = latency {
                line(
                    name,
                    format!(
                        "p50 {p50_ms:.2}  p90 {p90_ms:.2}  p99 {p99_ms:.2}  p99.9 {p999_ms:.2}  max {max_ms:.2} ms"
                    ),
                );
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
            let found = Faults::find(&[2, 0, 1], &[vec![2, 0, 1], order.to_vec()]);
            assert_eq!(found, Faults { missing, repeated, out_of_order, connections_lost: 0 }, "{order:?}");
        };
        check(&[2, 0, 1], 0, 0, 0);
        check(&[2, 1], 1, 0, 0);
        check(&[2, 0, 0, 1], 0, 1, 0);
        check(&[0, 2, 1], 0, 0, 1);
        check(&[], 3, 0, 0);
        // Stored, although the sender never heard of it: neither missing nor a repeat.
        check(&[2, 0, 7, 1], 0, 0, 0);
    }
}
