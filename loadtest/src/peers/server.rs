//! Starting a server on its core, and ending it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_setaffinity};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time;

use crate::cli::Peer;

const START_PATIENCE: Duration = Duration::from_secs(30);
const STOP_PATIENCE: Duration = Duration::from_secs(15);
const BUN_SERVER: &str = include_str!("../../peers/bun.js");
const NODE_SERVER: &str = include_str!("../../peers/ws.js");

/// What is needed to start servers.
pub(super) struct Launcher {
    pub starling: PathBuf,
    pub bun: PathBuf,
    pub node: PathBuf,
    /// With the package ws.
    pub node_modules: PathBuf,
    pub floor_merge: u16,
    pub server_core: usize,
    pub generator_core: usize,
    /// Starling's data, and bun's program.
    pub folder: PathBuf,
}

/// A server that runs.
pub(super) struct Running {
    child: Child,
    /// Kept open, so that the server may go on writing.
    _lines: Lines<BufReader<ChildStdout>>,
    pub pid: u32,
    pub gateway: String,
    /// Starling's.
    pub api: String,
}

impl Launcher {
    /// Where Starling has its data.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Keeps this program to its core.
    pub fn pin_generator(&self) -> anyhow::Result<()> {
        pin(self.generator_core)
    }

    /// Starts a server and waits until it listens.
    pub async fn start(&self, peer: Peer) -> anyhow::Result<Running> {
        let mut command = self.command(peer)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        // A child inherits the core, and sees as many as it may use.
        pin(self.server_core)?;
        let child = command.spawn();
        self.pin_generator()?;
        let mut child = child.with_context(|| format!("run {:?}", command.as_std().get_program()))?;
        let pid = child.id().context("the server has ended at once")?;
        let mut lines = BufReader::new(child.stdout.take().context("its output is piped")?).lines();
        let (gateway, api) = time::timeout(START_PATIENCE, addresses(peer, &mut lines))
            .await
            .with_context(|| format!("{peer:?} did not say where it listens"))??;
        Ok(Running { child, _lines: lines, pid, gateway, api })
    }

    fn command(&self, peer: Peer) -> anyhow::Result<Command> {
        let myself = std::env::current_exe()?;
        Ok(match peer {
            Peer::Starling | Peer::StarlingZlib | Peer::StarlingZstd | Peer::StarlingStream => {
                let mut command = Command::new(program(&self.starling));
                let compression = if peer == Peer::StarlingStream { "stream" } else { "shared" };
                command.args(["--compression", compression]);
                command.arg("--data-dir").arg(self.data_dir());
                for listener in ["--api-listen", "--gateway-listen", "--admin-listen"] {
                    command.args([listener, "127.0.0.1:0"]);
                }
                command.args(["--requests-per-sec", "0", "--route-limits", "false"]);
                command.args(["--sends-per-window", "1000000", "--log", "error"]);
                command.args([
                    "--gateway-connections-per-sec",
                    "1000000",
                    "--gateway-starts-per-sec",
                    "1000000",
                ]);
                command
            }
            Peer::Plain => {
                let mut command = Command::new(myself);
                command.arg("serve-plain");
                command
            }
            Peer::Floor => {
                let mut command = Command::new(myself);
                command.args(["serve-floor", "--merge", &self.floor_merge.to_string()]);
                command
            }
            Peer::Bun => {
                let script = self.folder.join("bun.js");
                std::fs::write(&script, BUN_SERVER)?;
                let mut command = Command::new(program(&self.bun));
                command.arg(script);
                command
            }
            Peer::Node => {
                // Where Node looks for packages, beside the script.
                let modules = self.folder.join("node_modules");
                if !modules.exists() {
                    let from = std::path::absolute(&self.node_modules)?;
                    std::os::unix::fs::symlink(from, &modules)?;
                }
                let script = self.folder.join("ws.mjs");
                std::fs::write(&script, NODE_SERVER)?;
                let mut command = Command::new(program(&self.node));
                command.arg(script);
                command
            }
        })
    }
}

impl Running {
    /// Ends it, by force if it does not end by itself.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM)?;
        }
        if time::timeout(STOP_PATIENCE, self.child.wait()).await.is_err() {
            self.child.kill().await?;
        }
        Ok(())
    }
}

/// Reads the lines that say where the server listens: `listening on ws://…`, and more from Starling.
async fn addresses(
    peer: Peer,
    lines: &mut Lines<BufReader<ChildStdout>>,
) -> anyhow::Result<(String, String)> {
    let (mut gateway, mut api) = (String::new(), String::new());
    while let Some(line) = lines.next_line().await? {
        if let Some((_, url)) = line.split_once("listening on ws://") {
            gateway = format!("ws://{url}");
        } else if let Some(url) = line.strip_prefix("api listening on ") {
            api = url.to_owned();
        }
        if (!peer.is_starling() && !gateway.is_empty()) || line == "ready" {
            return Ok((gateway, api));
        }
    }
    bail!("the server ended before it was ready; what it wrote to standard error says why")
}

/// Keeps this thread, and what it starts, to one core.
fn pin(core: usize) -> anyhow::Result<()> {
    let mut cores = CpuSet::new();
    if core < CpuSet::MAX_CPU {
        cores.set(core);
    }
    sched_setaffinity(None, &cores)
        .with_context(|| format!("use core {core}; name others with --server-core and --generator-core"))
}

/// A program by its path; without a slash it is looked up in `PATH`.
fn program(path: &Path) -> PathBuf {
    let is_name = path.components().count() == 1;
    if is_name { path.to_owned() } else { std::path::absolute(path).unwrap_or_else(|_| path.to_owned()) }
}
