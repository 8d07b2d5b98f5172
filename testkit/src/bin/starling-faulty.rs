//! `starling` on a backplane that misbehaves, for tests of clients: same flags, same output.
//!
//! `FAULTS_SEED` chooses which events are struck. With `FAULTS_BEGIN_ANEW` the streams also begin anew after so many of a
//! thousand publishes, which no session survives. With `FAULTS_PANIC` the backplane panics in the shard that opens a guild.

use std::process::ExitCode;
use std::sync::Arc;

use backplane::{Backplane, InProcess};
use doubles::Flaky;
use starling::settings::load;
use starling::{cli, process};
use testkit::faulty::{Faults, Faulty};

fn main() -> ExitCode {
    let cli = cli::parse();
    match load::load(cli.given.flags, cli.given.config.as_deref(), &load::variables()) {
        Ok(loaded) => process::run_on(&loaded, wrap),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn wrap(streams: Arc<InProcess>) -> Arc<dyn Backplane> {
    if number("FAULTS_PANIC") > 0 {
        let flaky = Flaky::new(streams);
        flaky.panic_on_last();
        return flaky;
    }
    let begin_anew = number("FAULTS_BEGIN_ANEW").try_into().unwrap_or(u32::MAX);
    Faulty::new(streams, Faults { begin_anew, ..Faults::rough(number("FAULTS_SEED")) })
}

fn number(name: &str) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}
