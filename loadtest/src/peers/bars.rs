//! What is aimed at, and whether it was reached.
//!
//! Each bar is a figure of Starling's as a multiple of another server's in the same rounds, or a figure by itself. *Must* is
//! what has to hold, *goal* what would be as good as is known to be possible; they may be measured against different servers.

use std::fmt::Write as _;

use serde::Serialize;

use super::figures::Size;
use crate::cli::Peer;

/// A bar.
struct Bar {
    what: &'static str,
    metric: &'static str,
    subject: Peer,
    must: Limit,
    goal: Limit,
}

/// How much it may be.
#[derive(Clone, Copy)]
enum Limit {
    Times(f64, Peer),
    Most(f64),
}
use Limit::{Most, Times};

const fn bar(what: &'static str, metric: &'static str, subject: Peer, must: Limit, goal: Limit) -> Bar {
    Bar { what, metric, subject, must, goal }
}

const BARS: &[Bar] = &[
    bar(
        "memory of an idle, identified connection",
        "bytes_idle",
        Peer::Starling,
        Times(0.35, Peer::Plain),
        Times(1.5, Peer::Bun),
    ),
    bar(
        "user CPU a delivery, one event pending",
        "steady_user_us",
        Peer::Starling,
        Times(0.5, Peer::Plain),
        Times(1.0, Peer::Bun),
    ),
    bar(
        "system calls a delivery, one event pending",
        "steady_syscalls",
        Peer::Starling,
        Most(1.0),
        Most(1.0),
    ),
    bar("system calls a delivery, in a burst", "burst_syscalls", Peer::Starling, Most(0.15), Most(0.125)),
    bar(
        "CPU a delivery, in a burst",
        "burst_cpu_us",
        Peer::Starling,
        Times(1.8, Peer::Floor),
        Times(1.4, Peer::Floor),
    ),
    bar(
        "the same with zlib-stream on every connection",
        "burst_cpu_us",
        Peer::StarlingZlib,
        Times(2.0, Peer::Starling),
        Times(1.3, Peer::Starling),
    ),
    bar(
        "bytes on the wire, events compressed once",
        "wire_bytes",
        Peer::StarlingZlib,
        Times(3.5, Peer::StarlingStream),
        Times(2.0, Peer::StarlingStream),
    ),
    bar(
        "the same beside no compression",
        "wire_bytes",
        Peer::StarlingZlib,
        Times(1.0, Peer::Starling),
        Times(1.0, Peer::Starling),
    ),
    bar(
        "p99 of deliveries at a steady rate",
        "steady_p99_ms",
        Peer::Starling,
        Times(2.5, Peer::Floor),
        Times(1.5, Peer::Floor),
    ),
    bar(
        "CPU a connect (upgrade and IDENTIFY)",
        "cpu_us_per_connect",
        Peer::Starling,
        Times(2.0, Peer::Bun),
        Times(1.5, Peer::Bun),
    ),
    bar(
        "the same beside the floor",
        "cpu_us_per_connect",
        Peer::Starling,
        Times(2.0, Peer::Floor),
        Times(1.5, Peer::Floor),
    ),
    bar(
        "CPU a return (upgrade and RESUME)",
        "cpu_us_per_return",
        Peer::Starling,
        Times(2.0, Peer::Bun),
        Times(1.5, Peer::Bun),
    ),
    bar(
        "the same beside the floor",
        "cpu_us_per_return",
        Peer::Starling,
        Times(2.0, Peer::Floor),
        Times(1.5, Peer::Floor),
    ),
    bar(
        "CPU a delivery in a burst, beside a server that merges",
        "burst_cpu_us",
        Peer::Starling,
        Times(1.0, Peer::Bun),
        Times(0.5, Peer::Bun),
    ),
    bar(
        "p99 to the last receiver in a burst",
        "burst_to_all_p99_ms",
        Peer::Starling,
        Times(1.0, Peer::Bun),
        Times(0.5, Peer::Bun),
    ),
];

/// A bar with so many receivers.
#[derive(Debug, Serialize)]
pub struct Verdict {
    pub what: &'static str,
    pub metric: &'static str,
    pub subject: Peer,
    pub receivers: usize,
    pub must: Judged,
    pub goal: Judged,
    pub outcome: Outcome,
}

/// What was found beside a limit.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Judged {
    pub limit: f64,
    /// Whose multiple it is.
    pub of: Option<Peer>,
    pub found: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Goal,
    Must,
    Missed,
    /// One of the servers was left out, or the machine cannot count it.
    NotMeasured,
}

/// All that can be said of these.
pub fn judge(sizes: &[Size]) -> Vec<Verdict> {
    let of_size = |size: &Size| BARS.iter().map(|bar| bar.judge(size)).collect::<Vec<_>>();
    sizes.iter().flat_map(of_size).filter(|verdict| verdict.outcome != Outcome::NotMeasured).collect()
}

