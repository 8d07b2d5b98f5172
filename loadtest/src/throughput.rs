//! `throughput`: messages a second through a whole cluster on this machine, beside bare INSERTs into the same Cassandra.
//!
//! The cluster is what `make cluster` starts: a message goes through REST, gRPC to the owner of its channel, a quorum
//! write and an acknowledged publish on three NATS nodes. The bare loop is this process with the same driver: one
//! prepared statement, as many writers, rows as long in a table of the same shape. Both share the machine's cores with
//! the same Cassandra, one after the other, so their ratio says what everything around the write costs.

mod inserts;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;
use serde_json::json;
use tempfile::TempDir;
use testkit::cluster::{Cluster, Options};
use testkit::proc::{self, CpuTime};
use testkit::server::UNLIMITED;
use tokio::time;

use self::inserts::Inserts;
use crate::cli::{CreatesOptions, ThroughputOptions};
use crate::target::{self, Service, Target};
use crate::{Told, creates, progress};

/// What a run found.
#[derive(Debug, Serialize)]
pub struct ThroughputReport {
    senders: u32,
    channels: u32,
    rounds: Vec<Round>,
    median: Round,
}

/// One round of both.
#[derive(Debug, Clone, Default, Serialize)]
struct Round {
    creates_per_sec: f64,
    creates_p99_ms: f64,
    failed: usize,
    inserts_per_sec: f64,
    ratio: f64,
    /// CPU for one message, by role of the processes.
    create_cpu_us: BTreeMap<String, f64>,
    /// CPU for one bare row: Cassandra's, and the loop's own.
    insert_cpu_us: BTreeMap<String, f64>,
}

/// CPU of everything that takes part, by role.
struct Cpu(BTreeMap<String, CpuTime>);

/// Measures.
pub async fn run(options: &ThroughputOptions) -> anyhow::Result<ThroughputReport> {
    let folder = TempDir::new()?;
    let settings = UNLIMITED.to_owned();
    let full = Options::full(folder.path().to_owned());
    let cluster = target::started(Options { settings, is_loud: false, ..full }).await?;
    let inserts = Inserts::prepare(cluster.member("cassandra-1").address()).await?;
    let target = Target::of_cluster(&cluster, options.senders as usize).await?;
    let channels = channels(&target, options.channels).await?;
    time::sleep(Duration::from_secs(options.settle)).await;
    if let Some(procs) = &options.database_cgroup {
        let pid = cluster.member("cassandra-1").pid().context("Cassandra is not running")?;
        let entered = std::fs::write(procs, pid.to_string());
        entered.with_context(|| format!("put Cassandra into {}", procs.display()))?;
    }
    let bar = progress::bar("rounds", options.rounds + 1);
    let mut rounds = Vec::new();
    for round in 0..=options.rounds {
        bar.set_position(round);
        let measured = measure(&cluster, &target, &channels, &inserts, options).await?;
        // Before the first round is over Java has not compiled what it runs.
        if round > 0 {
            rounds.push(measured);
        }
    }
    bar.finish();
    cluster.stop().await;
    let median = Round::median(&rounds);
    Ok(ThroughputReport { senders: options.senders, channels: options.channels, rounds, median })
}

async fn measure(
    cluster: &Cluster,
    target: &Target,
    channels: &[String],
    inserts: &Inserts,
    options: &ThroughputOptions,
) -> anyhow::Result<Round> {
    let before = Cpu::now(cluster)?;
    let sending =
        CreatesOptions { senders: options.senders as usize, seconds: options.seconds, size: options.size };
    let creates = creates::measure(target, channels, &sending).await?;
    let between = Cpu::now(cluster)?;
    let (written, seconds) = inserts.measure(options).await?;
    let after = Cpu::now(cluster)?;
    let inserts_per_sec = written as f64 / seconds;
    Ok(Round {
        creates_per_sec: creates.messages_per_sec,
        creates_p99_ms: creates.send.map_or(0.0, |latency| latency.p99_ms),
        failed: creates.failed,
        inserts_per_sec,
        ratio: creates.messages_per_sec / inserts_per_sec,
        create_cpu_us: between.us_since(&before, creates.acknowledged),
        insert_cpu_us: after.us_since(&between, written),
    })
}

