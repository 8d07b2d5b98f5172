//! `starling-load`: puts load on a running server and says what it cost, and whether anything was lost.
//!
//! A run connects receivers, sends messages through REST, and checks at the end that every receiver got every acknowledged
//! message once and in the same order. Latency counts from the moment when a message was *due*, so that a slow server or
//! generator cannot hide behind its own slowness.

mod cli;
mod creates;
mod fanout;
mod idle;
mod marker;
mod progress;
mod receivers;
mod report;
mod senders;
mod target;

use clap::Parser;
use cli::{Cli, Command};

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    target::raise_file_limit();
    let report = runtime.block_on(async {
        match &cli.command {
            Command::Fanout(options) => fanout::run(&cli.target, options).await,
            Command::Creates(options) => creates::run(&cli.target, options).await,
            Command::Idle(options) => idle::run(&cli.target, options).await,
        }
    })?;
    report.print();
    if let Some(path) = &cli.json {
        report.write(path)?;
    }
    if report.is_complete() { Ok(()) } else { std::process::exit(1) }
}
