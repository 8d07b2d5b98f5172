//! A real Redis server on a free port of the loopback interface, which keeps nothing on disk.
//!
//! One server serves a whole test binary ([`shared`]); each test takes a key prefix of its own ([`config`]), so that they
//! are apart. Only a test that harms its server starts one itself ([`RedisServer::start`]). [`RedisServer::clustered`] is
//! a cluster of one node: it refuses whatever a larger one would, such as a script that touches keys of two slots.
//!
//! The program is `STARLING_REDIS_SERVER`, else `redis-server` of the `PATH`, which `make servers` installs where it may.
//! Where there is none, tests are skipped and say so; in CI they fail.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;
use std::{env, thread};

use redis_link::{Config, Link};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::conformance::backplane::fresh;
use crate::daemon::{Daemon, Program, START_PATIENCE_MS, free_port, on_a_free_port, read_log};

/// A running server, or one that was killed and can be started again.
#[derive(Debug)]
pub struct RedisServer {
    daemon: Daemon,
    folder: PathBuf,
    port: u16,
    flags: Vec<String>,
    /// Removes the folder at the end; none where the shell does.
    _temporary: Option<TempDir>,
}

static SHARED: OnceLock<Option<RedisServer>> = OnceLock::new();

/// The server that all tests of this binary share; it ends with the process. `None` where none is installed.
///
/// # Panics
/// When it does not start, and in CI when none is installed.
pub fn shared() -> Option<&'static RedisServer> {
    let server = SHARED.get_or_init(|| {
        is_installed().then(|| {
            let folder = TempDir::new().expect("a folder can be made").keep();
            RedisServer::launch_on_a_free_port(folder, &[], None)
        })
    });
    server.as_ref().or_else(skip)
}

/// Where the server is, under a prefix that nobody else has.
pub fn config(server: &RedisServer) -> Config {
    Config {
        prefix: format!("t{:x}", fresh()),
        answer_ms: PATIENT_MS,
        ..Config::new("127.0.0.1", server.port)
    }
}

/// A link to the shared server. `None` where none is installed.
pub fn link() -> Option<Link> {
    shared().map(|server| Link::start(config(server)).expect("the configuration is ours"))
}

impl RedisServer {
    /// Starts one and waits until it answers. `None` where none is installed.
    ///
    /// # Panics
    /// When it does not start, and in CI when none is installed.
    pub fn start() -> Option<Self> {
        Self::with(&[])
    }

    /// The same with further flags.
    pub fn with(flags: &[&str]) -> Option<Self> {
        if !is_installed() {
            return skip();
        }
        let temporary = TempDir::new().expect("a folder can be made");
        let folder = temporary.path().to_owned();
        Some(Self::launch_on_a_free_port(folder, flags, Some(temporary)))
    }

    /// A node of a cluster that has all of its slots.
    pub fn clustered() -> Option<Self> {
        let bus = free_port().to_string();
        let server = Self::with(&["--cluster-enabled", "yes", "--cluster-port", &bus])?;
        assert_eq!(server.command("CLUSTER ADDSLOTSRANGE 0 16383"), "+OK");
        while server.command("SET probe 1") != "+OK" {
            thread::sleep(POLL);
        }
        Some(server)
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn pid(&self) -> u32 {
        self.daemon.pid()
    }

    /// Where a test may put files that the server reads.
    pub fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// Sends one command and gives the first line of the answer.
    ///
    /// # Panics
    /// When there is no answer.
    pub fn command(&self, line: &str) -> String {
        ask(self.port, line).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// Removes everything that it holds.
    pub fn empty(&self) {
        assert_eq!(self.command("FLUSHALL"), "+OK");
    }

    /// SIGKILL, and waits for the end. Everything that it held is gone.
    pub fn kill(&mut self) {
        self.daemon.end_by(Signal::KILL);
    }

    /// Starts it again on the same port, empty.
    ///
    /// # Panics
    /// When it does not start.
    pub fn restart(&mut self) {
        let started = Self::launch(&self.folder, self.port, &self.flags, false);
        self.daemon = started.unwrap_or_else(|error| panic!("{error}"));
    }

    /// SIGSTOP: connections stay, and nothing is answered.
    pub fn freeze(&mut self) {
        self.daemon.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn thaw(&mut self) {
        self.daemon.signal(Signal::CONT);
    }

    fn launch_on_a_free_port(folder: PathBuf, flags: &[&str], temporary: Option<TempDir>) -> Self {
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let is_shared = temporary.is_none();
        let launched = on_a_free_port(|port| Ok((Self::launch(&folder, port, &flags, is_shared)?, port)));
        let (daemon, port) = launched.unwrap_or_else(|error| panic!("{error}"));
        Self { daemon, folder, port, flags, _temporary: temporary }
    }

    fn launch(folder: &Path, port: u16, flags: &[String], is_shared: bool) -> io::Result<Daemon> {
        let (path, port_text) = (program(), port.to_string());
        let fixed =
            ["--port", &port_text, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"];
        let mut arguments: Vec<&OsStr> = fixed.iter().map(OsStr::new).collect();
        arguments.push(folder.as_os_str());
        arguments.extend(flags.iter().map(OsStr::new));
        let program = Program {
            path: path.as_os_str(),
            arguments: &arguments,
            log: &folder.join(LOG),
            removes: is_shared.then_some(folder),
        };
        // A server that asks for a password is ready as well.
        Daemon::launch(&program, || ask(port, "PING").is_ok_and(|answer| !answer.starts_with("-LOADING")))
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            let log = read_log(&self.folder.join(LOG));
            eprintln!("--- log of redis-server on port {} ---\n{log}", self.port);
        }
    }
}

fn ask(port: u16, line: &str) -> io::Result<String> {
    let mut socket = TcpStream::connect(("127.0.0.1", port))?;
    socket.set_read_timeout(Some(Duration::from_millis(START_PATIENCE_MS)))?;
    socket.write_all(format!("{line}\r\n").as_bytes())?;
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n") {
        socket.read_exact(&mut byte)?;
        answer.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&answer).trim_end().to_owned())
}

pub(crate) fn program() -> PathBuf {
    env::var_os("STARLING_REDIS_SERVER").map_or_else(|| "redis-server".into(), PathBuf::from)
}

/// Whether there is one; if not, it is said that the test is skipped.
pub(crate) fn is_there() -> bool {
    is_installed() || skip::<()>().is_some()
}

fn is_installed() -> bool {
    Command::new(program()).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// Says that the test which runs on this thread is skipped.
fn skip<T>() -> Option<T> {
    let test = thread::current().name().unwrap_or("a test").to_owned();
    assert!(env::var_os("CI").is_none(), "{test} needs redis-server: `make servers` installs it on Debian");
    println!("{test} is skipped: redis-server is not installed");
    None
}

const LOG: &str = "redis.log";
/// A machine that is busy with other tests answers late; tests of lateness set their own time.
const PATIENT_MS: u64 = 10_000;
const POLL: Duration = Duration::from_millis(10);
