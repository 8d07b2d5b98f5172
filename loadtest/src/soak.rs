//! `soak`: very many connections that only beat, and what each costs: is it the same for the last as for the first?
//!
//! A process has some 20,000 sockets at most, so the connections are those of several processes ([`part`]), each with
//! addresses of its own. At the end a message goes to every guild, and everybody must have got it.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde::Serialize;
use tempfile::TempDir;
use testkit::cluster::{Member, Options};
use testkit::server::UNLIMITED;
use tokio::time;

use crate::Told;
use crate::cli::{SoakOptions, TargetOptions};
use crate::form::Form;
use crate::progress;
use crate::report::{Faults, ServerUse};
use crate::senders::{self, Schedule};
use crate::target::{self, Target, Usage};

mod part;

use part::Part;
pub use part::serve;

/// Above this the last connections cost more than those before them.
const GROWTH_MAX: f64 = 1.15;

/// What a soak found.
#[derive(Debug, Serialize)]
pub struct SoakReport {
    kind: &'static str,
    forms: Vec<Form>,
    guilds: usize,
    processes: usize,
    /// Those who were connected at the end, and listened to what was said.
    receivers: usize,
    steps: Vec<Step>,
    /// What a connection of the last step cost, as a multiple of one of the steps before.
    #[serde(skip_serializing_if = "Option::is_none")]
    growth: Option<f64>,
    /// Of one core, while all of them only beat.
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_percent_idle: Option<f64>,
    /// Messages at the end, one for each guild.
    acknowledged: usize,
    failed: usize,
    faults: Faults,
}

/// So many connections, once the server has settled.
#[derive(Debug, Clone, Copy, Serialize)]
struct Step {
    receivers: usize,
    connecting_seconds: f64,
    anonymous_bytes: u64,
    bytes_per_connection: f64,
    /// Of those that this step added.
    bytes_per_added: f64,
}

/// Measures.
pub async fn run(target: &TargetOptions, options: &SoakOptions) -> anyhow::Result<SoakReport> {
    ensure!(options.receivers > 0, "a soak needs receivers");
    let Some(gateways) = options.cluster_gateways else { return measure(target, options).await };
    let folder = TempDir::new()?;
    let plan = Options {
        settings: format!("{UNLIMITED}{}\n", options.setting.join("\n")),
        gateways: usize::from(gateways),
        is_loud: false,
        ..Options::embedded(folder.path().to_owned())
    };
    let cluster = target::started(plan).await?;
    let is_gateway = |member: &&Member| member.role() == "gateway";
    let target = TargetOptions {
        gateway: cluster.demo.gateways.clone(),
        server_pid: cluster.members().filter(is_gateway).filter_map(Member::pid).collect(),
        form: target.form.clone(),
        sources: target.sources,
        threads: target.threads,
        ..target::cluster_options(&cluster)?
    };
    let report = measure(&target, options).await;
    cluster.stop().await;
    report
}

async fn measure(target: &TargetOptions, options: &SoakOptions) -> anyhow::Result<SoakReport> {
    let size = options.guild_members.unwrap_or(options.receivers).max(1);
    let target = match options.guilds_each {
        Some(each) => {
            let guilds = (options.receivers * each).div_ceil(size);
            Target::in_further_guilds(target, options.receivers, guilds, size).await?
        }
        None if options.guild_members.is_some() => {
            Target::with_guilds(target, &vec![size; options.receivers.div_ceil(size)]).await?
        }
        None => Target::find(target, options.receivers).await?,
    };
    let mut parts = Vec::new();
    for number in 0..options.receivers.div_ceil(options.per_process as usize) {
        parts.push(Part::start(&of_part(&target, number)).await?);
    }
    let at_first = target.usage();
    let steps = go_up(&target, options, &mut parts, at_first).await?;
    let before = target.usage();
    let pause = Duration::from_secs(options.seconds);
    time::sleep(pause).await;
    let cpu_percent_idle = before
        .zip(target.usage())
        .map(|(before, after)| ServerUse::cpu_us(before, after).1 / pause.as_micros().max(1) as f64 * 100.0);
    // Each guild's speaker says one thing.
    let guilds = target.guild_count();
    let proof = Schedule { messages: guilds, gap: Duration::from_millis(5), size: 100 };
    let (run, target) = (target.run, std::sync::Arc::new(target));
    let sent = senders::send(&target, run, guilds, proof, time::Instant::now(), senders::never()).await?;
    let (mut receivers, mut faults, processes) = (0, Faults::default(), parts.len());
    for part in parts {
        let (of_part, faults_of_part) = part.finish(&sent.orders).await?;
        receivers += of_part;
        faults = faults.and(faults_of_part);
    }
    ensure!(receivers == options.receivers, "{receivers} of {} were connected", options.receivers);
    Ok(SoakReport {
        kind: "soak",
        forms: target.forms.clone(),
        guilds,
        processes,
        receivers,
        growth: growth(&steps),
        steps,
        cpu_percent_idle,
        acknowledged: sent.acknowledged(),
        failed: sent.failed + sent.limited,
        faults,
    })
}

