//! The inside contract: what Starling's services say to each other.
//!
//! - [`v1`] is the code generated from `proto/starling/v1/*.proto`, the contract for callers in any language.
//! - [`convert`] turns its messages into the types of `model` and back, and says precisely what is malformed.
//! - [`envelope`] is the event as it travels on the backplane.
//! - [`failure`] is the one error type of every call; [`transport`] and [`clients`] make calls, [`serving`] takes them from
//!   the network, and [`methods`] says of each method which replica answers and whether it may be asked twice.
//! - [`token`] reads from a token whose it claims to be.
//! - [`trace`] takes the context of a trace along, with calls and with events.
//!
//! Services meet here and nowhere else: a caller holds a client from [`clients`] and cannot tell whether the service
//! runs in its own process.

pub mod clients;
pub mod convert;
mod deadline;
pub mod envelope;
mod executor;
pub mod failure;
mod fuzz;
pub mod methods;
mod secret;
pub mod serving;
pub mod tls;
pub mod token;
pub mod trace;
pub mod transport;

/// Generated from the `.proto` files.
#[expect(clippy::allow_attributes, reason = "generated code allows what generated code does")]
#[expect(clippy::large_enum_variant, reason = "a session is large, and rare among what is sent")]
pub mod v1 {
    tonic::include_proto!("starling.v1");
}

/// The `.proto` files, compiled: what reflection shows.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

pub use convert::Malformed;
pub use envelope::{Envelope, Writer};
pub use failure::{Failure, FailureKind, FieldError};
pub use fuzz::fuzz_envelope;
pub use secret::{BadSecret, Secret};
pub use transport::Transport;
