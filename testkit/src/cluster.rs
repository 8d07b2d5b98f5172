//! A cluster on this machine: NATS, Redis, Cassandra and every role as a process of its own, with the demo data.
//!
//! Each process has a keeper, which starts it again a second after it has ended, as Kubernetes would. Everything lies in
//! one folder: `demo.json` says how to connect, `processes.json` what runs and is kept true, `cluster.toml` holds the
//! settings that all roles share, `cluster.log` what all of them have printed. `make cluster` runs one for people
//! (`starling-cluster`), tests run smaller ones, most of them in a keyspace of the Cassandra that all tests share.

mod files;
mod links;
mod log;
mod member;
mod plan;

use std::io;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use backplane::Layout;
use http::Method;
use rustix::process::Signal;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{self, Instant};

use crate::rest::Rest;
use crate::server::{Demo, forget_settings};
use crate::{cassandra, redis};
use files::Files;
use links::NatsLinks;
use log::Log;
pub use member::Member;
use plan::Plan;

/// Where `guilds` and `messages` keep their data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    /// Each in a store of its own, so there is one of each.
    Embedded,
    /// In a Cassandra that is one of the cluster's processes.
    Own,
    /// In a keyspace of the Cassandra that all tests share.
    Shared,
}

/// How large it is, and where.
#[derive(Debug, Clone)]
pub struct Options {
    pub folder: PathBuf,
    pub nats_nodes: usize,
    pub gateways: usize,
    pub apis: usize,
    pub guilds: usize,
    pub messages: usize,
    pub database: Database,
    pub layout: Layout,
    pub stream_bytes: u64,
    /// Further lines of the settings that all roles share.
    pub settings: String,
    /// What clients of the first gateway are told in place of its address.
    pub public_gateway: Option<String>,
    /// Processes whose way to NATS a test can cut ([`Cluster::cut_from_nats`]), by their names.
    pub severable: Vec<String>,
    /// Processes whose clocks are ahead, by their names, with the milliseconds.
    pub clocks_ahead_ms: Vec<(String, i64)>,
    /// Whether the test arms fail points ([`Member::arm`]), which release builds do not have and refuse.
    pub has_fail_points: bool,
    /// Whether what the processes print is printed here too.
    pub is_loud: bool,
}

/// `demo.json` of a cluster.
#[derive(Debug, Clone, Deserialize)]
pub struct ClusterDemo {
    #[serde(flatten)]
    pub demo: Demo,
    pub apis: Vec<String>,
    pub gateways: Vec<String>,
}

/// A running cluster. Dropped, it is killed.
pub struct Cluster {
    folder: PathBuf,
    pub demo: ClusterDemo,
    members: Vec<Arc<Member>>,
    gateways: Vec<String>,
    nats_links: NatsLinks,
    log: Arc<Log>,
    _keepers: JoinSet<()>,
}

impl Options {
    /// What `make cluster` starts.
    pub fn full(folder: PathBuf) -> Self {
        Self {
            folder,
            nats_nodes: 3,
            gateways: 2,
            apis: 2,
            guilds: 1,
            messages: 2,
            database: Database::Own,
            layout: Layout::default(),
            stream_bytes: 64 * 1024 * 1024,
            settings: String::new(),
            public_gateway: None,
            severable: Vec::new(),
            clocks_ahead_ms: Vec::new(),
            has_fail_points: false,
            is_loud: true,
        }
    }

    /// Enough for a test: two of everything that may be there twice, on few streams, without limits that a test would meet.
    pub fn small(folder: PathBuf) -> Self {
        Self {
            nats_nodes: 1,
            guilds: 2,
            database: Database::Shared,
            layout: Layout { guild_partitions: 4, user_partitions: 2 },
            stream_bytes: 32 * 1024 * 1024,
            settings: crate::server::UNLIMITED.to_owned(),
            is_loud: false,
            ..Self::full(folder)
        }
    }

    /// The same without Cassandra.
    pub fn embedded(folder: PathBuf) -> Self {
        Self { guilds: 1, messages: 1, database: Database::Embedded, ..Self::small(folder) }
    }
}

impl Cluster {
    /// Starts everything and waits until all of it is ready. `None` where Redis or Cassandra is not installed, which is said.
    ///
    /// # Errors
    /// When something does not start, with the end of the log.
    pub async fn start(options: Options) -> io::Result<Option<Self>> {
        let needs_cassandra = options.database != Database::Embedded;
        if !redis::is_there() || needs_cassandra && !cassandra::is_there() {
            return Ok(None);
        }
        let folder = options.folder.clone();
        std::fs::create_dir_all(&folder)?;
        let folder = folder.canonicalize()?;
        let options = Options { folder: folder.clone(), ..options };
        let log = Arc::new(Log::open(&folder, options.is_loud)?);
        match Self::start_all(&options, log.clone()).await {
            Ok(cluster) => Ok(Some(cluster)),
            Err(error) => Err(io::Error::other(format!("{error}\n{}", log.tail()))),
        }
    }

