//! The options of `peers`, and of the servers that it compares with.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

const EXAMPLES: &str = "\
Examples:
  Everything, some ten minutes on a quiet machine (npm ci --prefix loadtest/peers installs bun and ws; `make bench` does all of it):
    starling-load --starling target/release/starling --json report.json peers --markdown report.md --html report.html \\
      --bun loadtest/peers/node_modules/.bin/bun

  A quick look, half a minute:
    starling-load --starling target/release/starling peers --servers starling,plain --receivers 200 --rounds 1 --seconds 2

  Only the floor, with 1 and with 100 events a write:
    starling-load peers --servers floor --receivers 10000 --floor-merge 1
    starling-load peers --servers floor --receivers 10000 --floor-merge 100

Every run starts its server anew on a free port, on --server-core; this program stays on --generator-core. For Starling the
work includes REST, permissions, storage and sessions; the others only hand on what one connection publishes. System calls
are counted in a round of their own, by `perf stat`; without perf they are left out. Starling with compression is measured
with up to 1,000 receivers: a decoder for each of more would keep the generator busy with itself.
The exit code is 1 when a message was lost, came twice or out of order.";

/// A server that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Peer {
    Starling,
    /// hyper and fastwebsockets as they come (`serve-plain`)
    Plain,
    /// bun's own server (loadtest/peers/bun.js)
    Bun,
    /// Node with the package ws (loadtest/peers/ws.js)
    Node,
    /// One epoll and one writev, nothing else (`serve-floor`)
    Floor,
    /// Starling with zlib-stream on every connection, events compressed once for all of them
    StarlingZlib,
    /// The same with zstd-stream
    StarlingZstd,
    /// Starling with zlib-stream and a compressor for each connection
    StarlingStream,
}

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct PeersOptions {
    /// Which servers
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Peer::ALL)]
    pub servers: Vec<Peer>,
    /// Numbers of receivers
    #[arg(long, value_name = "COUNT", value_delimiter = ',', default_values_t = [1000, 10_000])]
    pub receivers: Vec<usize>,
    /// Rounds for each of them, the last number for all that follow
    #[arg(long, value_name = "COUNT", value_delimiter = ',', default_values_t = [4, 3])]
    pub rounds: Vec<usize>,
    /// Deliveries a second of the steady phase, so 30 messages a second to 1,000 receivers
    #[arg(long, value_name = "RATE", default_value_t = 30_000)]
    pub deliveries_per_sec: usize,
    /// Length of the steady phase
    #[arg(long, value_name = "SECONDS", default_value_t = 4)]
    pub seconds: u64,
    /// Messages at once in the burst
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    pub burst: usize,
    /// Length of an event, for all of them; more when Starling's is longer without any content
    #[arg(long, value_name = "BYTES", default_value_t = 600)]
    pub event_bytes: usize,
    /// The bun program
    #[arg(long, value_name = "PATH", default_value = "bun")]
    pub bun: PathBuf,
    /// The Node program
    #[arg(long, value_name = "PATH", default_value = "node")]
    pub node: PathBuf,
    /// The folder with the package ws
    #[arg(long, value_name = "DIR", default_value = "loadtest/peers/node_modules")]
    pub node_modules: PathBuf,
    /// Events in one write of the floor
    #[arg(long, value_name = "COUNT", default_value_t = 8, value_parser = RangedU64ValueParser::<u16>::new().range(1..=1024))]
    pub floor_merge: u16,
    /// The core of the server
    #[arg(long, value_name = "CORE", default_value_t = 0)]
    pub server_core: usize,
    /// The core of this program
    #[arg(long, value_name = "CORE", default_value_t = 1)]
    pub generator_core: usize,
    /// Writes the tables as Markdown, too
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// Writes a page for people, with plots
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

impl Peer {
    pub const ALL: [Self; 8] = [
        Self::Starling,
        Self::Plain,
        Self::Bun,
        Self::Node,
        Self::Floor,
        Self::StarlingZlib,
        Self::StarlingZstd,
        Self::StarlingStream,
    ];

    pub fn is_starling(self) -> bool {
        self == Self::Starling || self.is_compressed()
    }

    pub fn is_compressed(self) -> bool {
        matches!(self, Self::StarlingZlib | Self::StarlingZstd | Self::StarlingStream)
    }

    /// How people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starling => "Starling",
            Self::Plain => "hyper + fastwebsockets",
            Self::Bun => "bun",
            Self::Node => "Node ws",
            Self::Floor => "epoll floor",
            Self::StarlingZlib => "zlib-stream, shared",
            Self::StarlingZstd => "zstd-stream, shared",
            Self::StarlingStream => "zlib-stream, a compressor each",
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum Serve {
    /// A server to compare with: hyper and fastwebsockets as they come
    #[command(name = "serve-plain")]
    Plain {
        #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:0")]
        listen: SocketAddr,
    },
    /// A server to compare with: one epoll and one writev, nothing else
    #[command(name = "serve-floor")]
    Floor {
        #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:0")]
        listen: SocketAddr,
        /// Events in one write
        #[arg(long, value_name = "COUNT", default_value_t = 8, value_parser = RangedU64ValueParser::<u16>::new().range(1..=1024))]
        merge: u16,
    },
}
