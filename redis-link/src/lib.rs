//! The connection to Redis, and how it is used: atomic scripts, in pipelines, each on keys of one slot.
//!
//! Redis holds what may be lost at any time: where sessions are, which pods live, how much of a limit is used. So whoever
//! asks must have an answer for [`Away`], and gets it fast: the first call that fails or is late marks the link as down,
//! and from then on calls fail at once, without waiting, until Redis has answered a ping ([`Link`]).
//!
//! The adapters that need Redis lie beside their ports (`backplane`, `api`); they meet here, so that credentials, TLS,
//! time-outs, reconnecting and the rules for keys exist once.
//!
//! # Keys
//!
//! A key is `prefix:kind:{tag}` with an optional rest ([`Key`]). What stands in braces chooses the slot of a Redis
//! Cluster, and a script may touch keys of one slot only; so keys of one script share their tag.
//!
//! # Time
//!
//! Scripts take the time from Redis (`TIME`), not from whoever calls: deadlines of many pods are compared with one clock.

mod config;
mod deadlines;
mod info;
mod key;
mod link;
mod probe;
mod script;

pub use config::{Config, ConfigError, Credentials, Tls};
pub use deadlines::Deadlines;
pub use info::Info;
pub use key::Key;
pub use link::{Away, Link, Stats};
pub use script::{Call, Script};