    async fn start_all(options: &Options, log: Arc<Log>) -> io::Result<Self> {
        let plan = Plan::make(options)?;
        let Plan { servers, mut roles, apis, gateways } = plan;
        let nats_links = NatsLinks::start(&options.severable, &mut roles, &servers).await?;
        let make = |planned| Arc::new(Member::new(planned, options));
        let (servers, roles): (Vec<_>, Vec<_>) =
            (servers.into_iter().map(make).collect(), roles.into_iter().map(make).collect());
        let members: Vec<Arc<Member>> = [servers.clone(), roles.clone()].concat();
        let files = Arc::new(Files::new(&options.folder, members.clone()));
        let mut keepers = JoinSet::new();
        let mut keep = |members: &[Arc<Member>]| {
            for member in members {
                keepers.spawn(member.clone().keep(files.clone(), log.clone()));
            }
        };
        keep(&servers);
        for server in &servers {
            listens(server).await?;
        }
        migrate(&options.folder).await?;
        keep(&roles);
        for role in &roles {
            role.ready().await?;
        }
        let urls: Vec<String> = gateways.iter().map(|address| format!("ws://{address}")).collect();
        let demo = files.write_demo(&options.folder.join("guilds-1"), &apis, &urls)?;
        let folder = options.folder.clone();
        Ok(Self { folder, demo, members, gateways, nats_links, log, _keepers: keepers })
    }

    /// A process by its name, such as `gateway-1`.
    ///
    /// # Panics
    /// When there is none of this name.
    pub fn member(&self, name: &str) -> &Member {
        self.members
            .iter()
            .find(|member| member.name() == name)
            .unwrap_or_else(|| panic!("there is no {name}"))
    }

    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().map(|member| &**member)
    }

    /// Where a gateway really listens, as `host:port`.
    pub fn gateway_address(&self, gateway: usize) -> &str {
        &self.gateways[gateway]
    }

    /// Cuts the way of a process to NATS, or opens it again. It has to be among those that can be cut off.
    pub fn cut_from_nats(&self, name: &str, is_cut: bool) {
        self.nats_links.cut(name, is_cut);
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The API at one of its addresses, as the user or bot of this token.
    pub fn rest(&self, api: usize, token: &str) -> Rest {
        Rest::new(&self.demo.apis[api], Some(token))
    }

    /// Runs `starling` with the settings that all roles share.
    ///
    /// # Errors
    /// When it can't be run.
    pub async fn run(&self, arguments: &[&str]) -> io::Result<Output> {
        run(&self.folder, arguments).await
    }

    /// Ends everything in order: edges, services, servers.
    pub async fn stop(self) {
        for tier in [&["gateway", "api"][..], &["guilds", "messages", "presence", "fanout"], &SERVERS] {
            let of_tier = self.members.iter().filter(|member| tier.contains(&member.role()));
            futures_util::future::join_all(of_tier.map(|member| member.stop())).await;
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of the cluster ---\n{}", self.log.tail());
        }
    }
}

async fn run(folder: &Path, arguments: &[&str]) -> io::Result<Output> {
    let (command, rest) = arguments.split_first().ok_or_else(|| io::Error::other("name a command"))?;
    let mut run = std::process::Command::new(crate::binary::starling());
    forget_settings(&mut run);
    run.arg(command).arg("--config").arg(folder.join(plan::SETTINGS)).args(rest);
    Command::from(run).kill_on_drop(true).output().await
}

/// Makes the streams, as soon as the servers let it: those of a cluster choose a leader first.
async fn migrate(folder: &Path) -> io::Result<()> {
    let deadline = Instant::now() + START_PATIENCE;
    loop {
        let output = run(folder, &["migrate"]).await?;
        if output.status.success() {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        time::sleep(POLL).await;
    }
}

async fn listens(server: &Member) -> io::Result<()> {
    let is_there = async || TcpStream::connect(server.address()).await.is_ok();
    until(server.name(), is_there).await
}

impl Member {
    /// Waits until it says that it is ready.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ready(&self) -> io::Result<()> {
        let rest = Rest::new(&format!("http://{}", self.address()), None);
        let is_ready = async || {
            let answer = rest.call(Method::GET, "/readyz", None).await;
            answer.is_ok_and(|answer| answer.status.is_success())
        };
        until(self.name(), is_ready).await
    }

    /// SIGKILL, and waits until it runs again and is ready.
    ///
    /// # Errors
    /// When it does not.
    pub async fn kill_and_wait(&self) -> io::Result<()> {
        self.end_by(Signal::KILL);
        self.started_again().await?;
        self.ready().await
    }

    /// SIGTERM, and waits likewise.
    ///
    /// # Errors
    /// When it does not.
    pub async fn end_and_wait(&self) -> io::Result<()> {
        self.end_by(Signal::TERM);
        self.started_again().await?;
        self.ready().await
    }

    /// Waits until the process that was ended last is replaced by another one.
    ///
    /// # Errors
    /// When it is not.
    pub async fn started_again(&self) -> io::Result<()> {
        self.replaced(self.ended_pid()).await
    }

    /// Waits until another process than this one runs.
    ///
    /// # Errors
    /// When none is started.
    pub async fn replaced(&self, before: Option<u32>) -> io::Result<()> {
        let mut state: watch::Receiver<member::State> = self.state();
        let is_new = |state: &member::State| state.pid.is_some() && state.pid != before;
        let late = |_| io::Error::other(format!("{} was not started again", self.name()));
        time::timeout(START_PATIENCE, state.wait_for(is_new))
            .await
            .map_err(late)?
            .map(drop)
            .map_err(io::Error::other)
    }
}

async fn until(name: &str, is_there: impl AsyncFn() -> bool) -> io::Result<()> {
    let deadline = Instant::now() + START_PATIENCE;
    while Instant::now() < deadline {
        if is_there().await {
            return Ok(());
        }
        time::sleep(POLL).await;
    }
    Err(io::Error::other(format!("{name} was not ready in {START_PATIENCE:?}")))
}

/// Roles of what is no process of `starling`.
pub const SERVERS: [&str; 3] = ["nats", "redis", "cassandra"];
const START_PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(100);
