//! The presence service: who is online, and who is in which voice channel.
//!
//! Sessions belong to gateway pods, and a pod keeps all of its sessions alive with one lease. [`table`] is the whole logic
//! as a state machine without I/O; [`service`] answers the calls of `presence.proto` through one task that owns it and
//! publishes what changes; [`voice`] makes the tokens of VOICE_SERVER_UPDATE.
//!
//! The state is memory alone: a service that starts empty asks every pod for all of its sessions (`resync`), and until
//! they are back nobody is told that anybody is offline. Which pods there are says the roster, where each pod writes
//! itself; so a pod that can't reach this service is not taken for dead.
//!
//! Users are divided among replicas by whoever calls; a replica knows nothing of the others.

mod driver;
mod publisher;
mod request;
mod roster;
pub mod service;
pub mod table;
pub mod voice;

pub use driver::Stats;
pub use service::{Config, EventIds, Presence};
