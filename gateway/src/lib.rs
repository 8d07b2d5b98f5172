//! The WebSocket edge: Discord's gateway protocol (v10) in front of the backplane.
//!
//! ```text
//! acceptor ── gate ── TLS ── handshake ──▶ shard (one per core, own thread)  ◀── intake ◀── backplane
//!                                          │ connections: socket, outbox, Link
//!                                          │ sessions:    Session (ring, cursor)
//!                                          └ guilds:      Audience (who sees what)
//! ```
//!
//! - [`link`] is the protocol of a connection and [`session`] what outlives it; both without I/O. [`audience`] says who
//!   sees what. These three hold the rules, and are tested by driving them.
//! - `admission` says who may come in now, and is without I/O as well; `gate` shares it among acceptor and shards.
//! - `form` says how a connection is spoken to (JSON or ETF, compressed or not), and `encoder` makes each event so, once.
//! - [`wire`] is RFC 6455; [`shard`] owns sockets and sessions, without locks, on one thread; [`intake`] decodes each event
//!   once for all shards.
//! - `tls` is TLS over a socket that holds no buffers while it is idle.
//! - [`Gateway`] starts and stops it all.

mod acceptor;
mod admission;
mod arrival;
pub mod audience;
mod bot_starts;
mod chance;
mod config;
mod drain;
mod encoder;
mod entrant;
mod form;
mod gate;
mod gateway;
mod giver;
mod growth;
mod history;
mod intake;
mod interest;
pub mod link;
pub mod live;
mod loads;
mod made;
mod neighbours;
mod ownership;
mod parcel;
mod poller;
mod positions;
mod presence;
mod registration;
mod render;
mod services;
pub mod session;
mod shard;
pub mod shared_ring;
mod socket;
mod stats;
mod takings;
mod tls;
pub mod wire;

pub use config::{Compressing, Config, Settings, TlsFiles};
pub use gateway::{Gateway, StartError};
pub use neighbours::{Neighbours, Ways};
pub use stats::GatewayStats;
pub use tasks::Ended;
pub use tls::TlsError;
