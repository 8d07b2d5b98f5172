//! The arguments of `presence`.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub struct PresenceOptions {
    /// Users with one session each; with many, few changes are coalesced
    #[arg(long, value_name = "COUNT", default_value_t = 500_000, value_parser = clap::value_parser!(u64).range(1000..=900_000))]
    pub users: u64,
    /// Guilds that each user is seen in
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub guilds: u64,
    /// Gateways that send at one time
    #[arg(long, value_name = "COUNT", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=64))]
    pub pods: u64,
    /// How long the service is measured in each round
    #[arg(long, value_name = "SECONDS", default_value_t = 4)]
    pub seconds: u64,
    /// Rounds, each of which measures both; medians are told
    #[arg(long, value_name = "COUNT", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=99))]
    pub rounds: u64,
    /// Requests of redis-benchmark in each round
    #[arg(long, value_name = "COUNT", default_value_t = 1_500_000)]
    pub requests: u64,
    /// The `redis-benchmark` program
    #[arg(long, value_name = "PATH", default_value = "redis-benchmark")]
    pub redis_benchmark: PathBuf,
}
