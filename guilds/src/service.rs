//! The two gRPC services. Nothing is decided here: requests are handed on, answers wrapped.

mod accounts;
mod guilds;

use proto::Failure;
use tonic::{Response, Status};

/// An answer of ours as gRPC has it.
fn answer<T>(outcome: Result<T, Failure>) -> Result<Response<T>, Status> {
    outcome.map(Response::new).map_err(Status::from)
}
