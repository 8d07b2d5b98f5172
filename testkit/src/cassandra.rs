//! A real Cassandra of one node, from the jars that `make servers` installed.
//!
//! It takes some seconds and most of a gigabyte to start, so one server serves a whole `cargo test`, all test programs
//! together ([`shared`]); each test takes a keyspace of its own ([`config`]). It does not wait for the disk. Only a test
//! that harms its server starts one itself ([`CassandraServer::start`]), of which a kill takes nothing that it has
//! acknowledged.
//!
//! Where Java or the jars are missing the tests are skipped, and say so; under CI that is a failure.

mod launch;
mod shared;

use std::env;
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, OnceLock};

use rustix::process::Signal;
use storage::cassandra::{Cassandra, Config, Schema, migrate};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use self::launch::Node;
use crate::conformance::backplane::fresh;
use crate::daemon::Daemon;

/// A server of one's own. It ends with this value, or with the process.
#[derive(Debug)]
pub struct CassandraServer {
    daemon: Daemon,
    node: Node,
    folder: TempDir,
}

/// `host:port` of the server that all tests share; `None` where there can be none, which is said on standard error.
///
/// # Panics
/// When it can't be started; always when there is none and `CI` is set.
pub fn shared() -> Option<&'static str> {
    static SHARED: OnceLock<Result<String, String>> = OnceLock::new();
    if !is_there() {
        return None;
    }
    let address = SHARED.get_or_init(|| shared::find_or_start().map_err(|error| error.to_string()));
    Some(address.as_ref().unwrap_or_else(|error| panic!("{error}")))
}

impl CassandraServer {
    /// Starts one and waits until it answers; `None` where there can be none.
    ///
    /// # Panics
    /// When it can't be started; its log is in the text.
    pub fn start() -> Option<Self> {
        if !is_there() {
            return None;
        }
        let folder = TempDir::new().expect("a folder can be made");
        let (node, daemon) = launch::on_free_ports(folder.path(), true, launch::watched)
            .unwrap_or_else(|error| panic!("{error}"));
        Some(Self { daemon, node, folder })
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        self.node.address()
    }

    pub fn pid(&self) -> u32 {
        self.daemon.pid()
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(&mut self) {
        self.daemon.end_by(Signal::KILL);
    }

    /// SIGSTOP: it keeps its connections and answers nothing.
    pub fn freeze(&mut self) {
        self.daemon.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn thaw(&mut self) {
        self.daemon.signal(Signal::CONT);
    }

    /// Starts it again on the same ports and data, after an end.
    ///
    /// # Panics
    /// When it does not start.
    pub fn restart(&mut self) {
        self.daemon = launch::watched(&self.node).unwrap_or_else(|error| panic!("{error}"));
    }
}

impl Drop for CassandraServer {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- the end of the log of Cassandra ---\n{}", launch::end_of_log(self.folder.path()));
        }
    }
}

/// A keyspace that nobody else has, on the server with this address.
pub fn config(address: &str) -> Config {
    Config { keyspace: format!("t{:x}", fresh()), ..Config::new(vec![address.to_owned()]) }
}

/// A session in a keyspace that nobody else has, with these tables. `None` where there can be no server.
///
/// # Panics
/// When the tables can't be made.
pub async fn session(schemas: &[&Schema]) -> Option<Arc<Cassandra>> {
    let config = config(shared()?);
    migrate(&config, schemas).await.unwrap_or_else(|error| panic!("{error}"));
    let session = Cassandra::connect(&config, schemas).await;
    Some(session.unwrap_or_else(|error| panic!("{error}")))
}

/// A session in the one keyspace of this program with the tables of all services, whose tests keep apart by their ids.
/// `None` where there can be no server.
///
/// # Panics
/// When the tables can't be made.
pub async fn session_of_services() -> Option<Arc<Cassandra>> {
    const SCHEMAS: [&Schema; 3] =
        [&storage::cassandra::SCHEMA, &messages::store::cassandra::SCHEMA, &guilds::store::cassandra::SCHEMA];
    static CONFIG: OnceCell<Config> = OnceCell::const_new();
    let address = shared()?;
    let make = async || {
        let config = config(address);
        migrate(&config, &SCHEMAS).await.unwrap_or_else(|error| panic!("{error}"));
        config
    };
    let session = Cassandra::connect(CONFIG.get_or_init(make).await, &SCHEMAS).await;
    Some(session.unwrap_or_else(|error| panic!("{error}")))
}

/// Writes the files of a node in this folder, whose kill takes nothing that it has acknowledged; answers its command.
pub(crate) fn plan(folder: &Path, port: u16, storage_port: u16) -> io::Result<Vec<String>> {
    let node = Node { folder: folder.to_owned(), port, is_durable: true };
    node.write_files(storage_port)?;
    let command = node.command();
    let words = [command.get_program()].into_iter().chain(command.get_args());
    Ok(words.map(|word| word.to_string_lossy().into_owned()).collect())
}

/// Whether a server can be started here.
pub fn is_there() -> bool {
    static LACK: OnceLock<Option<String>> = OnceLock::new();
    let Some(lack) = LACK.get_or_init(lack) else { return true };
    assert!(env::var_os("CI").is_none_or(|ci| ci.is_empty()), "no Cassandra to test on: {lack}");
    eprintln!("SKIPPED, no Cassandra to test on: {lack}");
    false
}

fn lack() -> Option<String> {
    let jars = launch::jars();
    if !jars.is_dir() {
        return Some(format!("{} is missing; run `make servers`", jars.display()));
    }
    let version = Command::new("java").arg("-version").output();
    match version {
        Ok(output) if output.status.success() => None,
        _ => Some("java does not run; install a Java 17 runtime".to_owned()),
    }
}

/// The root of the repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}
