//! One process of a cluster, and who starts it again when it has ended.

use std::convert::Infallible;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time;

use super::Options;
use super::files::Files;
use super::log::Log;
use super::plan::Planned;
use crate::daemon::WATCH;
use crate::server::forget_settings;

/// A process that is kept running.
pub struct Member {
    planned: Planned,
    /// Where its fail points are armed, if they may be.
    fail_points: Option<PathBuf>,
    clock_ahead_ms: i64,
    state: watch::Sender<State>,
    stopping: watch::Sender<bool>,
    /// The process that was last told to end, other than for good.
    ended: Mutex<Option<u32>>,
}

/// Whether it runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct State {
    /// While it runs.
    pub pid: Option<u32>,
    /// It will not be started again.
    pub is_over: bool,
}

impl Member {
    pub(super) fn new(planned: Planned, options: &Options) -> Self {
        let ahead = options.clocks_ahead_ms.iter().find(|(name, _)| *name == planned.name);
        Self {
            fail_points: options
                .has_fail_points
                .then(|| options.folder.join(format!("{}.points", planned.name))),
            clock_ahead_ms: ahead.map_or(0, |(_, ms)| *ms),
            planned,
            state: watch::Sender::default(),
            stopping: watch::Sender::new(false),
            ended: Mutex::default(),
        }
    }

    pub fn name(&self) -> &str {
        &self.planned.name
    }

    pub fn role(&self) -> &'static str {
        self.planned.role
    }

    /// `host:port` of its admin listener, or of a server itself.
    pub fn address(&self) -> &str {
        &self.planned.address
    }

    pub(super) fn planned(&self) -> &Planned {
        &self.planned
    }

    pub fn pid(&self) -> Option<u32> {
        self.state.borrow().pid
    }

    pub(super) fn state(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    pub(super) fn ended_pid(&self) -> Option<u32> {
        *self.ended.lock()
    }

    /// Has the process kill or stop itself (`kill`, `stop`) where it next reaches this point (`tasks::fail_point`).
    ///
    /// # Errors
    /// When the point can't be armed.
    pub fn arm(&self, point: &str, order: &str) -> io::Result<()> {
        // As a whole: it may be reached at any moment.
        let (file, new) = (self.fail_point(point), self.fail_point(&format!("{point}.new")));
        if let Some(folder) = &self.fail_points {
            fs::create_dir_all(folder)?;
        }
        fs::write(&new, order)?;
        fs::rename(new, file)
    }

    /// Whether it has not yet reached a point that is armed.
    pub fn is_armed(&self, point: &str) -> bool {
        self.fail_point(point).exists()
    }

    /// Takes an arming back; `false` when the point was reached before.
    pub fn disarm(&self, point: &str) -> bool {
        fs::remove_file(self.fail_point(point)).is_ok()
    }

    fn fail_point(&self, name: &str) -> PathBuf {
        self.fail_points.as_ref().expect("the cluster was started with `has_fail_points`").join(name)
    }

    /// SIGKILL. It is started again.
    pub fn kill(&self) {
        self.end_by(Signal::KILL);
    }

    /// SIGTERM. It is started again.
    pub fn terminate(&self) {
        self.end_by(Signal::TERM);
    }

    pub(super) fn end_by(&self, signal: Signal) {
        *self.ended.lock() = self.pid();
        self.signal(signal);
    }

    /// Sends a signal, while it runs.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw) {
            // It may have ended by itself.
            let _ = kill_process(pid, signal);
        }
    }

    /// SIGTERM, later SIGKILL, and waits for the end.
    pub(super) async fn stop(&self) {
        self.stopping.send_replace(true);
        let mut state = self.state();
        if time::timeout(STOP_PATIENCE, state.wait_for(|state| state.is_over)).await.is_err() {
            self.signal(Signal::KILL);
            let _ = time::timeout(STOP_PATIENCE, state.wait_for(|state| state.is_over)).await;
        }
    }

    /// Keeps it running until it is to stop.
    pub(super) async fn keep(self: Arc<Self>, files: Arc<Files>, log: Arc<Log>) {
        let mut stopping = self.stopping.subscribe();
        while !*stopping.borrow() {
            match self.run(&files, &log, &mut stopping).await {
                Ok(how) => log.print(self.name(), &how),
                Err(error) => log.print(self.name(), &format!("(can't be started: {error})")),
            }
            let _ = time::timeout(PAUSE, stopping.wait_for(|is_stopping| *is_stopping)).await;
        }
        self.state.send_replace(State { pid: None, is_over: true });
    }

    /// One life; answers how it ended.
    async fn run(
        &self,
        files: &Files,
        log: &Log,
        stopping: &mut watch::Receiver<bool>,
    ) -> io::Result<String> {
        let mut shell = self.spawn()?;
        // Held: when it closes, the shell ends the program.
        let stdin = shell.stdin.take();
        let (stdout, stderr) = (shell.stdout.take().expect("a pipe"), shell.stderr.take().expect("a pipe"));
        let mut first = String::new();
        BufReader::new(stdout).read_line(&mut first).await?;
        let pid = first.trim().parse().map_err(|_| io::Error::other("the shell named no process"))?;
        self.state.send_replace(State { pid: Some(pid), is_over: false });
        files.write_processes(log);
        let told = async {
            let _ = stopping.wait_for(|is_stopping| *is_stopping).await;
            self.signal(Signal::TERM);
            std::future::pending::<Infallible>().await
        };
        let life = async {
            let status = tokio::select! {
                status = shell.wait() => status,
                never = told => match never {},
            };
            drop(stdin);
            status
        };
        let (status, ()) = tokio::join!(life, log.take(self.name(), stderr));
        self.state.send_replace(State::default());
        files.write_processes(log);
        Ok(format!("(ended with {})", status?))
    }

    /// The shell that ends with the program, and the program with this process. In a group of its own: a Ctrl-C is for this
    /// process, which ends everything in order.
    fn spawn(&self) -> io::Result<Child> {
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", WATCH, "watch", ""]).args(&self.planned.command);
        forget_settings(&mut shell);
        if let Some(folder) = self.fail_points.as_ref().filter(|_| self.planned.admin.is_some()) {
            shell.env("STARLING_FAIL_POINTS", folder);
        }
        if self.clock_ahead_ms != 0 {
            shell.env("STARLING_CLOCK_OFFSET_MS", self.clock_ahead_ms.to_string());
        }
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut shell = Command::from(shell);
        shell.process_group(0).spawn()
    }
}

/// How long one that has ended is left alone.
const PAUSE: Duration = Duration::from_secs(1);
const STOP_PATIENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    /// Release builds, with which people start clusters, refuse to run with fail points.
    #[test]
    fn only_who_asks_for_fail_points_has_them() {
        let options = Options::full(PathBuf::from("cluster"));
        let asks = Options { has_fail_points: true, ..options.clone() };
        let has_them = |options: &Options| {
            let planned = Planned {
                name: "api-1".to_owned(),
                role: "api",
                address: "127.0.0.1:1".to_owned(),
                admin: None,
                command: Vec::new(),
            };
            Member::new(planned, options).fail_points.is_some()
        };
        assert!(!has_them(&options) && has_them(&asks));
    }
}
