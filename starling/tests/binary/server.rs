//! Starts the binary on free ports and talks to it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

const START: Duration = Duration::from_secs(60);
const END: Duration = Duration::from_secs(60);

/// The binary with these arguments, without the variables of whoever runs the tests.
pub fn starling(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_starling"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("STARLING_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub fn output(arguments: &[&str]) -> Output {
    starling(arguments).output().unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A running server. Killed when it is dropped.
pub struct Server {
    child: Child,
    pub dir: PathBuf,
    pub api: String,
    pub gateway: String,
    pub admin: String,
    /// With `--grpc-listen`.
    pub grpc: Option<String>,
}

/// What a process prints.
pub struct Lines(mpsc::Receiver<String>);

impl Lines {
    pub fn read(stdout: ChildStdout) -> Self {
        let (lines, received) = mpsc::sync_channel(256);
        // Ends with the process's stdout.
        let _reader = std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                if lines.send(line.unwrap()).is_err() {
                    return;
                }
            }
        });
        Self(received)
    }

    /// The lines before it says that it is ready.
    pub fn until_ready(&self) -> Vec<String> {
        let mut before = Vec::new();
        loop {
            match self.0.recv_timeout(START).expect("the server did not get ready") {
                line if line == "ready" => return before,
                line => before.push(line),
            }
        }
    }
}

/// An address of this machine at which nobody listens.
pub fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// An answer over HTTP.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Server {
    /// Starts one on free ports and waits until it says that it is ready.
    pub fn start(dir: &TempDir, arguments: &[&str]) -> Self {
        Self::start_in(dir.path(), arguments)
    }

    pub fn start_in(dir: &Path, arguments: &[&str]) -> Self {
        let free = [
            "--api-listen",
            "127.0.0.1:0",
            "--gateway-listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
        ];
        let mut command = starling(&["--data-dir", dir.to_str().unwrap(), "--log", "warn"]);
        let mut child = command.args(free).args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let before = Lines::read(child.stdout.take().unwrap()).until_ready();
        let address = |what: &str| {
            let prefix = format!("{what} listening on ");
            before.iter().find_map(|line| line.strip_prefix(&prefix)).map(str::to_owned)
        };
        let needed = |what: &str| address(what).unwrap_or_else(|| panic!("{what} is missing in {before:?}"));
        assert_eq!(before[1], format!("data in {}", dir.display()));
        Self {
            api: needed("api"),
            gateway: needed("gateway"),
            admin: needed("admin"),
            grpc: address("grpc"),
            child,
            dir: dir.to_owned(),
        }
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        for _ in 0..END.as_millis() / 20 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the server did not end in {END:?}");
    }

    pub fn stop(mut self) {
        self.signal(Signal::TERM);
        assert_eq!(self.wait().code(), Some(0));
    }

    pub fn get(&self, url: &str) -> Answer {
        request("GET", url, None, "")
    }

    /// A request to the REST API.
    pub fn rest(&self, method: &str, path: &str, token: &str, body: &str) -> Answer {
        request(method, &format!("{}{path}", self.api), Some(token), body)
    }

    /// Runs `starling admin` on this server.
    pub fn admin(&self, arguments: &[&str]) -> Output {
        let dir = self.dir.to_str().unwrap();
        output(&[&["admin", "--data-dir", dir], arguments].concat())
    }

    /// The same, for its JSON.
    pub fn admin_json(&self, arguments: &[&str]) -> Value {
        let output = self.admin(&[&["--json"], arguments].concat());
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Opens a connection to `http://host:port/…`; answers the path as well.
pub fn connect(url: &str) -> (TcpStream, String, String) {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) =
        rest.split_once('/').map_or((rest, String::from("/")), |(host, path)| (host, format!("/{path}")));
    let stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    (stream, host.to_owned(), path)
}

pub fn request(method: &str, url: &str, token: Option<&str>, body: &str) -> Answer {
    let (mut stream, host, path) = connect(url);
    let authorization = token.map_or_else(String::new, |token| format!("Authorization: {token}\r\n"));
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{authorization}\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split_whitespace().nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}
