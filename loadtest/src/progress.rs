//! What is shown while a run goes on: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const STYLE: &str = "{prefix:>12} [{bar:30}] {human_pos}/{human_len} {msg}";
const REDRAWS_PER_SEC: u8 = 5;

/// A bar of `length` steps; it draws nothing when standard error is no terminal.
pub fn bar(what: &'static str, length: u64) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr_with_hz(REDRAWS_PER_SEC)
    } else {
        eprintln!("{what}: {length}");
        ProgressDrawTarget::hidden()
    };
    let style = ProgressStyle::with_template(STYLE).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::with_draw_target(Some(length), target).with_style(style.progress_chars("=> "));
    bar.set_prefix(what);
    bar
}

/// How often what is shown is brought up to date.
pub const INTERVAL: Duration = Duration::from_millis(200);
