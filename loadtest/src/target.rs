//! The server under test: where it is, who its members are, and what its process uses.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use model::entropy;
use rustix::process::{Resource, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};
use testkit::cluster::{Cluster, Options};
use testkit::proc::{self, CpuTime};
use testkit::rest::Rest;
use testkit::server::Seed;

use crate::cli::TargetOptions;
use crate::form::Form;
use crate::progress;

/// Who is connected to what.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Target {
    /// `ws://host:port` of each; receivers take them in turn.
    pub gateways: Vec<String>,
    pub service: Service,
    /// How receivers are spoken to, in turn.
    pub forms: Vec<Form>,
    pub sources: Vec<Ipv4Addr>,
    pub threads: usize,
    /// Whether receivers leave without a word at the end, so that their sessions stay.
    pub abandons: bool,
    /// Tells the messages of these runs, which are numbered from here, from others'.
    pub run: u32,
    /// The processes whose use is measured, together.
    pub server_pids: Vec<u32>,
}

/// What kind of server it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Service {
    /// Receivers are members who identify, senders are members who use REST.
    Starling(Starling),
    /// Receivers only listen; what one sender writes to a connection with the path `/publish` goes to all of them.
    Relay,
}

/// A Starling, and its members, who are numbered through all guilds. Each is in one guild.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Starling {
    pub api: String,
    pub guilds: Vec<Seed>,
}

/// What the server's process has used up to a moment.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Usage {
    pub user_ms: u64,
    pub system_ms: u64,
    /// All of it, in a finer measure.
    pub run_ns: u64,
    pub anonymous_bytes: u64,
}

impl Target {
    /// Finds the gateway and the members; makes a guild with at least `members` when no seed was given.
    pub async fn find(options: &TargetOptions, members: usize) -> anyhow::Result<Self> {
        let seed = match &options.seed {
            Some(path) => read_seed(path)?,
            None => made_seed(options, members, &[])?,
        };
        ensure!(
            seed.members.len() >= members,
            "the seed has {} members, the run needs {members}; make one with `starling admin seed --members {members} --json`",
            seed.members.len()
        );
        Self::of(options, vec![seed]).await
    }

    /// Finds the gateway, and makes a guild of so many members, who are in further guilds as well.
    pub async fn in_further_guilds(
        options: &TargetOptions,
        members: usize,
        guilds: usize,
        guild_members: usize,
    ) -> anyhow::Result<Self> {
        let further = ["--guilds", &guilds.to_string(), "--guild-members", &guild_members.to_string()];
        Self::of(options, vec![made_seed(options, members, &further)?]).await
    }

    /// Finds the gateway, and makes guilds of these sizes.
    pub async fn with_guilds(options: &TargetOptions, sizes: &[usize]) -> anyhow::Result<Self> {
        let bar = progress::bar("guilds", sizes.len() as u64);
        let mut guilds = Vec::new();
        for size in sizes {
            guilds.push(made_seed(options, *size, &[])?);
            bar.inc(1);
        }
        bar.finish();
        Self::of(options, guilds).await
    }

    async fn of(options: &TargetOptions, guilds: Vec<Seed>) -> anyhow::Result<Self> {
        let mut gateways = options.gateway.clone();
        if gateways.is_empty() {
            let answer = Rest::new(&options.api, None).call(http::Method::GET, "/gateway", None).await;
            let answer =
                answer.with_context(|| format!("ask {}/gateway; is the server running?", options.api))?;
            gateways.push(answer.json()["url"].as_str().context("GET /gateway has no url")?.to_owned());
        }
        for pid in &options.server_pid {
            proc::anonymous_bytes(*pid).with_context(|| format!("read what process {pid} uses"))?;
        }
        Ok(Self {
            gateways: gateways.iter().map(|url| url.trim_end_matches('/').to_owned()).collect(),
            service: Service::Starling(Starling { api: options.api.clone(), guilds }),
            forms: options.form.clone(),
            sources: sources(options.sources),
            threads: usize::from(options.threads),
            abandons: options.abandon,
            run: new_run(),
            server_pids: options.server_pid.clone(),
        })
    }

    /// A cluster on this machine, in which a guild with so many members is made.
    pub async fn of_cluster(cluster: &Cluster, members: usize) -> anyhow::Result<Self> {
        Self::find(&cluster_options(cluster)?, members).await
    }

    /// A server that hands on what comes on `/publish`.
    pub fn relay(gateway: String, server_pid: u32) -> Self {
        Self {
            gateways: vec![gateway],
            service: Service::Relay,
            forms: vec![Form::Json],
            sources: vec![Ipv4Addr::LOCALHOST],
            threads: 1,
            abandons: false,
            run: new_run(),
            server_pids: vec![server_pid],
        }
    }

