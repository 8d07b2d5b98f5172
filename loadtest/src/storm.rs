//! `storm`: very many connections at once, new ones or those that were there before, as if a city had lost its network.
//!
//! Clients do what discord.js does: they wait half a second before they come again, give an attempt up after 30 s for the
//! handshake, 60 s for HELLO and 15 s for READY, and resume while they have a session. A 503 says when to come again, and they
//! heed it, which discord.js does not (`--deaf`). Meanwhile messages are sent, of which nobody may miss one.

use serde::Serialize;

use crate::Told;
use crate::cli::{Storm, TargetOptions};
use crate::form::Form;
use crate::receivers::Journeys;
use crate::report::{Faults, Latency};
use crate::sampler::{Peaks, Sample};

mod connect;
mod reconnect;

/// What a storm was.
#[derive(Debug, Serialize)]
pub struct StormReport {
    pub kind: &'static str,
    pub receivers: usize,
    pub forms: Vec<Form>,
    /// From the beginning until the last one was there; none when somebody was not.
    pub all_after_ms: Option<f64>,
    pub stayed_away: usize,
    /// What each client waited, from the beginning.
    pub wait: Option<Latency>,
    #[serde(flatten)]
    pub journeys: JourneyCounts,
    pub acknowledged: usize,
    pub failed: usize,
    pub faults: Faults,
    /// From when a message was due until a receiver had it, those who were away included.
    pub delivery: Option<Latency>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bystanders: Option<Bystanders>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Peaks>,
    pub samples: Vec<Sample>,
}

/// How often what happened to clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct JourneyCounts {
    pub refused: usize,
    pub late: usize,
    pub failed_attempts: usize,
    pub closed: usize,
    pub silent: usize,
    pub told_to_reconnect: usize,
    pub invalid_sessions: usize,
    pub resumes: usize,
    pub identifies: usize,
    pub elsewhere: usize,
}

/// Clients who stay connected all the time, and how late they got their messages.
#[derive(Debug, Serialize)]
pub struct Bystanders {
    pub receivers: usize,
    pub quiet: Option<Latency>,
    pub storm: Option<Latency>,
    /// p99 in the storm, as a multiple of the quiet one.
    pub p99_ratio: Option<f64>,
    pub faults: Faults,
}

/// Lets one loose.
pub async fn run(target: &TargetOptions, storm: &Storm) -> anyhow::Result<StormReport> {
    match storm {
        Storm::Connect(options) => connect::run(target, options).await,
        Storm::Reconnect(options) => reconnect::run(target, options).await,
    }
}

impl JourneyCounts {
    pub fn of(journeys: &Journeys) -> Self {
        Self {
            refused: journeys.refused,
            late: journeys.late,
            failed_attempts: journeys.failed,
            closed: journeys.closed,
            silent: journeys.silent,
            told_to_reconnect: journeys.told,
            invalid_sessions: journeys.invalid,
            resumes: journeys.resumes,
            identifies: journeys.identifies,
            elsewhere: journeys.elsewhere,
        }
    }

    /// The lines that say it to people.
    pub fn print(&self) {
        let Self { refused, late, failed_attempts, closed, silent, .. } = self;
        println!(
            "{:>23}  {} resumes, {} identifies, {} to another gateway",
            "came back by", self.resumes, self.identifies, self.elsewhere
        );
        println!(
            "{:>23}  {refused} answered 503, {failed_attempts} failed, {late} longer than a library waits",
            "attempts in vain"
        );
        println!(
            "{:>23}  {closed} closed or broken, {silent} silent, {} told to reconnect, {} sessions invalid",
            "connections ended", self.told_to_reconnect, self.invalid_sessions
        );
    }
}

impl StormReport {
    /// Whether all came, in time, and nobody missed anything, or got it twice or out of order.
    pub fn is_complete(&self) -> bool {
        let none = Faults::default();
        let others = self.bystanders.as_ref().map_or(none, |bystanders| bystanders.faults);
        self.faults == none
            && others == none
            && self.stayed_away == 0
            && self.failed == 0
            && self.journeys.late == 0
    }
}

impl Told for StormReport {
    fn print(&self) {
        let line = |name: &str, value: &str| println!("{name:>23}  {value}");
        line("run", &format!("storm {}: {} receivers", self.kind, self.receivers));
        match self.all_after_ms {
            Some(ms) => line("all there after", &format!("{ms:.0} ms")),
            None => line("not there", &format!("{} of them", self.stayed_away)),
        }
        for (name, latency) in [("each waited", self.wait), ("delivered after", self.delivery)] {
            if let Some(latency) = latency {
                line(name, &latency.to_string());
            }
        }
        self.journeys.print();
        line("messages", &format!("{} acknowledged, {} failed", self.acknowledged, self.failed));
        line("faults", &self.faults.to_string());
        if let Some(Bystanders { receivers, quiet: Some(quiet), storm: Some(storm), p99_ratio, faults }) =
            &self.bystanders
        {
            let ratio = p99_ratio.unwrap_or_default();
            line("bystanders", &format!("{receivers}: p99 {ratio:.2} times as long; {faults}"));
            line("in quiet", &quiet.to_string());
            line("in the storm", &storm.to_string());
        }
        if let Some(peaks) = &self.server {
            let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
            let (before, most, after) = (
                mib(peaks.anonymous_bytes_before),
                mib(peaks.anonymous_bytes),
                mib(peaks.anonymous_bytes_after),
            );
            line(
                "CPU of the server",
                &format!("{:.2} s, at most {:.0} % of a core", peaks.cpu_seconds, peaks.cpu_percent),
            );
            line("its memory", &format!("{before:.1} MiB before, at most {most:.1}, {after:.1} after"));
        }
    }
}