/// The same target from a process's own addresses: 127.0.1.1 and so on for the first.
fn of_part(target: &Target, number: usize) -> Target {
    let third = (number + 1).min(255) as u8;
    let sources = target.sources.iter().map(|source| Ipv4Addr::new(127, 0, third, source.octets()[3]));
    Target { sources: sources.collect(), ..target.clone() }
}

async fn go_up(
    target: &Target,
    options: &SoakOptions,
    parts: &mut [Part],
    at_first: Option<Usage>,
) -> anyhow::Result<Vec<Step>> {
    let mut goals: Vec<usize> =
        options.steps.iter().copied().filter(|step| *step < options.receivers).collect();
    goals.push(options.receivers);
    goals.sort_unstable();
    goals.dedup();
    let bar = progress::bar("connections", options.receivers as u64);
    let (mut connected, mut steps) = (0, Vec::new());
    let mut before = at_first;
    for goal in goals {
        let started = time::Instant::now();
        while connected < goal {
            let part = connected / options.per_process as usize;
            // Up to the end of the step, or of what the process may have.
            let next = goal.min((part + 1) * options.per_process as usize);
            let part = parts.get_mut(part).context("there are enough processes")?;
            part.connect(connected, next - connected).await?;
            connected = next;
            bar.set_position(connected as u64);
        }
        let connecting_seconds = started.elapsed().as_secs_f64();
        time::sleep(Duration::from_secs(options.seconds)).await;
        let now = target.usage();
        if let (Some(at_first), Some(before), Some(now)) = (at_first, before, now) {
            let bytes = |from: Usage| now.anonymous_bytes as f64 - from.anonymous_bytes as f64;
            let added = goal - steps.last().map_or(0, |step: &Step| step.receivers);
            steps.push(Step {
                receivers: goal,
                connecting_seconds,
                anonymous_bytes: now.anonymous_bytes,
                bytes_per_connection: bytes(at_first) / goal as f64,
                bytes_per_added: bytes(before) / added as f64,
            });
        }
        before = now;
    }
    bar.finish();
    Ok(steps)
}

/// Of the last step, beside the one before; the first step holds what a process has whoever is connected.
fn growth(steps: &[Step]) -> Option<f64> {
    let [.., before, last] = steps else { return None };
    (before.bytes_per_added > 0.0).then(|| last.bytes_per_added / before.bytes_per_added)
}

impl SoakReport {
    /// Whether nobody was lost and everybody got what was said at the end. Memory is told, not judged by this.
    pub fn is_complete(&self) -> bool {
        self.faults == Faults::default() && self.failed == 0
    }
}

impl Told for SoakReport {
    fn print(&self) {
        let line = |name: &str, value: &str| println!("{name:>23}  {value}");
        line("run", &format!("soak: {} guilds, {} processes of clients", self.guilds, self.processes));
        for step in &self.steps {
            let Step { receivers, connecting_seconds, bytes_per_connection, bytes_per_added, .. } = step;
            line(
                &format!("{receivers} connections"),
                &format!(
                    "{:.1} MiB, {bytes_per_connection:.0} bytes a connection, {bytes_per_added:.0} for each that was added in {connecting_seconds:.1} s",
                    step.anonymous_bytes as f64 / 1_048_576.0
                ),
            );
        }
        if let Some(growth) = self.growth {
            let verdict = if growth <= GROWTH_MAX { "linear or less" } else { "more than linear" };
            line("growth", &format!("{growth:.2} times the step before: {verdict}"));
        }
        if let Some(percent) = self.cpu_percent_idle {
            line("CPU idle", &format!("{percent:.2} %"));
        }
        line("messages at the end", &format!("{} acknowledged, {} failed", self.acknowledged, self.failed));
        line("faults", &self.faults.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_that_of_the_last_step() {
        let step = |receivers, bytes_per_added| Step {
            receivers,
            connecting_seconds: 0.0,
            anonymous_bytes: 0,
            bytes_per_connection: 0.0,
            bytes_per_added,
        };
        assert_eq!(growth(&[step(1, 9000.0), step(10, 1000.0), step(20, 1500.0)]), Some(1.5));
        assert_eq!(growth(&[step(1, 9000.0)]), None);
    }
}
