//! One stream of lines from many processes, each with the name of who printed it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// See the module.
pub(super) struct Log {
    path: PathBuf,
    file: Mutex<File>,
    is_loud: bool,
}

impl Log {
    pub(super) fn open(folder: &Path, is_loud: bool) -> io::Result<Self> {
        let path = folder.join("cluster.log");
        let file = Mutex::new(File::create(&path)?);
        Ok(Self { path, file, is_loud })
    }

    /// Takes lines until there are no more.
    pub(super) async fn take(&self, name: &str, from: impl AsyncRead + Unpin) {
        let mut lines = BufReader::new(from).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            self.print(name, &line);
        }
    }

    pub(super) fn print(&self, name: &str, line: &str) {
        let line = format!("{name:<11}| {line}\n");
        // A log that can't be written holds nobody up.
        let _ = self.file.lock().write_all(line.as_bytes());
        if self.is_loud {
            let _ = io::stdout().lock().write_all(line.as_bytes());
        }
    }

    /// The last lines.
    pub(super) fn tail(&self) -> String {
        let text = fs::read(&self.path).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}

const TAIL_LINES: usize = 200;
