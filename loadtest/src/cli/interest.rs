//! The arguments of `interest`.

use clap::Args;

#[derive(Debug, Args)]
pub struct InterestOptions {
    /// Guilds, each with one member who is connected
    #[arg(long, value_name = "COUNT", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    pub guilds: u32,
    /// Guilds of each member
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=190))]
    pub guilds_per_member: u32,
    /// Requests under way while the guilds are made
    #[arg(long, value_name = "COUNT", default_value_t = 32)]
    pub makers: usize,
    /// Sessions that start at one time
    #[arg(long, value_name = "COUNT", default_value_t = 16)]
    pub starting: usize,
    /// Further settings of the cluster, a line each, such as `guild_subjects_max = 0`
    #[arg(long, value_name = "LINE")]
    pub setting: Vec<String>,
}