/// The table for people who read Markdown.
pub fn table(verdicts: &[Verdict], text: &mut String) {
    if verdicts.is_empty() {
        return;
    }
    text.push_str("| bar | receivers | must | goal | |\n|---|---|---|---|---|\n");
    for Verdict { what, receivers, must, goal, outcome, .. } in verdicts {
        let _ = writeln!(
            text,
            "| {what} | {receivers} | {} | {} | {} |",
            must.text(),
            goal.text(),
            outcome.text()
        );
    }
    text.push('\n');
}

/// The limits of a figure of Starling's, as values of that figure.
pub fn limits(size: &Size, metric: &str) -> Vec<(&'static str, f64)> {
    let Some(bar) = BARS.iter().find(|bar| bar.metric == metric && bar.subject == Peer::Starling) else {
        return Vec::new();
    };
    let value = |limit| match limit {
        Most(most) => Some(most),
        Times(times, of) => Some(times * size.found(of)?.median.get(metric)?),
    };
    let named = [("must", value(bar.must)), ("goal", value(bar.goal))];
    named.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

impl Bar {
    fn judge(&self, size: &Size) -> Verdict {
        let (must, goal) = (self.judged(size, self.must), self.judged(size, self.goal));
        let outcome = match (must.is_met(), goal.is_met()) {
            (None, None) => Outcome::NotMeasured,
            (_, Some(true)) => Outcome::Goal,
            (Some(true), _) => Outcome::Must,
            _ => Outcome::Missed,
        };
        let Self { what, metric, subject, .. } = *self;
        Verdict { what, metric, subject, receivers: size.receivers, must, goal, outcome }
    }

    fn judged(&self, size: &Size, limit: Limit) -> Judged {
        match limit {
            Most(limit) => {
                let found = size.found(self.subject).and_then(|found| found.median.get(self.metric));
                Judged { limit, of: None, found }
            }
            Times(limit, of) => {
                Judged { limit, of: Some(of), found: size.ratio(self.metric, self.subject, of) }
            }
        }
    }
}

impl Judged {
    fn is_met(&self) -> Option<bool> {
        self.found.map(|found| found <= self.limit)
    }

    pub fn text(&self) -> String {
        let digits = if self.limit < 0.2 { 3 } else { 2 };
        let found = self.found.map_or_else(|| "–".to_owned(), |found| format!("{found:.digits$}"));
        match self.of {
            Some(of) => format!("{found} of ≤ {} × {}", self.limit, of.name()),
            None => format!("{found} of ≤ {}", self.limit),
        }
    }
}

impl Outcome {
    pub fn text(self) -> &'static str {
        match self {
            Self::Goal => "goal met",
            Self::Must => "must met",
            Self::Missed => "missed",
            Self::NotMeasured => "not measured",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::figures::METRICS;
    use super::super::figures::tests::found;
    use super::*;

    fn size(metric: &'static str, values: &[(Peer, f64)]) -> Size {
        let servers = values.iter().map(|(peer, value)| found(*peer, metric, &[*value])).collect();
        Size { receivers: 10, messages_per_sec: 1.0, burst: 1, servers }
    }

    #[test]
    fn bars_name_figures_that_there_are() {
        for bar in BARS {
            assert!(METRICS.iter().any(|metric| metric.name == bar.metric), "{}", bar.metric);
        }
    }

    #[test]
    fn the_goal_may_be_measured_against_another_server() {
        let check = |starling, plain, bun, outcome| {
            let values = [(Peer::Starling, starling), (Peer::Plain, plain), (Peer::Bun, bun)];
            let verdicts = judge(&[size("bytes_idle", &values)]);
            assert_eq!(verdicts.len(), 1, "{verdicts:?}");
            assert_eq!(verdicts[0].outcome, outcome, "{verdicts:?}");
        };
        check(1000.0, 4000.0, 900.0, Outcome::Goal);
        check(1000.0, 4000.0, 600.0, Outcome::Must);
        check(1000.0, 2000.0, 600.0, Outcome::Missed);
        assert_eq!(judge(&[size("bytes_idle", &[(Peer::Starling, 1.0)])]).len(), 0);
    }

    #[test]
    fn some_bars_stand_by_themselves() {
        let check = |calls, outcome| {
            let verdicts = judge(&[size("burst_syscalls", &[(Peer::Starling, calls)])]);
            assert_eq!(verdicts[0].outcome, outcome, "{verdicts:?}");
        };
        check(0.1, Outcome::Goal);
        check(0.14, Outcome::Must);
        check(0.2, Outcome::Missed);
        let size = size("bytes_idle", &[(Peer::Starling, 1.0), (Peer::Plain, 1000.0)]);
        assert_eq!(limits(&size, "bytes_idle"), [("must", 350.0)]);
        let mut text = String::new();
        table(&judge(&[size]), &mut text);
        assert!(
            text.contains("| 0.00 of ≤ 0.35 × hyper + fastwebsockets | – of ≤ 1.5 × bun | must met |"),
            "{text}"
        );
    }
}
