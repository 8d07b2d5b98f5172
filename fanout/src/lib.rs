//! The fan-out service: delivers the events of single users to the pods that hold their sessions.
//!
//! [`plan`] decides what goes where, without I/O; [`router`] carries it out, one task for each partition of users. What is
//! only told, such as typing in a private channel, goes the same way once (`teller`). Relay
//! trees and member lists for large guilds are not part of it yet.

pub mod plan;
pub mod router;
mod teller;

pub use router::{Config, Fanout, Stats};
