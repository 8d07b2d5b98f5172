//! `starling`: the arguments, then one of the things that it can do.

use std::process::ExitCode;

use starling::cli::{self, Command, Given};
use starling::role::Role;
use starling::settings::load;
use starling::{operate, process};

/// Why this one: docs/adr/0013. It is told in `.cargo/config.toml` how long to keep what it does not need.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Bad configuration or arguments.
const EXIT_CONFIGURATION: u8 = 2;

fn main() -> ExitCode {
    let cli = cli::parse();
    let (role, given) = match cli.command {
        None => (Role::All, cli.given),
        Some(Command::Gateway(given)) => (Role::Gateway, *given),
        Some(Command::Api(given)) => (Role::Api, *given),
        Some(Command::Guilds(given)) => (Role::Guilds, *given),
        Some(Command::Messages(given)) => (Role::Messages, *given),
        Some(Command::Presence(given)) => (Role::Presence, *given),
        Some(Command::Fanout(given)) => (Role::Fanout, *given),
        Some(Command::Migrate(given)) => (Role::Migrate, *given),
        Some(Command::Check(given)) => (Role::Check, *given),
        Some(Command::Config(given)) => return show_config(*given),
        Some(Command::Completions { shell }) => return cli::print_completions(shell),
        Some(Command::Admin(admin)) => return operate::run(admin),
    };
    let loaded = load::load(given.flags, given.config.as_deref(), &load::variables());
    match loaded.and_then(|loaded| role.check(&loaded).map(|()| loaded)) {
        Ok(loaded) => process::run(&loaded, role),
        Err(error) => refuse(&error),
    }
}

fn show_config(given: Given) -> ExitCode {
    match load::load(given.flags, given.config.as_deref(), &load::variables()) {
        Ok(loaded) => process::print(&starling::settings::show::effective(&loaded)),
        Err(error) => refuse(&error),
    }
}

fn refuse(error: &load::ConfigError) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::from(EXIT_CONFIGURATION)
}
