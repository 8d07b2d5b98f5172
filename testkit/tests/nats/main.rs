//! The NATS adapter on a real server: the conformance suite, and what only a server can do to it.
//!
//! `cargo test -p testkit --test nats` needs the server that `make servers` installs.

#![expect(clippy::unwrap_used, reason = "a test ends where it unwraps")]

mod checker;
mod cluster;
mod conformance;
mod faults;
mod guild_mode;
mod kept;
mod migrate;
mod users;

use backplane::Layout;

/// As few streams as the suite needs.
const LAYOUT: Layout = Layout { guild_partitions: 2, user_partitions: 2 };
