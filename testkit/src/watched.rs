//! A server's process that ends when this process does, however that ends.
//!
//! A small shell stands between: it starts the program, says its process id, and kills it when its own standard input
//! ends, which the kernel sees to. A shell is everywhere, and needs no unsafe code to outlive us.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// A running program, or one that has ended.
#[derive(Debug)]
pub(crate) struct Watched {
    /// The shell, whose end is the program's.
    shell: Child,
    pid: u32,
}

impl Watched {
    /// Starts the program of a command whose arguments are all that matters; what it prints goes to the log. A folder
    /// that is given is removed once this process has ended.
    pub(crate) fn start(program: &Command, log: File, removed: Option<&Path>) -> io::Result<Self> {
        let mut shell = Command::new("sh");
        shell.args(["-c", WATCH, "watch"]).arg(removed.unwrap_or(Path::new("")));
        shell.arg(program.get_program()).args(program.get_args());
        let mut shell =
            shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::from(log)).spawn()?;
        let mut first = String::new();
        BufReader::new(shell.stdout.take().expect("a pipe")).read_line(&mut first)?;
        let pid = first.trim().parse().map_err(|_| io::Error::other("the shell named no process"))?;
        Ok(Self { shell, pid })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.shell.try_wait(), Ok(None))
    }

    /// Sends the signal, unless the program has ended.
    pub(crate) fn signal(&mut self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw)
            && !self.has_ended()
        {
            // It may have ended by itself.
            let _ = kill_process(pid, signal);
        }
    }

    /// Sends the signal and waits for the end.
    pub(crate) fn end_by(&mut self, signal: Signal) {
        self.signal(signal);
        let _ = self.shell.wait();
    }

    /// Ends it as the end of this process would.
    pub(crate) fn abandon(mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

/// A port of the loopback interface that nobody listens on at this moment.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    listener.local_addr().expect("a bound socket has an address").port()
}

/// Starts the program and says its process id; ends when it ends. When standard input ends, so does the program, and
/// the folder goes where one is given.
const WATCH: &str = r#"folder=$1; shift
"$@" >&2 &
server=$!
echo $server
exec 3<&0 >&2
( cat <&3 >/dev/null; kill -9 $server 2>/dev/null; [ -z "$folder" ] || { sleep 0.1; rm -rf "$folder"; } ) &
wait $server"#;
