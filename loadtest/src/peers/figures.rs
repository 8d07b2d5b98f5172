//! The figures of a run, their medians, and the tables.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::cli::Peer;
use crate::report::{Report, ServerUse};

/// A figure: its name in JSON, its heading, digits after the point.
type Metric = (&'static str, &'static str, usize);

const METRICS: &[Metric] = &[
    ("bytes_idle", "memory a connection before traffic, bytes", 0),
    ("bytes_after_traffic", "the same after traffic, bytes", 0),
    ("cpu_us_per_connect", "CPU a connect, µs", 0),
    ("steady_user_us", "steady: user CPU a delivery, µs", 2),
    ("steady_cpu_us", "steady: CPU a delivery, µs", 2),
    ("steady_syscalls", "steady: system calls a delivery", 3),
    ("steady_writes", "steady: writes a delivery", 3),
    ("steady_p99_ms", "steady: p99 of all deliveries, ms", 1),
    ("steady_to_all_p99_ms", "steady: p99 to the last receiver, ms", 1),
    ("burst_user_us", "burst: user CPU a delivery, µs", 2),
    ("burst_cpu_us", "burst: CPU a delivery, µs", 2),
    ("burst_syscalls", "burst: system calls a delivery", 3),
    ("burst_writes", "burst: writes a delivery", 3),
    ("burst_p50_ms", "burst: p50 of all deliveries, ms", 0),
    ("burst_to_all_p99_ms", "burst: p99 to the last receiver, ms", 0),
    ("burst_generator_percent", "burst: load of the generator's core, %", 0),
    ("event_bytes", "length of an event, bytes", 0),
];

/// Figures by name.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Figures(BTreeMap<&'static str, f64>);

/// What was found of one server with so many receivers.
#[derive(Debug, Serialize)]
pub struct Found {
    pub server: Peer,
    pub median: Figures,
    pub rounds: Vec<Figures>,
}

/// What was found with so many receivers.
#[derive(Debug, Serialize)]
pub struct Size {
    pub receivers: usize,
    pub messages_per_sec: f64,
    pub burst: usize,
    pub servers: Vec<Found>,
}

/// Everything.
#[derive(Debug, Serialize)]
pub struct Comparison {
    pub sizes: Vec<Size>,
    /// What went wrong: messages lost, repeated, out of order, refused.
    pub faults: Vec<String>,
}

impl Figures {
    /// Of the two phases of a run. Of one in which system calls were counted only these are taken: counting costs.
    pub fn of(steady: &Report, burst: &Report) -> Self {
        let mut figures = Self::default();
        let none = ServerUse::default();
        for (report, prefix) in [(steady, "steady"), (burst, "burst")] {
            let server = report.server.as_ref().unwrap_or(&none);
            figures.note(prefix, "syscalls", server.syscalls_per_delivery);
            figures.note(prefix, "writes", server.writes_per_delivery);
            if server.syscalls_per_delivery.is_some() {
                continue;
            }
            figures.note(prefix, "user_us", server.user_us_per_delivery);
            figures.note(prefix, "cpu_us", server.cpu_us_per_delivery);
            figures.note(prefix, "p50_ms", report.delivery.map(|latency| latency.p50_ms));
            figures.note(prefix, "p99_ms", report.delivery.map(|latency| latency.p99_ms));
            figures.note(prefix, "to_all_p99_ms", report.to_all.map(|latency| latency.p99_ms));
            figures.note(prefix, "generator_percent", report.generator_percent);
            figures.note("event", "bytes", report.event_bytes.map(|bytes| bytes as f64));
        }
        if let (Some(before), Some(after)) = (&steady.server, &burst.server)
            && before.syscalls_per_delivery.is_none()
        {
            figures.note("bytes", "idle", before.bytes_per_connection);
            figures.note("bytes", "after_traffic", after.bytes_per_connection_after_traffic);
            figures.note("cpu", "us_per_connect", before.cpu_us_per_connect);
        }
        figures
    }

    fn note(&mut self, prefix: &str, name: &str, value: Option<f64>) {
        let name = format!("{prefix}_{name}");
        let metric = METRICS.iter().find(|(known, ..)| *known == name);
        if let (Some((name, ..)), Some(value)) = (metric, value) {
            self.0.insert(name, value);
        }
    }

