//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

mod interest;
mod peers;
mod presence;
mod storm;
mod throughput;

pub use interest::InterestOptions;
pub use peers::{Peer, PeersOptions, Serve};
pub use presence::PresenceOptions;
pub use storm::{ConnectOptions, OutageOptions, ReconnectOptions, SoakOptions, Storm};
pub use throughput::ThroughputOptions;

use crate::form::Form;

const EXAMPLES: &str = "\
Examples:
  A server to test, and its process id (the rest can run once it says `ready`):
    starling --data-dir /tmp/load --requests-per-sec 0 --route-limits false --sends-per-window 1000000 & PID=$!

  1,000 receivers, 30 messages a second for 20 seconds:
    starling-load --data-dir /tmp/load --server-pid $PID fanout --receivers 1000 --rate 30 --seconds 20

  The same members again, and a report for programs:
    starling admin seed --members 1000 --json --data-dir /tmp/load > seed.json
    starling-load --seed seed.json --server-pid $PID --json report.json fanout --receivers 1000

  A burst of 100 messages to 10,000 receivers, from several addresses:
    starling-load --data-dir /tmp/load --server-pid $PID --sources 4 fanout --receivers 10000 --burst 100

  Messages a second, and memory of idle connections:
    starling-load --data-dir /tmp/load --server-pid $PID creates --senders 64
    starling-load --data-dir /tmp/load --server-pid $PID idle --receivers 10000

  10,000 connections lost at one moment, and back by RESUME; very many that do nothing; a gateway killed under load
  (each has examples of its own: `starling-load storm --help`):
    starling-load --data-dir /tmp/load --server-pid $PID storm reconnect --receivers 10000
    starling-load --data-dir /tmp/load --server-pid $PID soak --receivers 19000
    starling-load outage --kill gateway

  A whole cluster on this machine beside bare INSERTs, and with very many guilds (`make servers` installs what it needs):
    starling-load throughput
    starling-load interest --guilds 100000 --setting guild_subjects_max=0

  Beside other servers, one after the other, medians of several rounds (see `starling-load peers --help`):
    starling-load --starling target/release/starling peers --markdown peers.md

On a machine with few cores, keep the generator and the server apart: `taskset -c 0 starling …`, `taskset -c 1 starling-load …`.
The exit code is 1 when a message was lost, came twice or out of order.";

/// Puts load on a Starling server, checks that nothing is lost, and reports latency, CPU and memory.
#[derive(Debug, Parser)]
#[command(name = "starling-load", version, after_help = EXAMPLES)]
pub struct Cli {
    #[command(flatten)]
    pub target: TargetOptions,
    /// Writes the report as JSON, too
    #[arg(long, global = true, value_name = "FILE")]
    pub json: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Clone, Args)]
pub struct TargetOptions {
    /// The API of the server
    #[arg(long, global = true, value_name = "URL", default_value = "http://127.0.0.1:8080/api/v10")]
    pub api: String,
    /// Gateways to connect to, in turn, in place of what `GET /gateway` says
    #[arg(long, global = true, value_name = "URL", value_delimiter = ',')]
    pub gateway: Vec<String>,
    /// What `starling admin seed --json` printed; without it, the command is run
    #[arg(long, global = true, value_name = "FILE")]
    pub seed: Option<PathBuf>,
    /// The server's data directory, with the credentials that `starling admin` needs
    #[arg(long, global = true, value_name = "DIR", default_value = "./starling-data")]
    pub data_dir: PathBuf,
    /// The `starling` program, for `admin seed`
    #[arg(long, global = true, value_name = "PATH", default_value = "starling")]
    pub starling: PathBuf,
    /// The server's process on this machine, whose CPU and memory are measured; several are added up
    #[arg(long, global = true, value_name = "PID", value_delimiter = ',')]
    pub server_pid: Vec<u32>,
    /// How receivers are spoken to, in turn if there are several; what decoding costs is this program's
    #[arg(long, global = true, value_enum, value_delimiter = ',', default_values_t = [Form::Json])]
    pub form: Vec<Form>,
    /// Loopback addresses to connect from (127.0.0.1, 127.0.0.2 …): one has some 28,000 ports
    #[arg(long, global = true, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=200))]
    pub sources: u8,
    /// Leave receivers' connections without a close, so that the server keeps their sessions for a resume
    #[arg(long, global = true)]
    pub abandon: bool,
    /// Threads that receive
    #[arg(long, global = true, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub threads: u8,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Messages to all members of a guild
    Fanout(FanoutOptions),
    /// Messages as fast as the server takes them, without receivers
    Creates(CreatesOptions),
    /// Connections that do nothing
    Idle(IdleOptions),
    /// The same work for Starling and for other servers, on one core each, and their ratios
    Peers(PeersOptions),
    /// Presence transitions a second through the service in this process, beside `redis-benchmark`; needs no server
    Presence(PresenceOptions),
    /// Messages a second through a cluster on this machine, beside bare INSERTs into its Cassandra; needs no server
    Throughput(ThroughputOptions),
    /// What very many guilds with somebody connected cost a cluster on this machine; needs no server
    Interest(InterestOptions),
    /// Very many connections at once: new ones, or those that were there before
    #[command(subcommand)]
    Storm(Storm),
    /// Very many connections that do nothing, from several processes; memory at each step
    Soak(SoakOptions),
    /// A gateway that is killed or replaced under load, on a cluster on this machine; needs no server
    Outage(OutageOptions),
    /// A process of `soak`, which is told on its standard input what to do
    #[command(hide = true)]
    SoakPart,
    #[command(flatten)]
    Serve(Serve),
}

#[derive(Debug, Args)]
pub struct FanoutOptions {
    /// Members that are connected
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    pub receivers: usize,
    /// Messages a second, of all senders together
    #[arg(long, value_name = "RATE", default_value_t = 30.0)]
    pub rate: f64,
    /// How long
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    pub seconds: u64,
    /// So many messages at once, in place of a rate
    #[arg(long, value_name = "COUNT", conflicts_with_all = ["rate", "seconds"])]
    pub burst: Option<usize>,
    /// Members that send; by default so many that each stays below one message a second
    #[arg(long, value_name = "COUNT")]
    pub senders: Option<usize>,
    /// Length of the messages
    #[arg(long, value_name = "BYTES", default_value_t = 100)]
    pub size: usize,
    /// Count the server's system calls, with `perf`
    #[arg(long)]
    pub syscalls: bool,
    /// How long to wait for the last messages
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub patience: u64,
}

#[derive(Debug, Args)]
pub struct CreatesOptions {
    /// Members that send, each one message after the other
    #[arg(long, value_name = "COUNT", default_value_t = 64)]
    pub senders: usize,
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub seconds: u64,
    /// Length of the messages
    #[arg(long, value_name = "BYTES", default_value_t = 100)]
    pub size: usize,
}

#[derive(Debug, Args)]
pub struct IdleOptions {
    #[arg(long, value_name = "COUNT", default_value_t = 10_000)]
    pub receivers: usize,
    /// How long to let the server settle before memory is read, and for how long CPU is measured after it
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub seconds: u64,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
