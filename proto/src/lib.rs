//! The inside contract: what Starling's services say to each other.
//!
//! - [`v1`] is the code generated from `proto/starling/v1/*.proto`, the contract for callers in any language.
//! - [`convert`] turns its messages into the types of `model` and back, and says precisely what is malformed.
//! - [`envelope`] is the event as it travels on the backplane.
//! - [`failure`] is the one error type of every call; [`transport`] and [`clients`] make calls.
//!
//! Services meet here and nowhere else: a caller holds a client from [`clients`] and cannot tell whether the service
//! runs in its own process.

pub mod clients;
pub mod convert;
pub mod envelope;
pub mod failure;
mod fuzz;
pub mod transport;

/// Generated from the `.proto` files.
#[expect(clippy::allow_attributes, reason = "generated code allows what generated code does")]
pub mod v1 {
    tonic::include_proto!("starling.v1");
}

pub use convert::Malformed;
pub use envelope::{Envelope, Writer};
pub use failure::{Failure, FailureKind, FieldError};
pub use fuzz::fuzz_envelope;
pub use transport::Transport;
