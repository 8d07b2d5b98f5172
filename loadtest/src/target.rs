//! The server under test: where it is, who its members are, and what its process uses.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use model::entropy;
use rustix::process::{Resource, getrlimit, setrlimit};
use serde::Serialize;
use testkit::cluster::Cluster;
use testkit::proc::{self, CpuTime};
use testkit::rest::Rest;
use testkit::server::Seed;

use crate::cli::TargetOptions;

/// Who is connected to what.
#[derive(Debug)]
pub struct Target {
    pub gateway: String,
    pub service: Service,
    pub sources: Vec<Ipv4Addr>,
    pub threads: usize,
    /// Whether receivers leave without a word at the end, so that their sessions stay.
    pub abandons: bool,
    /// Tells the messages of these runs, which are numbered from here, from others'.
    pub run: u32,
    pub server_pid: Option<u32>,
}

/// What kind of server it is.
#[derive(Debug)]
pub enum Service {
    /// Receivers are members who identify, senders are members who use REST.
    Starling(Starling),
    /// Receivers only listen; what one sender writes to a connection with the path `/publish` goes to all of them.
    Relay,
}

/// A Starling, and its members.
#[derive(Debug)]
pub struct Starling {
    pub api: String,
    pub seed: Seed,
}

/// What the server's process has used up to a moment.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Usage {
    pub user_ms: u64,
    pub system_ms: u64,
    pub anonymous_bytes: u64,
}

impl Target {
    /// Finds the gateway and the members; makes a guild with at least `members` when no seed was given.
    pub async fn find(options: &TargetOptions, members: usize) -> anyhow::Result<Self> {
        let seed = match &options.seed {
            Some(path) => read_seed(path)?,
            None => serde_json::from_slice(&make_seed(options, members)?)
                .context("`starling admin seed` printed no seed")?,
        };
        ensure!(
            seed.members.len() >= members,
            "the seed has {} members, the run needs {members}; make one with `starling admin seed --members {members} --json`",
            seed.members.len()
        );
        let answer = Rest::new(&options.api, None).call(http::Method::GET, "/gateway", None).await;
        let answer =
            answer.with_context(|| format!("ask {}/gateway; is the server running?", options.api))?;
        let gateway = answer.json()["url"].as_str().context("GET /gateway has no url")?.to_owned();
        if let Some(pid) = options.server_pid {
            proc::anonymous_bytes(pid).with_context(|| format!("read what process {pid} uses"))?;
        }
        Ok(Self {
            gateway: gateway.trim_end_matches('/').to_owned(),
            service: Service::Starling(Starling { api: options.api.clone(), seed }),
            sources: (1..=options.sources).map(|last| Ipv4Addr::new(127, 0, 0, last)).collect(),
            threads: usize::from(options.threads),
            abandons: options.abandon,
            run: new_run(),
            server_pid: options.server_pid,
        })
    }

    /// A cluster on this machine, in which a guild with so many members is made.
    pub async fn of_cluster(cluster: &Cluster, members: usize) -> anyhow::Result<Self> {
        let options = TargetOptions {
            api: cluster.demo.apis.first().context("the cluster has no API")?.clone(),
            seed: None,
            data_dir: cluster.folder().join("guilds-1"),
            starling: testkit::binary::starling().to_owned(),
            server_pid: None,
            sources: 1,
            abandon: false,
            threads: 1,
        };
        Self::find(&options, members).await
    }

    /// A server that hands on what comes on `/publish`.
    pub fn relay(gateway: String, server_pid: u32) -> Self {
        Self {
            gateway,
            service: Service::Relay,
            sources: vec![Ipv4Addr::LOCALHOST],
            threads: 1,
            abandons: false,
            run: new_run(),
            server_pid: Some(server_pid),
        }
    }

    /// How many can send: anybody on Starling, elsewhere one.
    pub fn senders_max(&self) -> usize {
        match &self.service {
            Service::Starling(starling) => starling.seed.members.len(),
            Service::Relay => 1,
        }
    }

    /// What the server has used so far; `None` when its process was not named, or is gone.
    pub fn usage(&self) -> Option<Usage> {
        let pid = self.server_pid?;
        let CpuTime { user_ms, system_ms } = proc::cpu_time(pid).ok()?;
        Some(Usage { user_ms, system_ms, anonymous_bytes: proc::anonymous_bytes(pid).ok()? })
    }
}

impl Starling {
    /// The API as one of the members.
    pub fn rest(&self, member: usize) -> Rest {
        Rest::new(&self.api, Some(&self.seed.members[member].token))
    }

    /// Where messages are sent to.
    pub fn messages_path(&self) -> String {
        messages_path(&self.seed.channel_id)
    }
}

/// Where messages to a channel are sent to.
pub fn messages_path(channel: &str) -> String {
    format!("/channels/{channel}/messages")
}

/// The number of a run; some more can follow it.
fn new_run() -> u32 {
    (entropy::number() % 99_999_000) as u32
}

fn read_seed(path: &Path) -> anyhow::Result<Seed> {
    let text = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is no seed", path.display()))
}

/// Makes a guild with so many members; answers what `starling admin seed --json` printed.
pub fn make_seed(options: &TargetOptions, members: usize) -> anyhow::Result<Vec<u8>> {
    let mut command = Command::new(&options.starling);
    command.args(["admin", "seed", "--json", "--members", &members.to_string()]);
    command.arg("--data-dir").arg(&options.data_dir).stderr(Stdio::inherit());
    let output = command.output().with_context(|| {
        format!("run {}; say where it is with --starling, or give a --seed", options.starling.display())
    })?;
    if !output.status.success() {
        bail!("`starling admin seed` ended with {}", output.status);
    }
    Ok(output.stdout)
}

/// Lets this process open as many sockets as the system allows it.
pub fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        eprintln!("the limit of open files stays as it is: {error}");
    }
}