    /// How many can send: anybody on Starling, elsewhere one.
    pub fn senders_max(&self) -> usize {
        match &self.service {
            Service::Starling(starling) => starling.member_count(),
            Service::Relay => 1,
        }
    }

    pub fn form_of(&self, member: usize) -> Form {
        self.forms[member % self.forms.len()]
    }

    /// The guild of a member, by its place; a relay is like one guild.
    pub fn guild_of(&self, member: usize) -> usize {
        match &self.service {
            Service::Starling(starling) => starling.place(member).0,
            Service::Relay => 0,
        }
    }

    pub fn guild_count(&self) -> usize {
        match &self.service {
            Service::Starling(starling) => starling.guilds.len(),
            Service::Relay => 1,
        }
    }

    /// The guilds, with their members; a relay has none.
    pub fn seeds(&self) -> &[Seed] {
        match &self.service {
            Service::Starling(starling) => &starling.guilds,
            Service::Relay => &[],
        }
    }

    /// How many of the first so many members are in each guild.
    pub fn guild_sizes(&self, first: usize, count: usize) -> Vec<usize> {
        let mut sizes = vec![0; self.guild_count()];
        for member in first..first + count {
            sizes[self.guild_of(member)] += 1;
        }
        sizes
    }

    /// What the server has used so far; `None` when no process was named, or one is gone.
    pub fn usage(&self) -> Option<Usage> {
        let mut usage = Usage::default();
        for pid in &self.server_pids {
            let CpuTime { user_ms, system_ms } = proc::cpu_time(*pid).ok()?;
            usage.user_ms += user_ms;
            usage.system_ms += system_ms;
            usage.run_ns += proc::run_ns(*pid).ok()?;
            usage.anonymous_bytes += proc::anonymous_bytes(*pid).ok()?;
        }
        (!self.server_pids.is_empty()).then_some(usage)
    }
}

/// A cluster of its own.
pub async fn started(plan: Options) -> anyhow::Result<Cluster> {
    let cluster = Cluster::start(plan).await?;
    cluster.context("a server that the cluster needs is not installed; see `make servers`")
}

/// How a target of its own is found in a cluster on this machine.
pub fn cluster_options(cluster: &Cluster) -> anyhow::Result<TargetOptions> {
    Ok(TargetOptions {
        api: cluster.demo.apis.first().context("the cluster has no API")?.clone(),
        gateway: Vec::new(),
        seed: None,
        data_dir: cluster.folder().join("guilds-1"),
        starling: testkit::binary::starling().to_owned(),
        server_pid: Vec::new(),
        form: vec![Form::Json],
        sources: 1,
        abandon: false,
        threads: 1,
    })
}

/// So many loopback addresses.
fn sources(count: u8) -> Vec<Ipv4Addr> {
    (1..=count).map(|last| Ipv4Addr::new(127, 0, 0, last)).collect()
}

impl Starling {
    fn member_count(&self) -> usize {
        self.guilds.iter().map(|guild| guild.members.len()).sum()
    }

    /// Where a member is: in which guild, and who of it.
    fn place(&self, member: usize) -> (usize, usize) {
        let mut rest = member;
        for (guild, seed) in self.guilds.iter().enumerate() {
            if rest < seed.members.len() {
                return (guild, rest);
            }
            rest -= seed.members.len();
        }
        panic!("there is no member {member}, but {}", self.member_count());
    }

    pub fn token(&self, member: usize) -> &str {
        let (guild, member) = self.place(member);
        &self.guilds[guild].members[member].token
    }

    /// The API as one of the members.
    pub fn rest(&self, member: usize) -> Rest {
        Rest::new(&self.api, Some(self.token(member)))
    }

    /// Who sends as the so-manieth: the guilds take turns. The guild, and the API as that member.
    pub fn speaker(&self, sender: usize) -> (usize, Rest) {
        let guild = sender % self.guilds.len();
        let members = &self.guilds[guild].members;
        let token = &members[sender / self.guilds.len() % members.len()].token;
        (guild, Rest::new(&self.api, Some(token)))
    }

    /// Where messages to a guild's members are sent to.
    pub fn messages_path(&self, guild: usize) -> String {
        messages_path(&self.guilds[guild].channel_id)
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

fn made_seed(options: &TargetOptions, members: usize, further: &[&str]) -> anyhow::Result<Seed> {
    serde_json::from_slice(&make_seed(options, members, further)?)
        .context("`starling admin seed` printed no seed")
}

fn read_seed(path: &Path) -> anyhow::Result<Seed> {
    let text = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is no seed", path.display()))
}

/// Makes a guild with so many members; answers what `starling admin seed --json` printed, which is given these arguments
/// as well.
pub fn make_seed(options: &TargetOptions, members: usize, further: &[&str]) -> anyhow::Result<Vec<u8>> {
    let mut command = Command::new(&options.starling);
    command.args(["admin", "seed", "--json", "--members", &members.to_string()]).args(further);
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
