//! What measured and what was measured: a figure without that means nothing.

use std::fs;
use std::path::Path;

use model::Timestamp;
use model::clock::{Clock, SystemClock};
use serde::Serialize;
use tokio::process::Command;

use crate::cli::{Peer, PeersOptions};

/// The machine, the day and the programs.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Machine {
    /// `2026-11-30 21:04`, in UTC.
    pub date: String,
    pub processor: String,
    pub cores: usize,
    pub memory_gib: u64,
    pub kernel: String,
    /// Of this program, and so most likely of all that are built with it.
    pub is_debug_build: bool,
    /// Of servers that are not built here.
    pub versions: Vec<(String, String)>,
}

impl Machine {
    pub async fn find(options: &PeersOptions) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name));
            value.unwrap_or_default().trim_matches([' ', '\t', ':']).to_owned()
        };
        let (cpus, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
        let kib = field(&memory, "MemTotal").split(' ').next().and_then(|kib| kib.parse::<u64>().ok());
        let mut versions = vec![("starling".to_owned(), env!("CARGO_PKG_VERSION").to_owned())];
        for (peer, program) in [(Peer::Bun, &options.bun), (Peer::Node, &options.node)] {
            if options.servers.contains(&peer) {
                versions.push((program_name(program), version(program).await));
            }
        }
        if options.servers.contains(&Peer::Node) {
            versions.push(("ws".to_owned(), package_version(&options.node_modules.join("ws/package.json"))));
        }
        let date = Timestamp::from_ms(SystemClock.now_ms()).to_string();
        Self {
            date: date.get(..16).unwrap_or(&date).replace('T', " "),
            processor: field(&cpus, "model name"),
            cores: cpus.lines().filter(|line| line.starts_with("processor")).count(),
            memory_gib: kib.unwrap_or_default() / (1024 * 1024),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            is_debug_build: cfg!(debug_assertions),
            versions,
        }
    }

    /// All of it in one line.
    pub fn line(&self) -> String {
        let versions: Vec<String> =
            self.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
        let warning =
            if self.is_debug_build { "; **a debug build, whose figures mean nothing**" } else { "" };
        format!(
            "{} UTC; {}, {} cores, {} GiB, Linux {}; {}{warning}",
            self.date,
            self.processor,
            self.cores,
            self.memory_gib,
            self.kernel,
            versions.join(", ")
        )
    }
}

fn program_name(program: &Path) -> String {
    program.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

async fn version(program: &Path) -> String {
    let output = Command::new(program).arg("--version").output().await;
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.unwrap_or_else(|error| format!("({error})"))
}

fn package_version(manifest: &Path) -> String {
    let manifest: Option<serde_json::Value> =
        fs::read(manifest).ok().and_then(|text| serde_json::from_slice(&text).ok());
    let version = manifest.and_then(|manifest| manifest["version"].as_str().map(str::to_owned));
    version.unwrap_or_else(|| "(unknown)".to_owned())
}
