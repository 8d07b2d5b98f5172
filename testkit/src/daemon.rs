//! A server program as a child of the test. A small shell stands between: it kills the program when this process ends,
//! however it ends, and removes a folder that nobody drops.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// A running program, or one that has ended.
#[derive(Debug)]
pub(crate) struct Daemon {
    /// The shell, whose end is the program's, and the program's process id.
    shell: Child,
    pid: u32,
}

/// What to start.
pub(crate) struct Program<'a> {
    pub(crate) path: &'a OsStr,
    pub(crate) arguments: &'a [&'a OsStr],
    /// Where what it prints goes, behind what is there.
    pub(crate) log: &'a Path,
    /// Removed by the shell when the program has ended.
    pub(crate) removes: Option<&'a Path>,
}

impl Daemon {
    /// Starts it, and waits until it is ready.
    pub(crate) fn launch(program: &Program<'_>, is_ready: impl Fn() -> bool) -> io::Result<Self> {
        let log = File::options().create(true).append(true).open(program.log)?;
        let mut shell = Command::new("sh");
        shell.args(["-c", WATCH, "watch"]).arg(program.removes.unwrap_or(Path::new("")));
        shell.arg(program.path).args(program.arguments);
        let mut shell =
            shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::from(log)).spawn()?;
        let mut first = String::new();
        BufReader::new(shell.stdout.take().expect("a pipe")).read_line(&mut first)?;
        let pid = first.trim().parse().map_err(|_| io::Error::other("the shell named no process"))?;
        for _ in 0..START_PATIENCE_MS / POLL_MS {
            if is_ready() {
                return Ok(Self { shell, pid });
            }
            if !matches!(shell.try_wait(), Ok(None)) {
                break;
            }
            thread::sleep(Duration::from_millis(POLL_MS));
        }
        drop(shell.stdin.take());
        let _ = shell.wait();
        let (path, log) = (program.path.display(), read_log(program.log));
        Err(io::Error::other(format!("{path} did not start:\n{log}")))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal, while it runs.
    pub(crate) fn signal(&mut self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw)
            && matches!(self.shell.try_wait(), Ok(None))
        {
            // It may have ended by itself.
            let _ = kill_process(pid, signal);
        }
    }

    /// Sends a signal that ends it, and waits for the end.
    pub(crate) fn end_by(&mut self, signal: Signal) {
        self.signal(signal);
        let _ = self.shell.wait();
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    listener.local_addr().expect("a bound socket has an address").port()
}

/// Calls `launch` with a free port, and with others while somebody else has taken it meanwhile.
pub(crate) fn on_a_free_port<T>(launch: impl Fn(u16) -> io::Result<T>) -> io::Result<T> {
    let mut attempts = 0;
    loop {
        match launch(free_port()) {
            Err(_) if attempts < ATTEMPTS_MAX => attempts += 1,
            done => return done,
        }
    }
}

pub(crate) fn read_log(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Starts the program and says its process id; ends when it ends. When standard input ends, so does the program, and
/// the folder goes where one is given.
pub(crate) const WATCH: &str = r#"folder=$1; shift
"$@" >&2 &
server=$!
echo $server
exec 3<&0 >&2
( cat <&3 >/dev/null; kill -9 $server 2>/dev/null; [ -z "$folder" ] || { sleep 0.1; rm -rf "$folder"; } ) &
wait $server"#;
const ATTEMPTS_MAX: u32 = 3;
pub(crate) const POLL_MS: u64 = 10;
pub(crate) const START_PATIENCE_MS: u64 = 120_000;
