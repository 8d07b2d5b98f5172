//! `interest`: what it costs a cluster that somebody is interested in each of very many guilds.
//!
//! The cluster is what `make cluster` starts. Members are made, each in guilds of their own, and connect, half of them to
//! each of two gateways: then every guild is open on one gateway. Told is how long that took, and what the processes
//! have grown by, for a guild; a million guilds are a multiple of it.

mod members;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde::Serialize;
use tempfile::TempDir;
use testkit::cluster::{Cluster, Options};
use testkit::proc;
use testkit::server::UNLIMITED;
use tokio::time::{self, Instant};

use self::members::Members;
use crate::Told;
use crate::cli::InterestOptions;
use crate::target;

/// How long the processes are left alone before their memory is read.
const SETTLE: Duration = Duration::from_secs(10);

/// What a run found.
#[derive(Debug, Serialize)]
pub struct InterestReport {
    guilds: u32,
    sessions: usize,
    settings: Vec<String>,
    /// From the first IDENTIFY until every session had the GUILD_CREATE of each of its guilds.
    ready_seconds: f64,
    /// Anonymous memory of each process, before and after.
    bytes: BTreeMap<String, (u64, u64)>,
}

/// Measures.
pub async fn run(options: &InterestOptions) -> anyhow::Result<InterestReport> {
    let folder = TempDir::new()?;
    let settings = format!("{UNLIMITED}{}\n", options.setting.join("\n"));
    let full = Options::full(folder.path().to_owned());
    let cluster = target::started(Options { settings, is_loud: false, ..full }).await?;
    let members = Members::make(&cluster, options).await?;
    time::sleep(SETTLE).await;
    let before = memory(&cluster)?;
    let started = Instant::now();
    let mut sessions = members.connect(&cluster, options.starting).await?;
    let ready_seconds = started.elapsed().as_secs_f64();
    time::sleep(SETTLE).await;
    let after = memory(&cluster)?;
    ensure!(sessions.try_join_next().is_none(), "a session ended before it was counted");
    let report = InterestReport {
        guilds: options.guilds,
        sessions: sessions.len(),
        settings: options.setting.clone(),
        ready_seconds,
        bytes: before.into_iter().map(|(name, before)| (name.clone(), (before, after[&name]))).collect(),
    };
    drop(sessions);
    cluster.stop().await;
    Ok(report)
}

fn memory(cluster: &Cluster) -> anyhow::Result<BTreeMap<String, u64>> {
    let pids = cluster.members().filter_map(|member| Some((member.name().to_owned(), member.pid()?)));
    pids.map(|(name, pid)| {
        let bytes = proc::anonymous_bytes(pid).with_context(|| format!("read what {name} uses"))?;
        Ok((name, bytes))
    })
    .collect()
}

impl Told for InterestReport {
    fn print(&self) {
        println!("{} guilds, {} sessions, {:?}", self.guilds, self.sessions, self.settings);
        println!("all ready after {:.1} s", self.ready_seconds);
        for (name, (before, after)) in &self.bytes {
            let grown = after.saturating_sub(*before);
            let (mib, each) =
                (|bytes: u64| bytes as f64 / 1_048_576.0, grown as f64 / f64::from(self.guilds));
            println!(
                "{name:12} {:8.1} MiB, then {:8.1} MiB: {each:6.0} bytes a guild",
                mib(*before),
                mib(*after)
            );
        }
    }
}
