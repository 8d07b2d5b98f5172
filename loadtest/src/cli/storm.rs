//! The arguments of `storm`, `soak` and `outage`.

use clap::{Args, Subcommand};

const EXAMPLES: &str = "\
Examples:
  10,000 connections at once into a server with these limits out of the way (see `starling-load --help`):
    starling-load --data-dir /tmp/load --server-pid $PID storm connect --receivers 10000

  The same clients over zlib-stream, 500 of them at a time:
    starling-load --data-dir /tmp/load --server-pid $PID --form json-zlib storm connect --receivers 10000 --at-once 500

  All of 10,000 lose their connections and come back, while 500 others on another gateway listen
  (`make cluster` in another terminal; addresses and processes are in starling-cluster/demo.json and processes.json):
    starling-load --api http://127.0.0.1:PORT/api/v10 --data-dir starling-cluster/guilds-1 --server-pid PID \\
      --gateway ws://127.0.0.1:PORT-1 --json storm.json \\
      storm reconnect --receivers 10000 --bystanders 500 --bystander-gateway ws://127.0.0.1:PORT-2

The exit code is 1 when somebody did not come in time, or a message was missed, came twice or out of order.";

const SOAK_EXAMPLES: &str = "\
Examples:
  19,000 connections to one process, memory at 1,000, 10,000 and all of them:
    starling-load --data-dir /tmp/load --server-pid $PID soak --receivers 19000

  100,000 over six gateways of a cluster of its own, in guilds of 1,000 members (`ulimit -n` is what one process can hold):
    starling-load --json soak.json soak --cluster-gateways 6 --receivers 100000 --guild-members 1000

  20,000 over two gateways, each of them in 100 guilds of 100,000:
    starling-load soak --cluster-gateways 2 --receivers 20000 --guild-members 20 --guilds-each 100

The exit code is 1 when a connection was lost, or the message at the end did not come to everybody once.";

const OUTAGE_EXAMPLES: &str = "\
Examples:
  200 messages a second over 100 guilds of 20 clients, and one of two gateways is killed (`make servers` installs the rest):
    starling-load --json kill.json outage --kill gateway

  Both gateways ended in turn by SIGTERM and started again, as a rolling update does:
    starling-load --json roll.json outage --roll

  A small one, without Cassandra:
    starling-load outage --embedded --guilds 5 --clients 4 --rate 20 --kill gateway-2

The exit code is 1 when a message was missed or came out of order, or somebody did not come back; with --roll also when one
came twice or somebody had to identify.";

/// Very many connections at once
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum Storm {
    /// New connections, as fast as the server takes them
    #[command(after_help = EXAMPLES)]
    Connect(ConnectOptions),
    /// Connections that are lost at one moment and come back by RESUME
    #[command(after_help = EXAMPLES)]
    Reconnect(ReconnectOptions),
}

#[derive(Debug, Args)]
pub struct ConnectOptions {
    /// Members that connect
    #[arg(long, value_name = "COUNT", default_value_t = 10_000)]
    pub receivers: usize,
    /// How many connect at one time; by default all of them
    #[arg(long, value_name = "COUNT")]
    pub at_once: Option<usize>,
    /// How long to wait for the last one
    #[arg(long, value_name = "SECONDS", default_value_t = 180)]
    pub patience: u64,
    /// Come again after half a second whatever Retry-After says, as discord.js does
    #[arg(long)]
    pub deaf: bool,
}

#[derive(Debug, Args)]
pub struct ReconnectOptions {
    /// Members that lose their connections
    #[arg(long, value_name = "COUNT", default_value_t = 10_000)]
    pub receivers: usize,
    /// Messages a second meanwhile, each to all of them
    #[arg(long, value_name = "RATE", default_value_t = 2.0)]
    pub rate: f64,
    /// Members that stay connected
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pub bystanders: usize,
    /// Where those are connected, if not to the same gateway
    #[arg(long, value_name = "URL", requires = "bystanders")]
    pub bystander_gateway: Option<String>,
    /// Messages before the storm, to compare with
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub quiet_seconds: u64,
    /// How long to wait for the last one, and for the last message
    #[arg(long, value_name = "SECONDS", default_value_t = 180)]
    pub patience: u64,
    /// Come again after half a second whatever Retry-After says, as discord.js does
    #[arg(long)]
    pub deaf: bool,
}

#[derive(Debug, Args)]
#[command(after_help = SOAK_EXAMPLES)]
pub struct SoakOptions {
    /// Connections at the end
    #[arg(long, value_name = "COUNT", default_value_t = 19_000)]
    pub receivers: usize,
    /// Connections at which memory is read before that
    #[arg(long, value_name = "COUNT", value_delimiter = ',', default_values_t = [1000, 10_000])]
    pub steps: Vec<usize>,
    /// Members of a guild; by default all are in one, or in that of --seed
    #[arg(long, value_name = "COUNT")]
    pub guild_members: Option<usize>,
    /// Guilds of each member beside the one that all are in, with --guild-members each
    #[arg(long, value_name = "COUNT", requires = "guild_members")]
    pub guilds_each: Option<usize>,
    /// Start a cluster on this machine with so many gateways, without Cassandra, and measure these
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(1..=32))]
    pub cluster_gateways: Option<u8>,
    /// Further settings of that cluster, a line each
    #[arg(long, value_name = "LINE", requires = "cluster_gateways")]
    pub setting: Vec<String>,
    /// Connections of one process of the generator
    #[arg(long, value_name = "COUNT", default_value_t = 15_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub per_process: u32,
    /// How long to let the server settle at each step, and how long to stay at the end
    #[arg(long, value_name = "SECONDS", default_value_t = 45)]
    pub seconds: u64,
}

#[derive(Debug, Args)]
#[command(after_help = OUTAGE_EXAMPLES)]
pub struct OutageOptions {
    /// Kill this process, or the first one with this role, by SIGKILL
    #[arg(long, value_name = "NAME", required_unless_present = "roll", conflicts_with = "roll")]
    pub kill: Option<String>,
    /// End each gateway in turn by SIGTERM
    #[arg(long)]
    pub roll: bool,
    /// Guilds
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    pub guilds: usize,
    /// Clients in each guild
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    pub clients: usize,
    /// Messages a second, over all guilds
    #[arg(long, value_name = "RATE", default_value_t = 200.0)]
    pub rate: f64,
    /// Messages before, between and behind what happens
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub seconds: u64,
    /// How long to wait for the last client, and for the last message
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub patience: u64,
    /// Sessions of discord.js and twilight beside the clients', a member of another guild each (`make clients` installs
    /// discord.js)
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pub guests: usize,
    /// A cluster without Cassandra, with one node of NATS
    #[arg(long)]
    pub embedded: bool,
    /// Further settings of the cluster, a line each
    #[arg(long, value_name = "LINE")]
    pub setting: Vec<String>,
}
