//! The figures of a run, their medians and ratios, and the tables.
//!
//! A ratio is the median of the ratios of pairs: what two servers took in the same round, one shortly after the other.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::bars::{self, Verdict};
use super::machine::Machine;
use crate::cli::Peer;
use crate::load::Outcome;
use crate::report::{Report, ServerUse};

/// A figure.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// In JSON.
    pub name: &'static str,
    pub heading: &'static str,
    pub unit: &'static str,
    /// Behind the point.
    pub digits: usize,
}

const fn metric(name: &'static str, heading: &'static str, unit: &'static str, digits: usize) -> Metric {
    Metric { name, heading, unit, digits }
}

pub const METRICS: &[Metric] = &[
    metric("bytes_idle", "memory a connection before traffic", "bytes", 0),
    metric("bytes_after_traffic", "the same after traffic", "bytes", 0),
    metric("cpu_us_per_connect", "CPU a connect", "µs", 0),
    metric("cpu_us_per_return", "CPU a return (RESUME)", "µs", 0),
    metric("all_back_ms", "all back after they dropped at once", "ms", 0),
    metric("steady_user_us", "steady: user CPU a delivery", "µs", 2),
    metric("steady_cpu_us", "steady: CPU a delivery", "µs", 2),
    metric("steady_syscalls", "steady: system calls a delivery", "", 3),
    metric("steady_writes", "steady: writes a delivery", "", 3),
    metric("steady_p50_ms", "steady: p50 of all deliveries", "ms", 1),
    metric("steady_p99_ms", "steady: p99 of all deliveries", "ms", 1),
    metric("steady_to_all_p99_ms", "steady: p99 to the last receiver", "ms", 1),
    metric("burst_user_us", "burst: user CPU a delivery", "µs", 2),
    metric("burst_cpu_us", "burst: CPU a delivery", "µs", 2),
    metric("burst_syscalls", "burst: system calls a delivery", "", 3),
    metric("burst_writes", "burst: writes a delivery", "", 3),
    metric("burst_p50_ms", "burst: p50 of all deliveries", "ms", 0),
    metric("burst_to_all_p99_ms", "burst: p99 to the last receiver", "ms", 0),
    metric("burst_generator_percent", "burst: load of the generator's core", "%", 0),
    metric("event_bytes", "length of an event", "bytes", 0),
    metric("wire_bytes", "bytes on the wire a delivery", "bytes", 0),
];

/// Of these every server is compared with Starling; of the others it is Starling with compression with Starling without.
pub const SERVERS: [Peer; 5] = [Peer::Starling, Peer::Plain, Peer::Bun, Peer::Node, Peer::Floor];
pub const FORMS: [Peer; 4] = [Peer::Starling, Peer::StarlingZlib, Peer::StarlingZstd, Peer::StarlingStream];

/// Figures by name.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Figures(BTreeMap<&'static str, f64>);

/// Distributions of latency, in milliseconds at each of `report::QUANTILES`; medians over the rounds.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Curves {
    pub steady: Vec<f64>,
    pub burst: Vec<f64>,
}

/// What was found of one server with so many receivers.
#[derive(Debug, Serialize)]
pub struct Found {
    pub server: Peer,
    pub median: Figures,
    pub rounds: Vec<Figures>,
    pub curves: Curves,
    #[serde(skip)]
    pub curves_of_rounds: Vec<Curves>,
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
    pub machine: Machine,
    pub sizes: Vec<Size>,
    pub verdicts: Vec<Verdict>,
    /// What went wrong: messages lost, repeated, out of order, refused.
    pub faults: Vec<String>,
}

impl Figures {
    /// Of the two phases of a run. Of one in which system calls were counted only these are taken: counting costs.
    pub fn of(steady: &Report, burst: &Report, outcome: &Outcome) -> Self {
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
            figures.note("wire", "bytes", report.wire_bytes);
        }
        if let (Some(before), Some(after)) = (&steady.server, &burst.server)
            && before.syscalls_per_delivery.is_none()
        {
            figures.note("bytes", "idle", before.bytes_per_connection);
            figures.note("bytes", "after_traffic", after.bytes_per_connection_after_traffic);
            figures.note("cpu", "us_per_connect", before.cpu_us_per_connect);
            let comeback = outcome.comeback;
            figures.note("cpu", "us_per_return", comeback.and_then(|comeback| comeback.cpu_us_per_return));
            figures.note("all", "back_ms", comeback.map(|comeback| comeback.all_after_ms));
        }
        figures
    }

    fn note(&mut self, prefix: &str, name: &str, value: Option<f64>) {
        let name = format!("{prefix}_{name}");
        let metric = METRICS.iter().find(|metric| metric.name == name);
        if let (Some(metric), Some(value)) = (metric, value) {
            self.0.insert(metric.name, value);
        }
    }

    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// Of each figure the median over the rounds that have it.
    pub fn median(rounds: &[Self]) -> Self {
        let medians = METRICS.iter().filter_map(|metric| {
            let values = rounds.iter().filter_map(|round| round.get(metric.name)).collect();
            Some((metric.name, middle(values)?))
        });
        Self(medians.collect())
    }
}

