//! What Linux says of a process: memory, CPU time, sockets. Read from `/proc`, so nothing has to run inside it.

use std::{fs, io};

/// Clock ticks a second in `/proc/<pid>/stat`: 100 on every Linux that there is.
const TICKS_PER_SEC: u64 = 100;

/// CPU time used so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuTime {
    pub user_ms: u64,
    pub system_ms: u64,
}

impl CpuTime {
    pub fn total_ms(self) -> u64 {
        self.user_ms + self.system_ms
    }

    /// What was used since `earlier`.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            user_ms: self.user_ms.saturating_sub(earlier.user_ms),
            system_ms: self.system_ms.saturating_sub(earlier.system_ms),
        }
    }
}

/// The CPU time of all threads.
pub fn cpu_time(pid: u32) -> io::Result<CpuTime> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = |nth: usize| {
        let field = after_name.split_whitespace().nth(nth).and_then(|field| field.parse::<u64>().ok());
        field.ok_or_else(|| io::Error::other("a field of stat is missing"))
    };
    let ms = |ticks: u64| ticks * 1000 / TICKS_PER_SEC;
    Ok(CpuTime { user_ms: ms(ticks(11)?), system_ms: ms(ticks(12)?) })
}

/// Nanoseconds that the threads that there are now have run: finer than the ticks of [`cpu_time`], without those that have ended.
pub fn run_ns(pid: u32) -> io::Result<u64> {
    let mut total = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // One that ends meanwhile has no file any more.
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
        let ran = text.split_whitespace().next().and_then(|field| field.parse::<u64>().ok());
        total += ran.ok_or_else(|| io::Error::other("schedstat has no number"))?;
    }
    Ok(total)
}

/// Anonymous memory in bytes: what the process itself has written, without files and code.
pub fn anonymous_bytes(pid: u32) -> io::Result<u64> {
    status_field(pid, "RssAnon:").map(|kib| kib * 1024)
}

/// How many files and sockets are open.
pub fn open_files(pid: u32) -> io::Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

fn status_field(pid: u32, name: &str) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|line| line.split_whitespace().next()).and_then(|value| value.parse().ok());
    value.ok_or_else(|| io::Error::other(format!("no {name} in status")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_can_be_read() {
        let pid = std::process::id();
        let (before, ran) = (cpu_time(pid).unwrap(), run_ns(pid).unwrap());
        let burnt: u64 =
            (0..100_000_000_u64).fold(0, |sum, n| std::hint::black_box(sum ^ n.wrapping_mul(sum | 1)));
        assert!(cpu_time(pid).unwrap().since(before).total_ms() >= 10, "{burnt}");
        assert!(run_ns(pid).unwrap() >= ran + 10_000_000);
        let memory = anonymous_bytes(pid).unwrap();
        let held = std::hint::black_box(vec![1_u8; 32 << 20]);
        assert!(anonymous_bytes(pid).unwrap() >= memory + (30 << 20), "{}", held.len());
        assert!(open_files(pid).unwrap() >= 3);
    }
}
