//! The HTTP edge over real sockets, with services that are fakes behind the clients of `proto`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod bodies;
mod client;
mod connections;
mod fakes;
mod fuzz;
mod http_rules;
mod limits;
mod request;
mod shapes;