impl Curves {
    pub fn of(steady: &Report, burst: &Report) -> Self {
        Self { steady: steady.delivery_curve.clone(), burst: burst.delivery_curve.clone() }
    }

    /// At each quantile the median over the rounds.
    fn median(rounds: &[Self]) -> Self {
        let of = |curve: fn(&Self) -> &Vec<f64>| {
            let length = rounds.iter().map(|round| curve(round).len()).max().unwrap_or(0);
            let at =
                |place: usize| rounds.iter().filter_map(|round| curve(round).get(place).copied()).collect();
            (0..length).filter_map(|place| middle(at(place))).collect()
        };
        Self { steady: of(|round| &round.steady), burst: of(|round| &round.burst) }
    }
}

/// The median.
fn middle(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.get(values.len() / 2)?;
    let lower = values.get((values.len() - 1) / 2)?;
    Some(f64::midpoint(*middle, *lower))
}

impl Found {
    pub fn new(server: Peer) -> Self {
        Self {
            server,
            median: Figures::default(),
            rounds: Vec::new(),
            curves: Curves::default(),
            curves_of_rounds: Vec::new(),
        }
    }

    /// Once all rounds are there.
    pub fn summarize(&mut self) {
        self.median = Figures::median(&self.rounds);
        self.curves = Curves::median(&self.curves_of_rounds);
    }
}

impl Comparison {
    /// The verdicts, then tables for each number of receivers: the servers' medians, and ratios.
    pub fn markdown(&self) -> String {
        let mut text = format!("{}\n\n", self.machine.line());
        bars::table(&self.verdicts, &mut text);
        for size in &self.sizes {
            let _ = writeln!(
                text,
                "{} receivers, {:.0} messages a second, then {} at once; medians of {} rounds:\n",
                size.receivers,
                size.messages_per_sec,
                size.burst,
                size.rounds()
            );
            for table in size.tables() {
                table.markdown(&mut text);
                text.push('\n');
            }
        }
        for fault in &self.faults {
            let _ = writeln!(text, "**{fault}**");
        }
        text
    }
}

impl Size {
    /// Rounds in which CPU and latency were taken.
    pub fn rounds(&self) -> usize {
        let rounds = self
            .servers
            .iter()
            .map(|found| found.rounds.iter().filter(|round| round.get("steady_cpu_us").is_some()).count());
        rounds.min().unwrap_or(0)
    }

    pub fn found(&self, server: Peer) -> Option<&Found> {
        self.servers.iter().find(|found| found.server == server)
    }

    /// The median of the ratios in each round.
    pub fn ratio(&self, metric: &str, of: Peer, to: Peer) -> Option<f64> {
        let (of, to) = (self.found(of)?, self.found(to)?);
        let pair = |(of, to): (&Figures, &Figures)| Some((of.get(metric)?, to.get(metric)?));
        let pairs = of.rounds.iter().zip(&to.rounds).filter_map(pair);
        middle(pairs.filter(|(_, to)| *to > 0.0).map(|(of, to)| of / to).collect())
    }

    /// Starling beside the other servers, and its forms beside one another.
    pub fn tables(&self) -> Vec<Table> {
        let there = |peers: &[Peer]| -> Vec<Peer> {
            peers.iter().copied().filter(|peer| self.found(*peer).is_some()).collect()
        };
        let (servers, forms) = (there(&SERVERS), there(&FORMS));
        let has_starling = self.found(Peer::Starling).is_some();
        let pairs = |others: &[Peer], pair: fn(Peer) -> (Peer, Peer)| -> Vec<(Peer, Peer)> {
            let others = others.iter().filter(|peer| has_starling && **peer != Peer::Starling);
            others.map(|peer| pair(*peer)).collect()
        };
        let ratios = pairs(&servers, |other| (Peer::Starling, other));
        let mut tables = vec![Table::of(self, &servers, &ratios)];
        if forms.iter().any(|peer| peer.is_compressed()) {
            let ratios = pairs(&forms, |form| (form, Peer::Starling));
            tables.push(Table::of(self, &forms, &ratios));
        }
        tables
    }
}

