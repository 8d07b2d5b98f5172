//! The files and the command of one node.
//!
//! It is tuned for tests: a small heap, few threads, only the first compiler of the JVM (a second or two less until it
//! answers), and memtables that take no megabyte for each of the many small tables.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, thread};

use super::root;
use crate::daemon::{Daemon, POLL_MS, Program, START_PATIENCE_MS, free_port, on_a_free_port, read_log};

/// Where a node lies and listens.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) folder: PathBuf,
    pub(super) port: u16,
    /// Whether what it has acknowledged is there again after a kill.
    pub(super) is_durable: bool,
}

impl Node {
    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The program with its arguments, `java` first.
    pub(super) fn command(&self) -> Command {
        let (jars, folder) = (jars(), &self.folder);
        let file = |name: &str| format!("file://{}", folder.join(name).display());
        let mut java = Command::new("java");
        java.args(OPENED.iter().flat_map(|(flag, package)| [*flag, package]));
        java.args(JVM_OPTIONS);
        java.arg(format!("-javaagent:{}", agent(&jars).display()));
        java.arg(format!("-Dcassandra.config={}", file(CONFIG)));
        java.arg(format!("-Dlogback.configurationFile={}", file(LOGGING)));
        java.arg(format!("-Dcassandra.storagedir={}", folder.join(DATA).display()));
        java.arg(format!("-Djna.tmpdir={}", folder.display()));
        java.arg("-cp").arg(format!("{}/*", jars.display()));
        java.arg("org.apache.cassandra.service.CassandraDaemon");
        java
    }

    pub(super) fn write_files(&self, storage_port: u16) -> io::Result<()> {
        fs::create_dir_all(self.folder.join(DATA))?;
        let data = self.folder.join(DATA);
        let config = format!(
            "listen_address: 127.0.0.1\nstorage_port: {storage_port}\nssl_storage_port: {storage_port}\n\
             rpc_address: 127.0.0.1\nnative_transport_port: {}\n\
             seed_provider: [{{class_name: org.apache.cassandra.locator.SimpleSeedProvider, \
             parameters: [{{seeds: \"127.0.0.1:{storage_port}\"}}]}}]\n\
             data_file_directories: [{data}/sstables]\ncommitlog_directory: {data}/commitlog\n\
             saved_caches_directory: {data}/caches\nhints_directory: {data}/hints\ncdc_raw_directory: {data}/cdc\n\
             {SETTINGS}{}",
            self.port,
            if self.is_durable { SYNC_ALWAYS } else { SYNC_SOMETIMES },
            data = data.display(),
        );
        fs::write(self.folder.join(CONFIG), config)?;
        fs::write(self.folder.join(LOGGING), LOGGING_XML)
    }

    /// Waits until it answers, or until it has ended.
    pub(super) fn wait(&self, mut has_ended: impl FnMut() -> bool) -> io::Result<()> {
        for _ in 0..START_PATIENCE_MS / POLL_MS {
            if self.answers() {
                return Ok(());
            }
            if has_ended() {
                break;
            }
            thread::sleep(Duration::from_millis(POLL_MS));
        }
        let log = end_of_log(&self.folder);
        Err(io::Error::other(format!("Cassandra did not start on port {}:\n{log}", self.port)))
    }

    /// Whether it says what it supports: the port is open a little before.
    pub(super) fn answers(&self) -> bool {
        let ask = || -> io::Result<u8> {
            let mut socket = TcpStream::connect(("127.0.0.1", self.port))?;
            socket.set_read_timeout(Some(Duration::from_millis(ANSWER_MS)))?;
            socket.write_all(&OPTIONS_FRAME)?;
            let mut header = [0; 9];
            socket.read_exact(&mut header)?;
            Ok(header[4])
        };
        ask().is_ok_and(|opcode| opcode == SUPPORTED)
    }
}

/// Starts a node in this folder with `start`, on ports that are free; on others when somebody else was faster.
pub(super) fn on_free_ports<T>(
    folder: &Path,
    is_durable: bool,
    start: impl Fn(&Node) -> io::Result<T>,
) -> io::Result<(Node, T)> {
    on_a_free_port(|port| {
        let node = Node { folder: folder.to_owned(), port, is_durable };
        node.write_files(free_port())?;
        let started = start(&node)?;
        Ok((node, started))
    })
}

/// Starts it as a process that ends with this one.
pub(super) fn watched(node: &Node) -> io::Result<Daemon> {
    let command = node.command();
    let arguments: Vec<&OsStr> = command.get_args().collect();
    let log = &node.folder.join(LOG);
    let program = Program { path: command.get_program(), arguments: &arguments, log, removes: None };
    Daemon::launch(&program, || node.answers())
}

pub(super) fn log(folder: &Path) -> io::Result<File> {
    File::options().create(true).append(true).open(folder.join(LOG))
}

pub(super) fn end_of_log(folder: &Path) -> String {
    let log = read_log(&folder.join(LOG));
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}

/// The folder of the jars: `STARLING_CASSANDRA_JARS`, else what `make servers` installed.
pub(super) fn jars() -> PathBuf {
    let named = env::var_os("STARLING_CASSANDRA_JARS").filter(|path| !path.is_empty());
    named.map_or_else(|| root().join(".cache/tools").join(INSTALLED), PathBuf::from)
}

