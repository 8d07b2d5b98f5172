//! `starling-load`: puts load on a running server and says what it cost, and whether anything was lost.
//!
//! A run connects receivers, sends messages through REST, and checks at the end that every receiver got every acknowledged
//! message once and in the same order. Latency counts from the moment when a message was *due*, so that a slow server or
//! generator cannot hide behind its own slowness.

mod cli;
mod creates;
mod fanout;
mod form;
mod idle;
mod interest;
mod load;
mod marker;
mod outage;
mod payload;
mod peers;
mod presence;
mod progress;
mod receivers;
mod report;
mod sampler;
mod senders;
mod serve;
mod soak;
mod storm;
mod syscalls;
mod target;
mod throughput;
mod traffic;

use std::path::Path;

use anyhow::Context;
use clap::Parser;
use cli::{Cli, Command, PeersOptions};
use report::Report;
use serde::Serialize;

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    target::raise_file_limit();
    if let Command::Serve(serve) = &cli.command {
        return serve::run(serve);
    }
    let mut runtime = match &cli.command {
        // The service is in this process: it and its callers are apart, as they are in a cluster.
        Command::Presence(_) | Command::Throughput(_) | Command::Interest(_) => {
            tokio::runtime::Builder::new_multi_thread()
        }
        Command::Outage(_) | Command::Soak(_) => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = runtime.enable_all().build()?;
    let is_complete = runtime.block_on(run(&cli))?;
    if is_complete { Ok(()) } else { std::process::exit(1) }
}

/// Runs the command; whether nothing was lost.
async fn run(cli: &Cli) -> anyhow::Result<bool> {
    let report: Report = match &cli.command {
        Command::Fanout(options) => fanout::run(&cli.target, options).await?,
        Command::Creates(options) => creates::run(&cli.target, options).await?,
        Command::Idle(options) => idle::run(&cli.target, options).await?,
        Command::Peers(options) => return compare(cli, options).await,
        Command::Storm(storm) => {
            let report = storm::run(&cli.target, storm).await?;
            return Ok(tell(cli, &report)? && report.is_complete());
        }
        Command::Soak(options) => {
            let report = soak::run(&cli.target, options).await?;
            return Ok(tell(cli, &report)? && report.is_complete());
        }
        Command::Outage(options) => {
            let report = outage::run(options, &cli.target.form).await?;
            return Ok(tell(cli, &report)? && report.is_complete());
        }
        Command::SoakPart => return soak::serve().await.map(|()| true),
        Command::Serve(serve) => return serve::run(serve).map(|()| true),
        Command::Presence(options) => return tell(cli, &presence::run(options).await?),
        Command::Throughput(options) => return tell(cli, &throughput::run(options).await?),
        Command::Interest(options) => return tell(cli, &interest::run(options).await?),
    };
    tell(cli, &report)?;
    Ok(report.is_complete())
}

async fn compare(cli: &Cli, options: &PeersOptions) -> anyhow::Result<bool> {
    let comparison = peers::run(&cli.target, options).await?;
    let tables = comparison.markdown();
    print!("{tables}");
    if let Some(path) = &options.markdown {
        write(path, tables.as_bytes())?;
    }
    if let Some(path) = &options.html {
        write(path, comparison.html().as_bytes())?;
    }
    write_json(cli, &comparison)?;
    Ok(comparison.is_complete())
}

/// What a run found, for people.
trait Told: Serialize {
    fn print(&self);
}

/// Tells it; nothing can have been lost.
fn tell(cli: &Cli, report: &impl Told) -> anyhow::Result<bool> {
    report.print();
    write_json(cli, report).map(|()| true)
}

fn write_json(cli: &Cli, report: &impl Serialize) -> anyhow::Result<()> {
    let Some(path) = &cli.json else { return Ok(()) };
    let mut json = serde_json::to_vec_pretty(report)?;
    json.push(b'\n');
    write(path, &json)
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    std::fs::write(path, bytes).with_context(|| format!("write {}", path.display()))
}
