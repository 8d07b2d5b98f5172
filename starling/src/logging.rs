//! Log lines, on stderr: stdout belongs to the start-up lines. And traces, which are no lines.

use std::io::IsTerminal as _;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use crate::settings::Settings;
use crate::settings::value::LogFormat;
use crate::traces::Traces;

/// The client of NATS says of each connection what our own lines say.
const QUIETER: &str = "async_nats=warn";

/// Starts logging and tracing for the whole process.
pub fn start(settings: &Settings, traces: &Traces) {
    // Of what comes first, the settings may say something else.
    let filter = EnvFilter::new(format!("{QUIETER},{},{}=off", settings.log.0, proto::trace::TARGET));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match settings.log_format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(traces.layer()).with(lines.with_filter(filter)).init();
}
