//! One run of the server as a process: logging, runtime, signals, panics, exit code.
//!
//! The first SIGTERM or SIGINT begins an orderly end, the second ends the process at once. A task that the server cannot
//! go on without and that ended by itself ends the process with a failing code (`tasks`); a panic in one request is
//! contained by its task and answered with an error.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use rustix::process::{Resource, Rlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::logging;
use crate::role::Role;
use crate::server::{RoleServer, Running, Server, Wrap, roles};
use crate::servers;
use crate::settings::Settings;
use crate::settings::load::Loaded;
use crate::traces::Traces;

/// Panics of this process, contained or not.
pub static PANICS: AtomicU64 = AtomicU64::new(0);

/// Runs a role until it is told to end, or a command to its end.
pub fn run(loaded: &Loaded, role: Role) -> ExitCode {
    #[cfg(feature = "cassandra-tls")]
    storage::cassandra::choose_ring();
    match role {
        Role::All => run_on(loaded, |streams| streams),
        Role::Gateway => execute(loaded, role, RoleServer::<roles::Gateway>::start),
        Role::Api => execute(loaded, role, RoleServer::<roles::Api>::start),
        Role::Guilds => execute(loaded, role, RoleServer::<roles::Guilds>::start),
        Role::Messages => execute(loaded, role, RoleServer::<roles::Messages>::start),
        Role::Presence => execute(loaded, role, RoleServer::<roles::Presence>::start),
        Role::Fanout => execute(loaded, role, RoleServer::<roles::Fanout>::start),
        Role::Migrate => servers::run(loaded, servers::migrate),
        Role::Check => servers::run(loaded, servers::check),
    }
}

/// Runs everything, on whatever `wrap` makes of the streams.
pub fn run_on(loaded: &Loaded, wrap: Wrap) -> ExitCode {
    execute(loaded, Role::All, |settings| Server::start_on(settings, wrap))
}

fn execute<R: Running, S: Future<Output = anyhow::Result<R>>>(
    loaded: &Loaded,
    role: Role,
    start: impl FnOnce(Settings) -> S,
) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().thread_name("services").enable_all().build();
    let outcome = runtime.context("start the runtime").and_then(|runtime| {
        let traces = {
            let _runtime = runtime.enter();
            Traces::start(&loaded.settings, role.name())?
        };
        logging::start(&loaded.settings, &traces);
        watch_panics();
        raise_file_limit();
        let outcome = runtime.block_on(serve(start(loaded.settings.clone())));
        traces.end();
        outcome
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn serve<R: Running>(start: impl Future<Output = anyhow::Result<R>>) -> anyhow::Result<()> {
    let mut signals = Signals::new().context("listen for signals")?;
    let server = tokio::select! {
        biased;
        number = signals.next() => {
            tracing::info!(number, "told to end before the start was over");
            return Ok(());
        }
        started = start => started?,
    };
    print_start(&server);
    let outcome = tokio::select! {
        number = signals.next() => {
            tracing::info!(number, "ending; another signal ends at once");
            Ok(())
        }
        failure = server.failed() => Err(failure),
    };
    tokio::select! {
        ended = server.shutdown() => ended?,
        number = signals.next() => {
            tracing::warn!(number, "ending at once");
            std::process::exit(128 + number);
        }
    }
    outcome
}

/// The two signals that end a process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.terminate.recv() => SignalKind::terminate().as_raw_value(),
            _ = self.interrupt.recv() => SignalKind::interrupt().as_raw_value(),
        }
    }
}

/// Counts and logs panics. Who cannot go on from one is told of it by `tasks`.
fn watch_panics() {
    std::panic::set_hook(Box::new(|panic| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("unnamed");
        let backtrace = std::backtrace::Backtrace::capture();
        tracing::error!(thread, %backtrace, "{panic}");
    }));
}

/// Every socket is an open file: takes as many as the system lets us.
fn raise_file_limit() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if limit.current != limit.maximum
        && let Err(error) = rustix::process::setrlimit(Resource::Nofile, raised)
    {
        tracing::warn!(%error, current = ?limit.current, "the limit of open files stays as it is");
    }
}

/// The start-up lines: an interface, see docs/configuration.md.
fn print_start(server: &impl Running) {
    let lines = server.lines().into_iter().map(|line| line + "\n").collect::<String>();
    print(&format!("starling {}\n{lines}ready\n{}", env!("CARGO_PKG_VERSION"), server.guide()));
}

/// Prints to stdout; a reader that has gone away is no error.
pub fn print(text: &str) -> ExitCode {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            eprintln!("error: write to stdout: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}
