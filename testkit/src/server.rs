//! The real `starling` program, started on a data directory of its own and killed at the end of the test.
//!
//! It runs with `--demo`, so that users, a bot and a guild are there; more come from [`Server::seed`].

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use std::{env, io};

use http::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::time::{self, Instant};

use crate::binary;
use crate::rest::Rest;

const START_PATIENCE: Duration = Duration::from_secs(60);
const STOP_PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(10);

/// `demo.json`.
#[derive(Debug, Clone, Deserialize)]
pub struct Demo {
    pub api: String,
    pub gateway: String,
    pub guild_id: String,
    pub channels: Channels,
    pub users: Vec<DemoUser>,
    pub bot: DemoBot,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Channels {
    pub general: String,
    pub random: String,
    pub staff: String,
    pub lounge: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct DemoUser {
    pub name: String,
    pub id: String,
    pub token: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct DemoBot {
    pub id: String,
    pub token: String,
    pub application_id: String,
}

/// What `starling admin seed --json` prints.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Seed {
    pub guild_id: String,
    pub channel_id: String,
    pub members: Vec<SeedMember>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SeedMember {
    pub id: String,
    pub token: String,
}

/// How a server is started.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Lines of the configuration file.
    pub config: String,
    /// Further flags.
    pub flags: Vec<String>,
    /// Another program than `starling` that takes the same arguments.
    pub program: Option<PathBuf>,
    /// A program before it, with its arguments, that becomes it: `strace -D …`.
    pub wrapper: Vec<String>,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    child: Child,
    folder: TempDir,
    options: Options,
    /// Where it really listens, whatever it tells its clients.
    pub listens: Listens,
    pub demo: Demo,
}

/// The addresses of the start-up lines, as `host:port`.
#[derive(Debug, Clone)]
pub struct Listens {
    pub api: String,
    pub gateway: String,
    /// `/livez`, `/readyz` and `/metrics`.
    pub admin: String,
}

impl Options {
    /// With limits so high that a test does not meet them.
    pub fn unlimited() -> Self {
        Self { config: UNLIMITED.into(), ..Self::default() }
    }
}

impl Server {
    /// Starts one whose rate limits are out of the way.
    pub async fn start() -> Self {
        Self::with(Options::unlimited()).await
    }

    /// Starts one and waits until it is ready.
    ///
    /// # Panics
    /// When it does not start; its log is in the text.
    pub async fn with(options: Options) -> Self {
        let folder = TempDir::new().expect("a folder can be made");
        match launch(folder.path(), &options, None).await {
            Ok((child, demo, listens)) => Self { child, folder, options, listens, demo },
            Err(error) => panic!("the server did not start: {error}\n{}", read_log(folder.path())),
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Everything that it has printed.
    pub fn log(&self) -> String {
        read_log(self.folder.path())
    }

    /// SIGKILL, at once.
    pub fn kill(&mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }

    /// SIGTERM, and nothing more.
    pub fn terminate(&self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        // It may have ended by itself.
        let _ = kill_process(pid.expect("a child has a pid"), Signal::TERM);
    }

    /// Waits for the end of the process.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + STOP_PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return status;
            }
            time::sleep(POLL).await;
        }
        panic!("the server did not end in {STOP_PATIENCE:?}\n{}", self.log());
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Starts it again on the same data and the same addresses, after a kill or an end.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn restart(&mut self) {
        let options = Options { wrapper: Vec::new(), ..self.options.clone() };
        match launch(self.folder.path(), &options, Some(&self.listens)).await {
            Ok((child, demo, listens)) => {
                self.child = child;
                self.demo = demo;
                self.listens = listens;
            }
            Err(error) => panic!("the server did not start again: {error}\n{}", self.log()),
        }
    }

    /// The API as the user or bot of this token.
    pub fn rest(&self, token: &str) -> Rest {
        Rest::new(&self.demo.api, Some(token))
    }

    pub fn user(&self, name: &str) -> &DemoUser {
        self.demo.users.iter().find(|user| user.name == name).expect("alice and bob are in demo.json")
    }

    pub fn alice(&self) -> Rest {
        self.rest(&self.user("alice").token)
    }

    pub fn bob(&self) -> Rest {
        self.rest(&self.user("bob").token)
    }

    pub fn bot(&self) -> Rest {
        self.rest(&format!("Bot {}", self.demo.bot.token))
    }

    /// `starling admin` with these arguments; what it printed.
    ///
    /// # Panics
    /// When it fails.
    pub fn admin(&self, arguments: &[&str]) -> String {
        admin(&self.data_dir(), arguments)
    }

    /// A guild with so many members.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn seed(&self, members: usize) -> Seed {
        let printed = self.admin(&["seed", "--members", &members.to_string(), "--json"]);
        serde_json::from_str(&printed).expect("seed prints its JSON")
    }

    /// The text of `/metrics`.
    pub async fn metrics(&self) -> String {
        let rest = Rest::new(&format!("http://{}", self.listens.admin), None);
        match rest.call(Method::GET, "/metrics", None).await {
            Ok(answer) => String::from_utf8_lossy(&answer.bytes).into_owned(),
            Err(error) => panic!("/metrics: {error}"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.kill();
        if std::thread::panicking() {
            eprintln!("--- log of the server ---\n{}", self.log());
        }
    }
}

/// `starling admin` on the process that runs on this data directory; what it printed.
///
/// # Panics
/// When it fails.
pub fn admin(data_dir: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(binary::starling());
    command.arg("admin").args(arguments).arg("--data-dir").arg(data_dir);
    forget_settings(&mut command);
    let output = command.output().expect("starling can be run");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "starling admin {arguments:?}: {}\n{errors}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Starts the process and waits until it is ready.
async fn launch(
    folder: &Path,
    options: &Options,
    addresses: Option<&Listens>,
) -> io::Result<(Child, Demo, Listens)> {
    let (data, config, log) = (folder.join("data"), folder.join("starling.toml"), log_path(folder));
    fs::write(&config, &options.config)?;
    let log = File::options().create(true).append(true).open(log)?;
    let log_start = log.metadata()?.len() as usize;
    let mut words = options.wrapper.clone();
    let program = options.program.as_deref().unwrap_or_else(|| binary::starling());
    words.push(program.to_string_lossy().into_owned());
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).arg("--demo").arg("--data-dir").arg(&data).arg("--config").arg(&config);
    let free = || "127.0.0.1:0".to_owned();
    let listens =
        addresses.cloned().unwrap_or_else(|| Listens { api: free(), gateway: free(), admin: free() });
    command.args(["--api-listen", &listens.api, "--gateway-listen", &listens.gateway]);
    command.args(["--admin-listen", &listens.admin]);
    forget_settings(&mut command);
    command.args(&options.flags).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let mut child = command.spawn()?;
    match ready(&mut child, folder, log_start).await {
        Ok((demo, listens)) => Ok((child, demo, listens)),
        Err(error) => {
            let _ = (child.kill(), child.wait());
            Err(error)
        }
    }
}

async fn ready(child: &mut Child, folder: &Path, log_start: usize) -> io::Result<(Demo, Listens)> {
    let deadline = Instant::now() + START_PATIENCE;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            return Err(io::Error::other(format!("it ended with {status}")));
        }
        let log = read_log(folder);
        if let Some(listens) = listens(log.get(log_start..).unwrap_or_default())
            && is_ready(&listens.admin).await
        {
            let demo = fs::read(folder.join("data/demo.json"))?;
            return Ok((serde_json::from_slice(&demo)?, listens));
        }
        time::sleep(POLL).await;
    }
    Err(io::Error::other("it was not ready in time"))
}

async fn is_ready(admin: &str) -> bool {
    let rest = Rest::new(&format!("http://{admin}"), None);
    matches!(rest.call(Method::GET, "/readyz", None).await, Ok(answer) if answer.status.is_success())
}

/// What the start-up lines say, once all three are there.
fn listens(log: &str) -> Option<Listens> {
    Some(Listens {
        api: address(log, "api")?,
        gateway: address(log, "gateway")?,
        admin: address(log, "admin")?,
    })
}

/// The `host:port` in the first line that names the listener.
fn address(log: &str, name: &str) -> Option<String> {
    let line = log.lines().find(|line| line.starts_with(&format!("{name} listening on ")))?;
    let start = line.find("127.0.0.1:")?;
    Some(line[start..].chars().take_while(|c| c.is_ascii_digit() || ".:".contains(*c)).collect())
}

/// What the developer's shell sets is not what is tested.
pub(crate) fn forget_settings(command: &mut Command) {
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("STARLING_") {
            command.env_remove(name);
        }
    }
}

fn log_path(folder: &Path) -> PathBuf {
    folder.join("server.log")
}

fn read_log(folder: &Path) -> String {
    fs::read(log_path(folder)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// Configuration without limits that a test would meet.
pub const UNLIMITED: &str = "\
sends_per_window = 1000000
requests_per_sec = 0
route_limits = false
max_concurrency = 10000
gateway_connections_per_sec = 1000000
gateway_starts_per_sec = 1000000
";
