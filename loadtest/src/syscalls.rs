//! How many system calls the server makes, counted by the kernel's own tracepoints.
//!
//! `strace` stops the process at every call: a server that merges what is pending then has more pending, and looks better
//! than it is. `perf stat` counts without stopping anybody, so it is what is used; it must be installed, and may need root.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::time;

/// The event of every system call, and those of calls that can write to a socket.
const ALL: &str = "raw_syscalls:sys_enter";
const WRITES: [&str; 5] = [
    "syscalls:sys_enter_write",
    "syscalls:sys_enter_writev",
    "syscalls:sys_enter_sendto",
    "syscalls:sys_enter_sendmsg",
    "syscalls:sys_enter_sendmmsg",
];
/// Until `perf` is attached; it does not say when.
const ATTACH: Duration = Duration::from_millis(700);
const END_PATIENCE: Duration = Duration::from_secs(10);

/// Calls of all threads of a process in a while.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    pub all: u64,
    pub writes: u64,
}

/// Calls are being counted.
pub struct Counting(Child);

/// Begins to count the calls of these processes.
pub async fn count(pids: &[u32]) -> anyhow::Result<Counting> {
    let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
    let mut command = Command::new("perf");
    command.args(["stat", "-x", ",", "-e", ALL, "-e", &WRITES.join(","), "-p", &pids.join(",")]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().context("run perf, which counts system calls; install linux-perf")?;
    time::sleep(ATTACH).await;
    if let Some(status) = child.try_wait()? {
        bail!("perf ended with {status}: {}", read(&mut child).await?);
    }
    Ok(Counting(child))
}

impl Counting {
    /// Ends counting.
    pub async fn finish(mut self) -> anyhow::Result<Counted> {
        let pid = self.0.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        kill_process(pid.context("perf has ended by itself")?, Signal::INT)?;
        let text = time::timeout(END_PATIENCE, read(&mut self.0)).await.context("wait for perf")??;
        parse(&text)
    }
}

async fn read(child: &mut Child) -> anyhow::Result<String> {
    let mut text = String::new();
    child.stderr.take().context("its output is piped")?.read_to_string(&mut text).await?;
    child.wait().await?;
    Ok(text)
}

/// Reads lines of `count,unit,event,…`.
fn parse(text: &str) -> anyhow::Result<Counted> {
    let mut counted = Counted::default();
    let mut has_all = false;
    for line in text.lines() {
        let mut fields = line.split(',');
        let (Some(count), _, Some(event)) = (fields.next(), fields.next(), fields.next()) else { continue };
        let Ok(count) = count.parse::<u64>() else { continue };
        if event == ALL {
            counted.all = count;
            has_all = true;
        } else if WRITES.contains(&event) {
            counted.writes += count;
        }
    }
    ensure!(has_all, "perf counted nothing: {}", text.trim());
    Ok(counted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read() {
        let text = "69900,,raw_syscalls:sys_enter,179890478,100.00,,\n\
                    3,,syscalls:sys_enter_writev,1,100.00,,\n4,,syscalls:sys_enter_sendto,1,100.00,,\n";
        assert_eq!(parse(text).unwrap(), Counted { all: 69900, writes: 7 });
        assert!(parse("<not counted>,,raw_syscalls:sys_enter,0,100.00,,\n").is_err());
        assert!(parse("event syntax error").is_err());
    }
}
