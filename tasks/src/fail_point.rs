//! Points at which a test can end or stop this process, to see what is left when it dies exactly there.
//!
//! A test names a folder in `STARLING_FAIL_POINTS` when it starts the process, and *arms* a point by a file of the
//! point's name in it, with `kill` or `stop` as its text. Who [reaches](reach) the point removes the file and sends the
//! whole process SIGKILL or SIGSTOP; nothing behind the point is done before that. That the file is gone tells the test
//! that the point was reached. Each arming works once, for whoever comes first.
//!
//! Only builds with debug assertions have points: in a release build [`reach`] is empty, and the variable is refused like
//! any other that nobody knows. Without the variable a point costs one load.

/// Names the folder.
#[cfg(debug_assertions)]
pub const VARIABLE: &str = "STARLING_FAIL_POINTS";

/// Ends or stops the process here if a test wants it so.
#[cfg(debug_assertions)]
pub fn reach(point: &str) {
    use std::path::PathBuf;
    use std::sync::LazyLock;

    static FOLDER: LazyLock<Option<PathBuf>> =
        LazyLock::new(|| std::env::var_os(VARIABLE).map(PathBuf::from));
    if let Some(folder) = &*FOLDER {
        armed::obey(&folder.join(point));
    }
}

/// Nothing: this build has no points.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn reach(_: &str) {}

#[cfg(debug_assertions)]
mod armed {
    use std::fs;
    use std::path::Path;
    use std::thread;
    use std::time::Duration;

    use rustix::process::{Signal, getpid, kill_process};

    pub(super) fn obey(file: &Path) {
        let Ok(order) = fs::read_to_string(file) else { return };
        let signal = match order.trim() {
            "kill" => Signal::KILL,
            "stop" => Signal::STOP,
            other => panic!("{} says {other:?}; a point can kill or stop", file.display()),
        };
        // Of those that are here at once one removes it.
        if fs::remove_file(file).is_ok() && kill_process(getpid(), signal).is_ok() {
            // Another thread may get the signal, and this one stops a moment later.
            thread::sleep(Duration::from_millis(STOPPED_MS));
        }
    }

    const STOPPED_MS: u64 = 50;
}

#[cfg(test)]
#[cfg(debug_assertions)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::path::Path;
    use std::process::{Child, Command, ExitStatus};
    use std::time::Duration;
    use std::{env, fs, thread};

    use rustix::process::{Pid, Signal, kill_process};

    use super::*;

    /// What the process of [`start`] does.
    #[test]
    #[ignore = "a process of other tests"]
    fn reaches_its_points() {
        reach("first");
        reach("second");
    }

    fn start(folder: &Path) -> Child {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "--ignored", "fail_point::tests::reaches_its_points"]);
        command.env(VARIABLE, folder).spawn().unwrap()
    }

    fn end(folder: &Path) -> ExitStatus {
        start(folder).wait().unwrap()
    }

    #[test]
    fn an_armed_point_kills_and_is_not_armed_any_more() {
        let folder = tempfile::TempDir::new().unwrap();
        assert!(end(folder.path()).success());
        for point in ["first", "second"] {
            let file = folder.path().join(point);
            fs::write(&file, "kill\n").unwrap();
            assert_eq!(end(folder.path()).signal(), Some(Signal::KILL.as_raw()));
            assert!(!file.exists());
            assert!(end(folder.path()).success());
        }
    }

    #[test]
    fn what_was_stopped_goes_on_when_it_is_let() {
        let folder = tempfile::TempDir::new().unwrap();
        let (first, second) = (folder.path().join("first"), folder.path().join("second"));
        fs::write(&first, "stop").unwrap();
        fs::write(&second, "kill").unwrap();
        let mut child = start(folder.path());
        let is_stopped = |pid: u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
        };
        while !is_stopped(child.id()) {
            thread::sleep(Duration::from_millis(10));
        }
        assert!(!first.exists() && second.exists());
        kill_process(Pid::from_child(&child), Signal::CONT).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(Signal::KILL.as_raw()));
        assert!(!second.exists());
    }
}
