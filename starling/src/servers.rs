//! The commands that look after what a cluster stands on: `starling migrate` makes it, `starling check` says whether all of
//! it is there.

mod check;
mod migrate;

use std::process::ExitCode;

use anyhow::Context as _;

use crate::logging;
use crate::process::print;
use crate::settings::Settings;
use crate::settings::load::Loaded;
use crate::traces::Traces;

pub use check::check;
pub use migrate::migrate;

/// What a command has to tell, and whether all is well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub text: String,
    pub is_well: bool,
}

/// Runs a command to its end.
pub fn run<C: Future<Output = anyhow::Result<Report>>>(
    loaded: &Loaded,
    command: impl FnOnce(Settings) -> C,
) -> ExitCode {
    logging::start(&loaded.settings, &Traces::off());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let report = runtime
        .context("start the runtime")
        .and_then(|runtime| runtime.block_on(command(loaded.settings.clone())));
    match report {
        Ok(Report { text, is_well: true }) => print(&text),
        Ok(Report { text, is_well: false }) => {
            print(&text);
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