/// Headings, and rows of a heading and cells.
#[derive(Debug)]
pub struct Table {
    pub head: Vec<String>,
    pub rows: Vec<(String, Vec<String>)>,
}

impl Table {
    fn of(size: &Size, servers: &[Peer], ratios: &[(Peer, Peer)]) -> Self {
        let mut head: Vec<String> = servers.iter().map(|peer| peer.name().to_owned()).collect();
        head.extend(ratios.iter().map(|(of, to)| match of {
            Peer::Starling => format!("÷ {}", to.name()),
            of => format!("{} ÷ {}", of.name(), to.name()),
        }));
        let mut rows = Vec::new();
        for metric in METRICS {
            let value = |peer: &Peer| size.found(*peer)?.median.get(metric.name);
            if servers.iter().all(|peer| value(peer).is_none()) {
                continue;
            }
            let digits = metric.digits;
            let cell = |peer| value(peer).map_or_else(String::new, |value| format!("{value:.digits$}"));
            let mut cells: Vec<String> = servers.iter().map(cell).collect();
            cells.extend(ratios.iter().map(|(of, to)| {
                size.ratio(metric.name, *of, *to).map_or_else(String::new, |ratio| format!("{ratio:.2}"))
            }));
            let unit = if metric.unit.is_empty() { String::new() } else { format!(", {}", metric.unit) };
            rows.push((format!("{}{unit}", metric.heading), cells));
        }
        Self { head, rows }
    }

    fn markdown(&self, text: &mut String) {
        let _ = writeln!(text, "| | {} |\n|---|{}", self.head.join(" | "), "---|".repeat(self.head.len()));
        for (heading, cells) in &self.rows {
            let _ = writeln!(text, "| {heading} | {} |", cells.join(" | "));
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    fn figures(cpu_us: f64) -> Figures {
        Figures(BTreeMap::from([("steady_cpu_us", cpu_us)]))
    }

    /// A server with these figures in its rounds.
    pub fn found(server: Peer, metric: &'static str, values: &[f64]) -> Found {
        let rounds = values.iter().map(|value| Figures(BTreeMap::from([(metric, *value)])));
        let mut found = Found { rounds: rounds.collect(), ..Found::new(server) };
        found.summarize();
        found
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
        let curve = |ms: f64| Curves { steady: vec![ms, ms * 2.0], burst: Vec::new() };
        assert_eq!(Curves::median(&[curve(1.0), curve(9.0), curve(2.0)]).steady, [2.0, 4.0]);
    }

    #[test]
    fn ratios_are_those_of_pairs() {
        // The machine was three times as slow in the second round.
        let servers = vec![
            found(Peer::Starling, "steady_cpu_us", &[8.0, 24.0, 9.0]),
            found(Peer::Bun, "steady_cpu_us", &[4.0, 12.0, 3.0]),
        ];
        let size = Size { receivers: 10, messages_per_sec: 3.0, burst: 5, servers };
        assert_eq!(size.ratio("steady_cpu_us", Peer::Starling, Peer::Bun), Some(2.0));
        assert_eq!(size.ratio("steady_cpu_us", Peer::Starling, Peer::Plain), None);
        assert_eq!(size.ratio("burst_cpu_us", Peer::Starling, Peer::Bun), None);
    }

    #[test]
    fn tables_have_ratios() {
        let servers = vec![
            found(Peer::Starling, "steady_cpu_us", &[8.0]),
            found(Peer::StarlingZlib, "steady_cpu_us", &[12.0]),
            found(Peer::Bun, "steady_cpu_us", &[4.0]),
        ];
        let size = Size { receivers: 10, messages_per_sec: 3.0, burst: 5, servers };
        let (machine, verdicts) = (Machine::default(), bars::judge(std::slice::from_ref(&size)));
        let text = Comparison { machine, sizes: vec![size], verdicts, faults: Vec::new() }.markdown();
        assert!(text.contains("| | Starling | bun | ÷ bun |\n|---|---|---|---|\n"), "{text}");
        assert!(text.contains("| steady: CPU a delivery, µs | 8.00 | 4.00 | 2.00 |\n"), "{text}");
        assert!(
            text.contains("| | Starling | zlib-stream, shared | zlib-stream, shared ÷ Starling |"),
            "{text}"
        );
        assert!(text.contains("| steady: CPU a delivery, µs | 8.00 | 12.00 | 1.50 |\n"), "{text}");
        assert!(text.contains("medians of 1 rounds"), "{text}");
    }
}