    /// Of each figure the median over the rounds that have it.
    pub fn median(rounds: &[Self]) -> Self {
        let medians = METRICS.iter().filter_map(|(name, ..)| {
            let mut values: Vec<f64> = rounds.iter().filter_map(|round| round.0.get(name).copied()).collect();
            values.sort_by(f64::total_cmp);
            let middle = values.get(values.len() / 2)?;
            let lower = values.get((values.len() - 1) / 2)?;
            Some((*name, f64::midpoint(*middle, *lower)))
        });
        Self(medians.collect())
    }
}

impl Comparison {
    /// A table for each number of receivers: the servers' medians, and Starling's ratio to each.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        for size in &self.sizes {
            let _ = writeln!(
                text,
                "{} receivers, {:.0} messages a second, then {} at once; medians of {} rounds:\n",
                size.receivers,
                size.messages_per_sec,
                size.burst,
                size.rounds()
            );
            size.table(&mut text);
            text.push('\n');
        }
        for fault in &self.faults {
            let _ = writeln!(text, "**{fault}**");
        }
        text
    }
}

impl Size {
    /// Rounds in which CPU and latency were taken.
    fn rounds(&self) -> usize {
        let rounds = self
            .servers
            .iter()
            .map(|found| found.rounds.iter().filter(|round| round.0.contains_key("steady_cpu_us")).count());
        rounds.min().unwrap_or(0)
    }

    fn table(&self, text: &mut String) {
        let starling = self.servers.iter().find(|found| found.server == Peer::Starling);
        let others: Vec<&Found> =
            self.servers.iter().filter(|found| found.server != Peer::Starling).collect();
        let mut head = String::from("| |");
        let mut rule = String::from("|---|");
        for found in &self.servers {
            let _ = write!(head, " {} |", name(found.server));
            rule.push_str("---|");
        }
        for other in others.iter().filter(|_| starling.is_some()) {
            let _ = write!(head, " ÷ {} |", name(other.server));
            rule.push_str("---|");
        }
        let _ = writeln!(text, "{head}\n{rule}");
        for (metric, heading, digits) in METRICS {
            if self.servers.iter().all(|found| !found.median.0.contains_key(metric)) {
                continue;
            }
            let _ = write!(text, "| {heading} |");
            for found in &self.servers {
                let _ = match found.median.0.get(metric) {
                    Some(value) => write!(text, " {value:.digits$} |"),
                    None => write!(text, " |"),
                };
            }
            let mine = starling.and_then(|found| found.median.0.get(metric));
            for other in others.iter().filter(|_| starling.is_some()) {
                let _ = match (mine, other.median.0.get(metric)) {
                    (Some(mine), Some(theirs)) if *theirs > 0.0 => write!(text, " {:.2} |", mine / theirs),
                    _ => write!(text, " |"),
                };
            }
            text.push('\n');
        }
    }
}

/// What the tables call a server.
pub fn name(peer: Peer) -> &'static str {
    match peer {
        Peer::Starling => "Starling",
        Peer::Plain => "hyper + fastwebsockets",
        Peer::Bun => "bun",
        Peer::Floor => "epoll floor",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(cpu_us: f64) -> Figures {
        Figures(BTreeMap::from([("steady_cpu_us", cpu_us)]))
    }

    #[test]
    fn medians_are_in_the_middle() {
        let check = |values: &[f64], median: f64| {
            let rounds: Vec<Figures> = values.iter().copied().map(figures).collect();
            assert_eq!(Figures::median(&rounds), figures(median), "{values:?}");
        };
        check(&[3.0], 3.0);
        check(&[9.0, 1.0, 3.0], 3.0);
        check(&[9.0, 1.0, 3.0, 4.0], 3.5);
        assert_eq!(Figures::median(&[]), Figures::default());
    }

    #[test]
    fn tables_have_ratios() {
        let found = |server, cpu_us| Found { server, median: figures(cpu_us), rounds: vec![figures(cpu_us)] };
        let servers = vec![found(Peer::Starling, 8.0), found(Peer::Bun, 4.0)];
        let size = Size { receivers: 10, messages_per_sec: 3.0, burst: 5, servers };
        let text = Comparison { sizes: vec![size], faults: Vec::new() }.markdown();
        assert!(text.contains("| | Starling | bun | ÷ bun |\n|---|---|---|---|\n"), "{text}");
        assert!(text.contains("| steady: CPU a delivery, µs | 8.00 | 4.00 | 2.00 |\n"), "{text}");
        assert!(text.contains("medians of 1 rounds"), "{text}");
    }
}
