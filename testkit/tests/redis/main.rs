//! The adapters on a real Redis: the conformance suites, on one server and on a node of a cluster, and what only a server
//! can do to them.
//!
//! `cargo test -p testkit --test redis` needs the server that `make servers` installs on Debian.

#![expect(clippy::unwrap_used, reason = "a test ends where it unwraps")]

mod conformance;
mod limits;
mod link;
