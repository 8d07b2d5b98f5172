//! The arguments of `throughput`.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub struct ThroughputOptions {
    /// Members that send, each one message after the other; the bare loop has as many writers
    #[arg(long, value_name = "COUNT", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub senders: u32,
    /// Channels that the members send to
    #[arg(long, value_name = "COUNT", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=400))]
    pub channels: u32,
    /// How long each side is measured in each round
    #[arg(long, value_name = "SECONDS", default_value_t = 8)]
    pub seconds: u64,
    /// Rounds, each of which measures both; medians are told. One more before them is not counted
    #[arg(long, value_name = "COUNT", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=99))]
    pub rounds: u64,
    /// How long the cluster is left alone before: new owners sweep every slot twice, half a minute apart
    #[arg(long, value_name = "SECONDS", default_value_t = 75)]
    pub settle: u64,
    /// `cgroup.procs` of a group that Cassandra is put into, to give it a share of the CPU as if it were a machine of its own
    #[arg(long, value_name = "PATH")]
    pub database_cgroup: Option<PathBuf>,
    /// Length of the messages
    #[arg(long, value_name = "BYTES", default_value_t = 100)]
    pub size: usize,
}
