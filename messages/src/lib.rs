//! The message service: validates, stores, publishes. What it answers is stored and published.
//!
//! ```text
//! service (calls) ── views (permissions) ── channel (one actor each) ── store (durable) ── backplane (published)
//! ```
//!
//! - [`service`] is the contract of `proto`: [`Messages`] is what is opened and served.
//! - `views` knows who may do what, as of the moment of a request.
//! - `channel` gives ids and keeps order: ids are the order of a channel's events.
//! - [`store`] is the port to durable storage, [`store::EmbeddedStore`] its embedded adapter.
//! - `slots` and `sweep` publish, before anything is accepted, what earlier owners stored and did not publish.
//!
//! *One writer.* A channel belongs to the replica that holds its slot's lease; embedded, one process holds all.

mod cache;
mod channel;
mod config;
mod content;
mod events;
mod filter;
mod limits;
mod mentions;
mod people;
mod place;
mod render;
pub mod service;
mod slots;
pub mod stats;
pub mod store;
mod sweep;
mod views;

pub use config::{Config, OpenError, RateLimitConfig};
pub use filter::{FilterConfig, FilterError};
pub use service::Messages;
pub use stats::Stats;