/// Channels of the seeded guild.
async fn channels(target: &Target, count: u32) -> anyhow::Result<Vec<String>> {
    let Service::Starling(starling) = &target.service else { anyhow::bail!("only Starling has channels") };
    let (owner, path) = (starling.rest(0), format!("/guilds/{}/channels", starling.guilds[0].guild_id));
    let mut channels = Vec::new();
    for number in 0..count {
        let made = owner.post(&path, &json!({ "name": format!("load-{number}") })).await;
        channels.push(made["id"].as_str().context("a channel has no id")?.to_owned());
    }
    Ok(channels)
}

impl Cpu {
    fn now(cluster: &Cluster) -> anyhow::Result<Self> {
        let mut times = BTreeMap::new();
        let own = ("starling-load".to_owned(), std::process::id());
        let of_member = |member: &testkit::cluster::Member| Some((member.role().to_owned(), member.pid()?));
        for (role, pid) in cluster.members().filter_map(of_member).chain([own]) {
            let used = proc::cpu_time(pid).with_context(|| format!("read what {role} uses"))?;
            let total: &mut CpuTime = times.entry(role).or_default();
            total.user_ms += used.user_ms;
            total.system_ms += used.system_ms;
        }
        Ok(Self(times))
    }

    /// Of each role what it has used for one of `count`; those that did nothing are left out.
    fn us_since(&self, before: &Self, count: usize) -> BTreeMap<String, f64> {
        let used = self.0.iter().map(|(role, time)| {
            let before = before.0.get(role).copied().unwrap_or_default();
            (role.clone(), time.since(before).total_ms() as f64 * 1000.0 / count.max(1) as f64)
        });
        used.filter(|(_, us)| *us >= 0.1).collect()
    }
}

impl Round {
    fn median(rounds: &[Self]) -> Self {
        let of = |value: &dyn Fn(&Self) -> f64| {
            let mut values: Vec<f64> = rounds.iter().map(value).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or_default()
        };
        let of_roles = |map: &dyn Fn(&Self) -> &BTreeMap<String, f64>| {
            let roles = rounds.iter().flat_map(|round| map(round).keys().cloned());
            let value = |role: &String| of(&|round| map(round).get(role).copied().unwrap_or_default());
            roles.map(|role| (role.clone(), value(&role))).collect()
        };
        Self {
            creates_per_sec: of(&|round| round.creates_per_sec),
            creates_p99_ms: of(&|round| round.creates_p99_ms),
            failed: rounds.iter().map(|round| round.failed).sum(),
            inserts_per_sec: of(&|round| round.inserts_per_sec),
            ratio: of(&|round| round.ratio),
            create_cpu_us: of_roles(&|round| &round.create_cpu_us),
            insert_cpu_us: of_roles(&|round| &round.insert_cpu_us),
        }
    }
}

impl Told for ThroughputReport {
    fn print(&self) {
        println!("{} senders on {} channels", self.senders, self.channels);
        for round in self.rounds.iter().chain([&self.median]) {
            println!(
                "{:7.0} messages/s (p99 {:6.1} ms, {} failed)   {:7.0} INSERTs/s   ratio {:.2}",
                round.creates_per_sec, round.creates_p99_ms, round.failed, round.inserts_per_sec, round.ratio
            );
        }
        println!("(the last line has the medians)");
        print_cpu("a message", &self.median.create_cpu_us);
        print_cpu("a bare row", &self.median.insert_cpu_us);
    }
}

fn print_cpu(what: &str, by_role: &BTreeMap<String, f64>) {
    let parts: Vec<String> = by_role.iter().map(|(role, us)| format!("{role} {us:.0}")).collect();
    println!("µs CPU for {what}: {:.0} ({})", by_role.values().sum::<f64>(), parts.join(", "));
}