/// The jar by which Cassandra measures its objects.
fn agent(jars: &Path) -> PathBuf {
    let entries = fs::read_dir(jars).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_agent = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("jamm-"))
    };
    entries.filter(is_agent).max().unwrap_or_default()
}

/// As `scripts/install-servers` names it.
pub(super) const INSTALLED: &str = "cassandra-5.0.6";
const ANSWER_MS: u64 = 1_000;
const CONFIG: &str = "cassandra.yaml";
const DATA: &str = "data";
const LOG: &str = "cassandra.log";
const LOG_LINES: usize = 40;
const LOGGING: &str = "logback.xml";
/// Version 4, no flags, stream 0, opcode OPTIONS, no body.
const OPTIONS_FRAME: [u8; 9] = [4, 0, 0, 0, 5, 0, 0, 0, 0];
const SUPPORTED: u8 = 6;

const SETTINGS: &str = "cluster_name: tests
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
endpoint_snitch: SimpleSnitch
num_tokens: 1
auto_bootstrap: false
auto_snapshot: false
hinted_handoff_enabled: false
native_transport_idle_timeout: 20s
memtable_allocation_type: unslabbed_heap_buffers
memtable_heap_space: 96MiB
memtable_offheap_space: 16MiB
key_cache_size: 4MiB
counter_cache_size: 0MiB
concurrent_compactors: 1
batch_size_warn_threshold: 1024KiB
batch_size_fail_threshold: 8192KiB
concurrent_reads: 8
concurrent_writes: 8
concurrent_counter_writes: 2
native_transport_max_threads: 16
";

const SYNC_ALWAYS: &str = "commitlog_sync: batch\n";
const SYNC_SOMETIMES: &str = "commitlog_sync: periodic\ncommitlog_sync_period: 10000ms\n";

const LOGGING_XML: &str = r#"<configuration>
  <appender name="log" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d{HH:mm:ss.SSS} %-5level %logger{0}: %msg%n</pattern></encoder>
  </appender>
  <root level="WARN"><appender-ref ref="log"/></root>
</configuration>
"#;

const JVM_OPTIONS: [&str; 10] = [
    "-Xms256m",
    "-Xmx640m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Djava.awt.headless=true",
    "-Djdk.attach.allowAttachSelf=true",
    "-Dcassandra-foreground=yes",
    "-Dcassandra.ring_delay_ms=100",
    "-Dcassandra.skip_wait_for_gossip_to_settle=0",
    "-Dcassandra.superuser_setup_delay_ms=0",
];

/// What Cassandra reaches into on Java 17, as its own start script has it.
const OPENED: [(&str, &str); 26] = [
    ("--add-exports", "java.base/jdk.internal.misc=ALL-UNNAMED"),
    ("--add-exports", "java.base/jdk.internal.ref=ALL-UNNAMED"),
    ("--add-exports", "java.base/java.lang.ref=ALL-UNNAMED"),
    ("--add-exports", "java.base/sun.nio.ch=ALL-UNNAMED"),
    ("--add-exports", "java.management.rmi/com.sun.jmx.remote.internal.rmi=ALL-UNNAMED"),
    ("--add-exports", "java.rmi/sun.rmi.registry=ALL-UNNAMED"),
    ("--add-exports", "java.rmi/sun.rmi.server=ALL-UNNAMED"),
    ("--add-exports", "java.rmi/sun.rmi.transport.tcp=ALL-UNNAMED"),
    ("--add-exports", "java.sql/java.sql=ALL-UNNAMED"),
    ("--add-exports", "jdk.unsupported/sun.misc=ALL-UNNAMED"),
    ("--add-opens", "java.base/java.io=ALL-UNNAMED"),
    ("--add-opens", "java.base/java.lang=ALL-UNNAMED"),
    ("--add-opens", "java.base/java.lang.module=ALL-UNNAMED"),
    ("--add-opens", "java.base/java.lang.reflect=ALL-UNNAMED"),
    ("--add-opens", "java.base/java.nio=ALL-UNNAMED"),
    ("--add-opens", "java.base/java.util=ALL-UNNAMED"),
    ("--add-opens", "java.base/java.util.concurrent=ALL-UNNAMED"),
    ("--add-opens", "java.base/java.util.concurrent.atomic=ALL-UNNAMED"),
    ("--add-opens", "java.base/jdk.internal.loader=ALL-UNNAMED"),
    ("--add-opens", "java.base/jdk.internal.math=ALL-UNNAMED"),
    ("--add-opens", "java.base/jdk.internal.module=ALL-UNNAMED"),
    ("--add-opens", "java.base/jdk.internal.ref=ALL-UNNAMED"),
    ("--add-opens", "java.base/jdk.internal.reflect=ALL-UNNAMED"),
    ("--add-opens", "java.base/jdk.internal.util.jar=ALL-UNNAMED"),
    ("--add-opens", "java.base/sun.nio.ch=ALL-UNNAMED"),
    ("--add-opens", "jdk.management/com.sun.management.internal=ALL-UNNAMED"),
];
