//! The storage half of a cluster on a real server: the conformance suites, and what only a server can do to it.
//!
//! `cargo test -p testkit --test cassandra` needs the server that `make servers` installs, and Java 17.

#![expect(clippy::unwrap_used, reason = "a test ends where it unwraps")]

mod conformance;
mod directory;
mod messages;
mod migrate;
mod server;
mod writes;
