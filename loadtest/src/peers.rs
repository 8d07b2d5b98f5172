//! `peers`: the same work for Starling and for other servers, interleaved, so that what the machine does meanwhile strikes
//! all of them alike. Absolute times move with the machine; ratios within one run are what counts.
//!
//! A run starts its server on one core and takes it through everything: connect, a steady rate with one event pending,
//! a burst, all drop and come back, disconnect. The first round counts system calls and is left out of everything else.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::cli::{Peer, PeersOptions, TargetOptions};
use crate::fanout;
use crate::form::Form;
use crate::load::{self, Comeback, Plan};
use crate::marker;
use crate::report::Report;
use crate::syscalls;
use crate::target::{self, Target};

mod bars;
mod figures;
mod machine;
mod page;
mod plot;
mod server;

pub use figures::Comparison;
use figures::{Curves, Figures, Found, Size};
use machine::Machine;
use server::{Launcher, Running};

const PATIENCE: Duration = Duration::from_secs(30);
/// Length of the steady phase in which system calls are counted.
const COUNTED_SECONDS: u64 = 2;
/// More receivers with a decoder each would measure the generator.
const COMPRESSED_RECEIVERS_MAX: usize = 1000;
/// What people write at once.
const CONTENT_BYTES_MIN: usize = marker::LENGTH + 60;
/// Content with which the length of Starling's events is found out.
const PROBE_BYTES: usize = 100;

struct Peers<'a> {
    options: &'a PeersOptions,
    target: TargetOptions,
    launcher: Launcher,
    /// Length of the others' events.
    event_bytes: usize,
    /// Length of the content that makes Starling's events as long.
    content_bytes: usize,
    /// Runs so far: each has an address of its own, because closed connections keep their ports for a minute.
    runs: u32,
    runs_total: usize,
    began: Instant,
    comparison: Comparison,
}

pub async fn run(target: &TargetOptions, options: &PeersOptions) -> anyhow::Result<Comparison> {
    let folder = TempDir::new().context("make a folder for the servers' data")?;
    let launcher = Launcher {
        starling: target.starling.clone(),
        bun: options.bun.clone(),
        node: options.node.clone(),
        node_modules: options.node_modules.clone(),
        floor_merge: options.floor_merge,
        server_core: options.server_core,
        generator_core: options.generator_core,
        folder: folder.path().to_owned(),
    };
    let counts = can_count().await;
    let runs = |(place, receivers): (usize, &usize)| {
        (rounds(options, place) + usize::from(counts)) * servers(options, *receivers).len()
    };
    let mut peers = Peers {
        options,
        target: TargetOptions { data_dir: launcher.data_dir(), ..target.clone() },
        launcher,
        event_bytes: options.event_bytes,
        content_bytes: PROBE_BYTES,
        runs: 0,
        runs_total: options.receivers.iter().enumerate().map(runs).sum(),
        began: Instant::now(),
        comparison: Comparison {
            machine: Machine::find(options).await,
            sizes: Vec::new(),
            verdicts: Vec::new(),
            faults: Vec::new(),
        },
    };
    peers.launcher.pin_generator()?;
    if options.servers.iter().any(|server| server.is_starling()) {
        peers.prepare().await?;
    }
    for (place, receivers) in options.receivers.iter().enumerate() {
        peers.size(*receivers, rounds(options, place), counts).await?;
    }
    peers.comparison.verdicts = bars::judge(&peers.comparison.sizes);
    Ok(peers.comparison)
}

/// The servers that are measured with so many receivers.
fn servers(options: &PeersOptions, receivers: usize) -> Vec<Peer> {
    let servers = options.servers.iter().copied();
    servers.filter(|server| !server.is_compressed() || receivers <= COMPRESSED_RECEIVERS_MAX).collect()
}

/// How many rounds there are for the size in this place.
fn rounds(options: &PeersOptions, place: usize) -> usize {
    options.rounds.get(place).or(options.rounds.last()).copied().unwrap_or(1)
}

/// Whether system calls can be counted; says so when not.
async fn can_count() -> bool {
    let tried = async { syscalls::count(&[std::process::id()]).await?.finish().await };
    match tried.await {
        Ok(_) => true,
        Err(error) => {
            eprintln!("system calls are not counted: {error:#}");
            false
        }
    }
}

