//! A real NATS server with JetStream, on a free port of the loopback interface and a folder of its own.
//!
//! One server serves a whole test binary ([`shared`]); each test takes a prefix of its own, so that they are apart. Only
//! a test that harms its server starts one itself ([`NatsServer::start`]); [`NatsServer::cluster`] starts three.
//!
//! The program is `STARLING_NATS_SERVER`, else what `make servers` installed, else `nats-server` of the `PATH`.

use std::fs;
use std::io::{self, Read};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;
use std::{env, thread};

use backplane::nats::{Config, migrate};
use backplane::{Layout, Nats};
use doubles::until;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::conformance::backplane::fresh;
use crate::daemon::{Daemon, Program, START_PATIENCE_MS, free_port, on_a_free_port, read_log};

/// A running server, or one that was killed and can be started again.
#[derive(Debug)]
pub struct NatsServer {
    daemon: Daemon,
    folder: PathBuf,
    port: u16,
    /// Removes the folder at the end; none where the shell does.
    _temporary: Option<TempDir>,
}

static SHARED: OnceLock<NatsServer> = OnceLock::new();

/// The server that all tests of this binary share. It ends with the process.
///
/// # Panics
/// When it does not start.
pub fn shared() -> &'static NatsServer {
    SHARED.get_or_init(|| {
        let folder = TempDir::new().expect("a folder can be made").keep();
        launch_on_a_free_port(folder, None, true).unwrap_or_else(|error| panic!("{error}"))
    })
}

impl NatsServer {
    /// Starts one and waits until it answers.
    ///
    /// # Panics
    /// When it does not start; its log is in the text.
    pub fn start() -> Self {
        let temporary = TempDir::new().expect("a folder can be made");
        let folder = temporary.path().to_owned();
        let mut server = launch_on_a_free_port(folder, None, false).unwrap_or_else(|error| panic!("{error}"));
        server._temporary = Some(temporary);
        server
    }

    /// Starts three that are one cluster, and waits until each answers; they may still be choosing leaders.
    ///
    /// # Panics
    /// When one does not start.
    pub fn cluster() -> [Self; 3] {
        let routes: Vec<u16> = (0..3).map(|_| free_port()).collect();
        let urls: Vec<String> = routes.iter().map(|port| format!("nats-route://127.0.0.1:{port}")).collect();
        [0, 1, 2].map(|index| {
            let temporary = TempDir::new().expect("a folder can be made");
            let folder = temporary.path().to_owned();
            let cluster = format!(
                "server_name: node-{index}\ncluster {{ name: test, listen: \"127.0.0.1:{}\", routes: [{}] }}\n",
                routes[index],
                urls.join(", ")
            );
            let mut server = launch_on_a_free_port(folder, Some(&cluster), false)
                .unwrap_or_else(|error| panic!("{error}"));
            server._temporary = Some(temporary);
            server
        })
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `nats://host:port`.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address())
    }

    pub fn pid(&self) -> u32 {
        self.daemon.pid()
    }

    /// Everything that it has printed.
    pub fn log(&self) -> String {
        read_log(&self.folder.join(LOG))
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(&mut self) {
        self.daemon.end_by(Signal::KILL);
    }

    /// SIGTERM, and waits for the end.
    pub fn terminate(&mut self) {
        self.daemon.end_by(Signal::TERM);
    }

    /// Starts it again on the same port and the same folder, after a kill or an end.
    ///
    /// # Panics
    /// When it does not start.
    pub fn restart(&mut self) {
        self.daemon = launch(&self.folder, self.port, false).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Removes what it has stored, while it does not run.
    ///
    /// # Panics
    /// When it can't be removed.
    pub fn forget(&self) {
        fs::remove_dir_all(self.folder.join(STORE)).expect("the folder is ours");
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("--- log of nats-server on port {} ---\n{}", self.port, self.log());
        }
    }
}

/// Streams small enough for many tests on one server, under a prefix that nobody else has.
pub fn config(url: &str, layout: Layout) -> Config {
    Config {
        prefix: format!("t{:x}", fresh()),
        layout,
        guild_stream_bytes: STREAM_BYTES,
        user_stream_bytes: STREAM_BYTES,
        ..Config::new(vec![url.to_owned()])
    }
}

/// The streams of this configuration, and a backplane on them. On a busy machine a question may come too late, so it is
/// asked again.
///
/// # Panics
/// When the server does not answer.
pub async fn backplane(config: &Config) -> std::sync::Arc<Nats> {
    let shown = |error: &dyn std::error::Error| eprintln!("asking NATS again: {error}");
    until("the streams are made", async || migrate(config).await.inspect_err(|error| shown(error)).ok())
        .await;
    until("a connection", async || Nats::connect(config).await.inspect_err(|error| shown(error)).ok()).await
}

fn launch_on_a_free_port(folder: PathBuf, cluster: Option<&str>, is_shared: bool) -> io::Result<NatsServer> {
    let (daemon, port) = on_a_free_port(|port| {
        write_config(&folder, port, cluster)?;
        Ok((launch(&folder, port, is_shared)?, port))
    })?;
    Ok(NatsServer { daemon, folder, port, _temporary: None })
}

fn launch(folder: &Path, port: u16, is_shared: bool) -> io::Result<Daemon> {
    let (path, config) = (program(), folder.join(CONFIG));
    let program = Program {
        path: path.as_os_str(),
        arguments: &["-c".as_ref(), config.as_os_str()],
        log: &folder.join(LOG),
        removes: is_shared.then_some(folder),
    };
    Daemon::launch(&program, || is_ready(port))
}

/// Whether the server greets. It listens to clients once its streams are there.
fn is_ready(port: u16) -> bool {
    let Ok(mut socket) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let mut greeting = [0; 5];
    let patience = Some(Duration::from_millis(START_PATIENCE_MS));
    socket.set_read_timeout(patience).is_ok()
        && socket.read_exact(&mut greeting).is_ok()
        && greeting == *b"INFO "
}

fn write_config(folder: &Path, port: u16, cluster: Option<&str>) -> io::Result<()> {
    let store = folder.join(STORE);
    let text = format!(
        "listen: \"127.0.0.1:{port}\"\njetstream {{ store_dir: \"{}\", max_file_store: 16GB }}\n{}",
        store.display(),
        cluster.unwrap_or_default()
    );
    fs::write(folder.join(CONFIG), text)
}

pub(crate) fn program() -> PathBuf {
    if let Some(path) = env::var_os("STARLING_NATS_SERVER") {
        return path.into();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let installed = root.join(".cache/tools/nats-server");
    if installed.is_file() { installed } else { "nats-server".into() }
}

const CONFIG: &str = "nats.conf";
const LOG: &str = "nats.log";
const STORE: &str = "store";
const STREAM_BYTES: u64 = 32 * 1024 * 1024;
