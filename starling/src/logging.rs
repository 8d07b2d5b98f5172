//! Log lines, on stderr: stdout belongs to the start-up lines.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::settings::Settings;
use crate::settings::value::LogFormat;

/// Starts logging for the whole process.
pub fn start(settings: &Settings) {
    let filter = EnvFilter::new(&settings.log.0);
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match settings.log_format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
}