impl Peers<'_> {
    /// Makes the guilds, and finds out how long Starling's events are.
    async fn prepare(&mut self) -> anyhow::Result<()> {
        let server = self.launcher.start(Peer::Starling).await?;
        for receivers in &self.options.receivers {
            eprintln!("a guild of {receivers} members");
            let seed = target::make_seed(&self.target, *receivers, &[])?;
            std::fs::write(self.seed(*receivers), seed)?;
        }
        let receivers = self.options.receivers.first().copied().unwrap_or(1);
        let target = Arc::new(self.starling(&server, receivers).await?);
        let plan = Plan {
            receivers: 1,
            phases: vec![fanout::burst(1, PROBE_BYTES)],
            comes_back: false,
            patience: PATIENCE,
            counts_syscalls: false,
        };
        let outcome = load::run(&target, &plan).await?;
        let bytes = outcome.reports.first().and_then(|report| report.event_bytes);
        let around = bytes.context("the first message did not come")?.saturating_sub(PROBE_BYTES);
        self.content_bytes = self.event_bytes.saturating_sub(around).max(CONTENT_BYTES_MIN);
        self.event_bytes = around + self.content_bytes;
        server.stop().await
    }

    /// All rounds with so many receivers, every server once in each.
    async fn size(&mut self, receivers: usize, rounds: usize, counts: bool) -> anyhow::Result<()> {
        let mut servers: Vec<Found> = servers(self.options, receivers).into_iter().map(Found::new).collect();
        let first = usize::from(!counts);
        for round in first..=rounds {
            for found in &mut servers {
                let name = found.server.name();
                let measured = self.once(found.server, receivers, round).await;
                let (figures, curves) =
                    measured.with_context(|| format!("measure {name} with {receivers} receivers"))?;
                found.rounds.push(figures);
                if round > 0 {
                    found.curves_of_rounds.push(curves);
                }
            }
        }
        for found in &mut servers {
            found.summarize();
        }
        self.comparison.sizes.push(Size {
            receivers,
            messages_per_sec: self.rate(receivers),
            burst: self.options.burst,
            servers,
        });
        Ok(())
    }

    /// One server, from its start to its end. Round 0 counts system calls.
    async fn once(
        &mut self,
        peer: Peer,
        receivers: usize,
        round: usize,
    ) -> anyhow::Result<(Figures, Curves)> {
        self.runs += 1;
        let what = if round == 0 { "system calls".to_owned() } else { format!("round {round}") };
        let elapsed = self.began.elapsed().as_secs();
        eprintln!(
            "[{}/{}, {}:{:02}] {receivers} receivers, {what}: {}",
            self.runs,
            self.runs_total,
            elapsed / 60,
            elapsed % 60,
            peer.name()
        );
        let server = self.launcher.start(peer).await?;
        let mut target = match peer.is_starling() {
            true => self.starling(&server, receivers).await?,
            false => Target::relay(server.gateway.clone(), server.pid),
        };
        target.forms = vec![form(peer)];
        let [_, _, high, low] = self.runs.to_be_bytes();
        target.sources = vec![Ipv4Addr::new(127, 1, high, low)];
        let size = if peer.is_starling() { self.content_bytes } else { self.event_bytes };
        let seconds = if round == 0 { COUNTED_SECONDS } else { self.options.seconds };
        let plan = Plan {
            receivers,
            phases: vec![
                fanout::steady(self.rate(receivers), seconds, size),
                fanout::burst(self.options.burst, size),
            ],
            comes_back: round > 0,
            patience: PATIENCE,
            counts_syscalls: round == 0,
        };
        let outcome = load::run(&Arc::new(target), &plan).await?;
        server.stop().await?;
        for report in outcome.reports.iter().filter(|report| !report.is_complete()) {
            self.fault(peer, report);
        }
        if let Some(Comeback { identifies, stayed_away, .. }) =
            outcome.comeback.filter(|comeback| comeback.identifies + comeback.stayed_away > 0)
        {
            let fault = format!(
                "{}, {receivers} come back: {identifies} had to begin a new session, {stayed_away} stayed away",
                peer.name()
            );
            eprintln!("{fault}");
            self.comparison.faults.push(fault);
        }
        let [steady, burst] = &outcome.reports[..] else { anyhow::bail!("two phases have two reports") };
        Ok((Figures::of(steady, burst, &outcome), Curves::of(steady, burst)))
    }

    fn fault(&mut self, peer: Peer, report: &Report) {
        let Report { kind, receivers, faults, limited, failed, first_failure, .. } = report;
        let why = first_failure.as_deref().unwrap_or_default();
        let fault = format!(
            "{}, {kind} to {receivers}: {faults:?}, {limited} limited, {failed} failed {why}",
            peer.name()
        );
        eprintln!("{fault}");
        self.comparison.faults.push(fault);
    }

    async fn starling(&self, server: &Running, receivers: usize) -> anyhow::Result<Target> {
        let options = TargetOptions {
            api: server.api.clone(),
            seed: Some(self.seed(receivers)),
            server_pid: vec![server.pid],
            ..self.target.clone()
        };
        Target::find(&options, receivers).await
    }

    fn seed(&self, receivers: usize) -> PathBuf {
        self.launcher.folder.join(format!("seed-{receivers}.json"))
    }

    fn rate(&self, receivers: usize) -> f64 {
        self.options.deliveries_per_sec as f64 / receivers.max(1) as f64
    }
}

fn form(peer: Peer) -> Form {
    match peer {
        Peer::StarlingZlib | Peer::StarlingStream => Form::JsonZlib,
        Peer::StarlingZstd => Form::JsonZstd,
        Peer::Starling | Peer::Plain | Peer::Bun | Peer::Node | Peer::Floor => Form::Json,
    }
}

impl Comparison {
    /// The page for people.
    pub fn html(&self) -> String {
        page::write(self)
    }

    /// Whether every message came to everybody, once and in order.
    pub fn is_complete(&self) -> bool {
        self.faults.is_empty()
    }
}
